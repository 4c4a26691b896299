"""Arcs as polygons, for area arithmetic only: membership never uses them."""

from __future__ import annotations

from math import pi

import numpy as np
from numpy.typing import NDArray

ARC_SEGMENTS = 256
"""Segments of a quarter circle. A whole curve has its exact area; where it is cut, the area of what is left
is good to 1e-8 of the whole curve's."""


def equal_area_factor(segments: int = ARC_SEGMENTS) -> float:
    """Factor by which the radius of an inscribed polygon grows to have the area of its circle."""
    sides = 4 * segments
    return float(np.sqrt(pi / (sides / 2 * np.sin(2 * pi / sides))))


def arc_points(radius: float, start: float, stop: float) -> NDArray[np.float64]:
    """Points on an arc about the origin between two angles (degrees, start < stop), shape (n, 2).

    The radius is such that the polygon with the origin has the area of the sector.
    """
    angle = np.radians(stop - start)
    number = max(2, int(np.ceil(4 * ARC_SEGMENTS * angle / (2 * pi))) + 1)
    step = angle / (number - 1)
    grown = radius * np.sqrt(step / np.sin(step))
    angles = np.radians(start) + step * np.arange(number)
    return np.column_stack([grown * np.cos(angles), grown * np.sin(angles)])
