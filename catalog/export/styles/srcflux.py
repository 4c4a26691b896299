"""srcflux's tables: one ``.flux`` file per observation and band, and one per band for the merged values.

Names, order and units of the columns are those of srcflux (CIAO 4.17). A file is a FITS table and, by its
columns SHAPE, X, Y, R and ROTANG, a region file for ds9. Where srcflux's number has a known defect the sound
one is given: UMFLUX_CNV of merged tables is the unabsorbed factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from sqlalchemy import Connection

from catalog import __version__
from catalog.apertures.region import region_from_dict
from catalog.apertures.shape import Polygon
from catalog.export.styles.fit_columns import fit_columns
from catalog.export.styles.merged_places import used_observations
from catalog.export.styles.rows import StyleColumn, StyleRows, detection_rows, merged_rows
from catalog.measure.placement import nominal_frame
from catalog.recipes.recipe import Recipe
from catalog.stages.steps.fit_spectra import JOINT, MERGED

Array = NDArray[np.float64]
SKY_PIXEL = 0.492
"""arcsec"""


def srcflux_files(connection: Connection, recipe: Recipe, out: Path) -> list[Path]:
    """Write the tables of a recipe and return their paths.

    `out` is srcflux's outroot: a folder gives ``out/band.flux``, else the names begin with ``out_``; several
    observations give ``obi001_band.flux`` and so on, in the order of their ObsIDs, and merged tables. Where
    models are fitted, their columns follow those of srcflux.
    """
    prefix = f"{out}/" if out.is_dir() else f"{out}_"
    rows = detection_rows(connection, recipe.name, shapes=recipe.aperture.kind == "contour")
    written = []
    observations = rows.distinct("obs_id") if len(rows) else []
    for number, obs_id in enumerate(observations, 1):
        own = rows.where(rows.columns["obs_id"] == obs_id)
        middle = f"obi{number:03d}_" if len(observations) > 1 else ""
        for band in own.distinct("band"):
            chosen = own.where(own.columns["band"] == band)
            path = Path(f"{prefix}{middle}{band}.flux")
            # The fit of the only observation is that of all.
            scopes = (obs_id, JOINT, MERGED) if len(observations) == 1 else (obs_id,)
            columns = observation_columns(chosen) + fit_columns(connection, recipe.name, chosen, scopes)
            _write(path, columns, chosen, recipe, number=obs_id)
            written.append(path)
    if len(observations) > 1:
        merged = merged_rows(connection, recipe.name)
        for band in merged.distinct("band"):
            chosen = merged.where(merged.columns["band"] == band)
            path = Path(f"{prefix}{band}.flux")
            inside = used_observations(connection, recipe.name, chosen)
            columns = merged_columns(chosen, inside) + fit_columns(connection, recipe.name, chosen)
            _write(path, columns, chosen, recipe)
            written.append(path)
    return written


def observation_columns(rows: StyleRows) -> list[StyleColumn]:
    """Columns of one observation and band, in srcflux's order."""
    geometry = _geometry(rows)
    n, m = rows.number("cnts_aper"), rows.number("cnts_aperbkg")
    area, area_background = (rows.number(name) / SKY_PIXEL**2 for name in ("area_aper", "area_aperbkg"))
    time = rows.number("livetime")
    with np.errstate(divide="ignore", invalid="ignore"):
        q = area / area_background
        net, error = n - m * q, np.sqrt(n + q**2 * m)
        counted = [
            StyleColumn("COUNTS", "count", n),
            StyleColumn("ERR_COUNTS", "count", np.sqrt(n)),
            StyleColumn("AREA", "pixel**2", area),
            StyleColumn("EXPOSURE", "s", time),
            StyleColumn("COUNT_RATE", "count/s", n / time),
            StyleColumn("COUNT_RATE_ERR", "count/s", np.sqrt(n) / time),
            StyleColumn("BG_COUNTS", "count", m),
            StyleColumn("BG_ERR", "count", np.sqrt(m)),
            StyleColumn("BG_AREA", "pixel**2", area_background),
            StyleColumn("BG_EXPOSURE", "s", time),
            StyleColumn("BG_RATE", "count/s", m / time),
            StyleColumn("BG_SUR_BRI", "count/pixel**2", m / area_background),
            StyleColumn("BG_SUR_BRI_ERR", "count/pixel**2", np.sqrt(m) / area_background),
            StyleColumn("NET_COUNTS", "count", net),
            StyleColumn("NET_ERR", "count", error),
            StyleColumn("NET_RATE", "count/s", net / time),
            StyleColumn("ERR_RATE", "count/s", error / time),
            StyleColumn("SUR_BRI", "count/pixel**2", net / area),
            StyleColumn("SUR_BRI_ERR", "count/pixel**2", error / area),
        ]
    return [*geometry, *counted, *_places(rows), *_fluxes(rows, area_background / area)]


