"""How bright a source must be to be detected: upper limits of Kashyap et al. (2010, ApJ 719, 900).

A detection is N > S* counts, S* being the smallest integer with P(N > S* | background) <= alpha. The limit is
the expected source counts s for which P(N > S* | background + s) = power. It depends on the background, not
on the counts that the source happened to give.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, gammainc, gammaincinv

from catalog.errors import SettingsError
from catalog.stats.posterior_summary import FloatArray

Exceeding = Callable[..., FloatArray]

# Thresholds are sought below this; float64 still counts one by one.
LARGEST_THRESHOLD = 2.0**40


class DetectionLimit(NamedTuple):
    """Upper limits and the thresholds they belong to; float arrays of one shape, NaN where undefined.

    Attributes
    ----------
    limit
        Expected source counts in the source aperture; divide by f (PSF fraction x exposure) for the source.
    threshold
        S*, whole numbers: at least S* + 1 counts are a detection.
    """

    limit: FloatArray
    threshold: FloatArray


def detection_limit(m: ArrayLike, r: ArrayLike, alpha: float = 0.0027, power: float = 0.5) -> DetectionLimit:
    """Upper limit where the background is known from m counts: b ~ Gamma(m + 1, rate r).

    Parameters
    ----------
    m
        Counts in the background aperture.
    r
        Expected background in the background aperture per one in the source aperture.
    alpha
        Largest probability of a false detection, averaged over b.
    power
        Probability with which a source at the limit is detected, averaged over b.

    Returns
    -------
    DetectionLimit
        Arrays of the shape to which m and r broadcast. NaN where one is not finite, m < 0 or r <= 0.

    Raises
    ------
    SettingsError
        alpha or power outside (0, 1).
    """
    from catalog.stats.background_mixture import source_limits

    _check_probabilities(alpha, power)
    m_, r_ = np.broadcast_arrays(np.asarray(m, dtype=np.float64), np.asarray(r, dtype=np.float64))
    shape = m_.shape
    m_, r_ = m_.ravel(), r_.ravel()
    usable = np.isfinite(m_) & np.isfinite(r_) & (m_ >= 0.0) & (r_ > 0.0)
    counts, ratio = m_[usable], r_[usable]

    def exceeding(threshold: FloatArray, counts: FloatArray, ratio: FloatArray) -> FloatArray:
        return np.asarray(betainc(threshold + 1.0, counts + 1.0, 1.0 / (1.0 + ratio)))

    threshold = np.full(m_.shape, np.nan)
    threshold[usable] = _smallest_threshold(exceeding, alpha, counts, ratio)
    limit = source_limits(threshold, m_.copy(), r_.copy(), power)
    return DetectionLimit(limit.reshape(shape), threshold.reshape(shape))


def detection_limit_known(background: ArrayLike, alpha: float = 0.0027, power: float = 0.5) -> DetectionLimit:
    """Upper limit where the expected background is known exactly.

    Parameters
    ----------
    background
        Expected background counts b >= 0 in the source aperture.
    alpha, power
        As in `detection_limit`.

    Returns
    -------
    DetectionLimit
        Arrays of the shape of `background`; NaN where it is negative or not finite.

    Raises
    ------
    SettingsError
        alpha or power outside (0, 1).
    """
    _check_probabilities(alpha, power)
    b = np.asarray(background, dtype=np.float64)
    usable = np.isfinite(b) & (b >= 0.0)

    def exceeding(threshold: FloatArray, expected: FloatArray) -> FloatArray:
        return np.asarray(gammainc(threshold + 1.0, expected))

    threshold = np.full(b.shape, np.nan)
    threshold[usable] = _smallest_threshold(exceeding, alpha, b[usable])
    limit = np.full(b.shape, np.nan)
    limit[usable] = np.maximum(gammaincinv(threshold[usable] + 1.0, power) - b[usable], 0.0)
    return DetectionLimit(limit, threshold)


def _check_probabilities(alpha: float, power: float) -> None:
    for name, value in (("alpha", alpha), ("power", power)):
        if not 0.0 < value < 1.0:
            raise SettingsError(
                "a probability lies between 0 and 1", f"{name} = {value}", "the defaults are 0.0027 and 0.5"
            )


def _smallest_threshold(exceeding: Exceeding, alpha: float, *parameters: FloatArray) -> FloatArray:
    """Smallest whole S >= 0 with exceeding(S, *parameters) <= alpha, by bisection."""
    low = np.full(parameters[0].shape, -1.0)
    high = np.zeros(parameters[0].shape)
    while True:
        open_ended = (exceeding(high, *parameters) > alpha) & (high < LARGEST_THRESHOLD)
        if not open_ended.any():
            break
        low = np.where(open_ended, high, low)
        high = np.where(open_ended, 2.0 * high + 1.0, high)
    while np.any(high - low > 1.0):
        middle = np.floor(0.5 * (low + high))
        split = high - low > 1.0
        above = exceeding(np.maximum(middle, 0.0), *parameters) > alpha
        low = np.where(split & above, middle, low)
        high = np.where(split & ~above, middle, high)
    return high
