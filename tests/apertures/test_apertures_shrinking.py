"""Crowding by shrinking: the loser rule, the steps, independence of order and of other groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.apertures.shape import Polygon
from catalog.apertures.shrinking import (
    ShrunkAperture,
    Trial,
    crowding_groups,
    lost_counts,
    next_percent,
    next_step,
    shrink,
)


def solve(places: list[tuple[float, float]], counts: list[float]) -> list[ShrunkAperture]:
    """Round sources whose encircled fraction is 1 - exp(-r^2); `counts` are those of the whole PSF."""
    angle = 2 * np.pi * np.arange(64) / 64

    def trial(i: int, percent: int) -> Trial:
        radius = np.sqrt(-np.log(1 - percent / 100))
        x, y = places[i]
        points = zip(x + radius * np.cos(angle), y + radius * np.sin(angle), strict=True)
        return Trial(Polygon(tuple(points)), percent / 100, round(counts[i] * percent / 100))

    return shrink([x for x, _ in places], [y for _, y in places], trial)


def test_counts_lost() -> None:
    assert lost_counts(30, 0.90) == pytest.approx(3.333, abs=5e-4)
    assert lost_counts(12, 0.80) == pytest.approx(3.000, abs=5e-4)


def test_the_one_that_loses_less_shrinks() -> None:
    # 30 counts at 0.90 lose 3.33, 10 counts at 0.90 lose 1.11.
    first, second = solve([(0, 0), (2.6, 0)], [33, 11])
    assert first.percent == 90
    assert second.percent < 90
    assert first.overlap == second.overlap == 0.0


def test_a_tie_goes_by_position_whatever_the_order() -> None:
    places = [(0.0, 0.0), (2.2, 0.0)]
    assert [item.percent for item in solve(places, [20, 20])] == [
        item.percent for item in reversed(solve(places[::-1], [20, 20]))
    ]


def test_the_winner_grows_back_to_fill_the_room() -> None:
    first, second = solve([(0, 0), (2.6, 0)], [1000, 10])
    assert first.percent == 90
    # What is left for the second: its radius is the distance less the first's, as a fraction.
    room = 1 - np.exp(-((2.6 - np.sqrt(-np.log(0.1))) ** 2))
    assert 100 * room - 6 < second.percent <= 100 * room + 0.5


def test_both_at_their_least_stay_overlapping() -> None:
    found = solve([(0, 0), (0.5, 0)], [100, 100])
    assert [item.percent for item in found] == [40, 40]
    assert all(item.overlap > 0.1 for item in found)
    radius = np.sqrt(-np.log(0.6))
    share = 2 / np.pi * (np.arccos(0.25 / radius) - 0.25 / radius * np.sqrt(1 - (0.25 / radius) ** 2))
    assert found[0].overlap == pytest.approx(share, abs=0.005)


def test_steps() -> None:
    assert next_step(0, -1) == -32
    assert next_step(0, 1) == 4
    assert next_step(-32, -1) == -32
    assert next_step(-32, 1) == 16
    assert next_step(16, -1) == -8
    assert next_step(2, -1) == -2
    assert next_step(3, -1) == -2


def test_values_already_tried_are_avoided() -> None:
    assert next_percent(90, -32, {90}) == 58
    assert next_percent(58, 16, {58, 90}) == 74
    assert next_percent(74, 16, {58, 74, 90}) == 82
    assert next_percent(58, -32, {90, 58}) == 40
    assert next_percent(40, -2, {40}) == 40


POSITION = st.floats(0, 8, allow_nan=False).map(lambda value: round(value, 3))
FIELD = st.lists(
    st.tuples(POSITION, POSITION, st.integers(0, 200)), min_size=1, max_size=8, unique_by=lambda row: row[:2]
)


@settings(max_examples=25, deadline=None)
@given(FIELD, st.randoms(use_true_random=False))
def test_order_and_far_sources_change_nothing(field: list[tuple[float, float, int]], random: object) -> None:
    places, counts = [row[:2] for row in field], [float(row[2]) for row in field]
    first = solve(places, counts)
    order = list(range(len(field)))
    random.shuffle(order)  # type: ignore[attr-defined]
    again = solve([places[i] for i in order], [counts[i] for i in order])
    for k, i in enumerate(order):
        assert again[k].percent == first[i].percent
        assert again[k].overlap == first[i].overlap
    assert all(40 <= item.percent <= 90 for item in first)
    for item in first:
        assert 0 <= item.overlap <= 1
    # What still overlaps its neighbour could not shrink: both are at their least.
    for i, item in enumerate(first):
        if item.overlap > 0:
            near = sorted(range(len(field)), key=lambda j: np.hypot(*(np.subtract(places[i], places[j]))))
            assert any(first[j].percent <= 42 for j in [i, *near[1:3]])


def test_groups_part_what_cannot_touch() -> None:
    x = np.array([0.0, 2.9, 20.0, 5.8, 23.1])
    groups = crowding_groups(x, np.zeros(5), np.ones(5))
    assert [group.tolist() for group in groups] == [[0, 1, 3], [2], [4]]
    assert crowding_groups(np.empty(0), np.empty(0), np.empty(0)) == []


def test_groups_solved_apart_are_as_solved_together() -> None:
    places = [(0.0, 0.0), (1.5, 0.3), (30.0, 0.0), (31.0, 1.0), (32.0, 0.0)]
    counts = [50.0, 8.0, 5.0, 90.0, 7.0]
    whole = solve(places, counts)
    apart = solve(places[:2], counts[:2]) + solve(places[2:], counts[2:])
    assert [(item.percent, item.overlap) for item in whole] == [
        (item.percent, item.overlap) for item in apart
    ]
