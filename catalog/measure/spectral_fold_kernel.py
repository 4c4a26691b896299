"""Folding of many spectra at once, compiled.

A library's matrix product starts threads of its own, which on a machine whose cores are all taken by worker
processes makes it many times slower.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catalog.stats.compiled import compiled

FloatArray = NDArray[np.float64]


@compiled
def fold_sets(photons: FloatArray, response: FloatArray) -> FloatArray:
    """Sum over energies of photons, shape (sets, n_energy), times response, shape (n_energy, n)."""
    n_sets, n_energy = photons.shape
    n = response.shape[1]
    found = np.zeros((n_sets, n))
    for e in range(n_energy):
        for s in range(n_sets):
            value = photons[s, e]
            for c in range(n):
                found[s, c] += value * response[e, c]
    return found
