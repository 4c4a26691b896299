"""Approximate confidence limits of Poisson counts (Gehrels 1986, ApJ 303, 336), at one Gaussian sigma."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from catalog.stats.posterior_summary import FloatArray


class NetCountsSigma(NamedTuple):
    """Upper and lower uncertainty of net counts, both positive; arrays of one shape."""

    up: FloatArray
    low: FloatArray


def gehrels_upper(counts: ArrayLike) -> FloatArray:
    """Upper limit N + 1 + sqrt(N + 3/4) of the expected counts (Gehrels' eq. 7).

    Parameters
    ----------
    counts
        Observed counts N; NaN where negative or not finite.

    Returns
    -------
    array
        Upper limits, same shape.
    """
    n = _valid(counts)
    return np.asarray(n + 1.0 + np.sqrt(n + 0.75))


def gehrels_lower(counts: ArrayLike) -> FloatArray:
    """Lower limit N (1 - 1/(9 N) - 1/(3 sqrt N))^3 of the expected counts (Gehrels' eq. 12).

    Parameters
    ----------
    counts
        Observed counts N; NaN where negative or not finite.

    Returns
    -------
    array
        Lower limits, same shape; NaN at N = 0, where the approximation has none.
    """
    n = _valid(counts)
    n = np.where(n > 0.0, n, np.nan)
    return np.asarray(n * (1.0 - 1.0 / (9.0 * n) - 1.0 / (3.0 * np.sqrt(n))) ** 3)


def net_counts_sigma(n: ArrayLike, m: ArrayLike, ratio: ArrayLike) -> NetCountsSigma:
    """Uncertainty of n - m / ratio, from the Gehrels limits of both counts added in quadrature.

    Parameters
    ----------
    n, m
        Counts in source and background aperture.
    ratio
        Expected background in the background aperture per one in the source aperture.

    Returns
    -------
    NetCountsSigma
        `up` from the upper limits of both, `low` from the lower limits of both; `low` is NaN where n = 0 or
        m = 0. Both are NaN where an argument is not finite, a count negative or the ratio <= 0.
    """
    n_, m_, ratio_ = _valid(n), _valid(m), _valid_ratio(ratio)
    up = np.hypot(gehrels_upper(n_) - n_, (gehrels_upper(m_) - m_) / ratio_)
    low = np.hypot(n_ - gehrels_lower(n_), (m_ - gehrels_lower(m_)) / ratio_)
    return NetCountsSigma(np.asarray(up), np.asarray(low))


def snr_gehrels(n: ArrayLike, m: ArrayLike, ratio: ArrayLike) -> FloatArray:
    """Net counts n - m / ratio in units of their upper uncertainty, for strong sources too.

    Parameters and NaN as in `net_counts_sigma`; negative where the net counts are.
    """
    net = _valid(n) - _valid(m) / _valid_ratio(ratio)
    return np.asarray(net / net_counts_sigma(n, m, ratio).up)


def _valid(counts: ArrayLike) -> FloatArray:
    n = np.asarray(counts, dtype=np.float64)
    return np.where(np.isfinite(n) & (n >= 0.0), n, np.nan)


def _valid_ratio(ratio: ArrayLike) -> FloatArray:
    b = np.asarray(ratio, dtype=np.float64)
    return np.where(np.isfinite(b) & (b > 0.0), b, np.nan)
