"""Light curves of one source in one band: fixed bins, groups, smoothed, blocks, odds-weighted."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from catalog.measure.aperture_clock import ApertureClock
from catalog.stats.bayesian_blocks import Blocks
from catalog.stats.exposure_clock import ExposureClock
from catalog.stats.gregory_loredo import GregoryLoredo
from catalog.stats.smoothing import smooth_adaptively
from catalog.stats.time_grouping import group_by_snr

Array = NDArray[np.float64]

SMOOTHING_SNR = 4.0
_MOST_BINS = 400
"""Bins of the observation into which gaps between events are divided for grouping and smoothing."""

PRODUCTS = ("arrivals", "binned", "grouped", "smoothed", "gregory_loredo", "blocks")


@dataclass(frozen=True, eq=False)
class LightCurve:
    """A table with one row per bin.

    Attributes
    ----------
    columns
        Names.
    values
        Shape (columns, bins): times in s of mission time, rates in s-1, energies in keV.
    """

    columns: tuple[str, ...]
    values: Array

    def __getitem__(self, name: str) -> Array:
        return np.asarray(self.values[self.columns.index(name)])

    @classmethod
    def of(cls, **columns: NDArray[np.float64] | NDArray[np.int64]) -> LightCurve:
        """Put arrays of equal length together."""
        return cls(tuple(columns), np.array([np.asarray(item, float) for item in columns.values()]))


def light_curves(
    time: Array,
    energy: Array,
    background_time: Array,
    clock: ApertureClock,
    blocks: Blocks,
    bin_seconds: float,
) -> dict[str, LightCurve]:
    """Return all light curves but the odds-weighted one, by product.

    Parameters
    ----------
    time, energy
        Events of the source aperture in its good time, ascending: s, keV.
    background_time
        Events of the background region.
    clock
        What the apertures saw, some of it.
    blocks
        Bayesian blocks of the source aperture.
    bin_seconds
        Length of the fixed bins, s.
    """
    source = clock.source
    phase = source.exposure_at(time) / source.total_exposure
    edges = _event_edges(time, source)
    return {
        "arrivals": LightCurve.of(time=time, phase=phase, energy=energy),
        "binned": binned_curve(time, background_time, clock, bin_seconds),
        "grouped": grouped_curve(time, energy, source, edges),
        "smoothed": smoothed_curve(time, source, edges),
        "blocks": LightCurve.of(
            time_min=blocks.start,
            time_max=blocks.stop,
            counts=blocks.counts,
            exposure=blocks.exposure,
            rate=blocks.rate,
            rate_error=np.sqrt(blocks.counts) / blocks.exposure,
        ),
    }


def binned_curve(time: Array, background_time: Array, clock: ApertureClock, bin_seconds: float) -> LightCurve:
    """Fixed bins from the first good time on, gaps included as bins without exposure.

    `exposure` is the good time x fraction of the source seen, s;
    `bkg_scale` the counts expected in the aperture for each in `counts_bkg`.
    """
    source = clock.source
    start, stop = float(source.start[0]), float(source.stop[-1])
    number = max(1, int(np.ceil((stop - start) / bin_seconds - 1e-9)))
    edges: Array = start + bin_seconds * np.arange(number + 1, dtype=np.float64)
    seconds = _within(source.with_fraction(np.ones(source.start.size)), edges)
    background = np.histogram(background_time, edges)[0]
    area, beside = (_integral(source, values, edges) for values in (clock.area, clock.background))
    seen = (beside > 0) & (clock.area_ratio > 0)
    scale = np.where(seen, area / np.where(seen, beside * max(clock.area_ratio, 1e-300), 1.0), 0.0)
    return LightCurve.of(
        time_min=edges[:-1],
        time_max=edges[1:],
        ontime=seconds,
        exposure=_within(source, edges),
        counts=np.histogram(time, edges)[0],
        counts_bkg=background,
        bkg_scale=scale,
    )


def net_rate(curve: LightCurve) -> tuple[Array, Array, Array]:
    """Rate of the source aperture, its background and their difference with its error, from fixed bins.

    Returns
    -------
    net, error, background
        s-1 at full exposure; NaN without exposure. Errors are Gehrels' upper ones, since bins may be empty.
    """
    exposure = np.where(curve["exposure"] > 0, curve["exposure"], np.nan)
    behind = curve["counts_bkg"] * curve["bkg_scale"]
    error = np.hypot(1 + np.sqrt(curve["counts"] + 0.75), np.sqrt(curve["counts_bkg"]) * curve["bkg_scale"])
    return (curve["counts"] - behind) / exposure, error / exposure, behind / exposure


def grouped_curve(time: Array, energy: Array, clock: ExposureClock, edges: Array) -> LightCurve:
    """Groups of equal signal to noise with the median energy of each and half its 68 % interval."""
    counts = np.histogram(time, edges)[0]
    groups, _ = group_by_snr(counts)
    cuts = edges[groups]
    number = np.diff(np.concatenate([[0], np.cumsum(counts)])[groups])
    exposure = np.diff(clock.exposure_at(cuts))
    ends = np.concatenate([[0], np.cumsum(number)])
    parts = [energy[a:b] for a, b in pairwise(ends)]
    middle = np.array([np.median(part) if part.size else np.nan for part in parts])
    width = np.array([_median_error(part) for part in parts])
    safe = np.where(exposure > 0, exposure, np.nan)
    return LightCurve.of(
        time_min=cuts[:-1],
        time_max=cuts[1:],
        counts=number,
        exposure=exposure,
        rate=number / safe,
        rate_error=np.sqrt(number) / safe,
        median_energy=middle,
        median_energy_error=width,
    )


def smoothed_curve(time: Array, clock: ExposureClock, edges: Array) -> LightCurve:
    """Adaptively smoothed rate in bins that end at events."""
    counts = np.histogram(time, edges)[0]
    rate, error, radius = smooth_adaptively(counts, np.diff(clock.exposure_at(edges)), SMOOTHING_SNR)
    return LightCurve.of(time_min=edges[:-1], time_max=edges[1:], rate=rate, rate_error=error, radius=radius)


def odds_weighted_curve(odds: GregoryLoredo, clock: ExposureClock) -> LightCurve:
    """Light curve of Gregory and Loredo with its band of 3 sigma."""
    edges = clock.time_at(np.linspace(0.0, clock.total_time, odds.rate.size + 1))
    return LightCurve.of(
        time_min=edges[:-1],
        time_max=edges[1:],
        rate=odds.rate,
        rate_lo=np.maximum(odds.rate - 3 * odds.rate_error, 0.0),
        rate_hi=odds.rate + 3 * odds.rate_error,
    )


def _event_edges(time: Array, clock: ExposureClock) -> Array:
    """Edges at the events, gaps between them divided to 1/400 of the observation; each event ends its bin."""
    start, stop = float(clock.start[0]), float(clock.stop[-1])
    step = (stop - start) / _MOST_BINS
    # Just behind the event, so that a histogram with half-open bins counts it in the bin that ends there.
    ends = np.unique(np.concatenate([[start], np.nextafter(time, np.inf), [max(stop, start + 1e-3)]]))
    parts = np.maximum(1, np.ceil(np.diff(ends) / step - 1e-9).astype(int))
    return np.append(
        np.concatenate(
            [a + (b - a) * np.arange(k) / k for a, b, k in zip(ends[:-1], ends[1:], parts, strict=True)]
        ),
        ends[-1],
    )


def _median_error(energy: Array) -> float:
    """Half the 68.27 % interval of the median by order statistics."""
    n = energy.size
    if n < 2:
        return float("nan")
    half = 0.5 * np.sqrt(n)
    low = int(np.clip(np.floor(0.5 * n - half), 0, n - 1))
    high = int(np.clip(np.ceil(0.5 * n + half) - 1, 0, n - 1))
    ordered = np.sort(energy)
    return float(0.5 * (ordered[high] - ordered[low]))


def _within(clock: ExposureClock, edges: Array) -> Array:
    return np.asarray(np.diff(clock.exposure_at(edges)))


def _integral(clock: ExposureClock, values: Array, edges: Array) -> Array:
    """Integral of a function that is constant in each stretch, bin by bin."""
    return _within(ExposureClock(clock.start, clock.stop, values), edges)
