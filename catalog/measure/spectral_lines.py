"""Continuous lines through few vertices: what stands for a spectrum whose form is not modelled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_ALONE = 1e30
_LEAST = 1e-6


@dataclass(frozen=True, eq=False)
class Lines:
    """A piecewise linear spectrum.

    Attributes
    ----------
    left
        Vertex to the left of each point, shape (n,).
    share
        Share of the one to the right, shape (n,).
    width
        Channels in each point, shape (n,).
    start
        Most likely vertices for the counts alone, in counts per channel.
    """

    left: NDArray[np.int64]
    share: Array
    width: Array
    start: Array

    @property
    def level(self) -> Array:
        """Counts of each point, shape (n,)."""
        from catalog.measure.spectral_background_kernels import linear_level

        return np.asarray(linear_level(self.start, self.left, self.share, self.width))

    @cached_property
    def hats(self) -> Array:
        """Counts of each point for one count per channel at each vertex, shape (vertices, n)."""
        found = np.zeros((self.start.size, self.left.size))
        points = np.arange(self.left.size)
        found[self.left, points] = self.width * (1.0 - self.share)
        found[self.left + 1, points] = self.width * self.share
        return found


def lines_through(
    counts: Array, energy: Array, ends: tuple[float, float], width: Array, per_vertex: float, most: int
) -> Lines | None:
    """The most likely line with vertices at quantiles of the counts; None without counts.

    Parameters
    ----------
    counts, energy, width
        Counts, middle (keV) and number of channels of each point, shape (n,).
    ends
        Energies of the first and the last vertex.
    per_vertex, most
        Counts for each further vertex, and vertices at most.
    """
    # Compiled code: imported late, so that planning spectra takes no time.
    from catalog.measure.spectral_background_kernels import linear_background

    total = float(counts.sum())
    if not total > 0:
        return None
    n_inner = int(np.clip(total // per_vertex, 0, most - 2))
    passed = np.cumsum(counts)
    inner = [energy[int(np.searchsorted(passed, total * (k + 1) / (n_inner + 1)))] for k in range(n_inner)]
    places = np.unique(np.array([ends[0], *inner, ends[1]]))
    left = np.clip(np.searchsorted(places, energy, side="right") - 1, 0, places.size - 2).astype(np.int64)
    share = (energy - places[left]) / (places[left + 1] - places[left])
    even = np.full(places.size, total / width.sum())
    nothing = np.zeros(counts.size)
    _, start = linear_background(nothing[None], nothing, counts, _ALONE, left, share, width, even)
    return Lines(left, share, width, np.maximum(start[0], _LEAST * even))


def smooth_line(counts: Array, energy: Array, per_vertex: float, most: int) -> Array:
    """Counts of channels with energies (keV) as a line, shape (n,); 0 without counts."""
    if counts.size < 2:
        return counts
    ends = (float(energy[0]), float(energy[-1]))
    found = lines_through(counts, energy, ends, np.ones(counts.size), per_vertex, most)
    return np.zeros(counts.size) if found is None else found.level
