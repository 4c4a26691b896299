"""ACIS Extract's tables: `xray_properties.fits` (one row per source) and a photometry table (row by band)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from sqlalchemy import Connection

from catalog import __version__
from catalog.errors import SettingsError
from catalog.export.fit_rows import fit_bands, fit_rows, has_fits
from catalog.export.styles.merged_places import with_places
from catalog.export.styles.rows import StyleColumn, StyleRows, merged_rows
from catalog.export.styles.spectral_models import model_columns
from catalog.export.styles.srcflux import SKY_PIXEL
from catalog.recipes.recipe import Recipe

Array = NDArray[np.float64]

SUFFIXES: dict[str, tuple[float, float]] = {"t": (0.5, 8.0), "s": (0.5, 2.0), "h": (2.0, 8.0)}
"""Bands of the flat table: total, soft and hard, keV."""
NEAREST: dict[str, str] = {"t": "broad", "s": "soft", "h": "hard"}
"""Bands of the CSC taken where the recipe does not measure ACIS Extract's; the header says so."""


PI_CHANNEL = 0.0146
"""keV."""


def acis_extract_files(connection: Connection, recipe: Recipe, out: Path) -> list[Path]:
    """Write ``xray_properties.fits`` and ``source_photometry.fits`` into a folder; return their paths.

    Spectral fits, where there are any, go into ``source_spectra.fits``.

    Raises
    ------
    SettingsError
        The recipe measures none of the bands that the flat table needs (NO_BAND).
    """
    rows = with_places(connection, recipe.name, merged_rows(connection, recipe.name))
    out.mkdir(parents=True, exist_ok=True)
    flat, photometry = out / "xray_properties.fits", out / "source_photometry.fits"
    columns, bands = flat_columns(rows)
    comments = {f"BAND_{suffix.upper()}": text for suffix, text in bands.items()}
    _write(flat, "XRAY_PROPERTIES", columns, recipe, comments)
    _write(photometry, "WIDE_BAND_PHOTOMETRY", photometry_columns(rows), recipe, {})
    written = [flat, photometry]
    if has_fits(connection, recipe):
        written.append(out / "source_spectra.fits")
        fitted = fit_rows(connection, recipe, preferred=False)
        comments = {f"BAND_{suffix.upper()}": band for suffix, band in fit_bands(recipe).items()}
        _write(written[-1], "SPECTRAL_MODELS", model_columns(fitted), recipe, comments)
    return written


def flat_columns(rows: StyleRows) -> tuple[list[StyleColumn], dict[str, str]]:
    """Columns of the flat table in order, and which band stands behind each suffix."""
    limits = {
        band: (float(lo), float(hi))
        for band, lo, hi in zip(rows.columns["band"], rows.number("lo"), rows.number("hi"), strict=True)
    }
    chosen: dict[str, str] = {}
    for suffix, wanted in SUFFIXES.items():
        same = [band for band, found in limits.items() if found == wanted]
        if same or NEAREST[suffix] in limits:
            chosen[suffix] = same[0] if same else NEAREST[suffix]
    if not chosen:
        raise SettingsError(
            "the recipe measures no band of the acis-extract style",
            ", ".join(limits),
            "measure 0.5-8, 0.5-2 and 2-8 keV, or broad, soft and hard",
            code="NO_BAND",
        )
    parts = {suffix: rows.where(rows.columns["band"] == band) for suffix, band in chosen.items()}
    first = next(iter(parts.values()))
    prob = {suffix: 10.0 ** part.number("log10_prob_no_source") for suffix, part in parts.items()}
    columns = [
        StyleColumn("Name", "", _texts(first.text("name")), ""),
        StyleColumn("Label", "", _texts(first.text("source_label")), ""),
        StyleColumn("RA", "deg", first.number("ra")),
        StyleColumn("Dec", "deg", first.number("dec")),
        StyleColumn("PosErr", "arcsec", first.number("position_error")),
        StyleColumn("PosType", "", _texts(first.text("position_method")), ""),
        StyleColumn("RA_DATA", "deg", first.number("position_ra")),
        StyleColumn("DEC_DATA", "deg", first.number("position_dec")),
        StyleColumn("ProbNoSrc_min", "", _smallest(list(prob.values()))),
        *(StyleColumn(f"ProbNoSrc_{suffix}", "", values) for suffix, values in prob.items()),
        StyleColumn("ProbNoSrc_MostValid", "", 10.0 ** first.number("log10_prob_no_source_least")),
        StyleColumn("ProbKS_single", "", 10.0 ** first.number("ks_min_log10_pvalue")),
        StyleColumn("ProbKS_merge", "", 10.0 ** first.number("ks_merged_log10_pvalue")),
        StyleColumn("ProbChisq_PhotonFlux", "", 10.0 ** first.number("var_inter_chi2_log10_pvalue")),
        StyleColumn("ExposureTimeNominal", "s", first.number("livetime")),
        StyleColumn("ExposureFraction", "", first.number("good_frac")),
        StyleColumn("RateIn3x3Cell", "count", first.number("cnts_per_frame")),
        StyleColumn("NumObservations", "", first.number("n_obs_seen").astype(np.int64), "J"),
        StyleColumn("NumMerged", "", first.number("n_obs").astype(np.int64), "J"),
        StyleColumn("MergeBias", "", first.number("merge_bias")),
        StyleColumn("Theta_Lo", "arcmin", first.number("theta_min")),
        StyleColumn("Theta", "arcmin", first.number("theta_mean")),
        StyleColumn("Theta_Hi", "arcmin", first.number("theta_max")),
        StyleColumn("PsfFraction", "", first.number("psf_frac_aper")),
        StyleColumn("SrcArea", "pixel**2", first.number("area_aper") / SKY_PIXEL**2),
        StyleColumn("AfterglowFraction", "", first.number("afterglow_frac")),
    ]
    for suffix, part in parts.items():
        columns += _band_columns(suffix, part)
    described = {
        suffix: f"{band} {limits[band][0]:g}-{limits[band][1]:g} keV" for suffix, band in chosen.items()
    }
    return columns, described


