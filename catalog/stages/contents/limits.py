"""Detection limits and flux bounds at any position, without adding a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.apertures.region import region_from_dict
from catalog.band import Band
from catalog.calibration.provider import Calibration
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.measure.band_response import band_response
from catalog.measure.extract import Aperture, extract
from catalog.measure.merging import Members, MergeChoices, merge_band
from catalog.measure.photometry import Counted, PhotometryChoices, photometry
from catalog.measure.posterior_columns import Columns
from catalog.recipes.recipe import Recipe
from catalog.stages.base.field_cache import field_key, observed_field
from catalog.stages.base.project import Project
from catalog.stages.base.recipe_store import stored_recipes
from catalog.stages.base.work import FieldInput, SourceTable, field_inputs, source_table
from catalog.stages.engine.pairs import NEAR_POINTING
from catalog.stages.steps import apertures

ALL = "all"
"""Name of the row of all observations together."""
_NEW = -1


@dataclass(frozen=True)
class LimitRow:
    """What a position says in one band, in one observation or in all.

    Attributes
    ----------
    obs_id
        ObsID, or `all`.
    band
        Name of the band.
    theta
        Off-axis angle in arcmin; NaN for all observations.
    cnts_aper
        Counts in the aperture.
    background
        Expected background counts in the aperture.
    photflux_limit
        Detection limit (Kashyap et al. 2010), photon cm-2 s-1.
    photflux_aper, photflux_hilim
        Mode of the posterior and upper end of its interval, photon cm-2 s-1.
    flux_hilim
        Upper end in erg cm-2 s-1, by the conversion of `flux_aper`.
    log10_prob_no_source
        That the background alone gives the counts.
    """

    obs_id: str
    band: str
    theta: float
    cnts_aper: int
    background: float
    photflux_limit: float
    photflux_aper: float
    photflux_hilim: float
    flux_hilim: float
    log10_prob_no_source: float


Seen = tuple[Counted, Columns, int]
"""What an observation found, and the number of the band in it."""


def limits_at(project: Project, ra: float, dec: float, recipe: str) -> list[LimitRow]:
    """Measure a position (degrees ICRS) in all observations that see it; nothing is stored.

    Apertures, backgrounds and exposures are those of the recipe; listed sources are cut out as neighbours,
    but for one within the match tolerance of the position, which counts as the position itself.

    Raises
    ------
    UnknownNameError
        For a recipe that the database does not have.
    """
    with project.store.read() as connection:
        chosen = stored_recipes(connection, [recipe])[0].recipe
        fields = field_inputs(connection, project.settings)
        sources = source_table(connection)
    together = _with_position(sources, ra, dec, project.settings.sources.match_tolerance)
    # A position is measured alone: joint photometry needs the measurements of the neighbours.
    alone = chosen.model_copy(update={"crowding": chosen.crowding.model_copy(update={"method": "exclude"})})
    calibration, spectrum = project.calibration(), project.spectrum()
    rows: list[LimitRow] = []
    seen: dict[Band, list[Seen]] = {}
    for field in fields:
        here = field.recipe_here(alone)
        found = _one_field(here, field, together, field.calibration(calibration), spectrum)
        if found is None:
            continue
        theta, counted, columns = found
        obs_id = field.scope.split("/")[0]
        for j, band in enumerate(here.energy_bands):
            seen.setdefault(band, []).append((counted, columns, j))
            rows.append(_row(obs_id, band.name, theta, columns, counted, j))
    rows += [_merged(alone, band, own, spectrum) for band, own in seen.items() if len(own) > 1]
    return rows


def _with_position(sources: SourceTable, ra: float, dec: float, tolerance: float) -> SourceTable:
    a, d = np.radians(sources.ra), np.radians(sources.dec)
    a0, d0 = np.radians(ra), np.radians(dec)
    half = np.sin((d - d0) / 2) ** 2 + np.cos(d) * np.cos(d0) * np.sin((a - a0) / 2) ** 2
    apart = 2 * np.degrees(np.arcsin(np.sqrt(np.minimum(half, 1.0)))) * 3600 > tolerance
    return SourceTable(
        np.append(sources.id[apart], _NEW),
        np.append(sources.ra[apart], ra),
        np.append(sources.dec[apart], dec),
    )


def _one_field(
    recipe: Recipe,
    field: FieldInput,
    sources: SourceTable,
    calibration: Calibration,
    spectrum: ReferenceSpectrum,
) -> tuple[float, Counted, Columns] | None:
    """Measure the last row of the table; None where the observation does not see it."""
    a, d = np.radians(sources.ra), np.radians(sources.dec)
    a0, d0 = np.radians(field.ra_pnt), np.radians(field.dec_pnt)
    cosine = np.sin(d) * np.sin(d0) + np.cos(d) * np.cos(d0) * np.cos(a - a0)
    near = np.flatnonzero(cosine >= np.cos(np.radians(NEAR_POINTING)))
    if len(sources) - 1 not in near:
        return None
    psf = calibration.psf
    unit = apertures.find_units(recipe, field, sources, near, psf)[-1]
    observed = observed_field(field_key(field))
    record = apertures.place_sources([unit], recipe, field, observed, sources, psf)[0]
    if not record["regions"]:
        return None
    aperture = Aperture(
        record["x"],
        record["y"],
        record["theta"],
        record["phi"],
        record["chip_id"],
        region_from_dict(record["regions"]["source"][0]),
        region_from_dict(record["regions"]["background"][0]),
        recipe.exposure.psf_fraction == "model",
    )
    found = extract(observed, aperture, recipe.energy_bands, psf)
    theta, phi = np.array([record["theta"]]), np.array([record["phi"]])
    beside = np.array([found.theta_aperbkg if found.area_aperbkg > 0 else record["theta"]])
    place = (record["chip_id"], field.decimal_year)
    energies = np.array([band.eff for band in recipe.energy_bands])
    own, other = (calibration.area(*place, angle, phi, energies) for angle in (theta, beside))

    def table(name: str) -> NDArray[np.float64]:
        return np.array([[getattr(band, name) for band in found.bands]], dtype=float)

    counted = Counted(
        n=table("n").astype(np.int64),
        m=table("m").astype(np.int64),
        psf_frac_aper=table("psf_frac_aper"),
        psf_frac_aperbkg=np.nan_to_num(table("psf_frac_aperbkg")),
        psf_good_frac_aper=table("psf_good_frac_aper"),
        psf_good_frac_aperbkg=np.nan_to_num(table("psf_good_frac_aperbkg")),
        area_aper=np.array([found.area_aper]),
        area_aperbkg=np.array([found.area_aperbkg]),
        good_frac_area_aper=np.array([found.good_frac_area_aper]),
        good_frac_area_aperbkg=np.nan_to_num(np.array([found.good_frac_area_aperbkg])),
        livetime=np.array([record["livetime"]]),
        background_vignetting=np.where(own > 0, other / np.where(own > 0, own, 1.0), 1.0),
        energy_aper=[found.energy_aper],
        energy_aperbkg=[found.energy_aperbkg],
        background_correction=np.array([record["crowding"]["bkg_correction"] or 1.0]),
    )
    response = None
    if field.grating == "NONE":
        response = band_response(
            calibration, *place, theta, phi, recipe.energy_bands, spectrum, recipe.exposure.weighting
        )
    choices = PhotometryChoices(
        recipe.background.follows, recipe.confidence, recipe.limit.alpha, recipe.limit.power
    )
    columns = photometry(counted, response, recipe.energy_bands, spectrum, choices)
    if not np.isfinite(columns["bkg_ratio"]).all():
        return None
    return float(record["theta"]), counted, columns


def _row(obs_id: str, band: str, theta: float, columns: Columns, counted: Counted, j: int) -> LimitRow:
    def value(name: str) -> float:
        return float(columns[name][0, j])

    n, m = int(counted.n[0, j]), int(counted.m[0, j])
    return LimitRow(
        obs_id,
        band,
        theta,
        n,
        m / value("bkg_ratio"),
        value("photflux_limit"),
        value("photflux_aper"),
        value("photflux_aper_hilim"),
        value("flux_aper_hilim"),
        value("log10_prob_no_source"),
    )


def _merged(
    recipe: Recipe,
    band: Band,
    seen: Sequence[Seen],
    spectrum: ReferenceSpectrum,
) -> LimitRow:
    def column(name: str) -> NDArray[np.float64]:
        return np.array([columns[name][0, j] for _, columns, j in seen], dtype=float)

    def own(name: str) -> NDArray[np.float64]:
        return np.array([getattr(counted, name)[0, j] for counted, _, j in seen], dtype=float)

    nothing = np.full(len(seen), np.nan)
    members = Members(
        offsets=np.array([0, len(seen)]),
        n=own("n").astype(np.int64),
        m=own("m").astype(np.int64),
        psf_frac_aper=own("psf_frac_aper"),
        psf_frac_aperbkg=own("psf_frac_aperbkg"),
        psf_good_frac_aper=own("psf_good_frac_aper"),
        psf_good_frac_aperbkg=own("psf_good_frac_aperbkg"),
        bkg_ratio=column("bkg_ratio"),
        livetime=np.array([counted.livetime[0] for counted, _, _ in seen]),
        area_band=column("area_band"),
        fluence_aper=column("fluence_aper"),
        fluence_aperbkg=column("fluence_aperbkg"),
        fluence_max=column("fluence_max"),
        response_ratio=column("response_ratio"),
        response_index1=column("response_index1"),
        response_index3=column("response_index3"),
        flags=np.zeros(len(seen), dtype=np.int64),
        joint_cnts_aperbkg=nothing,
        joint_psf_frac_aperbkg=nothing,
        joint_bkg_ratio=nothing,
    )
    choices = MergeChoices(
        recipe.confidence,
        recipe.limit.alpha,
        recipe.limit.power,
        spectrum.energy_conversion(band.lo, band.hi),
    )
    found = merge_band(members, choices)
    return LimitRow(
        ALL,
        band.name,
        float("nan"),
        int(members.n.sum()),
        float((members.m / members.bkg_ratio).sum()),
        float(found["photflux_limit"][0]),
        float(found["photflux_aper"][0]),
        float(found["photflux_aper_hilim"][0]),
        float(found["flux_aper_hilim"][0]),
        float(found["log10_prob_no_source"][0]),
    )
