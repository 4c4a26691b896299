"""Grouping by signal to noise, from both ends to the middle (the rule of ACIS Extract)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Edges = NDArray[np.int64]

_PRECISION = 0.1


def group_snr(counts: ArrayLike, background: ArrayLike = 0.0, ratio: ArrayLike = 1e20) -> Array:
    """Signal to noise of a group: (S - B/r) over Gehrels' upper errors of both in quadrature.

    Parameters
    ----------
    counts, background
        Counts of source and background region.
    ratio
        Background ratio r; 1e20 for no background.
    """
    s, b, r = (np.asarray(value, dtype=float) for value in (counts, background, ratio))
    error = np.hypot(1 + np.sqrt(s + 0.75), (1 + np.sqrt(b + 0.75)) / r)
    return np.asarray(np.maximum(0.0, s - b / r) / error)


def group_by_snr(
    counts: ArrayLike,
    snr_range: tuple[float, float] = (2.0, 20.0),
    group_range: tuple[int, int] = (2, 50),
) -> tuple[Edges, float]:
    """Group bins so that each group has the same least signal to noise.

    The threshold is the largest in `snr_range` that gives as many groups as `group_range` asks for; where
    none does, its lower end.

    Parameters
    ----------
    counts
        Counts in bins, shape (n,).
    snr_range
        Lowest and highest threshold.
    group_range
        Fewest and most groups.

    Returns
    -------
    edges
        Group i holds the bins edges[i] to edges[i + 1] - 1, shape (groups + 1,).
    threshold
        The signal to noise used.
    """
    n = np.asarray(counts, dtype=np.int64)
    threshold = snr_range[1]
    low: float | None = None
    high: float | None = None
    edges = _groups(n, threshold)
    while high is None or low is None or high - low >= _PRECISION:
        number = edges.size - 1
        if number < group_range[0]:
            high = threshold
        elif number > group_range[1]:
            low = threshold
        else:
            break
        if high is not None and high <= snr_range[0]:
            break
        following = 2 * threshold if high is None else 0.5 * ((low or snr_range[0]) + high)
        if high is not None and low is None and high - snr_range[0] < _PRECISION:
            following = snr_range[0]
        threshold = max(following, snr_range[0])
        edges = _groups(n, threshold)
    return edges, threshold


def _groups(counts: NDArray[np.int64], threshold: float) -> Edges:
    """Groups from both ends; what is left joins the group in the middle."""
    size = counts.size
    filled = np.flatnonzero(counts)
    if filled.size < 2:
        return np.array([0, size], dtype=np.int64)
    # A boundary lies midway between two bins with counts, so that no group ends in a run of empty ones.
    cuts = (filled[:-1] + filled[1:] + 1) // 2
    before = np.cumsum(counts[filled])[:-1]
    total = int(counts.sum())
    left, right, left_counts, right_counts = [0], [size], 0, total
    i, j = 0, cuts.size - 1
    turn = True
    while i <= j:
        if turn:
            while i <= j and group_snr(before[i] - left_counts) < threshold:
                i += 1
            if i <= j:
                left.append(int(cuts[i]))
                left_counts = int(before[i])
                i += 1
        else:
            while i <= j and group_snr(right_counts - before[j]) < threshold:
                j -= 1
            if i <= j:
                right.append(int(cuts[j]))
                right_counts = int(before[j])
                j -= 1
        turn = not turn
    edges = left + right[::-1]
    if len(edges) > 2 and group_snr(right_counts - left_counts) < threshold:
        # The leftover in the middle goes to the group before it, or to the one after where none is before.
        del edges[len(left) - 1 if len(left) > 1 else len(left)]
    return np.array(edges, dtype=np.int64)
