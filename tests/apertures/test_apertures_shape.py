"""Shapes and regions: areas against formulas and random points, membership against shapely, stored forms."""

from __future__ import annotations

import json
from math import acos, pi, sqrt

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from catalog.apertures.region import Region, clip_to_field, region_from_dict
from catalog.apertures.shape import Annulus, Circle, Polygon, Shape, shape_from_dict
from catalog.errors import SettingsError

Array = NDArray[np.float64]
SQUARE = Polygon(((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)))
HOLED = shapely.box(0, 0, 100, 100).difference(shapely.box(40, 40, 60, 60))

coordinate = st.floats(3000, 5000)
radius = st.floats(0.5, 60)
circles = st.builds(Circle, coordinate, coordinate, radius)
annuli = st.builds(
    lambda x, y, inner, width: Annulus(x, y, inner, inner + width), coordinate, coordinate, radius, radius
)


@st.composite
def polygons(draw: st.DrawFn) -> Polygon:
    """Star-shaped polygons: simple, often concave."""
    x, y = draw(coordinate), draw(coordinate)
    reach = draw(st.lists(st.floats(1, 60), min_size=3, max_size=9))
    angle = 2 * pi * np.arange(len(reach)) / len(reach)
    points = zip(x + reach * np.cos(angle), y + reach * np.sin(angle), strict=True)
    return Polygon(tuple((float(px), float(py)) for px, py in points))


shapes = st.one_of(circles, annuli, polygons())


@st.composite
def regions(draw: st.DrawFn) -> Region:
    shape = draw(shapes)
    x, y, reach = shape.reach
    near = st.floats(-1.5 * reach, 1.5 * reach)
    exclude = draw(
        st.lists(
            st.tuples(near, near, st.floats(0.1, 1)).map(lambda t: Circle(x + t[0], y + t[1], t[2] * reach)),
            max_size=4,
        )
    )
    region = Region(shape, tuple(exclude))
    if draw(st.booleans()):
        left, low = x + draw(near), y + draw(near)
        region = clip_to_field(region, shapely.box(left, low, left + 2 * reach, low + 1.3 * reach))
    return region


def lens(r1: float, r2: float, d: float) -> float:
    """Area common to two circles, Weisstein, MathWorld, "Circle-Circle Intersection", eq. 14."""
    if d >= r1 + r2:
        return 0.0
    if d <= abs(r1 - r2):
        return pi * min(r1, r2) ** 2
    a1 = acos((d * d + r1 * r1 - r2 * r2) / (2 * d * r1))
    a2 = acos((d * d + r2 * r2 - r1 * r1) / (2 * d * r2))
    kite = sqrt((-d + r1 + r2) * (d + r1 - r2) * (d - r1 + r2) * (d + r1 + r2)) / 2
    return r1 * r1 * a1 + r2 * r2 * a2 - kite


def sampled_area(region: Region, seed: int, number: int = 200_000) -> tuple[float, float]:
    """Area by counting random points, and its standard error."""
    x, y, reach = region.shape.reach
    rng = np.random.default_rng(seed)
    px, py = rng.uniform(x - reach, x + reach, number), rng.uniform(y - reach, y + reach, number)
    inside = float(np.mean(region.contains(px, py)))
    box = (2 * reach) ** 2
    return inside * box, box * sqrt(max(inside * (1 - inside), 1 / number) / number)


# --- areas ------------------------------------------------------------------------------------------------


@given(circles)
def test_a_circle(circle: Circle) -> None:
    assert circle.area == pytest.approx(pi * circle.radius**2, rel=1e-14)
    assert circle.geometry().area == pytest.approx(circle.area, rel=1e-9)


@given(annuli)
def test_an_annulus(annulus: Annulus) -> None:
    assert annulus.area == pytest.approx(
        lens(annulus.outer, annulus.outer, 0) - pi * annulus.inner**2, rel=1e-9
    )
    assert annulus.geometry().area == pytest.approx(annulus.area, rel=1e-7)


@given(polygons())
def test_a_polygon_by_the_shoelace_formula(polygon: Polygon) -> None:
    x, y = (np.array(polygon.vertices) - polygon.vertices[0]).T
    shoelace = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    assert polygon.area == pytest.approx(shoelace, rel=1e-6)


@given(radius, radius, st.floats(0.0, 1.2))
@settings(deadline=None)
def test_a_circle_less_another(r1: float, r2: float, share: float) -> None:
    distance = share * (r1 + r2)
    region = Region(Circle(4000.0, 4000.0, r1), (Circle(4000.0 + distance, 4000.0, r2),))
    exact = pi * r1**2 - lens(r1, r2, distance)
    assert region.area == pytest.approx(exact, rel=1e-6, abs=1e-7 * pi * max(r1, r2) ** 2)


