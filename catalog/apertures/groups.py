"""Groups of sources that must be measured together, by overlap of their influence.

Source j influences source i where the photons of j that fall into i's aperture, or into i's background per
aperture, are not small against the noise of i's counts. Influence is judged from counts and from encircled
fractions alone, so it is known before any image of the PSF is made, and does not depend on the order of the
sources.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

Array = NDArray[np.float64]
Pairs = NDArray[np.intp]

THRESHOLD = 0.05
"""Photons of a neighbour, in units of sqrt(counts + 1), from which on it influences a source."""


@dataclass(frozen=True, eq=False)
class Influence:
    """Who influences whom.

    Attributes
    ----------
    pairs
        Rows (i, j): source j shines into aperture or background of i; ascending, shape (n_pair, 2).
    group
        Number of the group of each source, shape (n,); groups are numbered by their first member.
    """

    pairs: Pairs
    group: NDArray[np.intp]

    def members(self) -> list[NDArray[np.intp]]:
        """Members of every group with more than one, ascending."""
        order = np.argsort(self.group, kind="stable")
        bounds = np.flatnonzero(np.diff(self.group[order])) + 1
        return [part for part in np.split(order, bounds) if len(part) > 1]


def candidate_pairs(x: Array, y: Array, radius: Array, reach: float) -> Pairs:
    """Ordered pairs (i, j) closer than `reach` aperture radii of the larger, both directions, ascending.

    Parameters
    ----------
    x, y, radius
        Positions and aperture radii, in one unit, finite, shape (n,).
    reach
        Factor.
    """
    tree = KDTree(np.column_stack([x, y]))
    found = tree.query_ball_point(np.column_stack([x, y]), reach * radius, return_sorted=True)
    first = np.repeat(np.arange(len(x)), [len(item) for item in found])
    second = np.concatenate([np.asarray(item, dtype=np.intp) for item in found]) if len(x) else first
    both = np.concatenate([np.column_stack([first, second]), np.column_stack([second, first])])
    return np.unique(both[both[:, 0] != both[:, 1]], axis=0).astype(np.intp)


def influence(
    n: int, pairs: Pairs, shared: NDArray[np.bool_], photons: Array, counts: NDArray[np.int64]
) -> Influence:
    """Select the pairs that matter and join what they connect.

    Parameters
    ----------
    n
        Number of sources.
    pairs
        Candidates (i, j), shape (n_pair, 2).
    shared
        Whether the apertures of a pair touch: these always matter.
    photons
        Estimated photons of j in the aperture of i, per band, shape (n_pair, n_band).
    counts
        Counts in the apertures, shape (n, n_band).
    """
    matters = shared | (photons > THRESHOLD * np.sqrt(counts[pairs[:, 0]] + 1.0)).any(axis=1)
    kept = pairs[matters]
    graph = csr_array((np.ones(len(kept)), (kept[:, 0], kept[:, 1])), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    first = np.full(labels.max() + 1 if n else 0, n)
    np.minimum.at(first, labels, np.arange(n))
    return Influence(kept, first[labels])
