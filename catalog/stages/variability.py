"""Stage `variability`: tests of each source within each observation, and its light curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import Connection, select

from catalog.apertures.region import region_from_dict
from catalog.band import Band
from catalog.calibration.factory import open_calibration
from catalog.calibration.psf import PsfLibrary
from catalog.measure.extract import Aperture
from catalog.measure.timing import BandTiming, TimingChoices, timing
from catalog.recipes.recipe import Recipe
from catalog.schema.tables import Extraction, LightCurve, RegionRow, Variability
from catalog.stages.attempt import Failure, attempt
from catalog.stages.field_cache import FieldKey, observed_field
from catalog.stages.fingerprint import fingerprint
from catalog.stages.work import FieldInput, UnitResult, UnitState, is_changed, store_units, unit_states
from catalog.store.arrays import pack
from catalog.store.door import Writer

STAGE = "variability"
VERSION = 1


@dataclass(frozen=True)
class VariabilityUnit:
    """A source in an event set; without an aperture there is nothing to test."""

    source_id: int
    extraction_id: int
    aperture: Aperture | None
    fingerprint: str


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
    psf_blur
        Blur of event positions, arcsec.
    choices
        Of the recipe.
    curves_of
        Number of the band that gets light curves, None for all.
    """

    field: FieldKey
    units: tuple[VariabilityUnit, ...]
    bands: tuple[Band, ...]
    psf_blur: float
    choices: TimingChoices
    curves_of: int | None


@dataclass(frozen=True, eq=False)
class VariabilityResult:
    """Rows of one unit by number of the band, or why there are none."""

    unit: VariabilityUnit
    rows: tuple[dict[str, Any], ...] = ()
    curves: tuple[tuple[int, dict[str, Any]], ...] = ()
    reason: str | None = None
    message: str | None = None


def plan(
    connection: Connection,
    recipe: Recipe,
    recipe_id: int,
    field: FieldInput,
    psf: PsfLibrary,
    upstream: dict[int, UnitState],
    states: dict[int, UnitState],
) -> list[VariabilityUnit]:
    """Return the stale units, in the order of their source ids; `upstream` are those of extract.

    A failed extraction is a unit too: what was computed from an earlier one must not stay.
    """
    common = fingerprint(
        VERSION,
        field.geometry_key(),
        psf.identity,
        recipe.timing.model_dump(mode="json"),
        [(band.name, band.lo, band.hi) for band in recipe.energy_bands],
    )
    chosen = {}
    for source_id, state in upstream.items():
        value = fingerprint(common, state.done, state.result_hash)
        known = states.get(source_id)
        if known is None or not known.done or known.fingerprint != value:
            chosen[source_id] = value
    if not chosen:
        return []
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
        .where(Extraction.event_set_id == field.event_set_id, Extraction.recipe_id == recipe_id)
        .order_by(Extraction.source_id)
    ).all()
    shapes = _shapes(connection, field.event_set_id, recipe_id)
    return [
        VariabilityUnit(
            row.source_id,
            row.id,
            _aperture(row, shapes.get(row.id, {})) if upstream[row.source_id].done else None,
            chosen[row.source_id],
        )
        for row in rows
        if row.source_id in chosen
    ]


def _shapes(connection: Connection, event_set_id: int, recipe_id: int) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for row in connection.execute(
        select(RegionRow.extraction_id, RegionRow.role, RegionRow.shape)
        .join(Extraction, Extraction.id == RegionRow.extraction_id)
        .where(Extraction.event_set_id == event_set_id, Extraction.recipe_id == recipe_id)
    ):
        found.setdefault(row.extraction_id, {})[row.role] = row.shape
    return found


def _aperture(row: Any, shapes: dict[str, Any]) -> Aperture | None:
    if "source" not in shapes or "background" not in shapes:
        return None
    source, background = (region_from_dict(shapes[role]) for role in ("source", "background"))
    return Aperture(row.x, row.y, row.theta, row.phi, row.chip_id, source, background)


def job(key: FieldKey, units: Sequence[VariabilityUnit], recipe: Recipe, psf_blur: float) -> VariabilityJob:
    """Put a batch together."""
    bands, choice = recipe.energy_bands, recipe.timing
    widest = max(range(len(bands)), key=lambda i: bands[i].hi - bands[i].lo)
    return VariabilityJob(
        key,
        tuple(units),
        bands,
        psf_blur,
        TimingChoices(choice.pvalues, choice.bin),
        widest if choice.light_curves == "widest" else None,
    )


@lru_cache(maxsize=1)
def _psf(blur: float) -> PsfLibrary:
    return open_calibration().psf.with_blur(blur)


def compute(batch: VariabilityJob) -> list[VariabilityResult]:
    """Test a batch; a unit that fails gives its reason and leaves the others alone.

    Raises
    ------
    UserError
        The event list cannot be used: that is no matter of one source.
    """
    if any(unit.aperture is not None for unit in batch.units):
        observed_field(batch.field)
    results = []
    for unit in batch.units:
        if unit.aperture is None:
            results.append(VariabilityResult(unit))
            continue
        found = attempt(partial(_test, unit, unit.aperture, batch))
        if isinstance(found, Failure):
            found = VariabilityResult(unit, reason=found.reason, message=found.message)
        results.append(found)
    return results


def _test(unit: VariabilityUnit, aperture: Aperture, batch: VariabilityJob) -> VariabilityResult:
    field, psf = observed_field(batch.field), _psf(batch.psf_blur)
    return _result(unit, timing(field, aperture, batch.bands, psf, batch.choices, batch.curves_of))


def _result(unit: VariabilityUnit, found: Sequence[BandTiming]) -> VariabilityResult:
    curves = tuple(
        (i, {"product": product, "columns": list(curve.columns), "data": pack(curve.values)})
        for i, band in enumerate(found)
        for product, curve in sorted(band.curves.items())
    )
    return VariabilityResult(unit, tuple(band.columns for band in found), curves)


def store(
    writer: Writer,
    run_id: int,
    recipe_id: int,
    field: FieldInput,
    results: Sequence[VariabilityResult],
    bands: Sequence[int],
) -> None:
    """Store a batch; `bands` are the row numbers of the recipe's bands in its order.

    Rows of a result that is what it was stay as they are.
    """
    done = [
        UnitResult(
            result.unit.source_id,
            result.unit.fingerprint,
            None if result.reason else fingerprint(result.rows, result.curves),
            result.reason,
            result.message,
        )
        for result in results
    ]
    states = unit_states(writer.connection, STAGE, recipe_id, field.scope)
    changed = [result for result, unit in zip(results, done, strict=True) if is_changed(unit, states)]
    extractions = [result.unit.extraction_id for result in changed]
    writer.delete(Variability, Variability.extraction_id.in_(extractions))
    writer.delete(LightCurve, LightCurve.extraction_id.in_(extractions))
    owner = {"run_id": run_id}
    writer.insert(
        Variability,
        [
            {**owner, "extraction_id": result.unit.extraction_id, "band_id": band_id, **columns}
            for result in changed
            for band_id, columns in zip(bands, result.rows, strict=bool(result.rows))
        ],
    )
    writer.insert(
        LightCurve,
        [
            {**owner, "extraction_id": result.unit.extraction_id, "band_id": bands[i], **curve}
            for result in changed
            for i, curve in result.curves
        ],
    )
    store_units(writer, run_id, STAGE, recipe_id, field.scope, field.event_set_id, done)
