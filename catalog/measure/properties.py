"""What the two reference systems print besides the posterior, of extractions on one chip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.band import Band
from catalog.calibration.models import SpectralModel, model_conversion
from catalog.calibration.provider import Calibration
from catalog.measure.channel_photometry import (
    ChannelSpectra,
    area_with_psf,
    channel_columns,
    channel_histogram,
)
from catalog.measure.energy_flux import ERG_PER_KEV
from catalog.measure.posterior_columns import Columns
from catalog.stats.aperture_posterior import summarise
from catalog.stats.aprates import aprates_interval
from catalog.stats.gehrels import net_counts_sigma

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ChipGroup:
    """Extractions on one chip of one observation, `n` sources in `b` bands.

    Attributes
    ----------
    chip_id, decimal_year
        Chip and date.
    theta, phi, livetime
        Arcmin, degrees and s, shape (n,).
    energy_aper, energy_aperbkg
        Energies of the events in the regions (keV), one array per source.
    psf_frac_aper, psf_good_frac_aper, bkg_ratio
        As in `measurement`, shape (n, b), NaN where there is none.
    """

    chip_id: int
    decimal_year: float
    theta: Array
    phi: Array
    livetime: Array
    energy_aper: Sequence[NDArray[np.float32]]
    energy_aperbkg: Sequence[NDArray[np.float32]]
    psf_frac_aper: Array
    psf_good_frac_aper: Array
    bkg_ratio: Array


@dataclass(frozen=True, eq=False)
class ChipSpectra:
    """Spectra of the extractions of a `ChipGroup` with their areas.

    Attributes
    ----------
    source, background
        Counts per channel, not scaled, shape (n, c).
    area
        cm2 at the channels' mid-energies with PSF fraction and time on good pixels in it, shape (n, c).
    bare_area
        The same without either.
    channel_lo, channel_hi
        keV, shape (c,).
    """

    source: Array
    background: Array
    area: Array
    bare_area: Array
    channel_lo: Array
    channel_hi: Array


def chip_spectra(group: ChipGroup, calibration: Calibration, bands: Sequence[Band]) -> ChipSpectra:
    """Histogram the events and give each channel its area; `bands` as in the group's arrays."""
    matrix = calibration.redistribution(group.chip_id)
    effective = np.array([band.eff for band in bands])
    # A single channel, that of the HRC, tells no energies: the area is that at the band's effective one.
    energy = matrix.channel_energy if matrix.channel_lo.size > 1 else effective[:1]
    bare = calibration.area(group.chip_id, group.decimal_year, group.theta, group.phi, energy)
    good = np.nan_to_num(group.psf_good_frac_aper).mean(axis=1)
    area = area_with_psf(bare, energy, effective, group.psf_frac_aper) * good[:, None]
    return ChipSpectra(
        channel_histogram(group.energy_aper, matrix.channel_lo),
        channel_histogram(group.energy_aperbkg, matrix.channel_lo),
        area,
        bare,
        matrix.channel_lo,
        matrix.channel_hi,
    )


