"""What the neighbours of a source amount to, as a background region of that source alone.

Of a source in a group (see `overlapping`) the other photons in its aperture, B, are known from all counts
but its own aperture's. Their posterior is matched by that of a single background region: m counts,
m ~ Poisson(g S + r B). With the aperture's own n ~ Poisson(f S + B) this is the measurement of one source, so
that the probability that there is none, detection limits and sums over observations follow as for any other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalog.stats.overlapping import OverlapModel

FloatArray = NDArray[np.float64]

_ROUNDS = 400
_TOLERANCE = 1e-6


class EffectiveBackground(NamedTuple):
    """The background region that stands for a source's background and neighbours.

    Attributes
    ----------
    m
        Its counts, not whole in general.
    g
        Expected counts of the source in it per unit of intensity.
    r
        Expected counts in it per expected other photon in the source's aperture.
    """

    m: float
    g: float
    r: float


def effective_background(
    model: OverlapModel,
    intensities: FloatArray,
    component: int,
    cell: int,
    sources: int = 0,
    systematic: float = 0.0,
) -> EffectiveBackground:
    """Match the other photons in an aperture by one background region.

    Parameters
    ----------
    model
        Counts and response of the group.
    intensities
        Its most likely intensities, see `overlapping.most_likely`.
    component, cell
        The source and its aperture.
    sources
        Number of components, from the first, that are sources; the others are backgrounds.
    systematic
        Relative error of each source's photons in the aperture from the PSF, to be added.

    Notes
    -----
    Mean and variance of B at S = 0 are matched. Its neighbours are followed with all cells that they inform;
    everything else is held at its most likely intensity. Each component's posterior mean is taken one count
    above its mode, as for a gamma distribution with a flat prior.
    """
    from catalog.stats.overlap_sampler import expectation_maximisation

    own = slice(model.starts[cell], model.starts[cell + 1])
    others = model.columns[own][model.columns[own] != component]
    weight = model.values[own][model.columns[own] != component]
    matrix, counts, rest = _local(model, intensities, component, cell, others)
    cells, size = matrix.shape[0], len(others)
    flat = matrix[:, :size]
    rates = flat.sum(axis=0)
    theta = expectation_maximisation(
        counts,
        np.arange(cells + 1, dtype=np.int64) * size,
        np.tile(np.arange(size, dtype=np.int64), cells),
        np.ascontiguousarray(flat).ravel(),
        np.ones(cells * size, dtype=np.bool_),
        rest,
        np.maximum(intensities[others], 0.1 / rates),
        _TOLERANCE,
        _ROUNDS,
    )
    expected = flat @ theta + rest + 1.0
    information = (flat / expected[:, None]).T @ flat
    # A component without counts is known to one count at best.
    information[np.diag_indices(size)] += 1e-9 * rates**2
    covariance = np.linalg.inv(information)
    mean = float(weight @ (theta + 1.0 / rates)) + float(model.offset[cell])
    variance = float(weight @ covariance @ weight)
    variance += float(((systematic * weight * theta)[others < sources] ** 2).sum())
    slope = float(weight @ covariance @ ((flat / expected[:, None]).T @ matrix[:, size]))
    variance = min(variance, mean**2)
    r = mean / variance
    return EffectiveBackground(max(mean * r - 1.0, 0.0), max(slope, 0.0) * r, r)


def _local(
    model: OverlapModel, intensities: FloatArray, component: int, cell: int, others: NDArray[np.int64]
) -> tuple[FloatArray, NDArray[np.int64], FloatArray]:
    """Informing cells of some components: columns of these and the source, counts, and what else is there."""
    place = np.full(model.size, -1)
    place[others] = np.arange(len(others))
    place[component] = len(others)
    rows = np.repeat(np.arange(len(model.counts)), np.diff(model.starts))
    near = model.informs & (place[model.columns] >= 0) & (model.columns != component) & (rows != cell)
    cells = np.unique(rows[near])
    matrix = np.zeros((len(cells), len(others) + 1))
    rest = model.offset[cells].copy()
    for k, i in enumerate(cells):
        part = slice(model.starts[i], model.starts[i + 1])
        columns, values = model.columns[part], model.values[part]
        followed = place[columns] >= 0
        matrix[k, place[columns[followed]]] = values[followed]
        rest[k] += float(values[~followed] @ intensities[columns[~followed]])
    return matrix, model.counts[cells], rest
