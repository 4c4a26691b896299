"""The hot loop of time-resolved good fractions: a table of offsets followed along the aspect."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def along_path(
    table: NDArray[np.float64], row: NDArray[np.float64], column: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Values of a table, linear between its nodes, at places within it.

    Parameters
    ----------
    table
        Shape (rows, columns).
    row, column
        Numbers of row and column, from 0, not beyond the last ones, shape (n,).
    """
    result = np.empty(row.size)
    last_row, last_column = table.shape[0] - 2, table.shape[1] - 2
    for k in range(row.size):
        i, j = min(int(row[k]), last_row), min(int(column[k]), last_column)
        p, q = row[k] - i, column[k] - j
        lower = table[i, j] * (1 - q) + table[i, j + 1] * q
        upper = table[i + 1, j] * (1 - q) + table[i + 1, j + 1] * q
        result[k] = lower * (1 - p) + upper * p
    return result
