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
    # From the first centre, so that large coordinates cost no digits; equal discs count once.
    own = np.unique(circles[circles[:, 2] > 0], axis=0)
    if not len(own):
        return 0.0
    x, y = own[:, 0] - own[0, 0], own[:, 1] - own[0, 1]
    r = own[:, 2]
    dx, dy = x[None, :] - x[:, None], y[None, :] - y[:, None]
    distance = np.hypot(dx, dy)
    inside_other = distance <= r[None, :] - r[:, None]
    np.fill_diagonal(inside_other, False)
    free = ~inside_other.any(axis=1)
    x, y, r = x[free], y[free], r[free]
    dx, dy, distance = (values[np.ix_(free, free)] for values in (dx, dy, distance))
    crossing = (distance < r[None, :] + r[:, None]) & (distance > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = (distance**2 + r[:, None] ** 2 - r[None, :] ** 2) / (2.0 * distance * r[:, None])
    half = np.arccos(np.clip(np.where(crossing, cosine, 1.0), -1.0, 1.0))
    middle = np.arctan2(dy, dx)
    return float(
        sum(_arcs(x[i], y[i], r[i], middle[i][crossing[i]], half[i][crossing[i]]) for i in range(len(r)))
    )


def _arcs(x: float, y: float, r: float, middle: Array, half: Array) -> float:
    """Integral along the parts of one circle outside the angles middle +- half."""
    start = np.mod(middle - half, 2.0 * np.pi)
    order = np.argsort(start, kind="stable")
    start, stop = start[order], (start + 2.0 * half)[order]
    # What passes the end of the turn covers its beginning too.
    reached = np.maximum.accumulate(
        np.concatenate([[max(0.0, float((stop - 2.0 * np.pi).max(initial=0.0)))], stop])
    )
    first = reached
    last = np.concatenate([start, [2.0 * np.pi]])
    gap = last > first
    a, b = first[gap], np.minimum(last, 2.0 * np.pi)[gap]
    turned = r * r * (b - a) + r * x * (np.sin(b) - np.sin(a)) - r * y * (np.cos(b) - np.cos(a))
    return 0.5 * float(turned.sum())


def area_outside(outer: tuple[float, float, float], holes: Array) -> float:
    """Area of a disc (x, y, radius) less other discs (rows, shape (n, 3))."""
    near = holes[np.hypot(holes[:, 0] - outer[0], holes[:, 1] - outer[1]) < outer[2] + holes[:, 2]]
    if not len(near):
        return float(np.pi * outer[2] ** 2)
    return max(0.0, area_of_union(np.vstack([np.array(outer)[None, :], near])) - area_of_union(near))
