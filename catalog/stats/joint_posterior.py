"""The posterior of a source's intensity from several observations, each with a background of its own.

L(S) = product over i of the integral over b_i of Poisson(n_i | f_i S + b_i) Poisson(m_i | g_i S + r_i b_i),
with flat priors on S and all b_i >= 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from catalog.stats.posterior_summary import (
    Counts,
    FloatArray,
    PosteriorSummary,
    check_confidence,
    checked_counts,
    summary_of_rows,
)

if TYPE_CHECKING:
    from catalog.stats.likelihood import Group


def summarise_joint(
    n: ArrayLike, m: ArrayLike, f: ArrayLike, g: ArrayLike, r: ArrayLike, confidence: float = 0.68
) -> PosteriorSummary:
    """Value and interval of one source from all its observations.

    Parameters
    ----------
    n, m, f, g, r
        As in `aperture_posterior.summarise`, one element per observation.
    confidence
        Probability inside the interval.

    Returns
    -------
    PosteriorSummary
        Arrays of shape (). NaN when there is no observation, or when any of them does not define a likelihood
        (see `aperture_posterior.summarise`): leave out those that did not see the source.

    Raises
    ------
    SettingsError
        Confidence outside (0, 1).
    ValueError
        Counts that are negative or not whole.
    """
    from catalog.stats.likelihood import summarise_groups

    confidence = check_confidence(confidence)
    counts = checked_counts(n, m, f, g, r)
    deviate = float(ndtri(0.5 + 0.5 * confidence))
    return summary_of_rows(summarise_groups(np.array([0, len(counts.n)]), *counts, confidence, deviate), ())


def summarise_joint_many(
    offsets: ArrayLike,
    n: ArrayLike,
    m: ArrayLike,
    f: ArrayLike,
    g: ArrayLike,
    r: ArrayLike,
    confidence: float = 0.68,
) -> PosteriorSummary:
    """Value and interval of many sources, the observations of all in one row.

    Parameters
    ----------
    offsets
        One more than there are sources, ascending from 0: source k has the elements offsets[k] to
        offsets[k+1] (exclusive) of the arrays that follow.
    n, m, f, g, r
        As in `aperture_posterior.summarise`, one element per observation of a source.
    confidence
        Probability inside the interval.

    Returns
    -------
    PosteriorSummary
        One element per source, NaN as in `summarise_joint`.

    Raises
    ------
    SettingsError
        Confidence outside (0, 1).
    ValueError
        Offsets that do not fit, counts that are negative or not whole.
    """
    from catalog.stats.likelihood import summarise_groups

    confidence = check_confidence(confidence)
    counts = checked_counts(n, m, f, g, r)
    bounds = np.ascontiguousarray(offsets, dtype=np.int64)
    if bounds.ndim != 1 or bounds.size == 0 or bounds[0] != 0 or bounds[-1] != len(counts.n):
        raise ValueError("offsets run from 0 to the number of observations")
    if np.any(np.diff(bounds) < 0):
        raise ValueError("offsets ascend")
    deviate = float(ndtri(0.5 + 0.5 * confidence))
    rows = summarise_groups(bounds, *counts, confidence, deviate)
    return summary_of_rows(rows, (len(bounds) - 1,))


class JointPosterior:
    """The joint posterior of one source as an object.

    Parameters
    ----------
    n, m, f, g, r
        One element per observation, at least one; see `aperture_posterior.summarise`.

    Raises
    ------
    ValueError
        No observation, or one that does not define a likelihood.

    Attributes
    ----------
    counts
        The checked input.
    """

    def __init__(self, n: ArrayLike, m: ArrayLike, f: ArrayLike, g: ArrayLike, r: ArrayLike) -> None:
        from catalog.stats.likelihood import solve_group

        self.counts: Counts = checked_counts(n, m, f, g, r)
        if len(self.counts.n) == 0 or not self.counts.usable.all():
            raise ValueError("a posterior needs whole counts, f > 0, g >= 0 and r > 0, all finite")
        self._group: Group = solve_group(*self.counts[:5])

    @property
    def mode(self) -> float:
        """Intensity of the largest density."""
        return self._group.mode

    @property
    def mean(self) -> float:
        """Posterior mean."""
        return self._group.mean

    def pdf(self, intensity: ArrayLike) -> FloatArray:
        """Posterior density, per unit of intensity; 0 below 0. Same shape as the input."""
        from catalog.stats.likelihood_table import log_value

        points = np.asarray(intensity, dtype=np.float64)
        group = self._group
        logs = [log_value(group.table, s) if s >= 0.0 else -np.inf for s in points.ravel()]
        return np.asarray(np.exp(np.array(logs) - group.peak) / group.area).reshape(points.shape)

    def cdf(self, intensity: ArrayLike) -> FloatArray:
        """Posterior probability of a smaller intensity. Same shape as the input."""
        from catalog.stats.likelihood import probability_below

        points = np.asarray(intensity, dtype=np.float64)
        values = [probability_below(self._group, s) for s in points.ravel()]
        return np.array(values, dtype=np.float64).reshape(points.shape)

    def quantile(self, probability: ArrayLike) -> FloatArray:
        """Intensity below which the given probability lies; 0 at 0, infinite at 1, NaN outside."""
        from catalog.stats.likelihood import find_quantile

        points = np.asarray(probability, dtype=np.float64)
        values = np.where(points == 0.0, 0.0, np.where(points == 1.0, np.inf, np.nan)).ravel()
        for index, q in enumerate(points.ravel()):
            if 0.0 < q < 1.0:
                values[index] = find_quantile(self._group, q)
        return values.reshape(points.shape)

    def interval(self, confidence: float = 0.68) -> tuple[float, float]:
        """Interval of highest density at a confidence; its lower end is 0 where it reaches 0."""
        from catalog.stats.likelihood import density_interval

        confidence = check_confidence(confidence)
        lower, upper = density_interval(self._group, confidence, float(ndtri(0.5 + 0.5 * confidence)))
        return lower, upper
