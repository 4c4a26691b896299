"""Circular apertures among neighbours: the rule point by point, and no dependence on the order of sources."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from catalog.apertures.circles import CircleRule, circle_aperture, neighbours

Array = NDArray[np.float64]
RULE = CircleRule()
WIDE = shapely.box(-1e5, -1e5, 1e5, 1e5)
ALONE = np.empty((0, 3))

position = st.floats(-60, 60)
sources = st.lists(st.tuples(position, position, st.floats(1, 12)), min_size=1, max_size=12)
rules = st.builds(
    lambda cut, inner, width, background: CircleRule(cut, inner, inner + width, background),
    st.floats(1, 2), st.floats(1, 2), st.floats(0.5, 5), st.floats(1, 3),
)  # fmt: skip


def relevant(p: Array, q: Array, rule: CircleRule) -> bool:
    """Whether q can change a region of p: its aperture overlaps, or a cut around it reaches a region."""
    distance = np.hypot(p[0] - q[0], p[1] - q[1])
    reach = max(rule.background_exclusion, rule.source_exclusion, 1.0)
    return bool(distance < max(rule.background_outer, 1.0) * p[2] + reach * q[2])


@given(sources, rules)
def test_neighbours_one_by_one(points: list[tuple[float, float, float]], rule: CircleRule) -> None:
    table = np.array(points)
    found = neighbours(*table.T, rule)
    for i, near in enumerate(found):
        expected = [j for j in range(len(table)) if j != i and relevant(table[i], table[j], rule)]
        assert near.tolist() == expected


def test_neighbours_of_many() -> None:
    rng = np.random.default_rng(11)
    table = np.column_stack([rng.uniform(0, 2000, (800, 2)), rng.uniform(2, 30, 800)])
    distance = np.hypot(*(table[:, None, :2] - table[None, :, :2]).transpose(2, 0, 1))
    reach = 5.0 * table[:, 2][:, None] + 1.7 * table[:, 2][None, :]
    close = (distance < reach) & ~np.eye(800, dtype=bool)
    found = neighbours(*table.T, RULE)
    assert [near.tolist() for near in found] == [np.flatnonzero(line).tolist() for line in close]


def test_sources_without_a_radius_are_no_neighbours() -> None:
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.zeros(4)
    found = neighbours(x, y, np.array([1.0, np.nan, 1.0, np.inf]), RULE)
    assert [near.tolist() for near in found] == [[2], [], [0], []]
    assert neighbours(x[:1], y[:1], np.array([1.0]), RULE)[0].tolist() == []
    assert neighbours(x[:0], y[:0], x[:0], RULE) == []


def test_two_sources_at_one_place_are_neighbours() -> None:
    x = np.array([5.0, 5.0])
    assert [near.tolist() for near in neighbours(x, x, np.ones(2), RULE)] == [[1], [0]]


def expected_membership(p: Array, others: Array, rule: CircleRule, x: Array, y: Array) -> tuple[Array, Array]:
    """The rule in words, for each point: in the source aperture, in the background."""
    r = np.hypot(x - p[0], y - p[1])
    source = r <= p[2]
    background = (r > rule.background_inner * p[2]) & (r <= rule.background_outer * p[2])
    for q in others:
        s = np.hypot(x - q[0], y - q[1])
        if np.hypot(p[0] - q[0], p[1] - q[1]) < p[2] + q[2]:
            source &= s > rule.source_exclusion * q[2]
        background &= s > rule.background_exclusion * q[2]
    return source, background


@settings(max_examples=60, deadline=None)
@given(sources, rules, st.integers(0, 10**6))
def test_the_rule_point_by_point(
    points: list[tuple[float, float, float]], rule: CircleRule, seed: int
) -> None:
    table = np.array(points)
    p, others = table[0], table[1:].reshape(-1, 3)
    aperture = circle_aperture((p[0], p[1], p[2]), others, rule, WIDE)
    rng = np.random.default_rng(seed)
    reach = 1.1 * rule.background_outer * p[2]
    x, y = p[0] + rng.uniform(-reach, reach, 2000), p[1] + rng.uniform(-reach, reach, 2000)
    source, background = expected_membership(p, others, rule, x, y)
    np.testing.assert_array_equal(aperture.source.contains(x, y), source)
    np.testing.assert_array_equal(aperture.background.contains(x, y), background)
    distance = np.hypot(others[:, 0] - p[0], others[:, 1] - p[1])
    assert aperture.overlapped == bool((distance < p[2] + others[:, 2]).any())
    assert aperture.confused == bool((distance < p[2]).any())


@settings(max_examples=60, deadline=None)
@given(sources, st.randoms(use_true_random=False), rules)
def test_order_does_not_matter(
    points: list[tuple[float, float, float]], random: Any, rule: CircleRule
) -> None:
    order = list(range(len(points)))
    random.shuffle(order)
    field = shapely.box(-40, -50, 35, 45)

    def apertures(table: Array) -> list[dict[str, Any]]:
        found = neighbours(*table.T, rule)
        built = []
        for i, near in enumerate(found):
            x, y, r = (float(value) for value in table[i])
            built.append(circle_aperture((x, y, r), table[near], rule, field))
        return [
            {
                "source": item.source.to_dict(),
                "background": item.background.to_dict(),
                "areas": (item.source.area, item.background.area),
                "marks": (item.overlapped, item.confused),
            }
            for item in built
        ]

    table = np.array(points)
    original, shuffled = apertures(table), apertures(table[order])
    assert [original[i] for i in order] == shuffled


@settings(max_examples=40, deadline=None)
@given(sources, rules)
def test_distant_sources_change_nothing(points: list[tuple[float, float, float]], rule: CircleRule) -> None:
    table = np.array(points)
    near = neighbours(*table.T, rule)[0]
    p = (float(table[0, 0]), float(table[0, 1]), float(table[0, 2]))
    few = circle_aperture(p, table[near], rule, WIDE)
    assert circle_aperture(p, table[1:].reshape(-1, 3), rule, WIDE) == few


@given(sources)
@settings(max_examples=40, deadline=None)
def test_overlap_belongs_to_neither(points: list[tuple[float, float, float]]) -> None:
    table = np.array(points)
    near = neighbours(*table.T, RULE)
    built = [
        circle_aperture((float(x), float(y), float(r)), table[near[i]], RULE, WIDE)
        for i, (x, y, r) in enumerate(table)
    ]
    x, y = np.random.default_rng(2).uniform(-75, 75, (2, 5000))
    inside = np.array([item.source.contains(x, y) for item in built])
    assert (inside.sum(axis=0) <= 1).all()
    background = np.array([item.background.contains(x, y) for item in built]).any(axis=0)
    assert not (background & inside.any(axis=0)).any()


def test_a_lonely_source_has_pure_regions() -> None:
    aperture = circle_aperture((10.0, 20.0, 3.0), ALONE, RULE, WIDE)
    assert aperture.source.is_pure
    assert aperture.background.is_pure
    assert aperture.source.area == pytest.approx(np.pi * 9)
    assert aperture.background.area == pytest.approx(np.pi * 9 * (25 - 1.7**2))
    assert not aperture.overlapped
    assert not aperture.confused


def test_a_source_swallowed_by_a_neighbour_has_no_aperture() -> None:
    aperture = circle_aperture((0.0, 0.0, 2.0), np.array([[1.0, 0.0, 10.0]]), RULE, WIDE)
    assert aperture.source.area == 0
    assert aperture.confused


def test_the_background_may_have_its_own_field() -> None:
    chips, kind = shapely.box(0, 0, 100, 100), shapely.box(50, 0, 100, 100)
    aperture = circle_aperture((50.0, 50.0, 6.0), ALONE, RULE, chips, kind)
    assert aperture.source.is_pure
    assert aperture.background.area == pytest.approx(np.pi * 36 * (25 - 1.7**2) / 2, rel=1e-5)
    assert not aperture.background.contains(np.array([35.0]), np.array([50.0]))[0]
    assert aperture.background.contains(np.array([65.0]), np.array([50.0]))[0]


def test_a_source_off_the_field_has_no_area() -> None:
    aperture = circle_aperture((500.0, 500.0, 6.0), ALONE, RULE, shapely.box(0, 0, 100, 100))
    assert aperture.source.area == aperture.background.area == 0
    assert aperture.source.field == ()
