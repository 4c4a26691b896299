"""An export table as an astropy table: units, descriptions and UCDs with each column."""

from __future__ import annotations

import numpy as np
from astropy import units
from astropy.table import MaskedColumn, Table

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
