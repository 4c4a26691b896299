"""Photometry: from counts, areas and responses to rates, fluxes, significances and limits, vectorised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from catalog.band import Band
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.flags import Flag
from catalog.measure.band_response import BandResponse
from catalog.measure.energy_flux import conversion, event_fluence
from catalog.measure.joint_photometry import JointResult, joint_columns
from catalog.measure.posterior_columns import (
    Columns,
    posterior_columns,
    significance,
)
from catalog.stats.aperture_posterior import summarise
from catalog.stats.detection_limit import detection_limit
from catalog.stats.gehrels import snr_gehrels
from catalog.stats.no_source import log10_prob_no_source
from catalog.stats.posterior_summary import PosteriorSummary

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
CSC_CONFIDENCE = 0.6827
"""Confidence of the interval behind `flux_significance`."""


@dataclass(frozen=True, eq=False)
class Counted:
    """Extractions on one chip, `n` sources in `b` bands, as the database holds them.

    Attributes
    ----------
    n, m
        Counts in source aperture and background region, shape (n, b).
    psf_frac_aper, psf_frac_aperbkg, psf_good_frac_aper, psf_good_frac_aperbkg
        PSF fractions and PSF-weighted fractions of time on good pixels, shape (n, b).
    area_aper, area_aperbkg, good_frac_area_aper, good_frac_area_aperbkg, livetime
        arcsec2, fractions and s, shape (n,).
    background_vignetting
        Area at the background region's mean off-axis angle over area at the source's, shape (n, b).
    energy_aper, energy_aperbkg
        Energies of the events in the regions (keV), one array per source.
    background_correction
        Factor on the background scaled to the aperture, shape (n,); None where it needs none.
    """

    n: Ints
    m: Ints
    psf_frac_aper: Array
    psf_frac_aperbkg: Array
    psf_good_frac_aper: Array
    psf_good_frac_aperbkg: Array
    area_aper: Array
    area_aperbkg: Array
    good_frac_area_aper: Array
    good_frac_area_aperbkg: Array
    livetime: Array
    background_vignetting: Array
    energy_aper: Sequence[NDArray[np.float32]]
    energy_aperbkg: Sequence[NDArray[np.float32]]
    background_correction: Array | None = None


@dataclass(frozen=True)
class PhotometryChoices:
    """What the recipe says about photometry.

    Attributes
    ----------
    follows
        What the background is proportional to: ``time`` on good pixels or ``exposure``.
    confidence
        Probability inside credible intervals.
    alpha, power
        Of the detection limit.
    """

    follows: Literal["time", "exposure"]
    confidence: float
    alpha: float
    power: float


def photometry(
    counted: Counted,
    response: BandResponse | None,
    bands: Sequence[Band],
    spectrum: ReferenceSpectrum,
    choices: PhotometryChoices,
    joint: JointResult | None = None,
) -> Columns:
    """Return the columns of `measurement` by name, arrays of shape (n, b), NaN where there is no value.

    Parameters
    ----------
    counted
        Extractions with a source aperture.
    response
        Areas; None where none applies (gratings): then fluxes are NaN and flagged.
    bands
        The bands.
    spectrum
        Reference spectrum, for the energy flux of faint sources.
    choices
        Choices of the recipe.
    joint
        What joint photometry gives, for the same sources; None where every source is measured alone.

    Notes
    -----
    All four quantities are one posterior in different units: n ~ Poisson(f S + b), m ~ Poisson(g S + r b),
    with S in counts of the whole PSF.
    """
    f, g, r, time = posterior_factors(counted, choices.follows)
    usable = np.isfinite(r)
    posterior = summarise(counted.n, counted.m, f, g, r, choices.confidence)
    narrow = summarise(counted.n, counted.m, f, g, r, CSC_CONFIDENCE)
    m_, r_ = counted.m.astype(float), r
    if joint is not None:
        together = joint.member[:, None] & usable
        posterior = _replaced(posterior, joint.posterior, together)
        narrow = _replaced(narrow, joint.narrow, together)
        m_, r_ = np.where(together, joint.m, m_), np.where(together, joint.r, r_)
    area = np.full(f.shape, np.nan) if response is None else response.area
    if response is not None and response.scale is not None:
        area = area * response.scale
    area = np.where(area > 0, area, np.nan)
    columns: Columns = {}
    columns |= _exposures(counted, area, r, f)
    columns |= _energy_conversion(counted, response, bands, spectrum, area, r)
    per_unit = {
        "src_cnts_aper": np.ones_like(f),
        "src_rate_aper": _inverse(time),
        "photflux_aper": _inverse(time * area),
        "flux_aper": _inverse(time) * columns["flux_conversion"],
    }
    for name, unit in per_unit.items():
        columns |= posterior_columns(name, posterior, unit)
    columns["src_significance"] = significance(posterior)
    columns["flux_significance"] = np.where(np.isfinite(columns["flux_aper"]), significance(narrow), np.nan)
    columns["snr_gehrels"] = np.where(usable, snr_gehrels(counted.n, m_, r_), np.nan)
    columns["log10_prob_no_source"] = np.where(usable, log10_prob_no_source(counted.n, m_, r_), np.nan)
    limit = detection_limit(m_, r_, choices.alpha, choices.power)
    columns["photflux_limit"] = limit.limit * _inverse(f * time * area)
    for name, value in (
        ("limit_alpha", choices.alpha),
        ("limit_power", choices.power),
        ("confidence", choices.confidence),
    ):
        columns[name] = np.where(usable, value, np.nan)
    columns["flags"] = _flags(columns, posterior.bound_only, counted, response, (r, f, g), time)
    columns |= joint_columns(joint, usable)
    if joint is not None:
        columns["flags"][joint.member[:, None] & usable] |= Flag.JOINT
    return columns


def posterior_factors(counted: Counted, follows: str) -> tuple[Array, Array, Array, Array]:
    """f, g, r of the posterior of net counts, and the time (s) that turns these into rates, shape (n, b).

    r is NaN where there is no measurement: no exposure, no aperture or no background.
    """
    ratio = background_ratio(counted, follows)
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = counted.psf_good_frac_aperbkg / counted.psf_good_frac_aper
    f, g = counted.psf_frac_aper, counted.psf_frac_aperbkg * np.where(np.isfinite(seen), seen, 0.0)
    time = counted.livetime[:, None] * counted.psf_good_frac_aper
    usable = (time > 0) & np.isfinite(ratio) & (ratio > 0) & (f > 0)
    return f, g, np.where(usable, ratio, np.nan), time


def _replaced(
    alone: PosteriorSummary, joint: PosteriorSummary, together: NDArray[np.bool_]
) -> PosteriorSummary:
    return PosteriorSummary(*(np.where(together, new, old) for old, new in zip(alone, joint, strict=True)))


def background_ratio(counted: Counted, follows: str) -> Array:
    """Expected background in the background region per one in the source aperture, r, shape (n, b).

    NaN where the source aperture has no area or was never on good pixels.
    """
    own = counted.area_aper * counted.good_frac_area_aper
    other = counted.area_aperbkg * counted.good_frac_area_aperbkg
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(own > 0, other / own, np.nan)[:, None] * np.ones_like(counted.psf_frac_aper)
    if counted.background_correction is not None:
        ratio = ratio / counted.background_correction[:, None]
    return ratio * counted.background_vignetting if follows == "exposure" else ratio


def _inverse(values: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, 1 / values, np.nan)


def _exposures(counted: Counted, area: Array, r: Array, f: Array) -> Columns:
    live = counted.livetime[:, None]
    usable = np.isfinite(r)
    seen_background = counted.psf_frac_aperbkg > 0
    return {
        "bkg_ratio": r,
        "psf_frac_aper": f,
        "psf_frac_aperbkg": counted.psf_frac_aperbkg,
        "area_band": area,
        "exposure_aper": np.where(usable, area * live * counted.psf_good_frac_aper, np.nan),
        "exposure_aperbkg": np.where(
            usable & seen_background, area * live * counted.psf_good_frac_aperbkg, np.nan
        ),
        "exposure_area_aper": area * live * counted.good_frac_area_aper[:, None],
        "exposure_area_aperbkg": area
        * counted.background_vignetting
        * live
        * np.where(counted.area_aperbkg > 0, counted.good_frac_area_aperbkg, np.nan)[:, None],
    }


def _energy_conversion(
    counted: Counted,
    response: BandResponse | None,
    bands: Sequence[Band],
    spectrum: ReferenceSpectrum,
    area: Array,
    r: Array,
) -> Columns:
    shape = counted.n.shape
    names = ("fluence_aper", "fluence_aperbkg", "fluence_max")
    columns: Columns = {name: np.full(shape, np.nan) for name in names}
    if response is None:
        method = np.full(shape, None, dtype=object)
        return {
            **columns,
            "flux_conversion": np.full(shape, np.nan),
            "flux_method": method,
            **{
                name: np.full(shape, np.nan)
                for name in ("response_ratio", "response_index1", "response_index3")
            },
        }
    # A single channel, that of the HRC, tells no energies: sums over events stay unknown, the model decides.
    known = len(counted.energy_aper) if response.channel_lo.size > 1 else 0
    events = zip(counted.energy_aper[:known], counted.energy_aperbkg[:known], strict=True)
    for i, (own, background) in enumerate(events):
        for j, band in enumerate(bands):
            found = event_fluence(
                own, background, band.lo, band.hi, response.by_channel[i], response.channel_lo
            )
            for name, value in zip(names, (found.source, found.background, found.largest), strict=True):
                columns[name][i, j] = value
    if response.scale is not None:
        for name in names:
            columns[name] = columns[name] / np.where(response.scale > 0, response.scale, np.nan)
    net = counted.n - counted.m / r
    model = np.array([spectrum.energy_conversion(band.lo, band.hi) for band in bands]) / area
    chosen = conversion(
        net, columns["fluence_aper"] - columns["fluence_aperbkg"] / r, columns["fluence_max"], net, model
    )
    method = np.where(chosen.from_events, "events", "model").astype(object)
    method[~np.isfinite(r) | ~np.isfinite(area)] = None
    return {
        **columns,
        "flux_conversion": np.where(np.isfinite(r), chosen.value, np.nan),
        "flux_method": method,
        "response_ratio": response.ratio,
        "response_index1": response.index1,
        "response_index3": response.index3,
    }


def _flags(
    columns: Columns,
    bound_only: NDArray[np.bool_],
    counted: Counted,
    response: BandResponse | None,
    fgr: tuple[Array, Array, Array],
    time: Array,
) -> Ints:
    r, f, g = fgr
    flags = np.zeros(f.shape, dtype=np.int64)
    flags[bound_only] |= Flag.BOUND_ONLY
    with np.errstate(invalid="ignore"):
        flags[r * f <= g] |= Flag.BACKGROUND_INSIDE_SOURCE
    flags[(counted.area_aperbkg <= 0) | (counted.good_frac_area_aperbkg <= 0)] |= Flag.NO_BACKGROUND
    flags[time <= 0] |= Flag.NO_EXPOSURE
    if response is not None and response.scale is not None:
        flags[response.scale == 0] |= Flag.NO_EXPOSURE
    if response is None:
        flags |= int(Flag.NO_RESPONSE)
    flags[columns["flux_method"] == "model"] |= Flag.FLUX_FROM_MODEL
    return flags
