"""Stage `extract`: counts, areas, PSF fractions and exposure fractions of each source in each observation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, select

from catalog.apertures.region import region_from_dict
from catalog.band import Band, widest_band
from catalog.calibration.psf_blur import Blur
from catalog.calibration.psf_image import PsfModel
from catalog.flags import Flag
from catalog.measure import extract as measure
from catalog.measure.extract import Aperture
from catalog.measure.observed_field import ObservedField
from catalog.schema.tables import Extraction, Measurement, RegionRow
from catalog.stages.base.attempt import Failure, attempt
from catalog.stages.base.calibration_cache import CalibrationKey, psf_of
from catalog.stages.base.field_cache import FieldKey, field_key, observed_field
from catalog.stages.base.fingerprint import Inputs, fingerprint
from catalog.stages.base.stage import Place, Plan, Result
from catalog.stages.base.stale_reasons import stale_in_bands
from catalog.stages.base.upstream import upstream_states
from catalog.stages.base.user_files import files_by_source, source_psf
from catalog.stages.base.work import UnitState
from catalog.stages.steps.apertures import APERTURE_FLAGS
from catalog.stages.steps.apertures import STAGE as APERTURES
from catalog.store.arrays import pack
from catalog.store.door import Writer

STAGE = "extract"
VERSION = 5

BAND_FLAGS = Flag.BAND_OUTSIDE_DATA | Flag.LOW_PSF_FRACTION
"""Flags of a measurement that this stage sets."""


_COLUMNS = (
    "flags",
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
_BAND_COLUMNS = (
    "flags",
    "cnts_aper",
    "cnts_aperbkg",
    "psf_frac_aper",
    "psf_frac_aperbkg",
    "psf_good_frac_aper",
    "psf_good_frac_aperbkg",
    "offset_east_aper",
    "offset_north_aper",
    "afterglow_cnts_aper",
)
"""Columns of `extraction` and `measurement` that this stage fills, of the flags those that it sets."""


@dataclass(frozen=True, eq=False)
class Extracted:
    """Columns of one extraction and of its measurement in each band; those in `kept` are stored already.

    The extraction itself is where any band is.
    """

    extraction: dict[str, Any]
    measurements: tuple[dict[str, Any], ...]
    kept: frozenset[int] = frozenset()


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
    psf_image
        The user's PSF image of the source as (path, SHA-256); None for the calibration's.
    known
        What was found before where only bands are new, with empty columns in these; None without.
    """

    source_id: int
    extraction_id: int
    flags: int
    aperture: Aperture | None
    aperture_hash: str
    psf_image: tuple[Path, str] | None = None
    known: Extracted | None = None

    @property
    def kept(self) -> frozenset[int]:
        """Numbers of the bands that are stored already."""
        return frozenset() if self.known is None else self.known.kept


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
    calibration, psf_blur
        Calibration, and blur of event positions in arcsec.
    """

    field: FieldKey
    units: tuple[ExtractUnit, ...]
    bands: tuple[Band, ...]
    calibration: CalibrationKey
    psf_blur: Blur


@dataclass(frozen=True)
class ExtractInputs:
    """Units of the apertures stage, and the user's PSF images, by source id."""

    apertures: dict[int, UnitState]
    images: dict[int, tuple[Path, str] | None]


def plan(connection: Connection, place: Place) -> Plan:
    """Return the inputs of all sources that have been placed, or could not be."""
    field, recipe = place.observed, place.recipe
    images = {source: files.psf for source, files in files_by_source(connection, field.user_files).items()}
    upstream = upstream_states(connection, place, APERTURES)
    common = Inputs.of(
        code=VERSION,
        file=field.file_key(),
        settings=field.settings_key(),
        bands=[(band.name, band.lo, band.hi, band.eff) for band in recipe.energy_bands],
        recipe=recipe.exposure.psf_fraction,
        calibration=place.psf.identity,
    )
    wanted = {}
    for source_id, state in upstream.items():
        image = images.get(source_id)
        own = common.plus(upstream=state.result_hash)
        wanted[source_id] = own if image is None else own.plus(files=image[1])
    return Plan(wanted, shared=ExtractInputs(upstream, images))


