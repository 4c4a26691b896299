"""Stage `extract`: counts, areas, PSF fractions and exposure fractions of each source in each observation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from catalog.apertures.region import region_from_dict
from catalog.band import Band
from catalog.calibration.factory import open_calibration
from catalog.calibration.psf import PsfLibrary
from catalog.calibration.psf_image import PsfModel, read_psf_image
from catalog.flags import Flag
from catalog.measure import extract as measure
from catalog.measure.extract import Aperture
from catalog.measure.observed_field import ObservedField
from catalog.recipes.recipe import Recipe
from catalog.schema.tables import Extraction, Measurement, RegionRow
from catalog.stages.apertures import APERTURE_FLAGS
from catalog.stages.attempt import Failure, attempt
from catalog.stages.checksum import check_unchanged
from catalog.stages.field_cache import FieldKey, observed_field
from catalog.stages.fingerprint import fingerprint
from catalog.stages.user_files import files_by_source
from catalog.stages.work import FieldInput, UnitResult, UnitState, is_changed, store_units, unit_states
from catalog.store.arrays import pack
from catalog.store.door import Writer

STAGE = "extract"
VERSION = 2

BAND_FLAGS = Flag.BAND_OUTSIDE_DATA | Flag.LOW_PSF_FRACTION
"""Flags of a measurement that this stage sets."""


@dataclass(frozen=True)
class ExtractUnit:
    """An extraction to fill.

    Attributes
    ----------
    source_id, extraction_id
        Row numbers.
    flags
        Flags of the apertures stage.
    aperture
        Regions; None for a source without any.
    aperture_hash
        Hash of what the apertures stage found: what of it photometry needs is a result of this stage too.
    fingerprint
        Hash of all inputs.
    psf_image
        The user's PSF image of the source as (path, SHA-256); None for the calibration's.
    """

    source_id: int
    extraction_id: int
    flags: int
    aperture: Aperture | None
    aperture_hash: str
    fingerprint: str
    psf_image: tuple[Path, str] | None = None


@dataclass(frozen=True)
class ExtractJob:
    """A batch of units of one event set: all that a worker needs, picklable.

    Attributes
    ----------
    field
        Event list and restrictions.
    units
        The units.
    bands
        Bands to count in.
    psf_blur
        Blur of event positions, arcsec.
    """

    field: FieldKey
    units: tuple[ExtractUnit, ...]
    bands: tuple[Band, ...]
    psf_blur: float


@dataclass(frozen=True, eq=False)
class ExtractResult:
    """Columns for one extraction and its measurements, or why there are none."""

    unit: ExtractUnit
    extraction: dict[str, Any]
    measurements: tuple[dict[str, Any], ...]
    reason: str | None = None
    message: str | None = None


def unit_fingerprint(
    recipe: Recipe,
    field: FieldInput,
    psf: PsfLibrary,
    aperture_hash: str,
    psf_image: tuple[Path, str] | None = None,
) -> str:
    """Hash of what an extraction depends on."""
    return fingerprint(
        VERSION,
        field.geometry_key(),
        [(band.name, band.lo, band.hi, band.eff) for band in recipe.energy_bands],
        recipe.exposure.psf_fraction,
        psf.identity,
        aperture_hash,
        *([] if psf_image is None else [psf_image[1]]),
    )


def plan(
    connection: Connection,
    recipe: Recipe,
    recipe_id: int,
    field: FieldInput,
    psf: PsfLibrary,
    upstream: dict[int, UnitState],
    states: dict[int, UnitState],
) -> list[ExtractUnit]:
    """Return the stale units, in the order of their source ids."""
    images = {source: files.psf for source, files in files_by_source(connection, field.user_files).items()}
    wanted = {
        source_id: unit_fingerprint(recipe, field, psf, state.result_hash or "", images.get(source_id))
        for source_id, state in upstream.items()
        if state.done
    }
    chosen = {
        source_id: value
        for source_id, value in wanted.items()
        if (state := states.get(source_id)) is None or not state.done or state.fingerprint != value
    }
    if not chosen:
        return []
    rows = connection.execute(
        select(
            Extraction.id,
            Extraction.source_id,
            Extraction.flags,
            Extraction.x,
            Extraction.y,
            Extraction.theta,
            Extraction.phi,
            Extraction.chip_id,
        )
        .where(Extraction.event_set_id == field.event_set_id, Extraction.recipe_id == recipe_id)
        .order_by(Extraction.source_id)
    ).all()
    regions = _regions(connection, field.event_set_id, recipe_id)
    model = recipe.exposure.psf_fraction == "model"
    return [
        ExtractUnit(
            row.source_id,
            row.id,
            row.flags & int(APERTURE_FLAGS),
            _aperture(row, regions.get(row.id, {}), model),
            upstream[row.source_id].result_hash or "",
            chosen[row.source_id],
            images.get(row.source_id),
        )
        for row in rows
        if row.source_id in chosen
    ]


def _regions(connection: Connection, event_set_id: int, recipe_id: int) -> dict[int, dict[str, Any]]:
    rows = connection.execute(
        select(RegionRow.extraction_id, RegionRow.role, RegionRow.shape)
        .join(Extraction, Extraction.id == RegionRow.extraction_id)
        .where(Extraction.event_set_id == event_set_id, Extraction.recipe_id == recipe_id)
    )
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        found.setdefault(row.extraction_id, {})[row.role] = row.shape
    return found


def _aperture(row: Any, shapes: dict[str, Any], model_psf: bool) -> Aperture | None:
    if "source" not in shapes or "background" not in shapes:
        return None
    return Aperture(
        x=row.x,
        y=row.y,
        theta=row.theta,
        phi=row.phi,
        chip_id=row.chip_id,
        source=region_from_dict(shapes["source"]),
        background=region_from_dict(shapes["background"]),
        model_psf=model_psf,
    )


def _psf(unit: ExtractUnit, aperture: Aperture, field: ObservedField, blur: float) -> PsfModel:
    if unit.psf_image is None:
        return open_calibration().psf.with_blur(blur)
    path, sha256 = unit.psf_image
    check_unchanged(path, sha256, "a PSF image")
    ra, dec = field.events.sky_frame.to_world(aperture.x, aperture.y)
    return read_psf_image(path).at(float(ra), float(dec))


def compute(job: ExtractJob) -> list[ExtractResult]:
    """Measure a batch; a unit that fails gives its reason and leaves the others alone.

    Raises
    ------
    UserError
        The event list cannot be used: that is no matter of one source.
    """
    if any(unit.aperture is not None for unit in job.units):
        observed_field(job.field)
    results = []
    for unit in job.units:
        if unit.aperture is None:
            results.append(_nothing(unit, job.bands, unit.flags))
            continue
        found = attempt(partial(_measure, unit, unit.aperture, job))
        if isinstance(found, Failure):
            failed = _nothing(unit, job.bands, unit.flags | int(Flag.FAILED))
            found = ExtractResult(unit, failed.extraction, failed.measurements, found.reason, found.message)
        results.append(found)
    return results


def _measure(unit: ExtractUnit, aperture: Aperture, job: ExtractJob) -> ExtractResult:
    field = observed_field(job.field)
    found = measure.extract(field, aperture, job.bands, _psf(unit, aperture, field, job.psf_blur))
    widest = max(range(len(job.bands)), key=lambda i: job.bands[i].hi - job.bands[i].lo)
    good = found.bands[widest].psf_good_frac_aper
    flags = unit.flags | int(found.flags)
    if good < measure.PARTIAL_EXPOSURE:
        flags |= int(Flag.PARTIAL_EXPOSURE)
    has_background = found.area_aperbkg > 0
    extraction = {
        "id": unit.extraction_id,
        "flags": flags,
        "good_frac": good,
        "theta_aperbkg": found.theta_aperbkg if has_background else None,
        "good_frac_area_aper": found.good_frac_area_aper,
        "good_frac_area_aperbkg": found.good_frac_area_aperbkg if has_background else None,
        "area_aper": found.area_aper,
        "area_aperbkg": found.area_aperbkg if has_background else None,
        "cnts_per_frame": found.cnts_per_frame if np.isfinite(found.cnts_per_frame) else None,
        "events_aper": pack(found.energy_aper),
        "events_aperbkg": pack(found.energy_aperbkg) if has_background else None,
    }
    measurements = tuple(
        {
            "flags": int(band.flags),
            "cnts_aper": band.n,
            "cnts_aperbkg": band.m if has_background else None,
            "psf_frac_aper": band.psf_frac_aper,
            "psf_frac_aperbkg": band.psf_frac_aperbkg if has_background else None,
            "psf_good_frac_aper": band.psf_good_frac_aper,
            "psf_good_frac_aperbkg": band.psf_good_frac_aperbkg if has_background else None,
        }
        for band in found.bands
    )
    return ExtractResult(unit, extraction, measurements)


def _nothing(unit: ExtractUnit, bands: Sequence[Band], flags: int) -> ExtractResult:
    extraction = dict.fromkeys(
        (
            "good_frac",
            "theta_aperbkg",
            "good_frac_area_aper",
            "good_frac_area_aperbkg",
            "area_aper",
            "area_aperbkg",
            "cnts_per_frame",
            "events_aper",
            "events_aperbkg",
        )
    )
    empty = dict.fromkeys(
        (
            "cnts_aper",
            "cnts_aperbkg",
            "psf_frac_aper",
            "psf_frac_aperbkg",
            "psf_good_frac_aper",
            "psf_good_frac_aperbkg",
        )
    )
    columns = {"id": unit.extraction_id, "flags": flags, **extraction}
    return ExtractResult(unit, columns, tuple({"flags": 0, **empty} for _ in bands))


def store(
    writer: Writer,
    run_id: int,
    recipe_id: int,
    field: FieldInput,
    results: Sequence[ExtractResult],
    bands: Sequence[int],
) -> None:
    """Store a batch of results; `bands` are the row numbers of the recipe's bands in its order.

    Rows of a result that is what it was stay as they are: later stages have written into them.
    """
    done = [
        UnitResult(
            result.unit.source_id,
            result.unit.fingerprint,
            None if result.reason else _result_hash(result),
            result.reason,
            result.message,
        )
        for result in results
    ]
    states = unit_states(writer.connection, STAGE, recipe_id, field.scope)
    changed = [result for result, unit in zip(results, done, strict=True) if is_changed(unit, states)]
    writer.update_many(Extraction, [{**result.extraction, "run_id": run_id} for result in changed])
    extractions = [result.unit.extraction_id for result in changed]
    writer.delete(Measurement, Measurement.extraction_id.in_(extractions) & Measurement.band_id.not_in(bands))
    rows = [
        {"run_id": run_id, "extraction_id": result.unit.extraction_id, "band_id": band_id, **columns}
        for result in changed
        for band_id, columns in zip(bands, result.measurements, strict=True)
    ]
    writer.upsert(Measurement, rows, key=("extraction_id", "band_id"))
    store_units(writer, run_id, STAGE, recipe_id, field.scope, field.event_set_id, done)


def _result_hash(result: ExtractResult) -> str:
    extraction = {name: value for name, value in result.extraction.items() if name != "id"}
    return fingerprint(result.unit.aperture_hash, extraction, result.measurements)
