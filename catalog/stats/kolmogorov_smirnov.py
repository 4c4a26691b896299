"""Kolmogorov-Smirnov test of arrivals against a constant source."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

PValue = Literal["exact", "asymptotic"]

LEAST_EVENTS = 4
"""Number of events below which neither this nor Kuiper's test is made."""
_UNDERFLOW = 1e-280


def ks_statistic(phase: ArrayLike) -> float:
    """Largest distance between the distribution of phases in [0, 1] and the uniform one."""
    values = np.sort(np.asarray(phase, dtype=float))
    n = values.size
    steps = np.arange(n + 1) / n
    return float(max((steps[1:] - values).max(), (values - steps[:-1]).max()))


def ks_log10_pvalue(distance: float, n: int, method: PValue = "exact") -> float:
    """log10 of the probability of a distance at least as large, for `n` events of a constant source.

    Parameters
    ----------
    distance
        Of `ks_statistic`.
    n
        Number of events.
    method
        "exact" (Simard & L'Ecuyer 2011, J. Stat. Softw. 39, 11, in scipy), or the "asymptotic" series at
        (sqrt(n) + 0.12 + 0.11 / sqrt(n)) D (Stephens 1970).
    """
    root = math.sqrt(n)
    if method == "asymptotic":
        return _log10_series((root + 0.12 + 0.11 / root) * distance)
    p = float(stats.kstwo.sf(distance, n))
    if p > _UNDERFLOW:
        return min(0.0, math.log10(p))
    return _log10_series(root * distance + 1 / (6 * root))


def ks_log10(phase: ArrayLike, method: PValue = "exact") -> float | None:
    """log10 p of phases in [0, 1]; None below 4 events."""
    values = np.asarray(phase, dtype=float)
    if values.size < LEAST_EVENTS:
        return None
    return ks_log10_pvalue(ks_statistic(values), values.size, method)


def _log10_series(x: float) -> float:
    """log10 of Kolmogorov's series 2 sum (-1)^(j-1) exp(-2 j^2 x^2)."""
    if x < 0.3:
        return 0.0
    terms = sum((-1) ** (j - 1) * math.exp(-2 * (j * j - 1) * x * x) for j in range(1, 101))
    return min(0.0, (math.log(2 * terms) - 2 * x * x) / math.log(10))
