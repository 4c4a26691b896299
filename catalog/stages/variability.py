"""Stage `variability`: tests of each source within each observation, and its light curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, select

from catalog.apertures.region import region_from_dict
from catalog.band import Band
from catalog.calibration.psf_blur import Blur
from catalog.measure.extract import Aperture
from catalog.measure.timing import BandTiming, TimingChoices, timing
from catalog.schema.tables import Extraction, LightCurve, Variability
from catalog.stages.apertures import extraction_ids
from catalog.stages.attempt import Failure, attempt
from catalog.stages.calibration_cache import CalibrationKey, psf_of
from catalog.stages.extract import STAGE as EXTRACT
from catalog.stages.extract import region_shapes
from catalog.stages.field_cache import FieldKey, field_key, observed_field
from catalog.stages.fingerprint import Inputs, fingerprint
from catalog.stages.stage import Place, Plan, Result
from catalog.stages.upstream import upstream_states
from catalog.store.arrays import pack
from catalog.store.door import Writer

STAGE = "variability"
VERSION = 3


@dataclass(frozen=True)
class VariabilityUnit:
    """A source in an event set; without an aperture there is nothing to test."""

    source_id: int
    aperture: Aperture | None


@dataclass(frozen=True)
class VariabilityJob:
    """A batch of units of one event set: all that a worker needs, picklable.

    Attributes
    ----------
    field
        Event list and restrictions.
    units
        The units.
    bands
        Bands to test in.
    calibration, psf_blur
        Calibration, and blur of event positions in arcsec.
    choices
        Of the recipe.
    curves_of
        Number of the band that gets light curves, None for all.
    """

    field: FieldKey
    units: tuple[VariabilityUnit, ...]
    bands: tuple[Band, ...]
    calibration: CalibrationKey
    psf_blur: Blur
    choices: TimingChoices
    curves_of: int | None


@dataclass(frozen=True, eq=False)
class Tested:
    """Rows of one unit by number of the band, and its light curves with the number of their band."""

    rows: tuple[dict[str, Any], ...] = ()
    curves: tuple[tuple[int, dict[str, Any]], ...] = ()


def plan(connection: Connection, place: Place) -> Plan:
    """Return the inputs of all extractions; `shared` are the units of that stage.

    A failed extraction is a unit too: what was computed from an earlier one must not stay.
    """
    field, recipe = place.observed, place.recipe
    common = Inputs.of(
        code=VERSION,
        file=field.file_key(),
        settings=field.settings_key(),
        calibration=place.psf.identity,
        recipe=recipe.timing.model_dump(mode="json", exclude={"area_error"}),
        bands=[(band.name, band.lo, band.hi) for band in recipe.energy_bands],
    )
    upstream = upstream_states(connection, place, EXTRACT)
    return Plan(
        {source_id: common.plus(upstream=state.result_hash) for source_id, state in upstream.items()},
        shared=upstream,
    )


def load(connection: Connection, place: Place, plan: Plan, source_ids: Sequence[int]) -> VariabilityJob:
    """Read the regions of a batch."""
    field, recipe = place.observed, place.recipe
    chosen = (
        Extraction.event_set_id == field.event_set_id,
        Extraction.recipe_id == place.recipe_id,
        Extraction.source_id.in_(source_ids),
    )
    rows = connection.execute(
        select(
            Extraction.id,
            Extraction.source_id,
            Extraction.x,
            Extraction.y,
            Extraction.theta,
            Extraction.phi,
            Extraction.chip_id,
        )
        .where(*chosen)
        .order_by(Extraction.source_id)
    ).all()
    shapes = region_shapes(connection, chosen)
    bands, choice = recipe.energy_bands, recipe.timing
    widest = max(range(len(bands)), key=lambda i: bands[i].hi - bands[i].lo)
    return VariabilityJob(
        field_key(field),
        tuple(
            VariabilityUnit(
                row.source_id,
                _aperture(row, shapes.get(row.id, {})) if plan.shared[row.source_id].done else None,
            )
            for row in rows
        ),
        bands,
        place.survey.calibration_key,
        field.psf_blur,
        TimingChoices(choice.pvalues, choice.bin),
        widest if choice.light_curves == "widest" else None,
    )


def _aperture(row: Any, shapes: dict[str, Any]) -> Aperture | None:
    if "source" not in shapes or "background" not in shapes:
        return None
    source, background = (region_from_dict(shapes[role]) for role in ("source", "background"))
    return Aperture(row.x, row.y, row.theta, row.phi, row.chip_id, source, background)


def compute(batch: VariabilityJob) -> list[Result[Tested]]:
    """Test a batch; a unit that fails gives its reason and leaves the others alone.

    Raises
    ------
    UserError
        The event list cannot be used: that is no matter of one source.
    """
    if any(unit.aperture is not None for unit in batch.units):
        observed_field(batch.field)
    results: list[Result[Tested]] = []
    for unit in batch.units:
        found: Tested | Failure = Tested()
        if unit.aperture is not None:
            found = attempt(partial(_test, unit.aperture, batch))
        if isinstance(found, Failure):
            results.append(Result.failed(unit.source_id, found.reason, found.message))
        else:
            results.append(Result(unit.source_id, fingerprint(found.rows, found.curves), found))
    return results


def _test(aperture: Aperture, batch: VariabilityJob) -> Tested:
    field, psf = observed_field(batch.field), psf_of(batch.calibration, batch.psf_blur)
    return _tested(timing(field, aperture, batch.bands, psf, batch.choices, batch.curves_of))


def _tested(found: Sequence[BandTiming]) -> Tested:
    curves = tuple(
        (i, {"product": product, "columns": list(curve.columns), "data": pack(curve.values)})
        for i, band in enumerate(found)
        for product, curve in sorted(band.curves.items())
    )
    return Tested(tuple(band.columns for band in found), curves)


def store(writer: Writer, place: Place, run_id: int, results: Sequence[Result[Tested]]) -> None:
    """Replace the rows of a batch."""
    bands = place.bands
    rows = extraction_ids(writer.connection, place.observed.event_set_id, place.recipe_id)
    found = {
        rows[result.source_id]: result.value or Tested() for result in results if result.source_id in rows
    }
    writer.delete(Variability, Variability.extraction_id.in_(found))
    writer.delete(LightCurve, LightCurve.extraction_id.in_(found))
    writer.insert(
        Variability,
        [
            {"run_id": run_id, "extraction_id": row_id, "band_id": band_id, **columns}
            for row_id, item in found.items()
            for band_id, columns in zip(bands, item.rows, strict=bool(item.rows))
        ],
    )
    writer.insert(
        LightCurve,
        [
            {"run_id": run_id, "extraction_id": row_id, "band_id": bands[i], **curve}
            for row_id, item in found.items()
            for i, curve in item.curves
        ],
    )