def band_spectra(spectra: ChipSpectra, ratio: Array, livetime: Array) -> ChannelSpectra:
    """Spectra with the background scaled by a band's ratio, shape (n,); none where it is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(ratio > 0, 1 / ratio, 0.0)
    return ChannelSpectra(spectra.source, spectra.background * scale[:, None], spectra.area, livetime)


def channel_properties(
    spectra: ChipSpectra, group: ChipGroup, bands: Sequence[Band], with_area: bool
) -> Columns:
    """Columns of `channel_columns`, each band with its own background ratio, shape (n, b)."""
    parts = []
    for j, band in enumerate(bands):
        own = band_spectra(spectra, group.bkg_ratio[:, j], group.livetime)
        found = channel_columns(own, spectra.channel_lo, spectra.channel_hi, [band])
        missing = ~np.isfinite(group.bkg_ratio[:, j])
        parts.append({name: np.where(missing, np.nan, values[:, 0]) for name, values in found.items()})
    columns = {name: np.stack([part[name] for part in parts], axis=1) for name in parts[0]}
    if not with_area:
        kept = {"energ_mean_observed", *(f"energ_pct{p}_observed" for p in (25, 50, 75))}
        return {n: v if n in kept else np.full(v.shape, np.nan) for n, v in columns.items()}
    return columns


def net_counts(n: Array, m: Array, ratio: Array) -> Columns:
    """Net counts with Gehrels errors, NaN without a background ratio."""
    sigma = net_counts_sigma(n, m, ratio)
    with np.errstate(divide="ignore", invalid="ignore"):
        net = n - m / ratio
    return {"net_cnts": net, "net_cnts_sigma_up": sigma.up, "net_cnts_sigma_low": sigma.low}


def raw_event_flux(
    energies: Sequence[NDArray[np.float32]], spectra: ChipSpectra, livetime: Array, bands: Sequence[Band]
) -> Array:
    """Sum of E / (area(E) x live time) over the events of each band, erg cm-2 s-1, shape (n, b).

    No redistribution: the area is taken at the event's energy, as srcflux does. NaN for the HRC, which
    measures no energies.
    """
    centre = 0.5 * (spectra.channel_lo + spectra.channel_hi)
    table = np.full((len(energies), len(bands)), np.nan)
    if centre.size == 1:
        return table
    for i, values in enumerate(energies):
        own = values.astype(float)
        area = np.interp(own, centre, spectra.bare_area[i])
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(area > 0, own * ERG_PER_KEV / area, 0.0)
        for j, band in enumerate(bands):
            if livetime[i] > 0:
                table[i, j] = terms[(own >= band.lo) & (own < band.hi)].sum() / livetime[i]
    return table


def model_conversions(
    calibration: Calibration, group: ChipGroup, model: SpectralModel, nh: Array, bands: Sequence[Band]
) -> Columns:
    """Columns `model_nh`, `mflux_conversion`, `umflux_conversion`, shape (n, b).

    Parameters
    ----------
    calibration, group
        Areas and where the sources are.
    model
        The model; its nH is replaced by those of the sources.
    nh
        1e22 cm-2, shape (n,).
    bands
        The bands.
    """
    matrix = calibration.redistribution(group.chip_id)
    curve = calibration.area_curve(group.chip_id, group.decimal_year, group.theta, group.phi)
    shape = (len(nh), len(bands))
    columns: Columns = {name: np.full(shape, np.nan) for name in ("mflux_conversion", "umflux_conversion")}
    for value in np.unique(nh):
        chosen = nh == value
        own = SpectralModel(model.kind, model.parameter, float(value), model.absorber, model.abundances)
        for j, band in enumerate(bands):
            found = model_conversion(matrix, curve[chosen], own, band.lo, band.hi)
            columns["mflux_conversion"][chosen, j] = found.absorbed
            columns["umflux_conversion"][chosen, j] = found.unabsorbed
    columns["model_nh"] = np.repeat(nh[:, None] * 1e22, len(bands), axis=1)
    return columns


def model_fluxes(columns: Columns, rate: Array, rate_lolim: Array, rate_hilim: Array) -> Columns:
    """Model fluxes with intervals: the net rate times the conversions."""
    found: Columns = {}
    for name in ("mflux", "umflux"):
        for end, value in (("", rate), ("_lolim", rate_lolim), ("_hilim", rate_hilim)):
            found[f"{name}_aper{end}"] = value * columns[f"{name}_conversion"]
    return found


def aprates_columns(
    n: Array, m: Array, f: Array, g: Array, r: Array, time: Array, confidence: float
) -> Columns:
    """Columns `src_rate_aprates` with its ends: f and g in counts, `time` in s, shape (n, b)."""
    posterior = summarise(n, m, f, g, r, confidence)
    found = aprates_interval(posterior, n, m, f, g, r, confidence)
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = np.where(time > 0, 1 / time, np.nan)
    return {
        "src_rate_aprates": found.value * unit,
        "src_rate_aprates_lolim": found.lolim * unit,
        "src_rate_aprates_hilim": found.hilim * unit,
    }
