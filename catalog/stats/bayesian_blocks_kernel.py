"""Compiled loop of Bayesian blocks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from catalog.stats.compiled import compiled


@compiled
def best_blocks(edges: NDArray[np.float64], counts: NDArray[np.float64], prior: float) -> NDArray[np.int64]:
    """Numbers of the edges at which the best division into blocks of constant rate cuts, both ends included.

    Each block of N events in a time T has the fitness N ln(N / T) - prior (Scargle et al. 2013, equation 19).
    The best division of the first cells follows from those of fewer.

    Parameters
    ----------
    edges
        Edges of the cells, ascending, shape (n + 1,).
    counts
        Events in each, shape (n,).
    prior
        What each block costs.
    """
    n = counts.size
    best = np.zeros(n + 1)
    begin = np.zeros(n + 1, dtype=np.int64)
    for stop in range(1, n + 1):
        most, chosen, number = -np.inf, 0, 0.0
        for start in range(stop - 1, -1, -1):
            number += counts[start]
            fitness = best[start] - prior
            if number > 0:
                fitness += number * math.log(number / (edges[stop] - edges[start]))
            # Of divisions equally good, that with the longest last block.
            if fitness >= most:
                most, chosen = fitness, start
        best[stop], begin[stop] = most, chosen
    cuts = np.empty(n + 1, dtype=np.int64)
    place, first = n, n
    cuts[n] = n
    while place > 0:
        place = begin[place]
        first -= 1
        cuts[first] = place
    return cuts[first:]
