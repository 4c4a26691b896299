"""Which observations of a source to merge, by purpose: ACIS Extract's pruning and greedy rules.

An observation whose aperture overlaps a neighbour's too much is left out first. For the question whether
there is a source (validity), and for its position, observations are then added one by one as long as they
help. Photometry uses all that are left: dropping data for how they turned out would bias fluxes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.stats.no_source import log10_prob_no_source

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

OVERLAP_LIMIT = 0.10
OVERLAP_STRETCH = 1.2
SKY_PIXEL = 0.492
"""arcsec."""


def prune_overlap(overlap: ArrayLike, limit: float = OVERLAP_LIMIT) -> Bools:
    """Keep observations with overlap < limit; if none, those with overlap < 1.2 x the smallest.

    Parameters
    ----------
    overlap
        Share of the aperture's area inside the nearest neighbour's aperture, shape (k,).
    limit
        Largest overlap, exclusive.

    Returns
    -------
    ndarray
        Shape (k,), True for those kept; at least one where k > 0.
    """
    values = np.asarray(overlap, dtype=float)
    kept = values < limit
    if values.size and not kept.any():
        kept = values < OVERLAP_STRETCH * values.min()
        if not kept.any():
            kept = values <= values.min()
    return np.asarray(kept)


def merged_log10_prob_no_source(n: ArrayLike, m: ArrayLike, ratio: ArrayLike) -> float:
    """log10 PROB_NO_SOURCE of summed counts, the ratio being BKG / sum of scaled backgrounds.

    Parameters
    ----------
    n, m, ratio
        Counts and background ratio of each observation, shape (k,).
    """
    counts, background = np.asarray(n, dtype=float), np.asarray(m, dtype=float)
    scaled = (background / np.asarray(ratio, dtype=float)).sum()
    common = background.sum() / scaled if scaled > 0 else float(np.asarray(ratio, dtype=float).mean())
    return float(log10_prob_no_source(counts.sum(), background.sum(), common))


def select_for_validity(n: ArrayLike, m: ArrayLike, ratio: ArrayLike, least_counts: int) -> Bools:
    """Observations that together speak most clearly for a source (MERGE_FOR_PB).

    Starting with the smallest PROB_NO_SOURCE, the others are proposed once each in ascending order; one is
    taken if the counts so far are fewer than `least_counts`, or the probability falls, or it is 0.

    Parameters
    ----------
    n, m, ratio
        Counts and background ratio of each observation, shape (k,).
    least_counts
        Counts in the source aperture below which every observation is taken.

    Notes
    -----
    Chosen to minimise the probability, the selection biases it low and counts high: no photometry from it.
    """
    n_, m_, ratio_ = (np.asarray(values, dtype=float) for values in (n, m, ratio))
    single = [
        merged_log10_prob_no_source(n_[i : i + 1], m_[i : i + 1], ratio_[i : i + 1]) for i in range(n_.size)
    ]

    def together(members: Sequence[int]) -> float:
        return merged_log10_prob_no_source(n_[members], m_[members], ratio_[members])

    def enough(members: Sequence[int]) -> bool:
        return float(n_[members].sum()) >= least_counts

    return _greedy(single, together, enough)


def position_error(n: ArrayLike, net: ArrayLike, psf_variance: ArrayLike, flat_variance: ArrayLike) -> float:
    """Distance r.m.s. error of the mean position of the merged events, arcsec.

    The variance of the events is the mean of those of the PSF (weight: net counts) and of a flat background
    (weight: the rest), both clipped by the aperture; the error follows for the mean of all events.

    Parameters
    ----------
    n, net
        Counts and net counts in the aperture of each observation, shape (k,).
    psf_variance, flat_variance
        Variances in x and y, sky pixels squared, shape (k, 2).

    Returns
    -------
    float
        NaN without counts or with a variance that is not positive.
    """
    counts = np.asarray(n, dtype=float)
    of_source = np.maximum(np.asarray(net, dtype=float), 0.0)
    rest = np.maximum(counts - of_source, 0.0)
    weight = of_source.sum() + rest.sum()
    if weight <= 0:
        return float("nan")
    variance = (of_source @ np.asarray(psf_variance) + rest @ np.asarray(flat_variance)) / weight
    if np.any(~(variance > 0)):
        return float("nan")
    return float(SKY_PIXEL * np.sqrt((variance / counts.sum()).sum()))


def select_for_position(
    n: ArrayLike, net: ArrayLike, psf_variance: ArrayLike, flat_variance: ArrayLike
) -> Bools:
    """Observations that together give the smallest position error (MERGE_FOR_POSITION).

    Greedy as `select_for_validity`, without a least number of counts; observations without an error of their
    own are never proposed. Parameters as in `position_error`.
    """
    n_, net_ = np.asarray(n, dtype=float), np.asarray(net, dtype=float)
    psf, flat = np.asarray(psf_variance, dtype=float), np.asarray(flat_variance, dtype=float)

    def together(members: Sequence[int]) -> float:
        return position_error(n_[members], net_[members], psf[members], flat[members])

    return _greedy([together([i]) for i in range(n_.size)], together, lambda _members: True)


def _greedy(
    single: Sequence[float], together: Callable[[list[int]], float], enough: Callable[[list[int]], bool]
) -> Bools:
    chosen = np.zeros(len(single), dtype=bool)
    order = [int(i) for i in np.argsort(single, kind="stable") if np.isfinite(single[int(i)])]
    if not order:
        return chosen
    members = [order[0]]
    best = single[order[0]]
    for i in order[1:]:
        value = together([*members, i])
        if not enough(members) or value < best:
            members.append(i)
            best = min(best, value)
    chosen[members] = True
    return chosen
