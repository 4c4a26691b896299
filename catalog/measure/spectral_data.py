"""Spectra made ready for a fit: channels chosen and grouped, responses cut to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from catalog.calibration.redistribution import Redistribution
from catalog.errors import CalibrationError
from catalog.measure.spectral_fold_kernel import fold_sets
from catalog.measure.spectral_model import FitModel

Array = NDArray[np.float64]

_WIDTH = 0.005
"""Width of energy bins over their energy: a tenth of the detector's resolution at 2 keV."""
_SLOPE = -1.7


@dataclass(frozen=True, eq=False)
class FitSpectrum:
    """A spectrum with its response, as measured.

    Attributes
    ----------
    name
        Such as the ObsID.
    counts
        Per channel in the source aperture, shape (n_channel,).
    background
        Per channel in the background region, None without one.
    ratio
        Expected background counts of the background region over those of the source aperture: exposure times
        BACKSCAL of the one over the other.
    exposure
        Live time, s.
    area
        Effective area in cm2 on the energies of `matrix`, with the PSF fraction and the good fraction.
    matrix
        Redistribution.
    grouping
        OGIP GROUPING: 1 begins a group, -1 goes on with it; None for single channels.
    quality
        OGIP QUALITY: channels other than 0 are left out; None for none.
    neighbours
        Counts that neighbours send into the aperture, beyond what the scaled background has of them, shape
        (n_channel,); None for none.
    """

    name: str
    counts: Array
    background: Array | None
    ratio: float
    exposure: float
    area: Array
    matrix: Redistribution
    grouping: NDArray[np.int64] | None = None
    quality: NDArray[np.int64] | None = None
    neighbours: Array | None = None

    def __post_init__(self) -> None:
        channels = self.matrix.channel_lo.size
        if self.counts.shape != (channels,) or (
            self.background is not None and self.background.shape != (channels,)
        ):
            raise CalibrationError(
                f"the spectrum has {self.counts.size} channels, its redistribution {channels}",
                self.name,
                "give the RMF that belongs to the spectrum",
                code="CHANNEL_MISMATCH",
            )
        if self.area.shape != self.matrix.energy_lo.shape:
            raise CalibrationError(
                f"the area has {self.area.size} energies, the redistribution {self.matrix.energy_lo.size}",
                self.name,
                "make both on the same energy grid",
                code="CALIBRATION_GRID",
            )


@dataclass(frozen=True, eq=False)
class FoldedSpectrum:
    """The channels of a spectrum that a fit uses, or groups of them.

    Attributes
    ----------
    name
        As of the spectrum.
    lo, hi
        Energies of each point, keV, shape (n,).
    counts, background
        Counts of each point; `background` None without one.
    ratio, exposure
        As of the spectrum.
    response
        Counts per photon cm-2 s-1 of each energy bin: exposure times area times probability, shape
        (n_energy, n).
    edges
        Energy bins, keV, shape (n_energy + 1,).
    n_channels
        Channels in each point, shape (n,).
    neighbours
        Counts of neighbours in each point, beyond those in the scaled background, shape (n,).
    """

    name: str
    lo: Array
    hi: Array
    counts: Array
    background: Array | None
    ratio: float
    exposure: float
    response: Array = field(repr=False)
    edges: Array = field(repr=False)
    n_channels: NDArray[np.int64] = field(repr=False)
    neighbours: Array = field(repr=False)

    @property
    def net(self) -> Array:
        """Counts less the background's share and the light of neighbours, shape (n,)."""
        off = 0.0 if self.background is None else self.background / self.ratio
        return self.counts - off - self.neighbours

    @property
    def net_counts(self) -> float:
        """Sum of the net counts."""
        return float(self.net.sum())


