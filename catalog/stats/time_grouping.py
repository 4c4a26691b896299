"""Grouping of bins of time or energy by signal to noise, from both ends (the rule of ACIS Extract)."""

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
    background: ArrayLike | None = None,
    ratio: float = 1e20,
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
    background, ratio
        Counts of the background region in the bins, and its ratio r; none unless given.

    Returns
    -------
    edges
        Group i holds the bins edges[i] to edges[i + 1] - 1, shape (groups + 1,).
    threshold
        The signal to noise used.
    """
    threshold = snr_range[1]
    low: float | None = None
    high: float | None = None
    edges = snr_edges(counts, threshold, background, ratio)
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
        edges = snr_edges(counts, threshold, background, ratio)
    return edges, threshold


def snr_edges(
    counts: ArrayLike, threshold: float, background: ArrayLike | None = None, ratio: float = 1e20
) -> Edges:
    """Groups of at least a signal to noise, built from both ends; what is left joins the middle one.

    Parameters are those of `group_by_snr`; a single group where not even all bins together reach it.
    """
    # Compiled code: imported late, so that commands without timing start fast.
    from catalog.stats.time_grouping_kernels import ends_from_both_sides

    n = np.asarray(counts, dtype=float)
    b = np.zeros(n.size) if background is None else np.asarray(background, dtype=float)
    filled = np.flatnonzero(n)
    if filled.size < 2:
        return np.array([0, n.size], dtype=np.int64)
    # A boundary lies midway between two bins with counts, so that no group ends in a run of empty ones.
    cuts = (filled[:-1] + filled[1:] + 1) // 2
    sums = np.stack([np.append(0.0, np.cumsum(n)), np.append(0.0, np.cumsum(b))])
    total = float(sums[0, -1]), float(sums[1, -1])
    before, beside = sums[:, cuts]
    first, last, leftover = ends_from_both_sides(before, beside, total, float(ratio), float(threshold))
    left = [0, *cuts[first].tolist()]
    edges = [*left, *cuts[last][::-1].tolist(), n.size]
    if len(edges) > 2 and leftover:
        # The leftover in the middle goes to the group before it, or to the one after where none is before.
        del edges[len(left) - 1 if len(left) > 1 else len(left)]
    return np.array(edges, dtype=np.int64)
