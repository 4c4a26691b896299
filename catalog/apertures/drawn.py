"""Regions drawn by a person among computed ones: what they displace, and whether they fit their source."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot

import numpy as np
from numpy.typing import NDArray

from catalog.apertures.region import Region, polygon_parts
from catalog.apertures.shape import Shape, Union, simple_parts

Array = NDArray[np.float64]


def cut_out(region: Region, drawn: Sequence[Region]) -> Region:
    """Region less the drawn apertures that reach it: a computed region gives way to a drawn one.

    Returns the same object where none does.
    """
    x, y, reach = region.shape.reach
    shapes: list[Shape] = []
    for other in drawn:
        other_x, other_y, other_reach = other.shape.reach
        if hypot(x - other_x, y - other_y) < reach + other_reach:
            shapes += outlines(other)
    return Region(region.shape, (*region.exclude, *shapes), region.field) if shapes else region


def outlines(region: Region) -> list[Shape]:
    """Shapes that together cover a region and nothing else; polygons where something is cut from it."""
    if not region.is_pure:
        return list(polygon_parts(region.geometry()))
    return list(simple_parts(region.shape))


def rival(region: Region, own: tuple[float, float], others: Array) -> int | None:
    """Which other source a drawn aperture seems to belong to.

    Parameters
    ----------
    region
        The aperture, sky pixels.
    own
        Position of its source.
    others
        Positions of other sources, shape (n, 2).

    Returns
    -------
    int or None
        -1 when it does not hold its source and no other is nearer to its middle; the row of the nearest other
        source when that one is nearer to its middle than its own; None when all is well.
    """
    middle = region.geometry().centroid
    distance = hypot(own[0] - middle.x, own[1] - middle.y)
    if len(others):
        away = np.hypot(others[:, 0] - middle.x, others[:, 1] - middle.y)
        nearest = int(away.argmin())
        if away[nearest] < distance and bool(region.contains(*others[nearest : nearest + 1].T)[0]):
            return nearest
    inside = bool(region.contains(np.array([own[0]]), np.array([own[1]]))[0])
    return None if inside else -1


def same_region(first: Region, second: Region, tolerance: float) -> bool:
    """Tell whether two regions have the same shapes to a tolerance in sky pixels, the field's edge ignored.

    The order of excluded shapes does not matter, nor does a whole turn of an angle.
    """
    if len(first.exclude) != len(second.exclude) or not _same(first.shape, second.shape, tolerance):
        return False
    left = list(second.exclude)
    for shape in first.exclude:
        match = next((other for other in left if _same(shape, other, tolerance)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _same(first: Shape, second: Shape, tolerance: float) -> bool:
    if type(first) is not type(second):
        return False
    if isinstance(first, Union) and isinstance(second, Union):
        return len(first.parts) == len(second.parts) and all(
            _same(one, other, tolerance) for one, other in zip(first.parts, second.parts, strict=True)
        )
    one, other = first.to_dict(), second.to_dict()
    if "vertices" in one:
        a, b = np.array(one["vertices"]), np.array(other["vertices"])
        return a.shape == b.shape and bool(np.abs(a - b).max() <= tolerance)
    reach = max(first.reach[2], 1.0)
    for name in one.keys() - {"shape"}:
        difference = abs(one[name] - other[name])
        if name in ("angle", "start", "stop"):
            turn = abs((difference + 180.0) % 360.0 - 180.0)
            difference = np.radians(turn) * reach
        if difference > tolerance:
            return False
    return True
