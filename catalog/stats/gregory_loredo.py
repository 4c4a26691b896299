"""Gregory-Loredo test: odds of a varying over a constant source, and the light curve behind them.

Gregory & Loredo (1992, ApJ 398, 146) without the marginalisation over period and phase, truncated as in the
Chandra Source Catalog (Evans et al. 2010, ApJS 189, 37), with the exposure as a piecewise constant function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.stats.exposure_clock import ExposureClock

Array = NDArray[np.float64]

MOST_BINS = 3000
LEAST_BIN_SECONDS = 50.0
THRESHOLD = 0.5
"""ln of the largest mean odds over that at the truncation: a factor of sqrt(e)."""
_COARSE_POINTS = 256
_ROUNDING = 1e-9
_BELOW_ONE = float(np.nextafter(1.0, 0.0))
"""Phase of an event at the very end: in the last bin of any number of bins."""
VARIABLE_INDEX = 6
"""Smallest index of a source that is called variable (P >= 0.9)."""


@dataclass(frozen=True, eq=False)
class GregoryLoredo:
    """Result of the test.

    Attributes
    ----------
    log10_odds, probability, index
        log10 of the odds, P = O/(1 + O), index 0 to 10.
    n_bins_first, n_bins
        Largest number of bins tried, and that of the truncation.
    n_bins_peak, n_bins_mean
        Number of bins of the highest odds; odds-weighted mean number.
    f3, f5
        Share of the light curve within 3 and 5 times its mean error of the mean rate; NaN without a curve.
    log_odds
        ln O_m for m = 2 to n_bins_first.
    rate, rate_error
        Odds-weighted rate at full exposure and its standard deviation, s-1, in `n_bins` equal parts of the
        good time, empty without a curve; in at most 256 where P <= 0.5, since then nothing depends on detail.
    """

    log10_odds: float
    probability: float
    index: int
    n_bins_first: int
    n_bins: int
    n_bins_peak: int
    n_bins_mean: float
    f3: float
    f5: float
    log_odds: Array
    rate: Array
    rate_error: Array


def gregory_loredo(
    time: ArrayLike,
    clock: ExposureClock,
    *,
    threshold: float = THRESHOLD,
    least_bin: float = LEAST_BIN_SECONDS,
    most_bins: int = MOST_BINS,
    with_curve: bool = True,
) -> GregoryLoredo | None:
    """Test arrival times against a constant source.

    Parameters
    ----------
    time
        Arrival times in s, any order, all in the good time of the clock.
    clock
        Good time and exposure. Bins are equal parts of good time; stretches without exposure are none.
    threshold
        Truncate at the largest m with ln S(m) >= ln S_max - threshold.
    least_bin
        Shortest bin, s.
    most_bins
        Largest number of bins.
    with_curve
        Whether to make the light curve also where the index does not depend on it: it takes most time.

    Returns
    -------
    GregoryLoredo or None
        None without events, or with good time for less than two bins.

    Raises
    ------
    ValueError
        An event outside the good time.
    """
    # Compiled code: imported late, so that commands without timing start fast.
    from catalog.stats.gregory_loredo_kernels import log_odds

    times = np.sort(np.asarray(time, dtype=float))
    total = clock.total_time
    first = min(most_bins, int(total / least_bin))
    if not clock.contains(times).all():
        raise ValueError("events outside the good time: leave them out first")
    if not times.size or first < 2:
        return None
    phase = np.clip(clock.elapsed_at(times) / total, 0.0, _BELOW_ONE)
    table = clock.exposure_table
    found: Array = log_odds(phase, table, first)
    peak = float(found.max())
    with np.errstate(divide="ignore"):
        # Models that are lost here are no part of the largest mean.
        mean = np.log(np.cumsum(np.exp(found - peak)) / np.arange(1, found.size + 1)) + peak
    last = int(np.flatnonzero(mean >= mean.max() - threshold)[-1])
    # One event gives odds of 1 whatever the bins: rounding must not make more of them.
    log_mean = float(mean[last]) if abs(mean[last]) > _ROUNDING else 0.0
    weight = np.exp(found[: last + 1] - found[: last + 1].max())
    weight /= weight.sum()
    n_bins = last + 2
    probability = 1.0 / (1.0 + math.exp(-log_mean)) if log_mean > -700 else 0.0
    points = n_bins if probability > 0.5 else min(n_bins, _COARSE_POINTS)
    rate, error, f3, f5 = np.empty(0), np.empty(0), math.nan, math.nan
    if with_curve or 0.5 < probability < 0.9:
        rate, error = _light_curve(phase, table, weight, clock, points)
        f3, f5 = (_share_within(rate, error, sigma) for sigma in (3.0, 5.0))
    log10_odds = log_mean / math.log(10)
    return GregoryLoredo(
        log10_odds=log10_odds,
        probability=probability,
        index=variability_index(probability, log10_odds, f3, f5),
        n_bins_first=first,
        n_bins=n_bins,
        n_bins_peak=int(np.argmax(found)) + 2,
        n_bins_mean=float(weight @ np.arange(2, n_bins + 1)),
        f3=f3,
        f5=f5,
        log_odds=found,
        rate=rate,
        rate_error=error,
    )


def variability_index(probability: float, log10_odds: float, f3: float, f5: float) -> int:
    """Variability index 0 to 10 of the Chandra Source Catalog."""
    if probability <= 0.5:
        return 0
    if probability >= 0.9:
        limits = (2.0, 4.0, 10.0, 30.0)
        return 6 + sum(log10_odds >= limit for limit in limits)
    flat = f3 > 0.997 and f5 == 1.0
    if flat:
        return 1 if probability < 2 / 3 else 2
    if probability < 0.6:
        return 3
    return 4 if probability < 2 / 3 else 5


def _light_curve(
    phase: Array, table: Array, weight: Array, clock: ExposureClock, points: int
) -> tuple[Array, Array]:
    from catalog.stats.gregory_loredo_kernels import rate_moments, rate_moments_exposed

    if table.size:
        first, second = rate_moments_exposed(phase, table, weight, points)
    else:
        first, second = rate_moments(phase, weight, points)
    mean = phase.size / clock.total_exposure
    return first * mean, np.sqrt(np.maximum(second - first**2, 0.0)) * mean


def _share_within(rate: Array, error: Array, sigma: float) -> float:
    return float(np.mean(np.abs(rate - rate.mean()) <= sigma * error.mean()))
