"""Compiled loop of grouping by signal to noise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from catalog.stats.compiled import compiled

Array = NDArray[np.float64]


@compiled
def signal_to_noise(counts: float, background: float, ratio: float) -> float:
    """(S - B/r) over Gehrels' upper errors of both in quadrature, not below 0."""
    error = math.hypot(1 + math.sqrt(counts + 0.75), (1 + math.sqrt(background + 0.75)) / ratio)
    return max(0.0, counts - background / ratio) / error


@compiled
def ends_from_both_sides(
    before: Array, background: Array, total: tuple[float, float], ratio: float, threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], bool]:
    """Cuts between groups that reach the threshold, taken from the left and from the right in turn.

    Parameters
    ----------
    before, background
        Counts and background counts before each possible cut, shape (n,).
    total
        Both in all.
    ratio, threshold
        Background ratio; signal to noise of a group.

    Returns
    -------
    left, right
        Numbers of the cuts taken, in the order in which they were found.
    leftover
        Whether what lies between the last of them does not reach the threshold.
    """
    left, right = np.empty(before.size, dtype=np.int64), np.empty(before.size, dtype=np.int64)
    n_left, n_right = 0, 0
    s_left, b_left, s_right, b_right = 0.0, 0.0, total[0], total[1]
    i, j = 0, before.size - 1
    turn = True
    while i <= j:
        if turn:
            while i <= j and signal_to_noise(before[i] - s_left, background[i] - b_left, ratio) < threshold:
                i += 1
            if i <= j:
                left[n_left] = i
                n_left += 1
                s_left, b_left = before[i], background[i]
                i += 1
        else:
            while i <= j and signal_to_noise(s_right - before[j], b_right - background[j], ratio) < threshold:
                j -= 1
            if i <= j:
                right[n_right] = j
                n_right += 1
                s_right, b_right = before[j], background[j]
                j -= 1
        turn = not turn
    leftover = signal_to_noise(s_right - s_left, b_right - b_left, ratio) < threshold
    return left[:n_left], right[:n_right], leftover
