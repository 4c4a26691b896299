"""Adaptive smoothing of a light curve with the smallest top-hat that reaches a signal to noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def smooth_adaptively(
    counts: ArrayLike, exposure: ArrayLike, snr: float, largest: int | None = None
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Smooth counts per exposure bin by bin.

    The kernel of a bin reaches `radius` bins to either side, the fewest with rate / error >= snr; for weights
    of 1 that is sqrt(counts) >= snr.

    Parameters
    ----------
    counts, exposure
        Of each bin, shape (n,).
    snr
        Signal to noise wanted.
    largest
        Largest radius; (400 + snr^2) / 2 unless given.

    Returns
    -------
    rate, error
        Shape (n,); NaN where the kernel does not fit or never reaches the signal to noise.
    radius
        Shape (n,); -1 there.
    """
    n = np.concatenate([[0.0], np.cumsum(np.asarray(counts, dtype=float))])
    t = np.concatenate([[0.0], np.cumsum(np.asarray(exposure, dtype=float))])
    size = n.size - 1
    most = int((400 + snr**2) / 2) if largest is None else largest
    middle = np.arange(size)
    fits = np.minimum(np.minimum(middle, size - 1 - middle), most)
    # Counts inside grow with the radius: bisect it for all bins at once.
    low, high = np.full(size, -1), fits + 1
    while (high - low > 1).any():
        radius = (low + high) // 2
        enough = n[np.minimum(middle + radius + 1, size)] - n[np.maximum(middle - radius, 0)] >= snr**2
        active = high - low > 1
        high = np.where(active & enough, radius, high)
        low = np.where(active & ~enough, radius, low)
    found = high <= fits
    radius = np.where(found, high, -1)
    inside = np.where(found, n[np.minimum(middle + high + 1, size)] - n[np.maximum(middle - high, 0)], np.nan)
    live = np.where(found, t[np.minimum(middle + high + 1, size)] - t[np.maximum(middle - high, 0)], np.nan)
    live = np.where(live > 0, live, np.nan)
    return inside / live, np.sqrt(inside) / live, radius
