"""A table on its way out: values, what they mean, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.export.band_columns import flags_name
from catalog.flags import Flag
from catalog.schema.column import ColumnDefinition

Column = np.ma.MaskedArray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class ExportTable:
    """Rows of a view under one recipe.

    Attributes
    ----------
    name
        The view: `catalog` or `detections`.
    recipe
        Recipe of all rows.
    definitions
        The chosen columns in order.
    values
        One masked array per chosen column, of equal length; masked where the database has NULL. Floats are
        float64, whole numbers int64, text and times unicode.
    support
        Columns that were not chosen, but which some format cannot do without: position, name, aperture,
        and the interval and flags of each chosen value.
    metadata
        What else a reader should know: creator, date, where, remark.
    runs
        One line for each run that wrote a row.
    chosen
        Whether the user named the columns, so that no format takes fewer.
    """

    name: str
    recipe: str
    definitions: list[ColumnDefinition]
    values: dict[str, Column]
    support: dict[str, Column] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    runs: tuple[str, ...] = ()
    chosen: bool = False

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.values.values())))

    def __contains__(self, name: object) -> bool:
        """Whether a column is there, chosen or in support."""
        return name in self.values or name in self.support

    def column(self, name: str) -> Column:
        """Values of a column, chosen or in support.

        Raises
        ------
        KeyError
            When it is neither.
        """
        return self.values[name] if name in self.values else self.support[name]

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Whether each value of a column is NULL."""
        return np.ma.getmaskarray(self.column(name))

    def bound_only(self, name: str) -> NDArray[np.bool_]:
        """Whether each value of a column is no more than an upper bound, by the flag of its band."""
        flags = flags_name(name)
        if flags is None or flags not in self:
            return np.zeros(len(self), dtype=bool)
        bits: NDArray[np.int64] = self.column(flags).filled(0)
        result: NDArray[np.bool_] = (bits & int(Flag.BOUND_ONLY)) != 0
        return result
