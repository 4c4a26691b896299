"""An export table as an astropy table: units, descriptions and UCDs with each column."""

from __future__ import annotations

import numpy as np
from astropy import units
from astropy.table import MaskedColumn, Table
from numpy.typing import NDArray

from catalog.export.table import ExportTable
from catalog.schema.column import ColumnDefinition


def to_astropy(table: ExportTable) -> Table:
    """Return an astropy table with masks where the database has NULL; UCD and null meaning in the meta."""
    result = Table(
        meta={"table": table.name, "recipe": table.recipe, **table.metadata, "runs": list(table.runs)}
    )
    for definition in table.definitions:
        result[definition.name] = to_column(definition, table.values[definition.name])
    return result


def to_column(definition: ColumnDefinition, values: np.ma.MaskedArray) -> MaskedColumn:
    """Return one column with unit, description, UCD and the meaning of a missing value."""
    meta = {"ucd": definition.ucd}
    if definition.null:
        meta["null"] = definition.null
    return MaskedColumn(
        values,
        name=definition.name,
        unit=units.Unit(definition.unit, format="fits") if definition.unit else None,
        description=definition.description,
        meta=meta,
    )


def ascii_only(text: str) -> str:
    """Return text for formats that know ASCII alone: other characters as escapes, line breaks as blanks."""
    return " ".join(text.split()).encode("ascii", "backslashreplace").decode("ascii")


def ascii_cells(texts: NDArray[np.str_]) -> NDArray[np.bytes_]:
    """Return `ascii_only` of each text of a column."""
    try:
        cells = texts.astype(np.bytes_)
        odd = np.flatnonzero(_has_odd_blanks(cells))
    except UnicodeEncodeError:
        return np.array([ascii_only(text) for text in texts.tolist()], dtype=np.bytes_)
    # Tidied texts are never longer.
    cells[odd] = [ascii_only(text) for text in texts[odd].tolist()]
    return cells


def _has_odd_blanks(texts: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """Which texts have blanks at an end or side by side, or blanks of another kind, as line breaks are."""
    characters = np.ascontiguousarray(texts).view(np.uint8).reshape(len(texts), texts.dtype.itemsize)
    blank, end = characters == ord(" "), characters == 0
    before_another = blank[:, :-1] & (blank | end)[:, 1:]
    of_another_kind = np.isin(characters, np.frombuffer(b"\t\n\v\f\r\x1c\x1d\x1e\x1f", dtype=np.uint8))
    return np.asarray(blank[:, 0] | blank[:, -1] | before_another.any(axis=1) | of_another_kind.any(axis=1))
