"""Area of a circle or ring less other circles, exactly, from the arcs that bound it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def area_of_union(circles: Array) -> float:
    """Area of a union of discs.

    By Green's theorem: half the integral of x dy - y dx along the arcs of each circle that lie in no other.

    Parameters
    ----------
    circles
        Rows x, y, radius, shape (n, 3).
    """
    # Compiled code: imported late, so that commands without regions start fast.
    from catalog.apertures.circle_area_kernel import union_area

    # Equal discs count once.
    return float(union_area(np.unique(circles[circles[:, 2] > 0], axis=0)))


def area_outside(outer: tuple[float, float, float], holes: Array) -> float:
    """Area of a disc (x, y, radius) less other discs (rows, shape (n, 3))."""
    near = holes[np.hypot(holes[:, 0] - outer[0], holes[:, 1] - outer[1]) < outer[2] + holes[:, 2]]
    if not len(near):
        return float(np.pi * outer[2] ** 2)
    return max(0.0, area_of_union(np.vstack([np.array(outer)[None, :], near])) - area_of_union(near))
