"""Exposure clock: good time and exposure accumulated since the begin of an observation.

Tests for variability compare arrivals with this clock instead of with the time of day: gaps take no time, and
a source that the dither carries over a chip edge is expected to count less while it is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_TABLE_STEP = 5.0
"""s of good time between entries of the exposure table."""
_LEAST_ENTRIES, _MOST_ENTRIES = 1000, 200_000


@dataclass(frozen=True, eq=False)
class ExposureClock:
    """Stretches of good time with a constant fraction each, in ascending order.

    Attributes
    ----------
    start, stop
        Begin and end of each stretch, s, shape (n,).
    fraction
        Exposure per good time in each, > 0, shape (n,).
    """

    start: Array
    stop: Array
    fraction: Array

    @cached_property
    def total_time(self) -> float:
        """Good time, s."""
        return float(np.sum(self.stop - self.start))

    @cached_property
    def total_exposure(self) -> float:
        """Good time x fraction, s."""
        return float(np.sum((self.stop - self.start) * self.fraction))

    @cached_property
    def exposure_table(self) -> Array:
        """Share of the exposure gathered at equal steps of good time; empty where it grows evenly."""
        if self.is_uniform:
            return np.empty(0)
        entries = int(np.clip(self.total_time / _TABLE_STEP, _LEAST_ENTRIES, _MOST_ENTRIES))
        table = self.exposure_at_elapsed(np.linspace(0.0, self.total_time, entries + 1))
        return np.asarray(table / table[-1])

    @cached_property
    def _knots(self) -> tuple[Array, Array, Array]:
        """Times, good time and exposure at both ends of each stretch, interleaved."""
        length = self.stop - self.start
        time = np.ravel(np.column_stack([self.start, self.stop]))
        return time, _both_ends(np.cumsum(length)), _both_ends(np.cumsum(length * self.fraction))

    def contains(self, time: ArrayLike) -> NDArray[np.bool_]:
        """Whether times lie in good time, its ends included."""
        times = np.asarray(time, dtype=float)
        if not self.start.size:
            return np.zeros(times.shape, dtype=bool)
        index = np.searchsorted(self.start, times, side="right") - 1
        return np.asarray((index >= 0) & (times <= self.stop[index]))

    def time_at(self, elapsed: ArrayLike) -> Array:
        """Time at which so much good time (s) has passed; at a gap, its begin."""
        time, good, _ = self._knots
        wanted = np.asarray(elapsed, dtype=float)
        if not time.size:
            return np.full(wanted.shape, np.nan)
        index = np.clip(np.searchsorted(good[1::2], wanted, side="left"), 0, self.start.size - 1)
        return np.asarray(np.minimum(self.start[index] + wanted - good[0::2][index], self.stop[index]))

    def elapsed_at(self, time: ArrayLike) -> Array:
        """Good time passed until each time, s."""
        knots, good, _ = self._knots
        return _interpolate(time, knots, good)

    def exposure_at(self, time: ArrayLike) -> Array:
        """Exposure gathered until each time, s."""
        knots, _, exposure = self._knots
        return _interpolate(time, knots, exposure)

    def exposure_at_elapsed(self, elapsed: ArrayLike) -> Array:
        """Exposure gathered until so much good time has passed, s."""
        _, good, exposure = self._knots
        return _interpolate(elapsed, good, exposure)

    @cached_property
    def is_uniform(self) -> bool:
        """Whether the fraction is the same at all times."""
        return bool(self.fraction.size == 0 or np.ptp(self.fraction) <= 1e-9 * self.fraction.max())

    def split(self, edges: ArrayLike) -> ExposureClock:
        """The same clock with its stretches cut at the given times."""
        cuts = np.unique(np.asarray(edges, dtype=float))
        inside = cuts[self.contains(cuts)]
        start = np.unique(np.concatenate([self.start, inside]))
        start = start[np.searchsorted(self.stop, start, side="right") < self.stop.size]
        owner = np.searchsorted(self.start, start, side="right") - 1
        nearest = np.append(start[1:], np.inf)
        return ExposureClock(start, np.minimum(self.stop[owner], nearest), self.fraction[owner])

    def with_fraction(self, fraction: ArrayLike) -> ExposureClock:
        """The same stretches with other fractions, all of them > 0."""
        return ExposureClock(self.start, self.stop, np.asarray(fraction, dtype=float))

    @property
    def middle(self) -> Array:
        """Middle of each stretch, s."""
        return np.asarray(0.5 * (self.start + self.stop))


def exposure_clock(
    start: ArrayLike,
    stop: ArrayLike,
    edges: ArrayLike | None = None,
    fraction: ArrayLike | None = None,
    *,
    minimum: float = 0.0,
) -> ExposureClock:
    """Build a clock from good time intervals and a time-resolved fraction.

    Parameters
    ----------
    start, stop
        Good time intervals in s, disjoint and in order.
    edges, fraction
        Fraction in the bins between `edges`, shapes (k + 1,) and (k,); the first and last value hold beyond
        the ends. 1 at all times unless given.
    minimum
        Stretches with this fraction or less are no good time: bins without exposure are left out.

    Raises
    ------
    ValueError
        Intervals that overlap, are out of order, reversed or not finite; edges that do not ascend; fractions
        that are negative or not finite.
    """
    begin, end = np.atleast_1d(np.asarray(start, float)), np.atleast_1d(np.asarray(stop, float))
    if begin.shape != end.shape or not (np.isfinite(begin).all() and np.isfinite(end).all()):
        raise ValueError("good time intervals need finite starts and stops, as many of one as of the other")
    if (end < begin).any() or (begin[1:] < end[:-1]).any():
        raise ValueError("good time intervals must be disjoint and in ascending order")
    kept = end > begin
    whole = ExposureClock(begin[kept], end[kept], np.ones(int(kept.sum())))
    if edges is None or fraction is None:
        return whole
    bins, values = np.asarray(edges, dtype=float), np.asarray(fraction, dtype=float)
    if bins.size != values.size + 1 or not (np.diff(bins) > 0).all():
        raise ValueError("edges must ascend and be one more than the fractions")
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("fractions must be finite and not negative")
    cut = whole.split(bins)
    index = np.clip(np.searchsorted(bins, cut.middle, side="right") - 1, 0, values.size - 1)
    good = values[index] > minimum
    return ExposureClock(cut.start[good], cut.stop[good], values[index][good])


def _both_ends(cumulative: Array) -> Array:
    before = np.concatenate([[0.0], cumulative[:-1]]) if cumulative.size else cumulative
    return np.ravel(np.column_stack([before, cumulative]))


def _interpolate(x: ArrayLike, knots: Array, values: Array) -> Array:
    wanted: NDArray[Any] = np.asarray(x, dtype=float)
    if not knots.size:
        return np.zeros(wanted.shape)
    return np.asarray(np.interp(wanted, knots, values))
