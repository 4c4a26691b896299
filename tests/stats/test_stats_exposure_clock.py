"""Exposure clock: what it integrates, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.stats.exposure_clock import exposure_clock


@st.composite
def clocks(draw):
    lengths = draw(st.lists(st.floats(1.0, 50.0), min_size=2, max_size=9).filter(lambda x: len(x) % 2 == 0))
    knots = np.cumsum(lengths) + 1e8
    edges = np.linspace(1e8, knots[-1] + 5, draw(st.integers(2, 12)))
    fraction = np.array(draw(st.lists(st.floats(0, 1), min_size=edges.size - 1, max_size=edges.size - 1)))
    return knots[0::2], knots[1::2], edges, fraction


@given(clocks())
@settings(max_examples=60, deadline=None)
def test_integrals_against_a_fine_sum(parts) -> None:
    start, stop, edges, fraction = parts
    clock = exposure_clock(start, stop, edges, fraction, minimum=0.05)
    grid = np.linspace(1e8, stop[-1] + 5, 20001)
    middle, step = 0.5 * (grid[1:] + grid[:-1]), grid[1] - grid[0]
    value = fraction[np.clip(np.searchsorted(edges, middle, side="right") - 1, 0, fraction.size - 1)]
    good = ((middle[:, None] >= start) & (middle[:, None] <= stop)).any(axis=1) & (value > 0.05)
    slack = step * (2 * start.size + 2 * edges.size)
    assert clock.total_time == pytest.approx((good * step).sum(), abs=slack)
    assert clock.total_exposure == pytest.approx((good * value * step).sum(), abs=slack)
    for i in (5000, 10000, 17000):
        assert float(clock.exposure_at(grid[i])) == pytest.approx((good * value * step)[:i].sum(), abs=slack)
        assert float(clock.elapsed_at(grid[i])) == pytest.approx((good * step)[:i].sum(), abs=slack)


@given(clocks())
@settings(max_examples=60, deadline=None)
def test_splitting_changes_nothing(parts) -> None:
    start, stop, edges, fraction = parts
    clock = exposure_clock(start, stop, edges, fraction)
    cut = clock.split(np.linspace(1e8, stop[-1], 37))
    assert cut.total_exposure == pytest.approx(clock.total_exposure)
    grid = np.linspace(1e8, stop[-1], 101)
    np.testing.assert_allclose(cut.exposure_at(grid), clock.exposure_at(grid), atol=1e-5)
    elapsed = np.linspace(0, clock.total_time, 23)[1:-1]
    np.testing.assert_allclose(clock.elapsed_at(clock.time_at(elapsed)), elapsed, atol=1e-5)


@pytest.mark.parametrize(
    ("start", "stop"),
    [([0, 5], [6, 9]), ([5, 0], [9, 4]), ([3], [1]), ([0, np.nan], [1, 2]), ([0, 1], [1])],
    ids=["overlap", "order", "reversed", "nan", "number"],
)
def test_bad_intervals_are_refused(start, stop) -> None:
    with pytest.raises(ValueError):
        exposure_clock(start, stop)


@pytest.mark.parametrize(
    ("edges", "fraction"), [([0, 1, 1], [1, 1]), ([0, 1], [1, 1]), ([0, 1], [-1]), ([0, 1], [np.nan])]
)
def test_bad_fractions_are_refused(edges, fraction) -> None:
    with pytest.raises(ValueError):
        exposure_clock([0], [1], edges, fraction)


def test_no_time_at_all() -> None:
    clock = exposure_clock([], [])
    assert (clock.total_time, clock.total_exposure) == (0.0, 0.0)
    assert not clock.contains([1.0]).any()
    assert np.isnan(clock.time_at([0.0])).all()
