"""Kuiper's test of arrivals against a constant source."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from catalog.stats.kolmogorov_smirnov import LEAST_EVENTS, PValue

_EXACT_UP_TO = 1000
"""Events above which the series is as good as the exact distribution."""
_CANCELLED = 1e-7
"""p below which 1 - P(V <= v) has lost its digits."""


def kuiper_statistic(phase: ArrayLike) -> float:
    """Largest excess plus largest deficit of the distribution of phases over the uniform one."""
    values = np.sort(np.asarray(phase, dtype=float))
    n = values.size
    steps = np.arange(n + 1) / n
    return float((steps[1:] - values).max() + (values - steps[:-1]).max())


def kuiper_log10_pvalue(distance: float, n: int, method: PValue = "exact") -> float:
    """log10 of the probability of a statistic at least as large, for `n` events of a constant source.

    Parameters
    ----------
    distance
        Of `kuiper_statistic`.
    n
        Number of events.
    method
        "exact", or the "asymptotic" series at (sqrt(n) + 0.155 + 0.24 / sqrt(n)) V (Stephens 1970). The
        series also serves above 1000 events and below p = 1e-7.
    """
    # Compiled code: imported late, so that commands without timing start fast.
    from catalog.stats.staircase_kernels import kuiper_cdf

    if method == "exact" and 2 <= n <= _EXACT_UP_TO:
        p = 1.0 - float(kuiper_cdf(distance, n))
        if p > _CANCELLED:
            return math.log10(p)
        return min(_log10_approximation(distance, n), math.log10(_CANCELLED))
    return _log10_approximation(distance, n)


def _log10_approximation(distance: float, n: int) -> float:
    root = math.sqrt(n)
    return _log10_series((root + 0.155 + 0.24 / root) * distance)


def kuiper_log10(phase: ArrayLike, method: PValue = "exact") -> float | None:
    """log10 p of phases in [0, 1]; None below 4 events."""
    values = np.asarray(phase, dtype=float)
    if values.size < LEAST_EVENTS:
        return None
    return kuiper_log10_pvalue(kuiper_statistic(values), values.size, method)


def _log10_series(x: float) -> float:
    """log10 of 2 sum (4 j^2 x^2 - 1) exp(-2 j^2 x^2)."""
    if x < 0.4:
        return 0.0
    square = x * x
    terms = sum((4 * j * j * square - 1) * math.exp(-2 * (j * j - 1) * square) for j in range(1, 101))
    return min(0.0, (math.log(2 * terms) - 2 * square) / math.log(10))
