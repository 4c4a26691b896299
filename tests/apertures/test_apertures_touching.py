"""Apertures of sources that are measured together, and the groups they form."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.apertures.circles import CircleRule
from catalog.apertures.groups import candidate_pairs, influence
from catalog.apertures.touching import LEAST_BACKGROUND, divided_circle, is_dense, touching_aperture

EVERYWHERE = shapely.box(-1e4, -1e4, 1e4, 1e4)
RULE = CircleRule()

place = st.tuples(st.floats(-8, 8), st.floats(-8, 8), st.floats(1.5, 5))


@given(st.lists(place, min_size=2, max_size=7, unique_by=lambda row: (round(row[0], 2), round(row[1], 2))))
@settings(max_examples=60, deadline=None)
def test_apertures_touch_and_keep_what_is_nearest(rows) -> None:
    table = np.array(rows)
    made = [
        touching_aperture(tuple(row), np.delete(table, i, axis=0), RULE, EVERYWHERE)
        for i, row in enumerate(table)
    ]
    rng = np.random.default_rng(3)
    x, y = rng.uniform(-14, 14, (2, 6000))
    distance = np.hypot(x - table[:, :1], y - table[:, 1:2])
    inside = np.array([item.source.contains(x, y) for item in made])
    # No photon is counted twice; an aperture has the part of its circle that is nearest to its source.
    assert inside.sum(axis=0).max() <= 1
    nearest = distance.argmin(axis=0)
    for i, row in enumerate(table):
        sure = (distance[i] < row[2] * 0.998) & (nearest == i)
        assert inside[i][sure].all()
        assert not inside[i][distance[i] > row[2] * 1.002].any()
        assert made[i].source.contains(row[:1], row[1:2])[0]


def test_order_of_neighbours_does_not_matter() -> None:
    table = np.array([[1.0, 2.0, 3.0], [-2.0, 0.5, 3.1], [0.0, -3.0, 2.9], [30.0, 0.0, 3.0]])
    one = touching_aperture((0.0, 0.0, 3.0), table, RULE, EVERYWHERE)
    two = touching_aperture((0.0, 0.0, 3.0), table[::-1], RULE, EVERYWHERE)
    assert one.source.to_dict() == two.source.to_dict()
    assert one.background.to_dict() == two.background.to_dict()


def test_a_pair_shares_its_lens() -> None:
    half = divided_circle((0.0, 0.0, 2.0), np.array([[2.0, 0.0, 2.0]]))
    segment = 4 * np.arccos(0.5) - 1.0 * np.sqrt(4 - 1)
    assert half.area == pytest.approx(np.pi * 4 - segment, rel=1e-3)


def test_lonely_source_keeps_its_circle() -> None:
    made = touching_aperture((5.0, 5.0, 2.0), np.array([[40.0, 5.0, 2.0]]), RULE, EVERYWHERE)
    assert made.source.is_pure
    assert not made.overlapped
    assert made.background.shape.outer == 10.0


def test_background_grows_in_a_dense_field() -> None:
    grid = np.arange(-6, 7) * 3.0
    table = np.array([(a, b, 2.0) for a in grid for b in grid if (a, b) != (0, 0)])
    assert is_dense((0.0, 0.0, 2.0), table, RULE)
    made = touching_aperture((0.0, 0.0, 2.0), table, RULE, EVERYWHERE)
    assert made.background.shape.outer > 10.0
    assert made.background.area >= LEAST_BACKGROUND * np.pi * (10.0**2 - 3.4**2)


def test_candidates_are_the_close_ones() -> None:
    rng = np.random.default_rng(4)
    x, y, radius = rng.uniform(0, 100, 60), rng.uniform(0, 100, 60), rng.uniform(1, 3, 60)
    pairs = {tuple(pair) for pair in candidate_pairs(x, y, radius, 5.0).tolist()}
    expected = {
        (i, j)
        for i in range(60)
        for j in range(60)
        if i != j and np.hypot(x[i] - x[j], y[i] - y[j]) <= 5.0 * max(radius[i], radius[j])
    }
    assert pairs == expected


def test_groups_are_connected_and_named_by_their_first() -> None:
    pairs = np.array([[0, 3], [3, 0], [1, 2], [2, 1], [4, 3], [3, 4]])
    photons = np.array([0.0, 0.0, 0.04, 0.04, 5.0, 0.0])[:, None]
    shared = np.array([True, True, False, False, False, False])
    found = influence(6, pairs, shared, photons, np.zeros((6, 1), dtype=np.int64))
    assert found.group.tolist() == [0, 1, 2, 0, 0, 5]
    assert [part.tolist() for part in found.members()] == [[0, 3, 4]]
    assert found.pairs.tolist() == [[0, 3], [3, 0], [4, 3]]
    # What is small beside the noise of many counts does not join.
    many = influence(6, pairs, np.zeros(6, bool), photons, np.full((6, 1), 10**5))
    assert many.members() == []
