"""Circular apertures that touch instead of overlapping, for sources that are measured together.

Where two circles overlap, each keeps the points nearer to its own source: the apertures of a group then cover
what their circles cover, no photon is counted twice, and none is thrown away. The background annulus grows
in a dense field until enough of it is left.
"""

from __future__ import annotations

from math import hypot, pi

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from catalog.apertures.circles import CircleAperture, CircleRule
from catalog.apertures.region import Region, clip_to_field
from catalog.apertures.shape import Annulus, Circle, Polygon, Shape

Array = NDArray[np.float64]

GROWTH = 1.25
MOST_GROWTH = 4.0
"""Largest outer radius of a grown background, in its nominal one."""
LEAST_BACKGROUND = 0.3
"""Share of the nominal annulus that a background holds at least, if growing can reach it."""
CROWDED_SHARE = 0.4
"""Share of the nominal annulus covered by neighbours' circles from which on growing may be needed."""
_ARC_SEGMENTS = 24


def is_dense(position: tuple[float, float, float], others: Array, rule: CircleRule) -> bool:
    """Tell whether neighbours may leave too little of a background annulus.

    Parameters
    ----------
    position
        x, y and aperture radius of the source, sky pixels.
    others
        The same of its neighbours, shape (k, 3).
    rule
        Factors of the rule.
    """
    x, y, radius = position
    reach = rule.background_exclusion * others[:, 2]
    distance = np.hypot(others[:, 0] - x, others[:, 1] - y)
    inside = distance < rule.background_outer * radius + reach
    annulus = (rule.background_outer**2 - rule.background_inner**2) * radius**2
    return float((reach[inside] ** 2).sum()) > CROWDED_SHARE * annulus


def touching_aperture(
    position: tuple[float, float, float],
    others: Array,
    rule: CircleRule,
    field_of_view: BaseGeometry,
    background_field: BaseGeometry | None = None,
) -> CircleAperture:
    """Build the regions of one source; arguments and result as of `circles.circle_aperture`.

    `overlapped` tells whether the aperture was divided with a neighbour.
    """
    x, y, radius = position
    distance = np.hypot(others[:, 0] - x, others[:, 1] - y)
    # Two entries of one place cannot be divided; they share their aperture.
    near = others[(distance < 2 * radius) & (distance < radius + others[:, 2]) & (distance > 0)]
    source = Region(divided_circle(position, near) if len(near) else Circle(x, y, radius))
    allowed = field_of_view if background_field is None else background_field
    background = grown_background(position, others, rule, allowed)
    return CircleAperture(
        clip_to_field(source, field_of_view),
        background,
        overlapped=len(near) > 0,
        confused=bool((distance < radius).any()),
    )


def divided_circle(position: tuple[float, float, float], others: Array) -> Polygon:
    """Part of a circle nearer to its centre than to any of the other positions, shape (k, >= 2).

    The circle is a polygon of 96 vertices and of its area.
    """
    x, y, radius = position
    sides = 4 * _ARC_SEGMENTS
    factor = np.sqrt(pi / (sides / 2 * np.sin(2 * pi / sides)))
    angle = 2 * pi * np.arange(sides) / sides
    vertices = np.column_stack([x + factor * radius * np.cos(angle), y + factor * radius * np.sin(angle)])
    return _nearer_part(vertices, (x, y), others)


def divided_polygon(vertices: Array, place: tuple[float, float], others: Array) -> Polygon:
    """Part of a polygon nearer to a place inside it than to any of the other positions, shape (k, >= 2).

    A polygon that is not convex may keep edges of no width between its parts: they hold no area.
    """
    return _nearer_part(vertices, place, others)


def _nearer_part(vertices: Array, place: tuple[float, float], others: Array) -> Polygon:
    x, y = place
    for other_x, other_y in sorted((float(row[0]), float(row[1])) for row in others):
        u, v = other_x - x, other_y - y
        length = hypot(u, v)
        vertices = _half_plane(vertices, (u / length, v / length), (x + u / 2, y + v / 2))
    return Polygon(tuple((float(px), float(py)) for px, py in vertices))


def _half_plane(vertices: Array, normal: tuple[float, float], point: tuple[float, float]) -> Array:
    """Part of a convex polygon on the inner side of a line (Sutherland & Hodgman 1974, one edge)."""
    depth = (vertices - point) @ np.asarray(normal)
    kept: list[Array] = []
    for i in range(len(vertices)):
        k = (i + 1) % len(vertices)
        if depth[i] <= 0:
            kept.append(vertices[i])
        if (depth[i] < 0 < depth[k]) or (depth[k] < 0 < depth[i]):
            share = depth[i] / (depth[i] - depth[k])
            kept.append(vertices[i] + share * (vertices[k] - vertices[i]))
    return np.array(kept)


def grown_background(
    position: tuple[float, float, float], others: Array, rule: CircleRule, allowed: BaseGeometry
) -> Region:
    """Annulus less the circles of other sources, its outer radius grown while too little is left.

    When even the largest one has too little, the largest is returned: its area tells.
    """
    x, y, radius = position
    distance = np.hypot(others[:, 0] - x, others[:, 1] - y)
    inner, outer = rule.background_inner * radius, rule.background_outer * radius
    largest = MOST_GROWTH * outer if is_dense(position, others, rule) else outer
    wanted = LEAST_BACKGROUND * pi * (outer**2 - inner**2)
    while True:
        cut = others[distance < outer + rule.background_exclusion * others[:, 2]]
        holes: tuple[Shape, ...] = tuple(
            Circle(float(a), float(b), float(rule.background_exclusion * c))
            for a, b, c in sorted(map(tuple, cut))
        )
        region = clip_to_field(Region(Annulus(x, y, inner, outer), holes), allowed)
        if outer >= largest or _rough_area(region) >= wanted:
            return region
        outer = min(outer * GROWTH, largest)


def _rough_area(region: Region) -> float:
    """Area with circles of few vertices: only compared with a goal."""
    shape = region.shape
    assert isinstance(shape, Annulus)
    geometry = shapely.Point(shape.x, shape.y).buffer(shape.outer, quad_segs=16)
    cut = [shapely.Point(shape.x, shape.y).buffer(shape.inner, quad_segs=16)]
    cut += [shapely.Point(*hole.reach[:2]).buffer(hole.reach[2], quad_segs=16) for hole in region.exclude]
    geometry = geometry.difference(shapely.union_all(cut))
    if region.field is not None:
        geometry = geometry.intersection(shapely.union_all([part.geometry() for part in region.field]))
    return float(geometry.area)
