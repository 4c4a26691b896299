"""The hot loop of dithered exposure: positions x chips, each a look into an image in chip pixels."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def chip_shares(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    roll: float,
    to_chip: NDArray[np.float64],
    images: NDArray[np.float32],
    pad: int,
) -> NDArray[np.float64]:
    """Values of images of chips at sky positions, linear between pixel centres, 0 outside.

    Parameters
    ----------
    x, y
        Shape (n,), sky pixels minus the mean optical axis.
    roll
        Radians.
    to_chip
        Shape (k, 3, 3), homographies from DET minus its axis to chip pixels.
    images
        Shape (k, rows, columns); element (k, 0, 0) is pixel (1 - pad, 1 - pad).

    Returns
    -------
    ndarray
        Shape (n, k).
    """
    cosine, sine = np.cos(roll), np.sin(roll)
    result = np.zeros((x.size, to_chip.shape[0]))
    rows, columns = images.shape[1], images.shape[2]
    corners = np.empty(4)
    for k in range(to_chip.shape[0]):
        h = to_chip[k]
        if _misses(x, y, cosine, sine, h, (rows, columns), pad):
            continue
        for i in range(x.size):
            u, v = cosine * x[i] - sine * y[i], sine * x[i] + cosine * y[i]
            factor = h[2, 0] * u + h[2, 1] * v + h[2, 2]
            column = (h[0, 0] * u + h[0, 1] * v + h[0, 2]) / factor - 1.0 + pad
            row = (h[1, 0] * u + h[1, 1] * v + h[1, 2]) / factor - 1.0 + pad
            # Written so that a NaN position fails too.
            if not (column > -1.0 and row > -1.0 and column < columns and row < rows):
                continue
            left, low = int(np.floor(column)), int(np.floor(row))
            p, q = column - left, row - low
            if left >= 0 and low >= 0 and left + 1 < columns and low + 1 < rows:
                corners[0], corners[1] = images[k, low, left], images[k, low, left + 1]
                corners[2], corners[3] = images[k, low + 1, left], images[k, low + 1, left + 1]
            else:
                corners[:] = 0.0
                for j in range(4):
                    r, c = low + j // 2, left + j % 2
                    if r >= 0 and c >= 0 and r < rows and c < columns:
                        corners[j] = images[k, r, c]
            # Differences, so that between equal pixels the value is exactly theirs.
            lower = corners[0] + p * (corners[1] - corners[0])
            upper = corners[2] + p * (corners[3] - corners[2])
            result[i, k] = lower + q * (upper - lower)
    return result


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _misses(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    cosine: float,
    sine: float,
    h: NDArray[np.float64],
    size: tuple[int, int],
    pad: int,
) -> bool:
    """Whether the rectangle about all positions certainly lies beside the image of a chip."""
    x_lo, x_hi, y_lo, y_hi = np.inf, -np.inf, np.inf, -np.inf
    for i in range(x.size):
        x_lo, x_hi = min(x_lo, x[i]), max(x_hi, x[i])
        y_lo, y_hi = min(y_lo, y[i]), max(y_hi, y[i])
    left, right, below, above = 0, 0, 0, 0
    for corner in range(4):
        a = x_lo if corner % 2 == 0 else x_hi
        b = y_lo if corner // 2 == 0 else y_hi
        u, v = cosine * a - sine * b, sine * a + cosine * b
        factor = h[2, 0] * u + h[2, 1] * v + h[2, 2]
        if not factor > 0.0:
            return False
        column = (h[0, 0] * u + h[0, 1] * v + h[0, 2]) / factor - 1.0 + pad
        row = (h[1, 0] * u + h[1, 1] * v + h[1, 2]) / factor - 1.0 + pad
        # A pixel more than the limit, since corners and positions are rounded apart.
        left += column < -2.0
        right += column > size[1] + 1.0
        below += row < -2.0
        above += row > size[0] + 1.0
    # A straight line stays one: with all corners beyond an edge, all between them are.
    return max(left, right, below, above) == 4


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def deposit(
    columns: NDArray[np.float64], rows: NDArray[np.float64], weight: float, half: int
) -> NDArray[np.float64]:
    """Points on a grid of (2 half + 1)^2 cells about 0, each spread linearly over the four nearest cells."""
    grid = np.zeros((2 * half + 1, 2 * half + 1))
    for i in range(columns.size):
        left, low = int(np.floor(columns[i])), int(np.floor(rows[i]))
        p, q = columns[i] - left, rows[i] - low
        grid[low + half, left + half] += weight * (1.0 - q) * (1.0 - p)
        grid[low + half, left + 1 + half] += weight * (1.0 - q) * p
        grid[low + 1 + half, left + half] += weight * q * (1.0 - p)
        grid[low + 1 + half, left + 1 + half] += weight * q * p
    return grid
