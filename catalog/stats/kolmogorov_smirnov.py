"""Kolmogorov-Smirnov test of arrivals against a constant source."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

PValue = Literal["exact", "asymptotic"]

LEAST_EVENTS = 4
"""Number of events below which neither this nor Kuiper's test is made."""
_UNDERFLOW = 1e-280
_FEW_EVENTS, _MORE_EVENTS = 140, 1000
"""Events up to which the exact distribution is followed everywhere, and where distances are small."""
_FLAT = 1.4
"""n D^1.5 of a small distance."""

_TERMS = 12
"""Of sums that converge faster than exponentially."""


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
    p = _exact(distance, n)
    if p > _UNDERFLOW:
        return min(0.0, math.log10(p))
    return _log10_series(root * distance + 1 / (6 * root))


def _exact(distance: float, n: int) -> float:
    square = n * distance * distance
    if distance >= 0.5 or square > (4.0 if n <= _FEW_EVENTS else 2.2):
        # Beyond that, no sample lies so far above and so far below at once.
        return float(2.0 * special.smirnov(n, distance))
    if n <= _FEW_EVENTS or (n <= _MORE_EVENTS and n * distance**1.5 <= _FLAT):
        # Compiled code: imported late, so that commands without timing start fast.
        from catalog.stats.staircase_kernels import kolmogorov_cdf

        return 1.0 - float(kolmogorov_cdf(distance, n))
    return 1.0 - _pelz_good_cdf(distance, n)


def _pelz_good_cdf(distance: float, n: int) -> float:
    """P(D <= d) by the expansion of Pelz & Good (1976, J. R. Stat. Soc. B 38, 152) to n^-3/2.

    Above 140 events 1 - P is within 2.5e-5 of its exact value, above 1000 within 5e-7.
    """
    # Not by scipy.stats, whose import takes as long as the tests of fifty sources.
    z = math.sqrt(n) * distance
    half = (math.pi * (np.arange(_TERMS) + 0.5)) ** 2
    whole = (math.pi * np.arange(1, _TERMS)) ** 2
    z2 = z * z
    # Sums over all whole numbers: each term stands for two.
    at_half, at_whole = 2 * np.exp(-half / (2 * z2)), 2 * np.exp(-whole / (2 * z2))
    k0 = 2 / z * at_half.sum() / 2
    k1 = at_half @ (half - z2) / (6 * z2**2)
    k2 = at_half @ (6 * z2**3 + 2 * z2**2 + half * (2 * z2**2 - 5 * z2) + half**2 * (1 - 2 * z2))
    k2 = k2 / (72 * z * z2**3) - at_whole @ whole / (36 * z * z2)
    k3 = at_half @ (
        half**3 * (5 - 30 * z2)
        + half**2 * (212 * z2**2 - 60 * z2)
        + half * (135 * z2**2 - 96 * z2**3)
        - 30 * z2**3
        - 90 * z2**4
    )
    k3 = k3 / (6480 * z2**5) + at_whole @ (3 * whole * z2 - whole**2) / (216 * z2**3)
    root = math.sqrt(n)
    share = math.sqrt(math.pi / 2) * (k0 + k1 / root + k2 / n + k3 / (n * root))
    return float(min(max(share, 0.0), 1.0))


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
