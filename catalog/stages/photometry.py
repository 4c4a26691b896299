"""Stage `photometry`: rates, fluxes, significances and limits from what extraction found."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from catalog.band import Band
from catalog.calibration.provider import Calibration
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.flags import Flag
from catalog.measure.band_response import BandResponse, band_response
from catalog.measure.joint_photometry import JointResult
from catalog.measure.photometry import Counted, PhotometryChoices, photometry
from catalog.measure.posterior_columns import Columns, to_rows
from catalog.recipes.recipe import Recipe
from catalog.schema.tables import BandRow, Extraction, Measurement
from catalog.stages.extract import BAND_FLAGS
from catalog.stages.fingerprint import fingerprint
from catalog.stages.user_files import UserFiles
from catalog.stages.work import FieldInput, UnitResult, UnitState, store_units
from catalog.store.arrays import unpack
from catalog.store.door import Writer

STAGE = "photometry"
VERSION = 2

COLUMNS = tuple(
    item.name
    for item in Measurement.__table__.columns
    if item.name
    not in {
        "id",
        "run_id",
        "extraction_id",
        "band_id",
        "cnts_aper",
        "cnts_aperbkg",
        "psf_frac_aper",
        "psf_frac_aperbkg",
        "psf_good_frac_aper",
        "psf_good_frac_aperbkg",
    }
)
"""Columns of `measurement` that this stage fills."""


@dataclass(frozen=True)
class PhotometryContext:
    """What all units of a recipe and event set share."""

    recipe: Recipe
    field: FieldInput
    calibration: Calibration
    spectrum: ReferenceSpectrum
    own_files: Mapping[int, UserFiles] = dataclasses.field(default_factory=dict)

    def calibration_of(self, source_id: int) -> Calibration:
        """The calibration of a source, with files of its own where the settings name any."""
        own = self.own_files.get(source_id)
        return self.calibration if own is None else own.calibration(self.calibration)

    def common(self) -> str:
        """Hash of what any of them depends on."""
        return fingerprint(
            VERSION,
            self.calibration.identity,
            [self.spectrum.photon_index, self.spectrum.nh, self.spectrum.absorption],
            self.recipe.confidence,
            self.recipe.background.follows,
            self.recipe.exposure.weighting,
            [self.recipe.limit.alpha, self.recipe.limit.power],
            self.recipe.crowding.model_dump(),
            [(band.name, band.lo, band.hi, band.eff) for band in self.recipe.energy_bands],
            [self.field.decimal_year, self.field.grating],
        )


def plan(
    context: PhotometryContext,
    upstream: dict[int, UnitState],
    states: dict[int, UnitState],
    companions: dict[int, tuple[int, ...]],
) -> dict[int, str]:
    """Return fingerprints of the stale units by source id.

    `companions` are the sources that each is measured together with: its result depends on their counts too.
    A failed extraction is a unit too: what was computed from an earlier one must not stay.
    """
    common = context.common()
    found = {}
    for source_id, state in upstream.items():
        together = sorted(upstream[other].result_hash or "" for other in companions.get(source_id, ()))
        own = context.own_files.get(source_id)
        files = [] if own is None else [own.response_key()]
        value = fingerprint(common, state.result_hash, together, *files)
        known = states.get(source_id)
        if known is None or not known.done or known.fingerprint != value:
            found[source_id] = value
    return found


@dataclass(frozen=True, eq=False)
class JointRows:
    """Joint photometry of an event set by source id."""

    rows: dict[int, int]
    result: JointResult

    def of(self, source_ids: Sequence[int]) -> JointResult:
        """The results of sources; those measured alone have none."""
        return self.result.take(np.array([self.rows.get(i, -1) for i in source_ids], dtype=np.intp))


@dataclass(frozen=True, eq=False)
class PhotometryResult:
    """Rows of `measurement` (with their ids) of one source."""

    source_id: int
    rows: tuple[dict[str, Any], ...]


def compute(
    connection: Connection,
    context: PhotometryContext,
    recipe_id: int,
    source_ids: Sequence[int],
    joint: JointRows | None = None,
) -> list[PhotometryResult]:
    """Photometry of sources in one event set, all bands at once; `joint` has those measured together."""
    extractions, measurements = load(connection, context, recipe_id, source_ids)
    results = []
    found = [row for row in extractions if row.area_aper is not None]
    alone = {row.source_id for row in found if row.source_id in context.own_files}
    for chip in sorted({row.chip_id for row in found}):
        group = [row for row in found if row.chip_id == chip and row.source_id not in alone]
        if group:
            results += _on_chip(context, chip, group, measurements, joint)
    for row in found:
        if row.source_id in alone:
            own = replace(context, calibration=context.calibration_of(row.source_id))
            results += _on_chip(own, row.chip_id, [row], measurements, joint)
    for row in extractions:
        if row.area_aper is None:
            empty = dict.fromkeys(COLUMNS)
            rows = tuple({**empty, "id": item.id, "flags": 0} for item in measurements[row.id])
            results.append(PhotometryResult(row.source_id, rows))
    return sorted(results, key=lambda result: result.source_id)


def load(
    connection: Connection, context: PhotometryContext, recipe_id: int, source_ids: Sequence[int]
) -> tuple[Sequence[Any], dict[int, list[Any]]]:
    """Extractions of sources in the order of their ids, and the measurements of each, band by band."""
    chosen = (
        Extraction.event_set_id == context.field.event_set_id,
        Extraction.recipe_id == recipe_id,
        Extraction.source_id.in_(source_ids),
    )
    extractions = connection.execute(
        select(
            Extraction.id,
            Extraction.source_id,
            Extraction.theta,
            Extraction.phi,
            Extraction.chip_id,
            Extraction.livetime,
            Extraction.area_aper,
            Extraction.area_aperbkg,
            Extraction.good_frac_area_aper,
            Extraction.good_frac_area_aperbkg,
            Extraction.theta_aperbkg,
            Extraction.events_aper,
            Extraction.events_aperbkg,
        )
        .where(*chosen)
        .order_by(Extraction.source_id)
    ).all()
    found: dict[tuple[int, str], Any] = {}
    for row in connection.execute(
        select(
            Measurement.id,
            Measurement.extraction_id,
            Measurement.flags,
            Measurement.cnts_aper,
            Measurement.cnts_aperbkg,
            Measurement.psf_frac_aper,
            Measurement.psf_frac_aperbkg,
            Measurement.psf_good_frac_aper,
            Measurement.psf_good_frac_aperbkg,
            BandRow.band,
        )
        .join(Extraction, Extraction.id == Measurement.extraction_id)
        .join(BandRow, BandRow.id == Measurement.band_id)
        .where(*chosen)
    ):
        found[row.extraction_id, row.band] = row
    names = [band.name for band in context.recipe.energy_bands]
    # A band new in the recipe has no counts where only this stage was asked for: such a unit stays stale.
    counted = [row for row in extractions if all((row.id, name) in found for name in names)]
    return counted, {row.id: [found[row.id, name] for name in names] for row in counted}


def _on_chip(
    context: PhotometryContext,
    chip: int,
    group: list[Any],
    measurements: dict[int, list[Any]],
    joint: JointRows | None,
) -> list[PhotometryResult]:
    bands = context.recipe.energy_bands
    theta = np.array([row.theta for row in group])
    phi = np.array([row.phi for row in group])
    response = _response(context, chip, theta, phi)
    table = [measurements[row.id] for row in group]
    counted = count_arrays(context, chip, group, table, (theta, phi))
    recipe = context.recipe
    choices = PhotometryChoices(
        recipe.background.follows, recipe.confidence, recipe.limit.alpha, recipe.limit.power
    )
    together = None if joint is None else joint.of([row.source_id for row in group])
    columns = photometry(counted, response, bands, context.spectrum, choices, together)
    kept = np.array([[item.flags & int(BAND_FLAGS) for item in row] for row in table], dtype=np.int64)
    columns["flags"] = columns["flags"] | kept
    if context.calibration.area_extrapolated(context.field.decimal_year) and response is not None:
        columns["flags"] |= int(Flag.AREA_EXTRAPOLATED)
    if response is not None:
        columns["flags"][:, _outside_calibration(context)] |= int(Flag.BAND_OUTSIDE_CALIBRATION)
    identity = np.full(counted.n.shape, context.calibration.identity, dtype=object)
    identity[~np.isfinite(columns["bkg_ratio"])] = None
    columns["calibration"] = identity
    chosen: Columns = {name: columns[name] for name in COLUMNS}
    rows = to_rows(chosen, counted.n.shape)
    results = []
    for i, row in enumerate(group):
        own = rows[i * len(bands) : (i + 1) * len(bands)]
        results.append(
            PhotometryResult(
                row.source_id,
                tuple({**values, "id": item.id} for values, item in zip(own, table[i], strict=True)),
            )
        )
    return results


def _outside_calibration(context: PhotometryContext) -> NDArray[np.bool_]:
    """Bands of which the calibration does not know all."""
    grid = context.calibration.energy_grid
    return np.array([band.lo < grid[0] or band.hi > grid[-1] for band in context.recipe.energy_bands])


def _response(
    context: PhotometryContext, chip: int, theta: NDArray[np.float64], phi: NDArray[np.float64]
) -> BandResponse | None:
    if context.field.grating != "NONE":
        return None
    return band_response(
        context.calibration,
        chip,
        context.field.decimal_year,
        theta,
        phi,
        context.recipe.energy_bands,
        context.spectrum,
        context.recipe.exposure.weighting,
    )


def count_arrays(
    context: PhotometryContext,
    chip: int,
    group: list[Any],
    table: list[list[Any]],
    position: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Counted:
    """What photometry takes, of extractions on one chip."""

    def per_band(name: str, empty: float = 0.0) -> NDArray[Any]:
        return np.array([[_or(getattr(item, name), empty) for item in row] for row in table])

    def per_source(name: str, empty: float = 0.0) -> NDArray[np.float64]:
        return np.array([_or(getattr(row, name), empty) for row in group], dtype=float)

    none = np.empty(0, dtype=np.float32)
    return Counted(
        n=per_band("cnts_aper").astype(np.int64),
        m=per_band("cnts_aperbkg").astype(np.int64),
        psf_frac_aper=per_band("psf_frac_aper").astype(float),
        psf_frac_aperbkg=per_band("psf_frac_aperbkg").astype(float),
        psf_good_frac_aper=per_band("psf_good_frac_aper").astype(float),
        psf_good_frac_aperbkg=per_band("psf_good_frac_aperbkg").astype(float),
        area_aper=per_source("area_aper"),
        area_aperbkg=per_source("area_aperbkg"),
        good_frac_area_aper=per_source("good_frac_area_aper"),
        good_frac_area_aperbkg=per_source("good_frac_area_aperbkg"),
        livetime=per_source("livetime"),
        background_vignetting=_background_vignetting(context, chip, group, position),
        energy_aper=[none if row.events_aper is None else unpack(row.events_aper) for row in group],
        energy_aperbkg=[none if row.events_aperbkg is None else unpack(row.events_aperbkg) for row in group],
    )


def _or(value: float | None, empty: float) -> float:
    return empty if value is None else value


def _background_vignetting(
    context: PhotometryContext,
    chip: int,
    group: list[Any],
    position: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.float64]:
    theta, phi = position
    bands: Sequence[Band] = context.recipe.energy_bands
    energies = np.array([band.eff for band in bands])
    beside = np.array([_or(row.theta_aperbkg, row.theta) for row in group])
    year = context.field.decimal_year
    own = context.calibration.area(chip, year, theta, phi, energies)
    other = context.calibration.area(chip, year, beside, phi, energies)
    return np.where(own > 0, other / np.where(own > 0, own, 1.0), 1.0)


def store(
    writer: Writer,
    run_id: int,
    recipe_id: int,
    field: FieldInput,
    results: Sequence[PhotometryResult],
    fingerprints: dict[int, str],
) -> None:
    """Store a batch."""
    writer.update_many(Measurement, [{**row, "run_id": run_id} for result in results for row in result.rows])
    done = [
        UnitResult(result.source_id, fingerprints[result.source_id], _result_hash(result))
        for result in results
    ]
    store_units(writer, run_id, STAGE, recipe_id, field.scope, field.event_set_id, done)


def _result_hash(result: PhotometryResult) -> str:
    return fingerprint([{name: value for name, value in row.items() if name != "id"} for row in result.rows])