def load(connection: Connection, place: Place, plan: Plan, source_ids: Sequence[int]) -> ExtractJob:
    """Read the regions of a batch."""
    field, recipe = place.observed, place.recipe
    inputs: ExtractInputs = plan.shared
    chosen = (
        Extraction.event_set_id == field.event_set_id,
        Extraction.recipe_id == place.recipe_id,
        Extraction.source_id.in_(source_ids),
    )
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
        .where(*chosen)
        .order_by(Extraction.source_id)
    ).all()
    regions = region_shapes(connection, chosen)
    known = _known(connection, place, plan, source_ids)
    model = recipe.exposure.psf_fraction == "model"
    units = tuple(
        ExtractUnit(
            row.source_id,
            row.id,
            row.flags & int(APERTURE_FLAGS if inputs.apertures[row.source_id].done else Flag.FAILED),
            _aperture(row, regions.get(row.id, {}), model) if inputs.apertures[row.source_id].done else None,
            inputs.apertures[row.source_id].result_hash or "",
            inputs.images.get(row.source_id),
            known.get(row.id),
        )
        for row in rows
    )
    return ExtractJob(
        field_key(field), units, recipe.energy_bands, place.survey.calibration_key, field.psf_blur
    )


def _known(
    connection: Connection, place: Place, plan: Plan, source_ids: Sequence[int]
) -> dict[int, Extracted]:
    """What earlier runs found of extractions of which only bands are new, by row number.

    Of the widest band is the good fraction of all: where that is new, nothing is kept.
    """
    key = (STAGE, place.recipe_id, place.scope)
    sources = stale_in_bands(connection, key, plan.wanted, source_ids)
    if not sources:
        return {}
    chosen = (
        Extraction.event_set_id == place.observed.event_set_id,
        Extraction.recipe_id == place.recipe_id,
        Extraction.source_id.in_(sources),
    )
    columns = [getattr(Extraction, name) for name in _COLUMNS]
    rows = connection.execute(select(Extraction.id, *columns).where(*chosen))
    extractions = {row.id: {name: getattr(row, name) for name in _COLUMNS} for row in rows}
    columns = [getattr(Measurement, name) for name in _BAND_COLUMNS]
    found: dict[int, dict[int, dict[str, Any]]] = {row_id: {} for row_id in extractions}
    for row in connection.execute(
        select(Measurement.extraction_id, Measurement.band_id, *columns)
        .join(Extraction, Extraction.id == Measurement.extraction_id)
        .where(*chosen)
    ):
        values = {name: getattr(row, name) for name in _BAND_COLUMNS}
        found[row.extraction_id][row.band_id] = {**values, "flags": row.flags & int(BAND_FLAGS)}
    widest = widest_band(place.recipe.energy_bands)
    return {
        row_id: Extracted(
            extractions[row_id],
            tuple(own.get(band_id, {}) for band_id in place.bands),
            frozenset(i for i, band_id in enumerate(place.bands) if band_id in own),
        )
        for row_id, own in found.items()
        if place.bands[widest] in own
    }


def region_shapes(
    connection: Connection, chosen: Sequence[ColumnElement[bool]]
) -> dict[int, dict[str, dict[str, Any]]]:
    """Regions of extractions that meet conditions, as stored: by row number of the extraction and role."""
    rows = connection.execute(
        select(RegionRow.extraction_id, RegionRow.role, RegionRow.shape)
        .join(Extraction, Extraction.id == RegionRow.extraction_id)
        .where(*chosen)
    )
    found: dict[int, dict[str, dict[str, Any]]] = {}
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


def _psf(unit: ExtractUnit, aperture: Aperture, field: ObservedField, job: ExtractJob) -> PsfModel:
    if unit.psf_image is None:
        return psf_of(job.calibration, job.psf_blur)
    return source_psf(unit.psf_image, field, aperture)


