"""Bins of a light curve that stand out above its median."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def flaring_bins(
    counts: ArrayLike, exposure: ArrayLike, factor: float = 1.2, sigma: float = 3.0
) -> NDArray[np.bool_]:
    """Tell which bins exceed the median rate by a factor and by so many Poisson errors.

    Parameters
    ----------
    counts, exposure
        Counts and exposure (> 0) of each bin, shape (n,).
    factor
        Smallest ratio to the median rate.
    sigma
        Smallest excess in units of the square root of the expected counts.
    """
    n = np.asarray(counts, dtype=float)
    t = np.asarray(exposure, dtype=float)
    expected = np.median(n / t) * t
    return np.asarray((n > factor * expected) & (n - expected > sigma * np.sqrt(np.maximum(expected, 1.0))))
