"""Circular apertures with neighbours cut out, and annular backgrounds.

The rule (srcflux's simple one): the source aperture is a circle, less a somewhat larger circle around each
neighbour whose own aperture overlaps it, so that the overlap belongs to neither; the background is an
annulus, less a larger circle still around every other source in it. Results depend on positions and radii
alone, not on the order of the sources.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from shapely.geometry.base import BaseGeometry

from catalog.apertures.region import Region, clip_to_field
from catalog.apertures.shape import Annulus, Circle, Shape

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CircleRule:
    """Factors of the source's radius R, and of its neighbours' radii.

    Attributes
    ----------
    source_exclusion
        Radius of the circle cut from a source aperture around an overlapping neighbour, in its R.
    background_inner, background_outer
        Radii of the background annulus, in R.
    background_exclusion
        Radius of the circle cut from a background around another source, in its R.
    """

    source_exclusion: float = 1.2
    background_inner: float = 1.7
    background_outer: float = 5.0
    background_exclusion: float = 1.7


@dataclass(frozen=True)
class CircleAperture:
    """Source and background region of one source.

    Attributes
    ----------
    source, background
        Regions in sky pixels.
    overlapped
        Whether a neighbour was cut out of the source aperture.
    confused
        Whether another source lies inside the uncut source aperture.
    """

    source: Region
    background: Region
    overlapped: bool
    confused: bool


def neighbours(x: Array, y: Array, radius: Array, rule: CircleRule) -> list[NDArray[np.intp]]:
    """Return for each source the others that can change its regions, in ascending order.

    Parameters
    ----------
    x, y, radius
        Positions and aperture radii in sky pixels, shape (n,); a source without a finite radius has no
        neighbours and is none.
    rule
        Factors of the rule.
    """
    found: list[NDArray[np.intp]] = [np.empty(0, np.intp) for _ in range(len(x))]
    usable = np.flatnonzero(np.isfinite(radius))
    if len(usable) < 2:
        return found
    points = np.column_stack([x, y])[usable]
    r = radius[usable]
    own = np.maximum(rule.background_outer, 1.0) * r
    other = max(rule.background_exclusion, rule.source_exclusion, 1.0)
    candidates = KDTree(points).query_ball_point(points, own + other * r.max())
    for i, near in enumerate(candidates):
        js = np.array(sorted(near), dtype=np.intp)
        js = js[js != i]
        distance = np.hypot(*(points[js] - points[i]).T)
        found[usable[i]] = usable[js[distance < own[i] + other * r[js]]]
    return found


def circle_aperture(
    position: tuple[float, float, float],
    others: Array,
    rule: CircleRule,
    field_of_view: BaseGeometry,
    background_field: BaseGeometry | None = None,
) -> CircleAperture:
    """Build the regions of one source.

    Parameters
    ----------
    position
        x, y and aperture radius of the source, sky pixels.
    others
        The same of its neighbours, shape (k, 3).
    rule
        Factors of the rule.
    field_of_view
        Polygon that clips the source aperture, and the background unless the next is given.
    background_field
        Polygon that clips the background, such as the chips of one kind.
    """
    x, y, radius = position
    distance = np.hypot(others[:, 0] - x, others[:, 1] - y)
    overlapping = others[distance < radius + others[:, 2]]
    source = Region(Circle(x, y, radius), _circles(overlapping, rule.source_exclusion))
    outer, inner = rule.background_outer * radius, rule.background_inner * radius
    cut = others[distance < outer + rule.background_exclusion * others[:, 2]]
    background = Region(Annulus(x, y, inner, outer), _circles(cut, rule.background_exclusion))
    return CircleAperture(
        clip_to_field(source, field_of_view),
        clip_to_field(background, field_of_view if background_field is None else background_field),
        overlapped=len(overlapping) > 0,
        confused=bool((distance < radius).any()),
    )


def _circles(sources: Array, factor: float) -> tuple[Shape, ...]:
    # Sorted, so that the stored geometry does not depend on the order of the list.
    return tuple(Circle(float(x), float(y), float(factor * r)) for x, y, r in sorted(map(tuple, sources)))
