"""The annulus that holds a fixed number of counts: srcflux's optimized background."""

from __future__ import annotations

from math import hypot

import numpy as np
from numpy.typing import NDArray

from catalog.apertures.masked_field import inside_circles
from catalog.apertures.region import Region
from catalog.apertures.shape import Annulus, Circle, Polygon, Shape

Array = NDArray[np.float64]


def free_events(events: Array, circles: Array, polygons: list[Polygon]) -> Array:
    """Events outside all circles (x, y, radius) and all polygons of sources, shape (n, 2)."""
    free = events[~inside_circles(events, circles)]
    for polygon in polygons:
        x, y, reach = polygon.reach
        near = np.flatnonzero(np.hypot(free[:, 0] - x, free[:, 1] - y) <= reach)
        taken = near[polygon.contains(free[near, 0], free[near, 1])]
        free = np.delete(free, taken, axis=0)
    return free


def outer_radius(position: tuple[float, float], events: Array, counts: int) -> float | None:
    """Distance of the event after the first `counts` ones from a position; None when there are too few."""
    if len(events) <= counts:
        return None
    distance = np.hypot(events[:, 0] - position[0], events[:, 1] - position[1])
    return float(np.partition(distance, counts)[counts])


def fixed_count_annulus(
    own: tuple[float, float, float], outer: float, circles: Array, polygons: list[Polygon]
) -> Region:
    """Annulus from the source's circle to `outer`, less all circles and source polygons that reach into it.

    Parameters
    ----------
    own
        x, y and radius of the source's circle, sky pixels.
    outer
        Outer radius; where the source's circle is larger, that and one pixel more.
    circles
        Circles (x, y, radius) of the other sources, shape (k, 3).
    polygons
        Source apertures, the own one included.
    """
    x, y, inner = own
    ring = Annulus(x, y, inner, max(outer, inner + 1.0))

    def reaches(shape: Shape) -> bool:
        u, v, reach = shape.reach
        distance = hypot(u - x, v - y)
        return distance < ring.outer + reach and distance + reach > ring.inner

    shapes: list[Shape] = [Circle(u, v, r) for u, v, r in sorted(circles.tolist())]
    own_shapes: list[Polygon] = sorted(polygons, key=lambda polygon: polygon.vertices)
    shapes.extend(own_shapes)
    return Region(ring, tuple(shape for shape in shapes if reaches(shape)))
