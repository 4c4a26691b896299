"""The probability that a source is none: its counts being a fluctuation of the background."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, gammaln

from catalog.stats.posterior_summary import FloatArray

# Below this betainc has, or soon will have, lost digits to underflow.
SMALLEST_DIRECT = 1e-250


def log10_prob_no_source(n: ArrayLike, m: ArrayLike, ratio: ArrayLike) -> FloatArray:
    """Logarithm of the probability of at least n source counts if there is background only.

    PROB_NO_SOURCE = P(X >= n), X ~ Binomial(n + m, 1 / (1 + B)), the regularised incomplete beta function
    I_{1/(1+B)}(n, m + 1) (Weisskopf et al. 2007, ApJ 657, 1026, eq. A7).

    Parameters
    ----------
    n, m
        Counts in source and background aperture.
    ratio
        B, expected background in the background aperture per one in the source aperture.

    Returns
    -------
    array
        log10 of the probability, of the shape to which the arguments broadcast, never above 0 and good to
        1e-6 also where the probability itself underflows. 0 where n = 0; NaN where an argument is not
        finite, a count negative or B <= 0.
    """
    n_, m_, ratio_ = np.broadcast_arrays(*(np.asarray(column, dtype=np.float64) for column in (n, m, ratio)))
    usable = (
        np.isfinite(n_) & np.isfinite(m_) & np.isfinite(ratio_) & (n_ >= 0.0) & (m_ >= 0.0) & (ratio_ > 0.0)
    )
    logarithm = np.where(usable, 0.0, np.nan)
    counted = usable & (n_ > 0.0)
    probability = np.ones_like(logarithm)
    probability[counted] = betainc(n_[counted], m_[counted] + 1.0, 1.0 / (1.0 + ratio_[counted]))
    direct = counted & (probability > SMALLEST_DIRECT)
    logarithm[direct] = np.log10(probability[direct])
    small = counted & ~direct
    if small.any():
        logarithm[small] = _log_binomial_tail(n_[small], m_[small], ratio_[small]) / np.log(10.0)
    return logarithm


def _log_binomial_tail(n: FloatArray, m: FloatArray, ratio: FloatArray) -> FloatArray:
    """Natural logarithm of P(X >= n) where n is far above the mean.

    The first term times the sum of the ratios of all to it; each term is (m - k) / ((n + k + 1) B) of the one
    before. This is below 1 and falls, so the sum converges at least geometrically.
    """
    total = np.ones_like(n)
    term = np.ones_like(n)
    k = 0.0
    while np.any(term > 1e-17 * total):
        term = term * np.maximum(m - k, 0.0) / ((n + k + 1.0) * ratio)
        total += term
        k += 1.0
    return _log_binomial_term(n, m, ratio) + np.log(total)


def _log_binomial_term(n: FloatArray, m: FloatArray, ratio: FloatArray) -> FloatArray:
    """Natural logarithm of P(X = n) in Loader's form, in which no large logarithms cancel."""
    trials = n + m
    chance = 1.0 / (1.0 + ratio)
    complement = ratio / (1.0 + ratio)
    with_background = m > 0.0
    background = np.where(with_background, m, 1.0)
    deviance = _deviance(n, trials * chance) + np.where(
        with_background, _deviance(background, trials * complement), trials * complement
    )
    stirling = (
        _stirling_rest(trials)
        - _stirling_rest(n)
        - np.where(with_background, _stirling_rest(background), 0.0)
    )
    spread = np.where(with_background, 0.5 * np.log(trials / (2.0 * np.pi * n * background)), 0.0)
    return np.asarray(stirling + spread - deviance)


def _deviance(count: FloatArray, expected: FloatArray) -> FloatArray:
    """Return x log(x / e) + e - x."""
    return np.asarray(count * np.log(count / expected) + expected - count)


def _stirling_rest(count: FloatArray) -> FloatArray:
    """Return log(x!) less Stirling's x log x - x + log(2 pi x) / 2, for x > 0."""
    inverse = 1.0 / count
    square = inverse * inverse
    series = inverse * (
        1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188)))
    )
    exact = gammaln(count + 1.0) - (count + 0.5) * np.log(count) + count - 0.5 * np.log(2.0 * np.pi)
    return np.where(count > 20.0, series, exact)
