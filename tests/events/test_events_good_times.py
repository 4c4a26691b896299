from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.events.good_times import GoodTimes, reduce_good_times

edge = st.integers(0, 40).map(float)
intervals = st.lists(st.tuples(edge, edge), max_size=8)


def seconds(pairs: list[tuple[float, float]]) -> np.ndarray:
    """Brute force: which unit cells [k, k+1] are covered."""
    covered = np.zeros(40, dtype=bool)
    for start, stop in pairs:
        covered[int(start) : int(max(start, stop))] = True
    return covered


@given(intervals)
def test_total_and_contains_agree_with_counting_cells(pairs: list[tuple[float, float]]) -> None:
    times = GoodTimes.of(pairs)
    covered = seconds(pairs)
    assert times.total() == covered.sum()
    assert np.array_equal(times.contains(np.arange(40) + 0.5), covered)
    assert np.all(times.start[1:] > times.stop[:-1])


@given(intervals, intervals)
def test_set_operations_agree_with_counting_cells(
    first: list[tuple[float, float]], second: list[tuple[float, float]]
) -> None:
    a, b = GoodTimes.of(first), GoodTimes.of(second)
    cells = np.arange(40) + 0.5
    in_a, in_b = seconds(first), seconds(second)
    assert np.array_equal(a.intersect(b).contains(cells), in_a & in_b)
    assert np.array_equal(a.union(b).contains(cells), in_a | in_b)
    assert np.array_equal(a.subtract(b).contains(cells), in_a & ~in_b)
    assert a.intersect(b).total() + a.subtract(b).total() == pytest.approx(a.total())


def test_ends_belong_to_an_interval_and_nan_to_none() -> None:
    times = GoodTimes.of([(10.0, 20.0), (30.0, 40.0)])
    assert times.contains([10.0, 20.0, 30.0, 40.0]).all()
    assert not times.contains([9.999, 25.0, 40.001, np.nan]).any()
    assert not GoodTimes.of([]).contains([1.0]).any()


def test_reduce_cuts_each_chip() -> None:
    chips = {0: GoodTimes.of([(0, 100)]), 1: GoodTimes.of([(0, 50)])}
    reduced = reduce_good_times(chips, within=GoodTimes.of([(20, 200)]), exclude=GoodTimes.of([(30, 40)]))
    assert reduced[0].intervals == [(20, 30), (40, 100)]
    assert reduced[1].intervals == [(20, 30), (40, 50)]