@given(st.floats(1, 40), st.floats(-1.2, 1.2))
def test_a_circle_cut_by_an_edge(r: float, share: float) -> None:
    # The part of a circle left of a line at distance h from its centre: a circular segment.
    h = share * r
    region = clip_to_field(Region(Circle(4000.0, 4000.0, r)), shapely.box(0, 0, 4000.0 + h, 8000))
    exact = pi * r * r if h >= r else 0.0 if h <= -r else r * r * acos(-h / r) + h * sqrt(r * r - h * h)
    assert region.area == pytest.approx(exact, rel=1e-6, abs=1e-7 * pi * r * r)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(regions(), st.integers(0, 10**6))
def test_area_by_counting_random_points(region: Region, seed: int) -> None:
    counted, error = sampled_area(region, seed, 40_000)
    assert abs(region.area - counted) < 5.5 * error + 1e-4 * region.shape.area


def test_pure_regions_have_exact_areas() -> None:
    assert Region(Circle(0.0, 0.0, 2.0)).area == pi * 4
    assert Region(Annulus(0.0, 0.0, 1.0, 2.0)).area == pi * 3
    assert Region(SQUARE).area == 100
    assert Region(SQUARE).is_pure
    assert not Region(SQUARE, (Circle(0.0, 0.0, 1.0),)).is_pure
    assert not Region(SQUARE, field=()).is_pure


def test_nothing_left_is_zero() -> None:
    assert Region(Circle(0.0, 0.0, 2.0), (Circle(0.5, 0.0, 3.0),)).area == 0
    outside = clip_to_field(Region(Circle(0.0, 0.0, 2.0)), shapely.box(100, 100, 200, 200))
    assert outside.field == ()
    assert outside.area == 0
    assert not outside.contains(np.zeros(3), np.zeros(3)).any()


# --- membership -------------------------------------------------------------------------------------------


def points_about(shape: Shape, seed: int, number: int = 500) -> tuple[Array, Array]:
    x, y, reach = shape.reach
    rng = np.random.default_rng(seed)
    return rng.uniform(x - 1.3 * reach, x + 1.3 * reach, number), rng.uniform(
        y - 1.3 * reach, y + 1.3 * reach, number
    )


@settings(max_examples=60, deadline=None)
@given(regions(), st.integers(0, 10**6))
def test_membership_is_shapelys(region: Region, seed: int) -> None:
    x, y = points_about(region.shape, seed)
    geometry = region.geometry()
    inside = shapely.contains_xy(geometry, x, y)
    # The polygon of a curve departs from it by 2e-5 of the radius; compare away from edges.
    largest = max([region.shape.reach[2], *(shape.reach[2] for shape in region.exclude)])
    clear = (
        shapely.distance(shapely.points(x, y), geometry.boundary) > 1e-4 * largest
        if not geometry.is_empty
        else True
    )
    agree = region.contains(x, y) == inside
    assert (agree | ~np.broadcast_to(clear, x.shape)).all()


@given(circles, st.integers(0, 10**6))
def test_membership_of_a_circle_is_the_distance(circle: Circle, seed: int) -> None:
    x, y = points_about(circle, seed)
    distance = np.hypot(x - circle.x, y - circle.y)
    clear = np.abs(distance - circle.radius) > 1e-9
    np.testing.assert_array_equal(circle.contains(x, y)[clear], (distance <= circle.radius)[clear])


def test_edges_of_curves() -> None:
    x, y = np.array([3.0, 5.0, 5.0001, 0.0]), np.array([4.0, 0.0, 0.0, 0.0])
    assert Circle(0.0, 0.0, 5.0).contains(x, y).tolist() == [True, True, False, True]
    assert Annulus(0.0, 0.0, 5.0, 9.0).contains(x, y).tolist() == [False, False, True, False]
    # A circle and the ring around it share no point and miss none.
    assert not (Circle(0.0, 0.0, 5.0).contains(x, y) & Annulus(0.0, 0.0, 5.0, 9.0).contains(x, y)).any()


def test_a_single_point_may_be_asked_for() -> None:
    region = clip_to_field(Region(Circle(50.0, 50.0, 45.0), (Circle(20.0, 50.0, 3.0),)), HOLED)
    found = [bool(region.contains(np.asarray(x), np.asarray(50.0))) for x in (20.0, 30.0, 50.0, 99.0)]
    assert found == [False, True, False, False]


