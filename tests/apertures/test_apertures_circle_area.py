"""Exact areas of cut circles against polygons of shapely and closed formulas."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.apertures.circle_area import area_of_union, area_outside
from catalog.apertures.region import Region
from catalog.apertures.shape import Annulus, Circle

coordinate = st.floats(-10, 10).map(lambda value: round(value, 3))
disc = st.tuples(coordinate, coordinate, st.floats(0.01, 8).map(lambda value: round(value, 3)))


def polygon(x: float, y: float, radius: float) -> shapely.Polygon:
    sides = 4 * 256
    factor = np.sqrt(np.pi / (sides / 2 * np.sin(2 * np.pi / sides)))
    return shapely.Point(x, y).buffer(radius * factor, quad_segs=256)


# The first call compiles.
@settings(deadline=None)
@given(st.lists(disc, min_size=1, max_size=9))
def test_union_is_that_of_polygons(discs: list[tuple[float, float, float]]) -> None:
    expected = shapely.union_all([polygon(*one) for one in discs]).area
    assert area_of_union(np.array(discs)) == pytest.approx(expected, rel=1e-4, abs=2e-3)
    far = np.array(discs) + np.array([4096.0, 5000.0, 0.0])
    assert area_of_union(far) == pytest.approx(expected, rel=1e-4, abs=2e-3)


def test_closed_formulas() -> None:
    lens = 2 * np.arccos(0.5) - np.sqrt(3) / 2  # two unit circles, centres one apart
    assert area_of_union(np.array([[0.0, 0, 1], [1, 0, 1]])) == pytest.approx(2 * np.pi - lens, rel=1e-14)
    assert area_outside((0.0, 0.0, 1.0), np.array([[1.0, 0, 1]])) == pytest.approx(np.pi - lens, rel=1e-14)
    assert area_outside((0.0, 0.0, 1.0), np.array([[0.2, 0, 3]])) == 0.0
    # Equal, nested, touching from inside and outside, apart.
    assert area_of_union(np.array([[1.0, 2, 3], [1, 2, 3], [1, 2, 1]])) == pytest.approx(9 * np.pi)
    assert area_of_union(np.array([[0.0, 0, 2], [1, 0, 1], [3, 0, 1]])) == pytest.approx(5 * np.pi)
    assert area_of_union(np.empty((0, 3))) == 0.0


@settings(deadline=None)
@given(st.lists(disc, max_size=6), st.floats(1, 3), st.floats(3.5, 9))
def test_area_of_a_region(holes: list[tuple[float, float, float]], inner: float, outer: float) -> None:
    cut = tuple(Circle(*hole) for hole in holes)
    for shape in (Circle(0.5, -0.25, outer), Annulus(0.5, -0.25, inner, outer)):
        region = Region(shape, cut)
        assert region.area == pytest.approx(region.geometry().area, rel=1e-4, abs=2e-3)
