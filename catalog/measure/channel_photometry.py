"""Photometry by PI channel: photon fluxes FLUX1 and FLUX2, mean and percentile energies (ACIS Extract).

A channel belongs to a band when its mid-energy lies in it, both ends included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.band import Band
from catalog.measure.energy_flux import ERG_PER_KEV
from catalog.measure.posterior_columns import Columns
from catalog.stats.quantiles import crossing_quantiles

Array = NDArray[np.float64]

SMALLEST_AREA = 1e-10
"""cm2, in place of an area of 0."""
PERCENTILES = (25, 50, 75)


@dataclass(frozen=True, eq=False)
class ChannelSpectra:
    """Spectra of `n` sources in `c` PI channels.

    Attributes
    ----------
    source
        Counts in the source aperture, shape (n, c); of a merge: summed.
    background
        Background counts scaled to the source aperture, shape (n, c); of a merge: each observation scaled by
        its own ratio, then summed.
    area
        Effective area at the channels' mid-energies with the PSF fraction of the aperture in it, cm2, shape
        (n, c); of a merge: weighted by exposure.
    exposure
        s, shape (n,); of a merge: summed.
    """

    source: Array
    background: Array
    area: Array
    exposure: Array


def channel_histogram(energies: Sequence[NDArray[np.float32]], channel_lo: Array) -> Array:
    """Counts per channel of events with energies in keV, shape (len(energies), n_channel)."""
    size = len(channel_lo)
    table = np.zeros((len(energies), size))
    for row, values in zip(table, energies, strict=True):
        place = np.searchsorted(channel_lo, values.astype(float), side="right") - 1
        row += np.bincount(place[(place >= 0) & (place < size)], minlength=size)
    return table


def area_with_psf(area: Array, channel_energy: Array, band_energy: Array, psf_frac: Array) -> Array:
    """Area times the PSF fraction, interpolated in energy between those measured and held beyond.

    Parameters
    ----------
    area
        cm2 at the channels' mid-energies, shape (n, c).
    channel_energy
        Mid-energies, keV, shape (c,).
    band_energy, psf_frac
        Effective energies of the bands (keV), shape (b,), and the PSF fractions there, shape (n, b).
    """
    order = np.argsort(band_energy, kind="stable")
    fractions = np.array(
        [np.interp(channel_energy, band_energy[order], np.nan_to_num(row[order])) for row in psf_frac]
    )
    return np.asarray(area * fractions.reshape(area.shape))


def in_band(band: Band, channel_energy: Array) -> NDArray[np.bool_]:
    """Channels of a band."""
    return np.asarray((channel_energy >= band.lo) & (channel_energy <= band.hi))


def channel_columns(
    spectra: ChannelSpectra, channel_lo: Array, channel_hi: Array, bands: Sequence[Band]
) -> Columns:
    """Columns `mean_arf`, `flux1_aper`, `flux2_aper`, `energ_...`, `energyflux_aper`, shape (n, b).

    Parameters
    ----------
    spectra
        Counts, areas and exposures.
    channel_lo, channel_hi
        Energy limits of the channels, keV, shape (c,).
    bands
        The bands.

    Returns
    -------
    dict
        photon cm-2 s-1, keV, cm2 and erg cm-2 s-1. Fluxes may be negative. NaN: mean and percentile energies
        where net counts (observed) or FLUX1 (incident) are not positive, percentiles also in a band of
        four channels or fewer, fluxes without exposure.
    """
    shape = (len(spectra.exposure), len(bands))
    names = ["mean_arf", "flux1_aper", "flux2_aper", "energ_mean_observed", "energ_mean_incident"]
    names += [f"energ_pct{p}_{kind}" for p in PERCENTILES for kind in ("observed", "incident")]
    columns: Columns = {name: np.full(shape, np.nan) for name in names}
    energy = 0.5 * (channel_lo + channel_hi)
    net = spectra.source - spectra.background
    area = np.where(spectra.area > 0, spectra.area, SMALLEST_AREA)
    for j, band in enumerate(bands):
        chosen = in_band(band, energy)
        if not chosen.any():
            continue
        width = (channel_hi - channel_lo)[chosen]
        mean_area = (np.ascontiguousarray(spectra.area[:, chosen]) * width).sum(axis=1) / width.sum()
        columns["mean_arf"][:, j] = mean_area
        # One memory layout whatever the number of sources, so that sums agree to the last bit.
        observed = np.ascontiguousarray(net[:, chosen])
        incident = observed / np.ascontiguousarray(area[:, chosen])
        with np.errstate(divide="ignore", invalid="ignore"):
            columns["flux1_aper"][:, j] = incident.sum(axis=1) / spectra.exposure
            columns["flux2_aper"][:, j] = observed.sum(axis=1) / (mean_area * spectra.exposure)
        # A single channel, that of the HRC, tells no energies.
        kinds = (("observed", observed), ("incident", incident)) if energy.size > 1 else ()
        for kind, weights in kinds:
            _energies(columns, kind, j, weights, energy[chosen])
    for name in names:
        columns[name][~np.isfinite(columns[name])] = np.nan
    columns["energyflux_aper"] = energy_flux(columns["flux2_aper"], columns["energ_pct50_observed"])
    return columns


def _energies(columns: Columns, kind: str, band: int, weights: Array, energy: Array) -> None:
    index = np.arange(len(energy))
    for i, row in enumerate(weights):
        total = row.sum()
        if not total > 0:
            continue
        columns[f"energ_mean_{kind}"][i, band] = np.interp((row * index).sum() / total, index, energy)
        found = crossing_quantiles(row, energy, [p / 100 for p in PERCENTILES])
        for p, value in zip(PERCENTILES, found, strict=True):
            columns[f"energ_pct{p}_{kind}"][i, band] = value


def energy_flux(photon_flux: ArrayLike, median_energy: ArrayLike) -> Array:
    """ACIS Extract's EnergyFlux, photon flux times median energy: erg cm-2 s-1."""
    return np.asarray(np.asarray(photon_flux) * np.asarray(median_energy) * ERG_PER_KEV)
