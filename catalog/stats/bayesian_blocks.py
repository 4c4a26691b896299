"""Bayesian blocks of arrival times: change points and the rate between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.stats.exposure_clock import ExposureClock

Array = NDArray[np.float64]

FALSE_ALARM = 0.01
"""Probability of a change point in a constant source."""
MOST_CELLS = 2000
"""The algorithm takes the square of their number in time: more events are first put into equal bins."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Stretches of constant rate.

    Attributes
    ----------
    start, stop
        Their ends in s, shape (n,); they may span gaps in the good time.
    counts
        Events in each.
    exposure
        Good time x fraction in each, s.
    """

    start: Array
    stop: Array
    counts: NDArray[np.int64]
    exposure: Array

    @property
    def rate(self) -> Array:
        """Counts per exposure, s-1."""
        return np.asarray(self.counts / self.exposure)

    def __len__(self) -> int:
        return int(self.counts.size)


def bayesian_blocks(time: ArrayLike, clock: ExposureClock, false_alarm: float = FALSE_ALARM) -> Blocks:
    """Divide an observation into blocks of constant rate.

    Events are placed at the exposure gathered before them, so that neither gaps nor the dither make blocks
    (Scargle et al. 2013, ApJ 764, 167; the prior is their equation 21).

    Parameters
    ----------
    time
        Arrival times in s, in the good time of the clock.
    clock
        Good time and exposure, some of it.
    false_alarm
        Probability of a change point in a constant source.
    """
    # Compiled code: imported late, so that commands without timing start fast.
    from catalog.stats.bayesian_blocks_kernel import best_blocks

    times = np.sort(np.asarray(time, dtype=float))
    total = clock.total_exposure
    exposure = clock.exposure_at(times)
    edges = np.array([0.0, total])
    if times.size >= 3:
        places, counts = _cells(exposure, total)
        prior = 4.0 - math.log(73.53 * false_alarm * places.size**-0.478)
        # Empty cells at the ends: without them the first and the last event have half a cell each.
        inner = (places > 0) & (places < total)
        if inner.any():
            at_ends = [int(counts[places <= 0].sum())], [int(counts[places >= total].sum())]
            cells = np.concatenate([[0.0], places[inner], [total]])
            numbers = np.concatenate([at_ends[0], counts[inner], at_ends[1]])
            between = np.concatenate([cells[:1], 0.5 * (cells[1:] + cells[:-1]), cells[-1:]])
            edges = between[best_blocks(between, numbers.astype(float), prior)]
    number = np.diff(np.searchsorted(exposure, edges[1:-1], side="right"), prepend=0, append=times.size)
    ends = _times_at_exposure(clock, edges)
    return Blocks(ends[:-1], ends[1:], number.astype(np.int64), np.diff(edges))


def _cells(exposure: Array, total: float) -> tuple[Array, NDArray[np.int64]]:
    """Distinct places with their numbers of events, at most `MOST_CELLS`."""
    places, counts = np.unique(exposure, return_counts=True)
    if places.size <= MOST_CELLS:
        return places, counts
    number, edges = np.histogram(exposure, MOST_CELLS, range=(0.0, total))
    filled = number > 0
    return (0.5 * (edges[1:] + edges[:-1]))[filled], number[filled]


def _times_at_exposure(clock: ExposureClock, exposure: Array) -> Array:
    length = clock.stop - clock.start
    gathered = np.cumsum(length * clock.fraction)
    index = np.clip(np.searchsorted(gathered, exposure, side="left"), 0, gathered.size - 1)
    missing = (gathered[index] - exposure) / clock.fraction[index]
    return np.asarray(np.clip(clock.stop[index] - missing, clock.start[index], clock.stop[index]))