def _geometry(rows: StyleRows) -> list[StyleColumn]:
    frame = nominal_frame(float(rows.number("ra_pnt")[0]), float(rows.number("dec_pnt")[0]))
    x, y = frame.to_sky(rows.number("ra"), rows.number("dec"))
    radius = rows.number("radius_aper") / SKY_PIXEL
    shape = ["Circle" if np.isfinite(value) else "Point" for value in radius]
    outlines = _polygons(rows)
    if outlines:
        # Polygons with fewer vertices than the longest repeat their last one, as CIAO's do.
        width = max(len(ring) for ring in outlines.values())
        x, y = (np.repeat(values[:, None], width, axis=1) for values in (x, y))
        for i, ring in outlines.items():
            shape[i], radius[i] = "Polygon", np.nan
            whole = np.pad(ring, ((0, width - len(ring)), (0, 0)), "edge")
            x[i], y[i] = x[i] + whole[:, 0], y[i] + whole[:, 1]
    form = f"{x.shape[1]}D" if x.ndim > 1 else "D"
    return [
        StyleColumn("SHAPE", "", np.array(shape, dtype="S16"), "16A"),
        StyleColumn("X", "pixel", x, form),
        StyleColumn("Y", "pixel", y, form),
        StyleColumn("RA", "deg", rows.number("ra")),
        StyleColumn("DEC", "deg", rows.number("dec")),
        StyleColumn("R", "pixel", np.column_stack([radius, np.full(len(radius), np.nan)]), "2D"),
        StyleColumn("ROTANG", "deg", np.full(len(radius), np.nan)),
        StyleColumn("COMPONENT", "", np.arange(1, len(radius) + 1), "J"),
    ]


def _polygons(rows: StyleRows) -> dict[int, Array]:
    """Vertices less the source's position, sky pixels, shape (k, 2), of rows whose aperture is a polygon."""
    if "shapes" not in rows.columns:
        return {}
    place = np.column_stack([rows.number("x"), rows.number("y")])
    found = {}
    for i, content in enumerate(rows.columns["shapes"]):
        shape = None if content is None else region_from_dict(content).shape
        if isinstance(shape, Polygon):
            found[i] = np.array(shape.vertices) - place[i]
    return found


def _places(rows: StyleRows) -> list[StyleColumn]:
    frame = nominal_frame(float(rows.number("ra_pnt")[0]), float(rows.number("dec_pnt")[0]))
    x, y = frame.to_sky(rows.number("ra"), rows.number("dec"))
    chip = np.where(np.isfinite(rows.number("chip_id")), rows.number("chip_id"), -1)
    return [
        StyleColumn("XPOS", "pixel", x),
        StyleColumn("YPOS", "pixel", y),
        StyleColumn("THETA", "arcmin", rows.number("theta")),
        StyleColumn("PHI", "deg", rows.number("phi")),
        StyleColumn("RAPOS", "deg", rows.number("ra")),
        StyleColumn("DECPOS", "deg", rows.number("dec")),
        StyleColumn("INSIDE_FOV", "", rows.truth("in_fov"), "L"),
        StyleColumn("NEAR_CHIP_EDGE", "", rows.truth("near_edge"), "L"),
        StyleColumn("CHIP_ID", "", chip.astype(np.int64), "J"),
        StyleColumn("CHIPX", "pixel", rows.number("chipx")),
        StyleColumn("CHIPY", "pixel", rows.number("chipy")),
        StyleColumn("PSFFRAC", "", rows.number("psf_frac_aper")),
        StyleColumn("BG_PSFFRAC", "", rows.number("psf_frac_aperbkg")),
    ]


