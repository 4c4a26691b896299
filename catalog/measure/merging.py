"""Merging: one joint value per source and band over its observations."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.flags import Flag
from catalog.measure.energy_flux import conversion
from catalog.measure.photometry import CSC_CONFIDENCE
from catalog.measure.posterior_columns import Columns, posterior_columns, significance
from catalog.stats.detection_limit import detection_limit
from catalog.stats.gehrels import snr_gehrels
from catalog.stats.joint_posterior import summarise_joint_many
from catalog.stats.no_source import log10_prob_no_source

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Members:
    """Measurements of one band that enter the merges, those of one source after the other.

    Attributes
    ----------
    offsets
        Source k has the elements offsets[k] to offsets[k+1] of the arrays that follow, shape (s + 1,).
    n, m
        Counts, shape (k,).
    psf_frac_aper, psf_frac_aperbkg, psf_good_frac_aper, psf_good_frac_aperbkg, bkg_ratio, livetime
        As in `measurement` and `extraction`.
    area_band
        Effective area of the band, cm2; NaN where no response applies.
    fluence_aper, fluence_aperbkg, fluence_max
        Sums over the events, erg cm-2.
    response_ratio, response_index1, response_index3
        How the area changes with the spectrum.
    flags
        Of the measurement and its extraction.
    joint_cnts_aperbkg, joint_psf_frac_aperbkg, joint_bkg_ratio
        Effective background of a source measured together with neighbours, NaN for one measured alone.
    """

    offsets: NDArray[np.int64]
    n: NDArray[np.int64]
    m: NDArray[np.int64]
    psf_frac_aper: Array
    psf_frac_aperbkg: Array
    psf_good_frac_aper: Array
    psf_good_frac_aperbkg: Array
    bkg_ratio: Array
    livetime: Array
    area_band: Array
    fluence_aper: Array
    fluence_aperbkg: Array
    fluence_max: Array
    response_ratio: Array
    response_index1: Array
    response_index3: Array
    flags: NDArray[np.int64]
    joint_cnts_aperbkg: Array
    joint_psf_frac_aperbkg: Array
    joint_bkg_ratio: Array

    @property
    def effective(self) -> tuple[NDArray[np.int64], Array, Array]:
        """Background counts, share of the source in it and ratio; neighbours count as background.

        The effective background's counts are rounded, its mean is kept.
        """
        joint = np.isfinite(self.joint_cnts_aperbkg)
        m = np.where(joint, np.rint(np.where(joint, self.joint_cnts_aperbkg, 0.0)), self.m).astype(np.int64)
        g = np.where(
            joint,
            self.joint_psf_frac_aperbkg * self.psf_good_frac_aper,
            self.psf_frac_aperbkg * self.psf_good_frac_aperbkg,
        )
        r = np.where(
            joint, self.joint_bkg_ratio * (m + 1.0) / (self.joint_cnts_aperbkg + 1.0), self.bkg_ratio
        )
        return m, g, r

    def select(self, chosen: NDArray[np.bool_]) -> Members:
        """Only the chosen measurements; sources of which none is left are gone."""
        left = np.add.reduceat(chosen.astype(np.int64), self.offsets[:-1])
        arrays = {
            item.name: getattr(self, item.name)[chosen] for item in fields(self) if item.name != "offsets"
        }
        return Members(offsets=np.concatenate([[0], np.cumsum(left[left > 0])]), **arrays)


@dataclass(frozen=True)
class MergeChoices:
    """What recipe and reference spectrum say: confidence, detection limit, energy per photon (erg)."""

    confidence: float
    alpha: float
    power: float
    energy_per_photon: float


_CARRIED = (
    Flag.NEAR_EDGE
    | Flag.PARTIAL_EXPOSURE
    | Flag.BACKGROUND_INSIDE_SOURCE
    | Flag.NEIGHBOUR_EXCLUDED
    | Flag.BAND_OUTSIDE_DATA
    | Flag.BAND_OUTSIDE_CALIBRATION
    | Flag.NO_RESPONSE
    | Flag.PILEUP
    | Flag.AREA_EXTRAPOLATED
    | Flag.PSF_EXTRAPOLATED
    | Flag.CONFUSED
    | Flag.LOW_PSF_FRACTION
    | Flag.MIXED_CHIPS
    | Flag.JOINT
)
"""Flags that a merged value inherits from the observations it uses; the others are its own."""
_OF_FLUX = ("photflux_", "flux_", "response_ratio_")
_FLUX_FLAGS = int(Flag.FLUX_FROM_MODEL | Flag.EPOCH_RESPONSE_DIFFERS)


def merge_band(members: Members, choices: MergeChoices) -> Columns:
    """Return the columns of `merged_measurement` by name, arrays of shape (s,), NaN where there is no value.

    Parameters
    ----------
    members
        Usable measurements: with exposure, aperture and background.
    choices
        Confidence, limit and reference spectrum.

    Notes
    -----
    The joint likelihood has one background per observation. The unit of S is photon cm-2 s-1 where every
    member has a response, else counts per second; the other units follow with the summed exposures.
    Of a source with a response in some observations only, the fluxes are those of these observations.
    """
    columns = _merge_alike(members, choices)
    has_area = _has_area(members)
    total = _Sums(members.offsets)
    with_area = total.of(has_area)
    mixed = (with_area > 0) & (with_area < total.lengths)
    if mixed.any():
        part = _merge_alike(members.select(has_area & total.spread(mixed)), choices)
        for name in columns:
            if name.startswith(_OF_FLUX):
                columns[name][mixed] = part[name]
        flags = columns["flags"][mixed] & ~int(Flag.NO_RESPONSE) & ~_FLUX_FLAGS
        columns["flags"][mixed] = flags | Flag.PARTIAL_RESPONSE | (part["flags"] & _FLUX_FLAGS)
    return columns


def _has_area(members: Members) -> NDArray[np.bool_]:
    return np.isfinite(members.area_band) & (members.area_band > 0)


def _merge_alike(members: Members, choices: MergeChoices) -> Columns:
    """Columns of sources by what all their observations have: fluxes only where all have a response."""
    total = _Sums(members.offsets)
    time = members.livetime * members.psf_good_frac_aper
    has_area = _has_area(members)
    with_flux = total.of(~has_area) == 0
    weight = np.where(total.spread(with_flux), np.where(has_area, members.area_band, 0.0), 1.0)
    f = members.psf_frac_aper * time * weight
    m_, g_, r_ = members.effective
    g = members.livetime * g_ * weight
    arrays = (members.n, m_, f, g, r_)
    posterior = summarise_joint_many(members.offsets, *arrays, choices.confidence)
    n, m = total.of(members.n), total.of(members.m)
    live, exposure = total.of(time), total.of(time * weight)
    ratio = merged_ratio(members, total)
    columns: Columns = {"cnts_aper": n, "cnts_aperbkg": m, "bkg_ratio": ratio}
    flux = _flux_conversion(members, total, choices, with_flux)
    units = {
        "src_cnts_aper": exposure,
        "src_rate_aper": exposure / live,
        "photflux_aper": np.where(with_flux, 1.0, np.nan),
        "flux_aper": flux.pop("energy_per_photon"),
    }
    for name, unit in units.items():
        columns |= posterior_columns(name, posterior, unit)
    columns |= flux
    columns["flux_conversion"] = units["flux_aper"] * live / exposure
    narrow = summarise_joint_many(members.offsets, *arrays, CSC_CONFIDENCE)
    columns["src_significance"] = significance(posterior)
    columns["flux_significance"] = np.where(with_flux, significance(narrow), np.nan)
    m_, r_ = total.of(m_), merged_ratio(replace(members, m=m_, bkg_ratio=r_), total)
    columns["snr_gehrels"] = snr_gehrels(n, m_, r_)
    columns["log10_prob_no_source"] = log10_prob_no_source(n, m_, r_)
    limit = detection_limit(m_, r_, choices.alpha, choices.power).limit
    columns["photflux_limit"] = np.where(with_flux, limit / total.of(f), np.nan)
    for name, value in (
        ("limit_alpha", choices.alpha),
        ("limit_power", choices.power),
        ("confidence", choices.confidence),
    ):
        columns[name] = np.full(n.shape, value)
    columns["response_ratio_min"] = total.least(members.response_ratio)
    columns["response_ratio_max"] = total.largest(members.response_ratio)
    columns["flags"] = _flags(members, total, columns, posterior.bound_only, with_flux)
    return columns


class _Sums:
    """Reductions over the observations of each source; every source has at least one."""

    def __init__(self, offsets: NDArray[np.int64]) -> None:
        self.starts = offsets[:-1]
        self.lengths = np.diff(offsets)

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        numbers = values.astype(float) if values.dtype == bool else values
        return np.asarray(np.add.reduceat(numbers, self.starts))

    def least(self, values: Array) -> Array:
        return np.asarray(np.minimum.reduceat(values, self.starts))

    def largest(self, values: Array) -> Array:
        return np.asarray(np.maximum.reduceat(values, self.starts))

    def union(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray(np.bitwise_or.reduceat(values, self.starts))

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(np.repeat(values, self.lengths))


def merged_ratio(members: Members, total: _Sums) -> Array:
    """Background ratio of the summed counts, weighted by the estimated background in the source apertures.

    r = sum of m over sum of m / r_i; with no background count anywhere, the ratio of summed exposures.
    """
    m = total.of(members.m)
    expected = total.of(members.m / members.bkg_ratio)
    time = members.livetime * members.psf_good_frac_aper
    plain = total.of(members.bkg_ratio * time) / total.of(time)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(m > 0, m / expected, plain))


def _flux_conversion(
    members: Members, total: _Sums, choices: MergeChoices, with_flux: NDArray[np.bool_]
) -> Columns:
    net = members.n - members.m / members.bkg_ratio
    fluence = total.of(members.fluence_aper - members.fluence_aperbkg / members.bkg_ratio)
    photons = total.of(net / members.area_band)
    model = np.full(photons.shape, choices.energy_per_photon)
    chosen = conversion(total.of(net), fluence, total.largest(members.fluence_max), photons, model)
    method = np.where(chosen.from_events, "events", "model").astype(object)
    method[~with_flux] = None
    return {"energy_per_photon": np.where(with_flux, chosen.value, np.nan), "flux_method": method}


def _flags(
    members: Members,
    total: _Sums,
    columns: Columns,
    bound_only: NDArray[np.bool_],
    with_flux: NDArray[np.bool_],
) -> NDArray[np.int64]:
    flags = total.union(members.flags) & int(_CARRIED)
    flags[bound_only] |= Flag.BOUND_ONLY
    flags[columns["flux_method"] == "model"] |= Flag.FLUX_FROM_MODEL
    flags[~with_flux] |= Flag.NO_RESPONSE
    # Photon flux goes as 1/area: what another index would change differently in different observations.
    spread = np.zeros(len(flags))
    for index in (members.response_index1, members.response_index3):
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.fmax(spread, total.largest(index) / total.least(index) - 1)
    with np.errstate(invalid="ignore"):
        half_width = 0.5 * (columns["photflux_aper_hilim"] - columns["photflux_aper_lolim"])
        flags[spread * columns["photflux_aper"] > half_width] |= Flag.EPOCH_RESPONSE_DIFFERS
    return flags