def compute(job: ExtractJob) -> list[Result[Extracted]]:
    """Measure a batch; a unit that fails gives its reason and leaves the others alone.

    Raises
    ------
    UserError
        The event list cannot be used: that is no matter of one source.
    """
    if any(unit.aperture is not None for unit in job.units):
        observed_field(job.field)
    results: list[Result[Extracted]] = []
    for unit in job.units:
        if unit.aperture is None:
            found: Extracted | Failure = replace(_nothing(unit.flags, job.bands), kept=unit.kept)
        else:
            found = attempt(partial(_measure, unit, unit.aperture, job))
        if isinstance(found, Failure):
            results.append(Result.failed(unit.source_id, found.reason, found.message))
        else:
            content = {name: value for name, value in found.extraction.items() if name != "id"}
            content_hash = fingerprint(unit.aperture_hash, content, found.measurements)
            results.append(Result(unit.source_id, content_hash, found))
    return results


def _measure(unit: ExtractUnit, aperture: Aperture, job: ExtractJob) -> Extracted:
    field = observed_field(job.field)
    new = [i for i in range(len(job.bands)) if i not in unit.kept]
    found = measure.extract(field, aperture, [job.bands[i] for i in new], _psf(unit, aperture, field, job))
    has_background = found.area_aperbkg > 0
    measured = dict(zip(new, (_band_columns(band, has_background) for band in found.bands), strict=True))
    if unit.known is not None:
        together = tuple(measured.get(i, own) for i, own in enumerate(unit.known.measurements))
        return Extracted(unit.known.extraction, together, unit.kept)
    good = measured[widest_band(job.bands)]["psf_good_frac_aper"]
    flags = unit.flags | int(found.flags)
    if good < measure.PARTIAL_EXPOSURE:
        flags |= int(Flag.PARTIAL_EXPOSURE)
    extraction = {
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
    return Extracted(extraction, tuple(measured[i] for i in new))


def _band_columns(band: measure.BandCounts, has_background: bool) -> dict[str, Any]:
    return {
        "flags": int(band.flags),
        "cnts_aper": band.n,
        "cnts_aperbkg": band.m if has_background else None,
        "psf_frac_aper": band.psf_frac_aper,
        "psf_frac_aperbkg": band.psf_frac_aperbkg if has_background else None,
        "psf_good_frac_aper": band.psf_good_frac_aper,
        "psf_good_frac_aperbkg": band.psf_good_frac_aperbkg if has_background else None,
        "offset_east_aper": band.offset_east_aper if band.n else None,
        "offset_north_aper": band.offset_north_aper if band.n else None,
        "afterglow_cnts_aper": band.afterglow_cnts_aper,
    }


def _nothing(flags: int, bands: Sequence[Band]) -> Extracted:
    extraction = {**dict.fromkeys(_COLUMNS), "flags": flags}
    return Extracted(extraction, tuple({**dict.fromkeys(_BAND_COLUMNS), "flags": 0} for _ in bands))


def store(writer: Writer, place: Place, run_id: int, results: Sequence[Result[Extracted]]) -> None:
    """Store a batch; what cannot be extracted keeps the flags of its apertures, and says that it failed."""
    bands = place.bands
    rows = {
        row.source_id: row
        for row in writer.connection.execute(
            select(Extraction.source_id, Extraction.id, Extraction.flags).where(
                Extraction.event_set_id == place.observed.event_set_id,
                Extraction.recipe_id == place.recipe_id,
                Extraction.source_id.in_([result.source_id for result in results]),
            )
        )
    }
    found = {
        rows[result.source_id].id: result.value
        or _nothing(
            rows[result.source_id].flags & int(APERTURE_FLAGS) | int(Flag.FAILED), place.recipe.energy_bands
        )
        for result in results
        if result.source_id in rows
    }
    writer.update_many(
        Extraction,
        [
            {"id": row_id, **item.extraction, "run_id": run_id}
            for row_id, item in found.items()
            if not item.kept
        ],
    )
    writer.delete(Measurement, Measurement.extraction_id.in_(found) & Measurement.band_id.not_in(bands))
    measurements = [
        {"run_id": run_id, "extraction_id": row_id, "band_id": band_id, **columns}
        for row_id, item in found.items()
        for i, (band_id, columns) in enumerate(zip(bands, item.measurements, strict=True))
        if i not in item.kept
    ]
    writer.upsert(Measurement, measurements, key=("extraction_id", "band_id"))
