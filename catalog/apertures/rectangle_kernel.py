"""The compiled loop over many upright rectangles."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)  # type: ignore[untyped-decorator]
def inside_any(
    rectangles: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether points lie in any of the rectangles (smallest x and y, largest x and y), edges included."""
    inside = np.zeros(x.size, dtype=np.bool_)
    for i in range(x.size):
        for k in range(rectangles.shape[0]):
            across = rectangles[k, 0] <= x[i] <= rectangles[k, 2]
            if across and rectangles[k, 1] <= y[i] <= rectangles[k, 3]:
                inside[i] = True
                break
    return inside
