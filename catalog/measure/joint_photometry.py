"""Joint photometry: the sources of a group from all their counts together, one band at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from catalog.measure.posterior_columns import Columns
from catalog.measure.shared_light import Crowd, SharedLight
from catalog.stats.effective_background import effective_background
from catalog.stats.overlapping import OverlapModel, most_likely, overlap_model, overlap_posterior
from catalog.stats.posterior_summary import PosteriorSummary

Array = NDArray[np.float64]

STRONG = 0.01
"""Light of a neighbour, in counts of the source, from which on it is listed."""
NEGLIGIBLE = 0.02
"""Photons of a neighbour in an aperture, in units of sqrt(counts + 1), whose error is left out below."""


@dataclass(frozen=True, eq=False)
class NeighbourCounts:
    """Expected counts of single neighbours.

    Attributes
    ----------
    pairs
        Rows (i, j): counts of j in the regions of i, shape (n_pair, 2).
    aperture, background
        Expected counts in aperture and background region of i, shape (n_pair, b).
    """

    pairs: NDArray[np.intp]
    aperture: Array
    background: Array

    def strongest(self, counts: NDArray[np.int64], ratio: Array) -> NDArray[np.bool_]:
        """Where a neighbour sends more than 1 % of the counts of i into aperture or scaled background.

        Parameters
        ----------
        counts, ratio
            Counts in apertures and ratio of backgrounds, shape (n, b).

        Returns
        -------
        ndarray
            Shape (n_pair, b).
        """
        i = self.pairs[:, 0]
        light = np.maximum(self.aperture, self.background / ratio[i])
        return np.asarray(light > STRONG * np.maximum(counts[i], 1))


@dataclass(frozen=True, eq=False)
class JointResult:
    """What joint photometry gives for the members of groups; NaN for all others.

    Attributes
    ----------
    posterior, narrow
        Of the source's photons (whole PSF), at the recipe's confidence and at 68.27 %, shape (n, b).
    m, g, r
        The effective background, see `stats.effective_background`, shape (n, b).
    contamination_aper, contamination_aperbkg
        Expected counts of neighbours in aperture and background region, shape (n, b).
    member
        Whether measured jointly, shape (n,).
    size
        Number of members of the group, shape (n,); 1 for a source alone.
    neighbours
        The same expected counts neighbour by neighbour.
    """

    posterior: PosteriorSummary
    narrow: PosteriorSummary
    m: Array
    g: Array
    r: Array
    contamination_aper: Array
    contamination_aperbkg: Array
    member: NDArray[np.bool_]
    size: NDArray[np.int64]
    neighbours: NeighbourCounts

    def take(self, rows: NDArray[np.intp]) -> JointResult:
        """The result for other rows; -1 stands for a source measured alone."""
        found = rows >= 0

        def table(values: NDArray[Any]) -> NDArray[Any]:
            taken = values[rows]
            taken[~found] = False if values.dtype == bool else np.nan
            return taken

        member = self.member[rows] & found
        return JointResult(
            PosteriorSummary(*(table(values) for values in self.posterior)),
            PosteriorSummary(*(table(values) for values in self.narrow)),
            table(self.m),
            table(self.g),
            table(self.r),
            table(self.contamination_aper),
            table(self.contamination_aperbkg),
            member,
            np.where(member, self.size[rows], 1),
            self.neighbours,
        )


def joint_columns(joint: JointResult | None, usable: NDArray[np.bool_]) -> Columns:
    """Columns of `measurement` that neighbours fill, shape (n, b).

    Parameters
    ----------
    joint
        Its result; None where every source is measured alone.
    usable
        Where there is a measurement, shape (n, b).
    """
    names = {
        "contam_cnts_aper": "contamination_aper",
        "contam_cnts_aperbkg": "contamination_aperbkg",
        "joint_cnts_aperbkg": "m",
        "joint_psf_frac_aperbkg": "g",
        "joint_bkg_ratio": "r",
    }
    size = np.full(usable.shape, None, dtype=object)
    size[usable] = 1
    if joint is None:
        return {"n_joint": size, **{name: np.full(usable.shape, np.nan) for name in names}}
    together = usable & joint.member[:, None]
    size[together] = np.broadcast_to(joint.size[:, None], usable.shape)[together]
    # Contamination is known, too, of what is not measured together.
    columns: Columns = {
        name: np.where(usable if name.startswith("contam") else together, getattr(joint, kept), np.nan)
        for name, kept in names.items()
    }
    return columns | {"n_joint": size}


def joint_photometry(
    crowd: Crowd,
    light: SharedLight,
    groups: list[NDArray[np.intp]],
    confidences: tuple[float, float],
    seed: int,
    systematic: float,
) -> JointResult:
    """Measure groups.

    Parameters
    ----------
    crowd, light
        Extractions and what neighbours send into their regions.
    groups
        Members of each group, rows of the crowd.
    confidences
        Of `posterior` and `narrow`.
    seed
        Seed of the random numbers; each group and band has a stream of its own.
    systematic
        Relative error of a neighbour's photons in an aperture.
    """
    shape = crowd.n.shape
    values = {name: np.full(shape, np.nan) for name in ("m", "g", "r", "near", "beside")}
    photons = np.zeros(shape)
    summaries = [np.full((*shape, 4), np.nan) for _ in confidences]
    member = np.zeros(shape[0], dtype=bool)
    size = np.ones(shape[0], dtype=np.int64)
    for group in groups:
        member[group], size[group] = True, len(group)
        for band in range(shape[1]):
            model, near = _model(crowd, light, group, band)
            best = most_likely(model)
            count = len(group)
            photons[group, band] = best[:count]
            values["near"][group, band] = near[:count] @ best[:count]
            values["beside"][group, band] = near[count:] @ best[:count]
            model = _with_offset(model, best, count)
            draws = overlap_posterior(model, (seed, band))
            for table, confidence in zip(summaries, confidences, strict=True):
                found = draws.summary(np.arange(count), confidence)
                table[group, band] = np.column_stack(found[:4])
            for k, i in enumerate(group):
                effective = effective_background(model, best, k, k, count, systematic)
                for name, value in effective._asdict().items():
                    values[name][i, band] = value
    return JointResult(
        _summary(summaries[0]),
        _summary(summaries[1]),
        values["m"],
        values["g"],
        values["r"],
        values["near"],
        values["beside"],
        member,
        size,
        _by_neighbour(light, photons),
    )


def contamination(crowd: Crowd, light: SharedLight) -> JointResult:
    """Neighbours' light where every source is measured alone: their photons are those each was measured with.

    Parameters
    ----------
    crowd, light
        Extractions and what neighbours send into their regions.
    """
    shape = crowd.n.shape
    photons = np.maximum(crowd.n - crowd.m / crowd.r, 0.0) / crowd.f
    nothing = np.full(shape, np.nan)
    empty = PosteriorSummary(nothing, nothing, nothing, nothing, np.zeros(shape, dtype=bool))
    neighbours = _by_neighbour(light, photons)
    near, beside = np.zeros(shape), np.zeros(shape)
    np.add.at(near, light.pairs[:, 0], neighbours.aperture)
    np.add.at(beside, light.pairs[:, 0], neighbours.background)
    member, size = np.zeros(shape[0], dtype=bool), np.ones(shape[0], dtype=np.int64)
    return JointResult(empty, empty, nothing, nothing, nothing, near, beside, member, size, neighbours)


def _by_neighbour(light: SharedLight, photons: Array) -> NeighbourCounts:
    sent = photons[light.pairs[:, 1]]
    return NeighbourCounts(light.pairs, light.aperture * sent, light.background * sent)


def _summary(table: Array) -> PosteriorSummary:
    mode, mean, lolim, hilim = (table[..., k] for k in range(4))
    return PosteriorSummary(mode, mean, lolim, hilim, lolim == 0.0)


def _model(
    crowd: Crowd, light: SharedLight, group: NDArray[np.intp], band: int
) -> tuple[OverlapModel, csr_array]:
    """Cells: apertures, then backgrounds; components: sources, then backgrounds. And neighbours' part of F.

    A neighbour's wing in a background is taken off but does not inform the neighbour: backgrounds of a group
    overlap, and its photons there would count several times.
    """
    count = len(group)
    place = np.full(len(crowd.x), -1)
    place[group] = np.arange(count)
    inside = place[light.pairs[:, 0]] >= 0
    i, j = place[light.pairs[inside]].T
    k = np.arange(count)
    neighbours = csr_array(
        (
            np.concatenate([light.aperture[inside, band], light.background[inside, band]]),
            (np.concatenate([i, i + count]), np.concatenate([j, j])),
        ),
        shape=(2 * count, 2 * count),
    )
    own = csr_array(
        (
            np.concatenate(
                [crowd.f[group, band], np.ones(count), crowd.g[group, band], crowd.r[group, band]]
            ),
            (np.concatenate([k, k, k + count, k + count]), np.concatenate([k, k + count, k, k + count])),
        ),
        shape=(2 * count, 2 * count),
    )
    total = (own + neighbours).tocsr()
    total.sort_indices()
    rows = np.repeat(np.arange(2 * count), np.diff(total.indptr))
    informs = (rows < count) | (total.indices == rows) | (total.indices == rows - count)
    counts = np.concatenate([crowd.n[group, band], crowd.m[group, band]])
    return overlap_model(counts, total, informs=informs), neighbours[:, :count].tocsr()


def _with_offset(model: OverlapModel, best: Array, count: int) -> OverlapModel:
    """The model with all that is small of neighbours held at its most likely value.

    That is their wings in backgrounds, and in an aperture what is small against its noise.
    """
    rows = np.repeat(np.arange(len(model.counts)), np.diff(model.starts))
    part = model.values * best[model.columns]
    own = (model.columns == rows) | (model.columns == rows - count) | (model.columns == rows + count)
    kept = own | (model.informs & (part > NEGLIGIBLE * np.sqrt(model.counts[rows] + 1.0)))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=len(model.counts)))])
    offset = model.offset + np.bincount(rows[~kept], part[~kept], len(model.counts))
    return OverlapModel(
        model.counts,
        starts.astype(np.int64),
        model.columns[kept],
        model.values[kept],
        np.ones(int(kept.sum()), dtype=np.bool_),
        offset,
        model.size,
    )
