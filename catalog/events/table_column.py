"""Plain columns of a table, as a file has them: values, what is missing, unit, UCD and frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import InputFileError

_EMPTY_CELLS = {"", "nan", "null", "none", "n/a", "--", "-", "...", '""'}


@dataclass(frozen=True)
class TableColumn:
    """One column as the file has it.

    Attributes
    ----------
    name, unit, ucd
        As written; unit and ucd are "" when the file gives none.
    values
        Shape (rows,): numbers in the file's own type, or text.
    missing
        Shape (rows,), True where the cell is empty, masked or NaN.
    frame
        Celestial frame that the file declares (``fk5``, ``fk4``, ``galactic``, ``icrs``) or "".
    """

    name: str
    values: NDArray[Any]
    missing: NDArray[np.bool_]
    unit: str = ""
    ucd: str = ""
    frame: str = ""

    @property
    def is_text(self) -> bool:
        """Whether the cells are text."""
        return self.values.dtype.kind in "UO"


@dataclass(frozen=True)
class SourceTable:
    """Columns of one table of a file; `label` names file and table in messages."""

    label: str
    columns: tuple[TableColumn, ...]

    def __len__(self) -> int:
        return len(self.columns[0].values) if self.columns else 0

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]


def unreadable(
    what: str, path: Path, todo: str = "give FITS, VOTable, CSV, ECSV or ds9 regions"
) -> InputFileError:
    """Return the error of a file that no table can be read from."""
    return InputFileError(what, path, todo, code="UNREADABLE_TABLE")


def make_column(name: str, data: Any, unit: str = "", ucd: str = "", frame: str = "") -> TableColumn | None:
    """Return a column of scalars; None for vectors and for kinds that are neither number nor text.

    Parameters
    ----------
    name, unit, ucd, frame
        As in `TableColumn`.
    data
        Array or masked array; text may be bytes.
    """
    array = np.ma.asanyarray(data)
    if array.ndim != 1 or array.dtype.kind not in "iufSUO":
        return None
    missing = np.array(np.ma.getmaskarray(array))
    plain = array.data if isinstance(array, np.ma.MaskedArray) else array
    if plain.dtype.kind in "SO":
        plain = np.array(
            [v.decode("ascii", "replace") if isinstance(v, bytes) else str(v) for v in plain.tolist()], "U"
        )
    values = np.asarray(plain)
    if values.dtype.kind == "U":
        values = np.char.strip(values) if values.size else values
        missing |= np.isin(np.char.lower(values), list(_EMPTY_CELLS)) if values.size else False
    else:
        missing |= np.isnan(values) if values.dtype.kind == "f" else False
    return TableColumn(name, values, missing, unit, ucd, frame)
