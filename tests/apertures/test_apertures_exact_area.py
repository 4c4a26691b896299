"""Areas of what is cut, against a library of exact pixel overlaps and against very fine polygons."""

from math import pi

import numpy as np
import pytest
import shapely
import shapely.affinity
from astropy import units
from hypothesis import given, settings
from hypothesis import strategies as st
from regions import (
    CirclePixelRegion,
    EllipsePixelRegion,
    PixCoord,
    RectanglePixelRegion,
)

from catalog.apertures.region import Region, clip_to_field
from catalog.apertures.shape import Annulus, Circle, Polygon, Shape, Union
from catalog.apertures.turned import Box, Ellipse, Sector

SIDES = 16384
"""Of the polygons in the place of curves: their area is 2.5e-8 too small."""
place = st.floats(-6.0, 6.0)
size = st.floats(0.5, 9.0)
angle = st.floats(0.0, 360.0)


def outline(shape: Shape) -> shapely.Geometry:
    """The shape as a fine polygon, made without the library's own outlines."""
    turn = np.linspace(0, 2 * np.pi, SIDES, endpoint=False)
    if isinstance(shape, Circle):
        return outline(Ellipse(shape.x, shape.y, shape.radius, shape.radius, 0.0))
    if isinstance(shape, Annulus):
        rings = [outline(Circle(shape.x, shape.y, radius)) for radius in (shape.outer, shape.inner)]
        return rings[0].difference(rings[1])
    if isinstance(shape, Ellipse):
        return _turned(shape, shape.first, shape.second, turn, shape.angle)
    if isinstance(shape, Box):
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2 * (shape.width, shape.height)
        c, s = np.cos(np.radians(shape.angle)), np.sin(np.radians(shape.angle))
        return shapely.polygons(corners @ np.array([[c, s], [-s, c]]) + (shape.x, shape.y))
    if isinstance(shape, Sector):
        arc = np.radians(np.linspace(shape.start, shape.start + shape.opening, SIDES))
        way = np.column_stack([np.cos(arc), np.sin(arc)])
        ring = np.vstack([shape.outer * way, shape.inner * way[::-1]])
        return shapely.polygons(ring + np.array([shape.x, shape.y]))
    assert isinstance(shape, Union)
    return shapely.union_all([outline(part) for part in shape.parts])


def _turned(shape, first, second, turn, degrees):
    u, v = first * np.cos(turn), second * np.sin(turn)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return shapely.polygons(np.column_stack([shape.x + c * u - s * v, shape.y + s * u + c * v]))


@st.composite
def shapes(draw):
    x, y, first, second, turn = (draw(value) for value in (place, place, size, size, angle))
    x, y = x + 4000.0, y + 3000.0
    kind = draw(st.sampled_from(["circle", "annulus", "ellipse", "box", "sector", "union"]))
    if kind == "circle":
        return Circle(x, y, first)
    if kind == "annulus":
        return Annulus(x, y, first, first + second)
    if kind == "ellipse":
        return Ellipse(x, y, first, second, turn)
    if kind == "box":
        return Box(x, y, first, second, turn)
    if kind == "sector":
        return Sector(x, y, first, first + second, turn, turn + draw(st.floats(5.0, 350.0)))
    return Union((Circle(x, y, first), Ellipse(x + second, y, second, first, turn)))


@st.composite
def fields(draw):
    """A corner of a field of view: a box, turned, maybe with a gap."""
    x, y, turn = 4000.0 + draw(place), 3000.0 + draw(place), draw(angle)
    chip = shapely.affinity.rotate(shapely.box(x, y, x + 300, y + 300), turn, origin=(x, y))
    if draw(st.booleans()):
        gap = shapely.affinity.rotate(shapely.box(x - 9, y + 3, x + 300, y + 4.5), turn, origin=(x, y))
        chip = chip.difference(gap)
    return chip


@settings(max_examples=60, deadline=None, derandomize=True)
@given(shapes(), st.lists(shapes(), max_size=3), st.one_of(st.none(), fields()))
def test_areas_are_those_of_very_fine_polygons(shape, holes, field):
    region = Region(shape, tuple(holes))
    expected = outline(shape)
    for hole in holes:
        expected = expected.difference(outline(hole))
    if field is not None:
        region, expected = clip_to_field(region, field), expected.intersection(field)
    assert region.area == pytest.approx(expected.area, rel=1e-6, abs=1e-6 * shape.area)


MIDDLE = PixCoord(40.3, 38.8)
PIXELS = [
    (Circle(40.3, 38.8, 17.31), CirclePixelRegion(MIDDLE, 17.31)),
    (Ellipse(40.3, 38.8, 19.0, 7.3, 33.0), EllipsePixelRegion(MIDDLE, 38.0, 14.6, angle=33.0 * units.deg)),
    (Box(40.3, 38.8, 31.0, 12.0, 71.0), RectanglePixelRegion(MIDDLE, 31.0, 12.0, angle=71.0 * units.deg)),
]


@pytest.mark.parametrize(("shape", "other"), PIXELS, ids=lambda item: getattr(item, "kind", ""))
def test_areas_clipped_at_pixels_are_sums_of_exact_pixel_overlaps(shape, other):
    weights = other.to_mask(mode="exact").to_image((80, 80))
    assert weights.sum() == pytest.approx(shape.area, rel=1e-6)
    # Pixel k reaches from k - 0.5 to k + 0.5.
    for left, bottom, right, top in ((0, 0, 40, 80), (33, 20, 80, 45), (38, 25, 44, 41), (0, 51, 80, 80)):
        corners = shapely.box(left - 0.5, bottom - 0.5, right - 0.5, top - 0.5)
        region = clip_to_field(Region(shape), corners)
        assert region.area == pytest.approx(
            weights[bottom:top, left:right].sum(), rel=1e-6, abs=1e-6 * shape.area
        )


def test_slivers_and_nothing():
    circle = Circle(4000.0, 3000.0, 10.0)
    for left in (1e-3, 1e-2, 0.1):
        height = 10.0 - left
        exact = 100.0 * np.arccos(height / 10) - height * np.sqrt(100 - height**2)
        cut = clip_to_field(Region(circle), shapely.box(4000.0 + height, 0, 9000, 9000))
        assert cut.area == pytest.approx(exact, abs=1e-7 * circle.area)
    assert Region(circle, (Circle(4000.0, 3000.0, 10.0),)).area == pytest.approx(0.0, abs=1e-9)
    assert clip_to_field(Region(circle), shapely.box(0, 0, 10, 10)).area == 0.0
    hole = Polygon(((3990.0, 2990.0), (4010.0, 2990.0), (4010.0, 3010.0), (3990.0, 3010.0)))
    assert Region(Circle(4000.0, 3000.0, 20.0), (hole,)).area == pytest.approx(400 * pi - 400, rel=1e-9)
    # Outlines of equal area bulge out by 1e-9 where the curve touches.
    assert Region(circle, (hole,)).area == pytest.approx(0.0, abs=1e-8 * circle.area)
