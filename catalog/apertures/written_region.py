"""From shapes as written to a region in the sky pixels of an observation, checked."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from catalog.apertures.outline import check_outline, no_area, open_ring
from catalog.apertures.region import Region
from catalog.apertures.shape import Annulus, Circle, Polygon, Shape, Union
from catalog.apertures.turned import Box, Ellipse, Sector
from catalog.apertures.written_shape import WrittenShape
from catalog.errors import InputFileError
from catalog.events.sky_frame import SkyFrame

_STEP = 1e-3
"""Degrees along a meridian that give its direction."""


def written_regions(groups: Sequence[Sequence[WrittenShape]], frame: SkyFrame) -> list[Region]:
    """Return one region for each group of shapes: the included ones together, less the excluded ones.

    Parameters
    ----------
    groups
        Shapes of each region, at least one included in each.
    frame
        Projection of the event list.

    Raises
    ------
    InputFileError
        REGION_EMPTY for a shape without area, REGION_SELF_CROSSING for a polygon that crosses itself,
        REGION_SHAPE for what cannot be one region, OUTSIDE_FRAME for a position behind the telescope.
    """
    items = [item for group in groups for item in group]
    placed = iter(_placed(items, frame))
    return [region_of([(item, *next(placed)) for item in group]) for group in groups]


def region_of(shapes: Sequence[tuple[WrittenShape, Shape, Shape | None]]) -> Region:
    """One region of shapes in sky pixels; each comes with how it was written and the hole in it, if any."""
    included = [shape for item, shape, _ in shapes if not item.excluded]
    excluded = [shape for item, shape, _ in shapes if item.excluded]
    holes = [hole for _, _, hole in shapes if hole is not None]
    where = shapes[0][0].where
    if not included:
        raise InputFileError(
            "only excluded shapes", where, "draw the shape that they are cut from", code="REGION_SHAPE"
        )
    if holes and len(included) > 1:
        raise InputFileError(
            "a ring of ellipses or boxes together with other shapes",
            where,
            "write the inner one as an excluded shape of its own",
            code="REGION_SHAPE",
        )
    simple = tuple(dict.fromkeys(shape for shape in included if not isinstance(shape, Union)))
    region = Region(simple[0] if len(simple) == 1 else Union(simple), (*holes, *excluded))
    if region.area <= 0:
        raise InputFileError(
            "the excluded shapes leave no area", where, "correct the shapes", code="REGION_EMPTY"
        )
    return region


def _placed(items: Sequence[WrittenShape], frame: SkyFrame) -> list[tuple[Shape, Shape | None]]:
    """Shapes in sky pixels with the hole of a ring; all positions are projected at once."""
    points: list[tuple[float, float]] = []
    for item in items:
        first = item.points[0]
        points += [*item.points, (first[0], first[1] - np.copysign(_STEP, first[1]))]
    frames = np.repeat([item.frame for item in items], [len(item.points) + 1 for item in items])
    x, y = _to_sky(np.array(points, dtype=float).reshape(-1, 2), frames, frame)
    result, start = [], 0
    for item in items:
        stop = start + len(item.points)
        turn = 0.0
        if item.frame != "physical":
            # Angles count from the direction that has the frame's north 90 degrees ahead.
            sign = -np.copysign(1.0, item.points[0][1])
            u, v = sign * (x[stop] - x[start]), sign * (y[stop] - y[start])
            turn = float(np.degrees(np.arctan2(v, u))) - 90.0
        corners = list(zip(x[start:stop].tolist(), y[start:stop].tolist(), strict=True))
        scale = 1.0 if item.frame == "physical" else 3600.0 / frame.pixel_scale_arcsec
        result.append(_shape(item, corners, scale, turn))
        start = stop + 1
    return result


def _to_sky(
    points: NDArray[np.float64], frames: NDArray[np.str_], frame: SkyFrame
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = points[:, 0].copy(), points[:, 1].copy()
    for name in sorted(set(frames.tolist()) - {"physical"}):
        rows = np.flatnonzero(frames == name)
        ra, dec = points[rows].T
        if name != "icrs":
            from astropy.coordinates import SkyCoord

            world = SkyCoord(ra, dec, unit="deg", frame=name).icrs
            ra, dec = world.ra.deg, world.dec.deg
        x[rows], y[rows] = frame.to_sky(ra, dec)
    return x, y


def _shape(
    item: WrittenShape, corners: list[tuple[float, float]], scale: float, turn: float
) -> tuple[Shape, Shape | None]:
    sizes = [length * scale for length in item.lengths]
    if not all(isfinite(value) for corner in corners for value in corner):
        raise InputFileError(
            "a position far from the observation",
            item.where,
            "check coordinates and ObsID",
            code="OUTSIDE_FRAME",
        )
    if item.word == "polygon":
        ring = open_ring(corners)
        check_outline(ring, item.where)
        return Polygon(ring), None
    if item.word == "rectangle":
        (x0, y0), (x1, y1) = corners
        sizes = [abs(x1 - x0), abs(y1 - y0)]
        corners = [((x0 + x1) / 2, (y0 + y1) / 2)]
    if item.word == "point" or any(size < 0 for size in sizes) or not any(size > 0 for size in sizes):
        raise no_area(item.word, item.where)
    angle = turn + (item.angles[0] if item.angles else 0.0)
    hole: Shape | None = None
    shape: Shape
    centre = corners[0]
    if item.word == "circle":
        shape = Circle(*centre, sizes[0])
    elif item.word == "annulus":
        # A ring without a hole is a disk; an annulus would leave out its middle point.
        shape = Annulus(*centre, *sizes) if sizes[0] > 0 else Circle(*centre, sizes[1])
    elif item.word in ("pie", "panda"):
        if item.angles[0] == item.angles[1]:
            raise no_area(item.word, item.where)
        shape = Sector(*centre, sizes[0], sizes[1], angle, turn + item.angles[1])
    else:
        kind: type[Ellipse] | type[Box] = Ellipse if item.word == "ellipse" else Box
        shape = kind(*centre, sizes[-2], sizes[-1], angle)
        hole = kind(*centre, sizes[0], sizes[1], angle) if len(sizes) == 4 else None
        if hole is not None and (sizes[0] > sizes[2] or sizes[1] > sizes[3]):
            raise no_area(item.word, item.where)
    if not shape.area > 0 or (hole is not None and hole.area >= shape.area):
        raise no_area(item.word, item.where)
    return shape, hole if hole is not None and hole.area > 0 else None
