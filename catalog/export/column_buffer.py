"""A column of an export while rows arrive: their cells become numbers at once, and NULL a mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.export.table import Column
from catalog.schema.column import ColumnDefinition

_TYPES: dict[str, tuple[Any, Any]] = {
    "int": (np.int64, 0),
    "bigint": (np.int64, 0),
    "float": (np.float64, np.nan),
    "bool": (np.bool_, False),
    "text": (np.str_, ""),
    "time": (np.str_, ""),
}


def fill_value(definition: ColumnDefinition) -> Any:
    """What stands under the mask where the database has NULL."""
    return _TYPES[definition.kind][1]


class ColumnBuffer:
    """Cells of one column, row by row.

    Memory is taken with the first cell that is not NULL: a float column without any takes none.

    Parameters
    ----------
    definition
        The column.
    expected
        Rows to make room for at once.
    """

    def __init__(self, definition: ColumnDefinition, expected: int) -> None:
        self.type, self.fill = _TYPES[definition.kind]
        self.expected = expected
        self.rows = 0
        self.data: NDArray[Any] | None = None
        self.nulls: list[NDArray[np.bool_]] = []

    def extend(self, cells: Sequence[Any]) -> None:
        """Take the cells of further rows as the database gives them, None for NULL."""
        values = self._floats(cells) if self.type is np.float64 else self._others(cells)
        start, self.rows = self.rows, self.rows + len(cells)
        if values is None and self.data is None:
            return
        if self.data is None or len(self.data) < self.rows:
            self.data = self._larger(start)
        self.data[start : self.rows] = self.fill if values is None else values

    def _floats(self, cells: Sequence[Any]) -> NDArray[np.float64] | None:
        if not cells or (cells[0] is None and cells.count(None) == len(cells)):
            return None
        try:
            return np.fromiter(cells, dtype=np.float64, count=len(cells))
        except TypeError:
            # The database holds no NaN: it is NULL that becomes one.
            return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)

    def _others(self, cells: Sequence[Any]) -> list[Any]:
        self.nulls.append(np.array([cell is None for cell in cells], dtype=bool))
        return [self.fill if cell is None else cell for cell in cells]

    def _larger(self, filled: int) -> NDArray[Any]:
        size = self.expected if self.rows <= self.expected else 2 * self.rows
        # The width of texts is known at the end.
        data = np.empty(size, dtype=object if self.type is np.str_ else self.type)
        data[:filled] = self.fill if self.data is None else self.data[:filled]
        return data

    def column(self) -> Column:
        """Return the column: without NULL it needs no mask, of NULL alone floats no values of their own."""
        if self.data is None and self.rows:
            values, mask = np.broadcast_to(np.nan, self.rows), np.broadcast_to(np.True_, self.rows)
            return np.ma.MaskedArray(values, mask=mask, fill_value=self.fill)
        data = np.empty(0, dtype=self.type) if self.data is None else self.data[: self.rows]
        data = data.astype(self.type, copy=False)
        if not self.rows:
            return np.ma.MaskedArray(data)
        mask = np.isnan(data) if self.type is np.float64 else np.concatenate(self.nulls)
        if not mask.any():
            return np.ma.MaskedArray(data)
        return np.ma.MaskedArray(data, mask=mask, fill_value=self.fill)