@dataclass(frozen=True, eq=False)
class FitData:
    """Spectra fitted together: what the model predicts for all of them in one product."""

    spectra: tuple[FoldedSpectrum, ...]
    blocks: tuple[tuple[Array, Array], ...] = field(repr=False)
    """Energy bins and the responses of the spectra that share them, side by side."""

    @property
    def counts(self) -> Array:
        """Counts of all points."""
        return np.concatenate([spectrum.counts for spectrum in self.spectra])

    @property
    def net_counts(self) -> float:
        """Sum over the spectra."""
        return sum(spectrum.net_counts for spectrum in self.spectra)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where each spectrum begins among all points, and the number of points."""
        return np.cumsum([0, *(spectrum.counts.size for spectrum in self.spectra)])

    def predict(self, model: FitModel, values: Array) -> Array:
        """Counts of the source in each point, shape (sets, points)."""
        return np.concatenate(
            [fold_sets(model.photons(edges, values), response) for edges, response in self.blocks], axis=1
        )


def fold(spectrum: FitSpectrum, lo: float, hi: float) -> FoldedSpectrum:
    """Choose the channels from `lo` to `hi` keV, in groups; what lies partly inside is taken whole.

    Raises
    ------
    CalibrationError
        Nothing is left (codes NO_CHANNELS and NO_AREA).
    """
    matrix = spectrum.matrix
    good = np.flatnonzero(
        np.ones(matrix.channel_lo.size) if spectrum.quality is None else spectrum.quality == 0
    )
    first = np.ones(good.size, dtype=bool)
    if spectrum.grouping is not None:
        first = spectrum.grouping[good] != -1
    group = np.cumsum(first)
    inside = (matrix.channel_hi[good] > lo) & (matrix.channel_lo[good] < hi)
    used = np.isin(group, group[inside])
    chosen, group = good[used], group[used]
    if chosen.size == 0:
        raise CalibrationError(
            f"no good channel from {lo:g} to {hi:g} keV",
            spectrum.name,
            f"its channels reach from {matrix.channel_lo.min():.2g} to {matrix.channel_hi.max():.3g} keV",
            code="NO_CHANNELS",
        )
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    ends = np.append(starts[1:], chosen.size) - 1
    energies = np.flatnonzero((spectrum.area > 0) & (matrix.matrix[:, chosen].sum(axis=1) > 0))
    if energies.size == 0:
        raise CalibrationError(
            "no effective area in the band", spectrum.name, "give another ARF", code="NO_AREA"
        )
    span = slice(energies[0], energies[-1] + 1)
    response = matrix.matrix[span, chosen].astype(float) * (spectrum.area[span, None] * spectrum.exposure)
    response = np.add.reduceat(response, starts, axis=1)
    edges = np.append(matrix.energy_lo[span], matrix.energy_hi[energies[-1]])
    edges, response = _widen(edges, response)
    return FoldedSpectrum(
        name=spectrum.name,
        lo=matrix.channel_lo[chosen[starts]],
        hi=matrix.channel_hi[chosen[ends]],
        counts=np.add.reduceat(spectrum.counts[chosen].astype(float), starts),
        background=None
        if spectrum.background is None
        else np.add.reduceat(spectrum.background[chosen].astype(float), starts),
        ratio=spectrum.ratio,
        exposure=spectrum.exposure,
        response=response,
        edges=edges,
        n_channels=ends - starts + 1,
        neighbours=np.zeros(starts.size)
        if spectrum.neighbours is None
        else np.add.reduceat(spectrum.neighbours[chosen], starts),
    )


def _widen(edges: Array, response: Array) -> tuple[Array, Array]:
    """Join energy bins up to a small share of their energy, as if a steep spectrum filled them."""
    width = np.diff(edges)
    middle = 0.5 * (edges[1:] + edges[:-1])
    place = np.cumsum(width / np.maximum(_WIDTH * middle, width))
    starts = np.flatnonzero(np.diff(np.floor(place - 1e-9), prepend=-1.0))
    weight = width * middle**_SLOPE
    total = np.add.reduceat(weight, starts)
    joined = np.add.reduceat(response * weight[:, None], starts, axis=0) / total[:, None]
    return np.append(edges[starts], edges[-1]), np.ascontiguousarray(joined)


def together(spectra: Sequence[FoldedSpectrum]) -> FitData:
    """Put spectra side by side; those with the same energies share the model's evaluation."""
    blocks: list[tuple[Array, Array]] = []
    for spectrum in spectra:
        last = blocks[-1] if blocks else None
        if last is not None and np.array_equal(last[0], spectrum.edges):
            blocks[-1] = (last[0], np.concatenate([last[1], spectrum.response], axis=1))
        else:
            blocks.append((spectrum.edges, spectrum.response))
    return FitData(tuple(spectra), tuple(blocks))


def group_by_counts(spectrum: FoldedSpectrum, counts: Array, least: float) -> FoldedSpectrum:
    """Join points until each has `least` of the counts given; what remains joins the last one."""
    starts = [0]
    total = 0.0
    for place, value in enumerate(counts.tolist()):
        if total >= least:
            starts.append(place)
            total = 0.0
        total += value
    if total < least and len(starts) > 1:
        starts.pop()
    ends = [*starts[1:], counts.size]
    last = np.array(ends) - 1
    return replace(
        spectrum,
        lo=spectrum.lo[starts],
        hi=spectrum.hi[last],
        counts=np.add.reduceat(spectrum.counts, starts),
        background=None if spectrum.background is None else np.add.reduceat(spectrum.background, starts),
        response=np.ascontiguousarray(np.add.reduceat(spectrum.response, starts, axis=1)),
        n_channels=np.add.reduceat(spectrum.n_channels, starts),
        neighbours=np.add.reduceat(spectrum.neighbours, starts),
    )
