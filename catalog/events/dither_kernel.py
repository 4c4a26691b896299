"""The hot loop of dithered exposure: positions x offsets x chips."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def dithered_fraction(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    offsets: NDArray[np.float64],
    roll: float,
    to_chip: NDArray[np.float64],
    limits: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Share of the dither that positions spend on each chip.

    Parameters
    ----------
    x, y
        Shape (n,), sky pixels minus the mean optical axis.
    offsets
        Shape (m, 3): dx, dy of the optical axis and weight.
    roll
        Radians.
    to_chip
        Shape (k, 3, 3), homographies from DET minus its axis to chip pixels.
    limits
        Shape (4,): lowest and highest CHIPX, lowest and highest CHIPY of the good area.

    Returns
    -------
    ndarray
        Shape (n, k).
    """
    cosine, sine = np.cos(roll), np.sin(roll)
    result = np.zeros((x.size, to_chip.shape[0]))
    for i in range(x.size):
        for j in range(offsets.shape[0]):
            du, dv = x[i] - offsets[j, 0], y[i] - offsets[j, 1]
            u, v = cosine * du - sine * dv, sine * du + cosine * dv
            for k in range(to_chip.shape[0]):
                h = to_chip[k]
                factor = h[2, 0] * u + h[2, 1] * v + h[2, 2]
                chipx = (h[0, 0] * u + h[0, 1] * v + h[0, 2]) / factor
                chipy = (h[1, 0] * u + h[1, 1] * v + h[1, 2]) / factor
                if limits[0] <= chipx <= limits[1] and limits[2] <= chipy <= limits[3]:
                    result[i, k] += offsets[j, 2]
                    break
    return result
