"""Hardness (H - S)/(H + S) of two intensities: mode and interval of highest density (Park et al. 2006).

Each intensity has the posterior of its counts with the backgrounds marginalised (`joint_posterior`, flat
priors); Park et al. 2006, ApJ 652, 610, section 2.2, is the case of one observation without PSF fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from catalog.stats.posterior_summary import FloatArray, check_confidence, checked_counts


class Hardness(NamedTuple):
    """Hardness ratios; float arrays of one shape, in [-1, 1], NaN where there is no posterior.

    Attributes
    ----------
    mode
        The value.
    mean
        Posterior mean.
    lolim, hilim
        Ends of the interval of highest density; -1 or 1 where it reaches that end.
    """

    mode: FloatArray
    mean: FloatArray
    lolim: FloatArray
    hilim: FloatArray


def hardness_ratio(
    hard: tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike, ArrayLike],
    soft: tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike, ArrayLike],
    confidence: float = 0.68,
) -> Hardness:
    """Hardness of one source from its observations.

    Parameters
    ----------
    hard, soft
        (n, m, f, g, r) of the two bands as in `joint_posterior.summarise_joint`, one element per observation;
        f and g in counts give the hardness of net counts, in cm2 s that of photon fluxes.
    confidence
        Probability inside the interval.

    Returns
    -------
    Hardness
        Arrays of shape ().

    Raises
    ------
    SettingsError
        Confidence outside (0, 1).
    ValueError
        Counts that are negative or not whole.
    """
    bands = [np.atleast_1d(np.broadcast_arrays(*band)) for band in (hard, soft)]
    size = bands[0][0].size
    columns = [np.stack([np.ravel(band[i]) for band in bands]) for i in range(5)]
    n, m, f, g, r = columns
    found = hardness_many([0, size], n, m, f, g, r, [(0, 1)], confidence)
    return Hardness(*(values[0, 0] for values in found))


def hardness_many(
    offsets: ArrayLike,
    n: ArrayLike,
    m: ArrayLike,
    f: ArrayLike,
    g: ArrayLike,
    r: ArrayLike,
    pairs: Sequence[tuple[int, int]],
    confidence: float = 0.68,
) -> Hardness:
    """Hardness of many sources for several pairs of bands.

    Parameters
    ----------
    offsets
        One more than there are sources: source k has the observations offsets[k] to offsets[k+1] (exclusive).
    n, m, f, g, r
        As in `joint_posterior.summarise_joint_many`, shape (bands, observations).
    pairs
        Rows (hard, soft) of the bands.
    confidence
        Probability inside the interval.

    Returns
    -------
    Hardness
        Arrays of shape (sources, pairs).

    Raises
    ------
    SettingsError
        Confidence outside (0, 1).
    ValueError
        Offsets that do not fit, counts that are negative or not whole.
    """
    from catalog.stats.ratio_kernels import hardness_rows

    confidence = check_confidence(confidence)
    shape = np.shape(n)
    counts = checked_counts(n, m, f, g, r)
    bounds = np.asarray(offsets, dtype=np.int64)
    if bounds.ndim != 1 or bounds.size == 0 or bounds[0] != 0 or bounds[-1] != shape[1]:
        raise ValueError("offsets run from 0 to the number of observations")
    if np.any(np.diff(bounds) < 0):
        raise ValueError("offsets ascend")
    hard = np.array([pair[0] for pair in pairs], dtype=np.int64)
    soft = np.array([pair[1] for pair in pairs], dtype=np.int64)
    rows = hardness_rows(
        bounds,
        counts.n.reshape(shape),
        counts.m.reshape(shape),
        counts.f.reshape(shape),
        counts.g.reshape(shape),
        counts.r.reshape(shape),
        counts.usable.reshape(shape),
        hard,
        soft,
        confidence,
    )
    return Hardness(*(np.ascontiguousarray(rows[:, :, i]) for i in range(4)))
