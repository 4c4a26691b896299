"""What a posterior of a source's intensity is summarised by, and the checks of what goes into one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.errors import SettingsError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class PosteriorSummary(NamedTuple):
    """Value and interval of posteriors; all arrays have one common shape.

    Attributes
    ----------
    mode
        The value: intensity of the largest posterior density.
    mean
        Posterior mean.
    lolim, hilim
        Ends of the interval of highest density at the chosen confidence.
    bound_only
        True where the interval reaches 0 (lolim = 0): hilim is then a bound, not an error bar.

    Notes
    -----
    Intensities have the unit of counts / f. All four numbers are NaN, and `bound_only` is False, where the
    input does not define a posterior.
    """

    mode: FloatArray
    mean: FloatArray
    lolim: FloatArray
    hilim: FloatArray
    bound_only: BoolArray


class Counts(NamedTuple):
    """Checked input of posteriors: contiguous arrays, and whether each element defines a likelihood."""

    n: IntArray
    m: IntArray
    f: FloatArray
    g: FloatArray
    r: FloatArray
    usable: BoolArray


def check_confidence(confidence: float) -> float:
    """Return a confidence strictly between 0 and 1, else raise `SettingsError` (CONFIDENCE)."""
    if not 0.0 < confidence < 1.0:
        raise SettingsError(
            "a confidence lies between 0 and 1", confidence, "give for example 0.68", code="CONFIDENCE"
        )
    return float(confidence)


def checked_counts(n: ArrayLike, m: ArrayLike, f: ArrayLike, g: ArrayLike, r: ArrayLike) -> Counts:
    """Broadcast, flatten and check the input of posteriors.

    Parameters
    ----------
    n, m
        Counts in source and background aperture: whole numbers >= 0, or NaN.
    f, g, r
        Factors of n ~ Poisson(f S + b), m ~ Poisson(g S + r b).

    Returns
    -------
    Counts
        One-dimensional arrays. An element is usable where all five are finite, f > 0, g >= 0 and r > 0.

    Raises
    ------
    ValueError
        Counts that are negative or not whole.
    """
    columns = [np.asarray(column, dtype=np.float64) for column in (n, m, f, g, r)]
    n_, m_, f_, g_, r_ = (np.ascontiguousarray(column).ravel() for column in np.broadcast_arrays(*columns))
    counted = np.isfinite(n_) & np.isfinite(m_)
    for counts in (n_[counted], m_[counted]):
        if np.any((counts < 0.0) | (counts != np.floor(counts))):
            raise ValueError("counts are whole numbers, zero or more")
    usable = (
        counted & np.isfinite(f_) & np.isfinite(g_) & np.isfinite(r_) & (f_ > 0.0) & (g_ >= 0.0) & (r_ > 0.0)
    )
    whole_n, whole_m = (np.where(counted, counts, 0.0).astype(np.int64) for counts in (n_, m_))
    return Counts(whole_n, whole_m, f_, g_, r_, usable)


def summary_of_rows(rows: FloatArray, shape: tuple[int, ...]) -> PosteriorSummary:
    """Turn rows of (mode, mean, lower, upper) into a summary whose arrays have the given shape."""
    mode, mean, lolim, hilim = (np.ascontiguousarray(rows[:, column]).reshape(shape) for column in range(4))
    return PosteriorSummary(mode, mean, lolim, hilim, np.asarray(lolim == 0.0))