def _fluxes(rows: StyleRows, r: Array) -> list[StyleColumn]:
    rate, low, high = (rows.number(f"src_rate_aprates{end}") for end in ("", "_lolim", "_hilim"))
    alpha, beta = rows.number("psf_frac_aper"), np.nan_to_num(rows.number("psf_frac_aperbkg"))
    time, n, m = rows.number("livetime"), rows.number("cnts_aper"), rows.number("cnts_aperbkg")
    events, background = rows.number("flux_aper_raw"), rows.number("flux_aperbkg_raw")
    with np.errstate(divide="ignore", invalid="ignore"):
        exposure, exposure_background = (
            rows.number(name) / time for name in ("exposure_area_aper", "exposure_area_aperbkg")
        )
        photons, photons_background = n / (exposure * time), m / (exposure_background * time)
    columns = [
        StyleColumn("NET_RATE_APER", "count/s", rate),
        StyleColumn("NET_RATE_APER_LO", "count/s", low),
        StyleColumn("NET_RATE_APER_HI", "count/s", high),
        StyleColumn("SRC_SIGNIFICANCE", "", rows.number("src_significance")),
        StyleColumn("FLUX_APER", "erg/cm**2/s", events),
        StyleColumn("BG_FLUX_APER", "erg/cm**2/s", background),
        StyleColumn("SRC_PHOTFLUX", "photon/cm**2/s", photons),
        StyleColumn("BG_PHOTFLUX", "photon/cm**2/s", photons_background),
        StyleColumn("MEAN_SRC_EXP", "cm**2", exposure),
        StyleColumn("MEAN_BG_EXP", "cm**2", exposure_background),
    ]
    solution = (rate, low, high), (r, alpha, beta)
    columns += _two_apertures("NET_FLUX_APER", "erg/cm**2/s", events, background, *solution)
    columns.append(StyleColumn("UPPER_LIMIT", "", rate <= 0, "L"))
    columns += _two_apertures("NET_PHOTFLUX_APER", "photon/cm**2/s", photons, photons_background, *solution)
    columns.append(StyleColumn("MFLUX_CNV", "erg/cm**2/count", rows.number("mflux_conversion")))
    columns.append(StyleColumn("UMFLUX_CNV", "erg/cm**2/count", rows.number("umflux_conversion")))
    for name, conversion in (("NET_MFLUX_APER", "mflux"), ("NET_UMFLUX_APER", "umflux")):
        factor = rows.number(f"{conversion}_conversion")
        columns += [
            StyleColumn(f"{name}{end}", "erg/cm**2/s", value * factor)
            for end, value in (("", rate), ("_LO", low), ("_HI", high))
        ]
    return [
        *columns,
        StyleColumn("SRC_VAR_ODDS", "", rows.number("gl_log10_odds")),
        StyleColumn("SRC_VAR_PROB", "", rows.number("var_prob")),
        StyleColumn("SRC_VAR_INDEX", "", rows.number("var_index")),
    ]


def _two_apertures(
    name: str,
    unit: str,
    own: Array,
    other: Array,
    rates: tuple[Array, Array, Array],
    factors: tuple[Array, Array, Array],
) -> list[StyleColumn]:
    """Net value of two apertures, NaN where negative; ends scaled as those of the rate."""
    r, alpha, beta = factors
    rate, low, high = rates
    with np.errstate(divide="ignore", invalid="ignore"):
        net = (r * own - other) / (r * alpha - beta)
        net = np.where(net >= 0, net, np.nan)
        scale = net / np.where(rate > 0, rate, high)
    return [
        StyleColumn(name, unit, net),
        StyleColumn(f"{name}_LO", unit, low * scale),
        StyleColumn(f"{name}_HI", unit, high * scale),
    ]


