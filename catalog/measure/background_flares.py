"""Background flares: times when the whole field counts too much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.events.event_list import EventList
from catalog.stats.flare_bins import flaring_bins

BIN_SECONDS = 259.28
"""Bin of CIAO's recommended light curves: 80 frames of 3.241 s."""


@dataclass(frozen=True)
class FlareReport:
    """Flares of one event list.

    Attributes
    ----------
    median_rate
        Median count rate of the field, 0.5-7 keV, s-1; NaN without full bins.
    flare_time
        Good time in bins that exceed it by 20 % and 3 sigma, s.
    intervals
        Their (start, stop) in mission time, s.
    """

    median_rate: float
    flare_time: float
    intervals: tuple[tuple[float, float], ...]


def find_flares(events: EventList, bin_seconds: float = BIN_SECONDS) -> FlareReport:
    """Look for background flares in the light curve of the whole field, 0.5-7 keV.

    Bins with less than half their length in good time are left out.
    """
    good = events.all_good_times()
    intervals = good.intervals
    if not intervals:
        return FlareReport(float("nan"), 0.0, ())
    edges = np.arange(intervals[0][0], intervals[-1][1] + bin_seconds, bin_seconds)
    chosen = events.time[(events.energy >= 0.5) & (events.energy < 7.0)]
    counts = np.histogram(chosen, edges)[0]
    exposure = _exposure(edges, intervals)
    full = exposure >= 0.5 * bin_seconds
    if not full.any():
        return FlareReport(float("nan"), 0.0, ())
    rate = counts[full] / exposure[full]
    median = float(np.median(rate))
    high = np.zeros(len(counts), dtype=bool)
    high[full] = flaring_bins(counts[full], exposure[full])
    found = [(float(edges[i]), float(edges[i + 1])) for i in np.flatnonzero(high)]
    return FlareReport(median, float(exposure[high].sum()), tuple(found))


def _exposure(edges: NDArray[np.float64], intervals: list[tuple[float, float]]) -> NDArray[np.float64]:
    exposure = np.zeros(len(edges) - 1)
    for start, stop in intervals:
        exposure += np.clip(np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start), 0, None)
    return exposure
