"""The interval of CIAO's aprates: the aperture posterior, but a Gaussian above 50 net counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from catalog.stats.posterior_summary import FloatArray, PosteriorSummary, check_confidence, checked_counts

LARGEST_EXACT = 50.0
"""Net counts (r n - m)/(r f - g) above which aprates takes a Gaussian."""


class ApratesInterval(NamedTuple):
    """Value and interval; float arrays of one shape.

    Attributes
    ----------
    value
        Mode of the posterior, or the most likely intensity where the Gaussian applies.
    lolim, hilim
        Ends of the interval; `lolim` is NaN where only a bound is given (the posterior reaches 0).
    gaussian
        Where the Gaussian was taken.
    """

    value: FloatArray
    lolim: FloatArray
    hilim: FloatArray
    gaussian: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def aprates_interval(
    posterior: PosteriorSummary,
    n: ArrayLike,
    m: ArrayLike,
    f: ArrayLike,
    g: ArrayLike,
    r: ArrayLike,
    confidence: float,
) -> ApratesInterval:
    """What aprates gives: S_mle +- z sqrt(r^2 n + m)/(r f - g) above 50 net counts, else the posterior.

    Parameters
    ----------
    posterior
        Summary of the same measurements at the same confidence.
    n, m, f, g, r
        As in `aperture_posterior.summarise`, with f and g in counts.
    confidence
        Probability inside the interval.
    """
    counts = checked_counts(n, m, f, g, r)
    shape = posterior.mode.shape
    deviate = float(ndtri(0.5 + 0.5 * check_confidence(confidence)))
    determinant = counts.r * counts.f - counts.g
    with np.errstate(divide="ignore", invalid="ignore"):
        likely = (counts.r * counts.n - counts.m) / determinant
        sigma = np.sqrt(counts.r**2 * counts.n + counts.m) / determinant
    gaussian = (counts.usable & (determinant > 0) & (likely > LARGEST_EXACT)).reshape(shape)
    likely, sigma = likely.reshape(shape), sigma.reshape(shape)
    bound = posterior.bound_only
    return ApratesInterval(
        np.where(gaussian, likely, posterior.mode),
        np.where(gaussian, likely - deviate * sigma, np.where(bound, np.nan, posterior.lolim)),
        np.where(gaussian, likely + deviate * sigma, posterior.hilim),
        gaussian,
    )