def merged_columns(rows: StyleRows, inside: NDArray[np.bool_]) -> list[StyleColumn]:
    """Columns of the merged values of one band, in srcflux's order; `inside`: which observations count."""

    def three(name: str, unit: str, column: str) -> list[StyleColumn]:
        ends = (("", ""), ("_LO", "_lolim"), ("_HI", "_hilim"))
        return [StyleColumn(f"{name}{a}", unit, rows.number(f"{column}{b}")) for a, b in ends]

    photons, energy = "photon/cm**2/s", "erg/cm**2/s"
    return [
        StyleColumn("RAPOS", "deg", rows.number("ra")),
        StyleColumn("DECPOS", "deg", rows.number("dec")),
        StyleColumn("COMPONENT", "", np.arange(1, len(rows) + 1), "J"),
        StyleColumn("TOTAL_COUNTS", "count", rows.number("cnts_aper")),
        StyleColumn("TOTAL_BG_COUNTS", "count", rows.number("cnts_aperbkg")),
        StyleColumn("NUM_OBI", "", rows.number("n_obs").astype(np.int64), "J"),
        StyleColumn("INSIDE_FOV", "", inside, f"{inside.shape[1]}L"),
        *three("MERGED_NET_RATE_APER", "count/s", "merged_net_rate_aper"),
        StyleColumn("MERGED_RATE_AREASCAL", "", rows.number("merged_rate_areascal")),
        StyleColumn("PSF_WEIGHTED_TOTAL_EXPOSURE_TIME", "s", rows.number("psf_weighted_exposure_time")),
        *three("MERGED_NET_APRATES_PHOTFLUX_APER", photons, "merged_aprates_photflux_aper"),
        StyleColumn("MERGED_PHOTFLUX_AREASCAL", "", rows.number("merged_photflux_areascal")),
        StyleColumn("PSF_WEIGHTED_TOTAL_SRC_EXPOSURE", "cm**2 s", rows.number("psf_weighted_exposure")),
        StyleColumn("PSF_WEIGHTED_TOTAL_BG_EXPOSURE", "cm**2 s", rows.number("psf_weighted_exposure_bkg")),
        *three("MERGED_NET_PHOTFLUX_APER", photons, "merged_net_photflux_aper"),
        StyleColumn("MFLUX_CNV", "erg/cm**2/count", rows.number("mflux_conversion")),
        StyleColumn("UMFLUX_CNV", "erg/cm**2/count", rows.number("umflux_conversion")),
        *_scaled("MERGED_NET_MFLUX_APER", energy, rows, "mflux_conversion"),
        *_scaled("MERGED_NET_UMFLUX_APER", energy, rows, "umflux_conversion"),
        StyleColumn("TOTAL_FLUX_APER", energy, rows.number("flux_aper_raw")),
        StyleColumn("TOTAL_BG_FLUX_APER", energy, rows.number("flux_aperbkg_raw")),
    ]


def _scaled(name: str, unit: str, rows: StyleRows, factor: str) -> list[StyleColumn]:
    ends = (("", ""), ("_LO", "_lolim"), ("_HI", "_hilim"))
    return [
        StyleColumn(f"{name}{a}", unit, rows.number(f"merged_net_rate_aper{b}") * rows.number(factor))
        for a, b in ends
    ]


def _write(
    path: Path, columns: Sequence[StyleColumn], rows: StyleRows, recipe: Recipe, number: str | None = None
) -> None:
    table = fits.BinTableHDU.from_columns(
        [fits.Column(c.name, c.form, unit=c.unit or None, array=c.values) for c in columns],
        name="REGION" if number is not None else "SRCFLUX",
    )
    header = table.header
    header["ENERGY"] = (float(rows.number("eff")[0]), "[keV] effective energy of the band")
    header["EMIN"] = (float(rows.number("lo")[0]), "[keV] lower energy of the band")
    header["EMAX"] = (float(rows.number("hi")[0]), "[keV] upper energy of the band")
    header["CONF"] = (recipe.confidence, "probability inside the intervals")
    model = recipe.model
    header["MODEL"] = (model.kind, "spectral model")
    header["PARAMVAL"] = (model.parameter, "photon index, or kT in keV")
    header["ABSMODEL"] = (model.absorber, "absorption")
    nh = rows.number("model_nh")
    header["ABSPARAM"] = (
        float(nh[0]) if np.isfinite(nh[:1]).all() else 0.0,
        "[1e22 cm-2] nH of the first row",
    )
    header["ABUND"] = (model.abundances, "abundances of the absorption")
    header["RECIPE"] = (recipe.name, "srccat recipe")
    header["CREATOR"] = f"srccat {__version__}"
    if number is not None:
        header["OBS_ID"] = number
        header["HDUCLASS"], header["HDUCLAS1"], header["HDUCLAS2"] = "ASC", "REGION", "STANDARD"
        header["MTYPE1"], header["MFORM1"] = "pos", "X,Y"
        _add_wcs(header, [c.name for c in columns], rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True, checksum=True)


def _add_wcs(header: fits.Header, names: list[str], rows: StyleRows) -> None:
    ra, dec = float(rows.number("ra_pnt")[0]), float(rows.number("dec_pnt")[0])
    frame = nominal_frame(ra, dec)
    axes = (
        ("X", "RA---TAN", ra, frame.x_ref, -frame.pixel_scale_arcsec),
        ("Y", "DEC--TAN", dec, frame.y_ref, frame.pixel_scale_arcsec),
    )
    for axis, kind, value, reference, scale in axes:
        i = names.index(axis) + 1
        header[f"TCTYP{i}"], header[f"TCUNI{i}"] = kind, "deg"
        header[f"TCRVL{i}"], header[f"TCRPX{i}"], header[f"TCDLT{i}"] = value, reference, scale / 3600
    header["RADECSYS"], header["EQUINOX"] = "ICRS", 2000.0
