"""The posterior of a source's intensity from one pair of source and background aperture.

n ~ Poisson(f S + b), m ~ Poisson(g S + r b), flat priors on S, b >= 0. The marginal of S is an exact mixture
of gamma distributions; `gamma_mixture` says how its weights are had without loss of digits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from catalog.stats.joint_posterior import JointPosterior
from catalog.stats.posterior_summary import (
    FloatArray,
    PosteriorSummary,
    check_confidence,
    checked_counts,
    summary_of_rows,
)


def summarise(
    n: ArrayLike, m: ArrayLike, f: ArrayLike, g: ArrayLike, r: ArrayLike, confidence: float = 0.68
) -> PosteriorSummary:
    """Value and interval of many measurements.

    Parameters
    ----------
    n, m
        Counts in source and background aperture: whole numbers >= 0; NaN gives NaN.
    f, g
        Expected counts in source and background aperture per unit of intensity S. The unit of S follows:
        PSF fractions give net counts, fractions times cm2 s give photon/cm2/s.
    r
        Expected background in the background aperture per one in the source aperture.
    confidence
        Probability inside the interval.

    Returns
    -------
    PosteriorSummary
        Arrays of the shape to which the five arguments broadcast. NaN where one of them is not finite,
        f <= 0, g < 0 or r <= 0. r f <= g (no more source per background in the source aperture than in the
        other) is computed like all else.

    Raises
    ------
    SettingsError
        Confidence outside (0, 1).
    ValueError
        Counts that are negative or not whole.

    Notes
    -----
    Kept to about 1e-10 of each value for n and m from 0 to 1e6; time grows with n + m, from some 20
    microseconds.
    """
    from catalog.stats.likelihood import summarise_groups

    confidence = check_confidence(confidence)
    counts = checked_counts(n, m, f, g, r)
    shape = np.broadcast_shapes(*(np.shape(column) for column in (n, m, f, g, r)))
    deviate = float(ndtri(0.5 + 0.5 * confidence))
    rows = summarise_groups(np.arange(len(counts.n) + 1), *counts, confidence, deviate)
    return summary_of_rows(rows, shape)


class AperturePosterior(JointPosterior):
    """The posterior of one measurement as an object: density, quantiles, random numbers.

    Parameters
    ----------
    n, m
        Counts in source and background aperture.
    f, g, r
        Factors, see `summarise`.

    Raises
    ------
    ValueError
        Counts that are negative or not whole; f <= 0, g < 0, r <= 0 or not finite.
    """

    def __init__(self, n: int, m: int, f: float, g: float, r: float) -> None:
        super().__init__([n], [m], [f], [g], [r])
        self._scale = float(f + g)

    @property
    def variance(self) -> float:
        """Posterior variance."""
        mixture = self._group.mixture
        shape = np.arange(len(mixture.weights)) + (mixture.first + 1.0)
        mean = float(np.sum(mixture.weights * shape))
        spread = float(np.sum(mixture.weights * (shape + (shape - mean) ** 2)))
        return spread / self._scale**2

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        """Draw `size` independent intensities, exactly, from the generator given."""
        mixture = self._group.mixture
        drawn = rng.choice(len(mixture.weights), size=size, p=mixture.weights)
        return rng.gamma(mixture.first + 1.0 + drawn) / self._scale
