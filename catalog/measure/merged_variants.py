"""Merged values of the two reference systems, kept beside the joint posterior.

srcflux sums counts over observations and gives them one background ratio, weighted by the background that
each observation is estimated to have in its source aperture; ACIS Extract adds net counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.measure.posterior_columns import Columns
from catalog.stats.aperture_posterior import summarise

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MergedCounts:
    """Observations of sources in one band, those of one source after the other.

    Attributes
    ----------
    offsets
        Source k has the elements offsets[k] to offsets[k+1], at least one; shape (s + 1,).
    n, m
        Counts.
    alpha, beta
        PSF fractions of source aperture and background region.
    area_ratio
        Area of the background region over that of the source aperture.
    livetime
        s.
    area, area_background
        Mean exposure per second in source aperture and background region, cm2; NaN without response.
    """

    offsets: NDArray[np.int64]
    n: NDArray[np.int64]
    m: NDArray[np.int64]
    alpha: Array
    beta: Array
    area_ratio: Array
    livetime: Array
    area: Array
    area_background: Array


def srcflux_merged(counts: MergedCounts, confidence: float) -> Columns:
    """Merged rate and photon fluxes of srcflux, shape (s,).

    Returns
    -------
    dict
        `merged_net_rate_aper` (count s-1) and `merged_aprates_photflux_aper` (photon cm-2 s-1) with
        `_lolim`, `_hilim`; `merged_net_photflux_aper` as srcflux computes it (mean of the observations' net
        photon fluxes weighted by live time) and `merged_net_photflux_guide` as its guide describes it
        (combined counts over combined exposure); `merged_rate_areascal`, `merged_photflux_areascal`;
        `psf_weighted_exposure_time` (s), `psf_weighted_exposure`, `psf_weighted_exposure_bkg` (cm2 s).
        NaN where a member lacks what is needed; the mean of photon fluxes also where one of them is
        negative, as in srcflux.

    Notes
    -----
    Where no observation has background counts, srcflux gives NaN; here the ratio is then the mean weighted by
    exposure.
    """
    columns: Columns = {}
    time = counts.livetime
    rate = _pass(counts, time, time, confidence)
    flux = _pass(counts, time * counts.area, time * counts.area_background, confidence)
    for name, found in (("merged_net_rate_aper", rate), ("merged_aprates_photflux_aper", flux)):
        columns[name] = found["mode"]
        columns[f"{name}_lolim"] = found["lolim"]
        columns[f"{name}_hilim"] = found["hilim"]
    columns["merged_rate_areascal"] = rate["ratio"]
    columns["merged_photflux_areascal"] = flux["ratio"]
    columns["psf_weighted_exposure_time"] = rate["exposure"]
    columns["psf_weighted_exposure"] = flux["exposure"]
    columns["psf_weighted_exposure_bkg"] = flux["exposure_background"]
    columns["merged_net_photflux_guide"] = flux["likely"]
    columns["merged_net_photflux_aper"] = _time_weighted(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(rate["mode"] > 0, columns["merged_net_photflux_aper"] / rate["mode"], np.nan)
    columns["merged_net_photflux_aper_lolim"] = rate["lolim"] * scale
    columns["merged_net_photflux_aper_hilim"] = rate["hilim"] * scale
    return columns


def _pass(counts: MergedCounts, own: Array, other: Array, confidence: float) -> Columns:
    """One pass of the merge, exposures `own` and `other` being times or times x areas."""
    starts = counts.offsets[:-1]

    def total(values: Array) -> Array:
        return np.asarray(np.add.reduceat(values, starts))

    f, g = counts.alpha * own, counts.beta * other
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = counts.area_ratio * other / own
        background = (f * counts.m - g * counts.n) / (f * ratio - g)
        weighted = total(background * ratio) / total(background)
    plain = total(ratio * own) / total(own)
    common = np.where(np.isfinite(weighted) & (weighted > 0), weighted, plain)
    n, m = np.add.reduceat(counts.n, starts), np.add.reduceat(counts.m, starts)
    found = summarise(n, m, total(f), total(g), common, confidence)
    with np.errstate(divide="ignore", invalid="ignore"):
        likely = (common * n - m) / (common * total(f) - total(g))
    return {
        "mode": found.mode,
        "lolim": found.lolim,
        "hilim": found.hilim,
        "ratio": common,
        "exposure": total(f),
        "exposure_background": total(g),
        "likely": likely,
    }


def net_photon_flux(counts: MergedCounts) -> Array:
    """NET_PHOTFLUX_APER (srcflux) of each observation, NaN where negative; shape of the observations."""
    r = counts.area_ratio
    with np.errstate(divide="ignore", invalid="ignore"):
        own = counts.n / (counts.livetime * counts.area)
        other = counts.m / (counts.livetime * counts.area_background)
        value = (r * own - other) / (r * counts.alpha - counts.beta)
        return np.asarray(np.where(value >= 0, value, np.nan))


def _time_weighted(counts: MergedCounts) -> Array:
    starts = counts.offsets[:-1]
    flux = net_photon_flux(counts)
    return np.asarray(
        np.add.reduceat(flux * counts.livetime, starts) / np.add.reduceat(counts.livetime, starts)
    )