@given(regions(), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_reach_encloses_the_shape(region: Region, seed: int) -> None:
    x, y, reach = region.shape.reach
    px, py = points_about(region.shape, seed)
    inside = region.shape.contains(px, py)
    assert (np.hypot(px - x, py - y)[inside] <= reach * (1 + 1e-9)).all()


# --- clipping ---------------------------------------------------------------------------------------------


def test_a_region_inside_the_field_is_left_alone() -> None:
    region = Region(Circle(20.0, 20.0, 10.0), (Circle(25.0, 20.0, 3.0),))
    assert clip_to_field(region, shapely.box(0, 0, 100, 100)) is region


@given(shapes, st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.floats(0.2, 3), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_clipping_is_intersection(shape: Shape, dx: float, dy: float, size: float, seed: int) -> None:
    x, y, reach = shape.reach
    area = shapely.Point(x + dx * reach, y + dy * reach).buffer(size * reach, quad_segs=3)
    clipped = clip_to_field(Region(shape), area)
    px, py = points_about(shape, seed)
    clear = shapely.distance(shapely.points(px, py), area.boundary) > 1e-6
    expected = shape.contains(px, py) & shapely.contains_xy(area, px, py)
    np.testing.assert_array_equal(clipped.contains(px, py)[clear], expected[clear])
    assert clipped.area <= shape.area * (1 + 1e-9)


HOLES: list[tuple[str, BaseGeometry]] = [
    ("square", HOLED),
    ("two", shapely.box(0, 0, 100, 100) - shapely.box(10, 10, 30, 90) - shapely.box(60, 20, 80, 70)),
    ("stacked", shapely.box(0, 0, 100, 100) - shapely.box(40, 10, 60, 30) - shapely.box(40, 60, 60, 80)),
    ("round", shapely.box(0, 0, 100, 100) - shapely.Point(50, 50).buffer(20)),
    ("bent", shapely.box(0, 0, 100, 100) - (shapely.box(20, 20, 80, 80) - shapely.box(30, 30, 80, 70))),
    ("parts", shapely.union(HOLED, shapely.box(110, 0, 150, 100))),
    ("chips", shapely.union(shapely.box(0, 0, 50, 100), shapely.box(50.0, 0, 100, 100))),
]


@pytest.mark.parametrize(("name", "area"), HOLES)
def test_a_field_with_holes(name: str, area: BaseGeometry) -> None:
    region = Region(Circle(52.0, 50.0, 65.0))
    clipped = clip_to_field(region, area)
    assert clipped.area == pytest.approx(region.geometry().intersection(area).area, rel=1e-9)
    rng = np.random.default_rng(5)
    x, y = rng.uniform(-20, 160, 20_000), rng.uniform(-20, 120, 20_000)
    expected = region.contains(x, y) & shapely.contains_xy(area, x, y)
    np.testing.assert_array_equal(clipped.contains(x, y), expected)
    restored = region_from_dict(json.loads(json.dumps(clipped.to_dict())))
    np.testing.assert_array_equal(restored.contains(x, y), expected)


@pytest.mark.parametrize(("name", "area"), HOLES)
def test_no_point_falls_into_a_seam(name: str, area: BaseGeometry) -> None:
    # A hole is stored by cutting the field in two; pixel centres often lie exactly on the cut.
    clipped = clip_to_field(Region(Circle(52.0, 50.0, 65.0)), area)
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(-19.5, 160.0, 0.5), np.arange(-19.5, 120.0, 0.5)))
    expected = clipped.shape.contains(x, y) & shapely.contains_xy(area, x, y)
    np.testing.assert_array_equal(clipped.contains(x, y), expected)


# --- stored form ------------------------------------------------------------------------------------------


@given(regions())
@settings(deadline=None)
def test_the_stored_form_is_exact(region: Region) -> None:
    text = json.dumps(region.to_dict(), allow_nan=False)
    restored = region_from_dict(json.loads(text))
    assert restored == region
    assert json.dumps(restored.to_dict()) == text


@given(shapes)
def test_the_stored_form_of_a_shape_is_exact(shape: Shape) -> None:
    assert shape_from_dict(json.loads(json.dumps(shape.to_dict()))) == shape


def test_an_empty_field_is_not_no_field() -> None:
    assert region_from_dict(Region(SQUARE, field=()).to_dict()) == Region(SQUARE, field=())
    assert region_from_dict(Region(SQUARE).to_dict()).field is None


@pytest.mark.parametrize("content", [{}, {"shape": "ellipse"}, {"shape": None}])
def test_unknown_shapes_are_refused(content: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="not a known shape"):
        shape_from_dict(content)


def test_a_polygon_needs_three_vertices() -> None:
    with pytest.raises(SettingsError, match="three vertices"):
        Polygon(((0.0, 0.0), (1.0, 1.0)))


@given(regions(), st.floats(-5, 5), st.floats(-5, 5))
@settings(max_examples=30, deadline=None)
def test_area_does_not_depend_on_the_place(region: Region, dx: float, dy: float) -> None:
    assume(region.field is None)
    shift = region.shape
    assume(isinstance(shift, Circle | Annulus))
    moved = region_from_dict(region.to_dict())
    content = moved.to_dict()
    for item in [content["include"], *content.get("exclude", [])]:
        item["x"] += dx
        item["y"] += dy
    assert region_from_dict(content).area == pytest.approx(region.area, rel=1e-6, abs=1e-6 * shift.area)