def _smallest(values: list[Array]) -> Array:
    return np.asarray(np.fmin.reduce(values))


def _band_columns(suffix: str, part: StyleRows) -> list[StyleColumn]:
    net = part.number("net_cnts")
    flux = part.number("flux2_aper")
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.where(flux > 0, np.log10(flux), np.nan)
    values: list[tuple[str, str, Array]] = [
        ("SrcCounts", "count", part.number("cnts_aper")),
        ("BkgCounts", "count", part.number("cnts_aperbkg")),
        ("BkgScaling", "", part.number("bkg_ratio")),
        ("NetCounts", "count", net),
        ("NetCounts_Lo", "count", net - part.number("net_cnts_sigma_low")),
        ("NetCounts_Hi", "count", net + part.number("net_cnts_sigma_up")),
        ("MedianEnergy", "keV", part.number("energ_pct50_observed")),
        ("EnergyPct25", "keV", part.number("energ_pct25_observed")),
        ("EnergyPct75", "keV", part.number("energ_pct75_observed")),
        ("PhotonFlux", "photon/cm**2/s", flux),
        ("EnergyFlux", "erg/cm**2/s", part.number("energyflux_aper")),
        ("log_PhotonFlux", "", logarithm),
        ("MeanEffectiveArea", "cm**2 count/photon", part.number("mean_arf")),
    ]
    return [StyleColumn(f"{name}_{suffix}", unit, array) for name, unit, array in values]


def photometry_columns(rows: StyleRows) -> list[StyleColumn]:
    """Columns of `source.photometry` in its order, for all sources, after the source's name."""
    net, up = rows.number("net_cnts"), rows.number("net_cnts_sigma_up")
    columns = [
        StyleColumn("CATALOG_NAME", "", _texts(rows.text("name")), ""),
        StyleColumn("ENERG_LO", "keV", rows.number("lo")),
        StyleColumn("ENERG_HI", "keV", rows.number("hi")),
        StyleColumn("CHAN_LO", "", first_channel(rows.number("lo")), "J"),
        StyleColumn("CHAN_HI", "", first_channel(rows.number("hi")) - 1, "J"),
        StyleColumn("MEAN_ARF", "cm**2 count/photon", rows.number("mean_arf")),
        StyleColumn("SRC_CNTS", "count", rows.number("cnts_aper")),
        StyleColumn("BKG_CNTS", "count", rows.number("cnts_aperbkg")),
        StyleColumn("BACKSCAL", "", rows.number("bkg_ratio")),
        StyleColumn("NET_CNTS", "count", net),
        StyleColumn("NET_CNTS_SIGMA_UP", "count", up),
        StyleColumn("NET_CNTS_SIGMA_LOW", "count", rows.number("net_cnts_sigma_low")),
        StyleColumn("SRC_SIGNIF", "", net / up),
        StyleColumn("PROB_NO_SOURCE", "", 10.0 ** rows.number("log10_prob_no_source")),
        StyleColumn("FLUX1", "photon/cm**2/s", rows.number("flux1_aper")),
        StyleColumn("FLUX2", "photon/cm**2/s", rows.number("flux2_aper")),
    ]
    for name in ("mean", "pct25", "pct50", "pct75"):
        for kind in ("observed", "incident"):
            column = f"energ_{name}_{kind}"
            columns.append(StyleColumn(column.upper(), "keV", rows.number(column)))
    # One table holds all sources, so that a keyword cannot hold the time of each.
    return [*columns, StyleColumn("EXPOSURE", "s", rows.number("livetime"))]


def first_channel(energy: Array) -> NDArray[np.int64]:
    """First PI channel (14.6 eV, from 1) whose middle lies at an energy (keV) or above."""
    # Away from the edges of doubles: the middle of a channel is a multiple of 7.3 eV.
    return np.asarray(np.ceil(energy / PI_CHANNEL + 0.5 - 1e-9), dtype=np.int64)


def _texts(values: list[str]) -> NDArray[Any]:
    return np.array([value.encode("ascii", "replace") for value in values] or [b""], dtype=np.bytes_)


def _write(
    path: Path, name: str, columns: list[StyleColumn], recipe: Recipe, comments: dict[str, str]
) -> None:
    def form(column: StyleColumn) -> str:
        return column.form or f"{max(column.values.dtype.itemsize, 1)}A"

    table = fits.BinTableHDU.from_columns(
        [fits.Column(c.name, form(c), unit=c.unit or None, array=c.values) for c in columns], name=name
    )
    table.header["RECIPE"] = (recipe.name, "srccat recipe")
    table.header["CREATOR"] = f"srccat {__version__}"
    for key, text in comments.items():
        table.header[key] = text
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True, checksum=True)
