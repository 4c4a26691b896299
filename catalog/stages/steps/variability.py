"""Stage `variability`: tests of each source within each observation, and its light curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, select

from catalog.apertures.region import region_from_dict
from catalog.band import Band, widest_band
from catalog.calibration.psf_blur import Blur
from catalog.measure.extract import Aperture
from catalog.measure.timing import COLUMNS, TimingChoices, timing
from catalog.schema.tables import Extraction, LightCurve, Variability
from catalog.stages.base.attempt import Failure, attempt
from catalog.stages.base.calibration_cache import CalibrationKey, psf_of
from catalog.stages.base.field_cache import FieldKey, field_key, observed_field
from catalog.stages.base.fingerprint import Inputs, fingerprint
from catalog.stages.base.stage import Place, Plan, Result
from catalog.stages.base.stale_reasons import stale_in_bands
from catalog.stages.base.upstream import upstream_states
from catalog.stages.steps.apertures import STAGE as APERTURES
from catalog.stages.steps.apertures import extraction_ids
from catalog.stages.steps.extract import STAGE as EXTRACT
from catalog.stages.steps.extract import region_shapes
from catalog.store.arrays import pack
from catalog.store.door import Writer

STAGE = "variability"
VERSION = 4


@dataclass(frozen=True, eq=False)
class Tested:
    """Rows of one unit by number of the band, and its light curves with the number of their band.

    Those of the bands in `kept` are stored already.
    """

    rows: tuple[dict[str, Any], ...] = ()
    curves: tuple[tuple[int, dict[str, Any]], ...] = ()
    kept: frozenset[int] = frozenset()


@dataclass(frozen=True)
class VariabilityUnit:
    """A source in an event set; without an aperture there is nothing to test.

    `known` is what was found before where only bands are new, with empty rows for these; None without.
    """

    source_id: int
    aperture: Aperture | None
    known: Tested | None = None


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


def plan(connection: Connection, place: Place) -> Plan:
    """Return the inputs of all extractions; `shared` are the units of that stage.

    Of what was extracted only the regions are used. A failed extraction is a unit too: what was computed from
    an earlier one must not stay.
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
    regions = upstream_states(connection, place, APERTURES)
    upstream = upstream_states(connection, place, EXTRACT)
    return Plan(
        {
            source_id: common.plus(upstream=[regions[source_id].result_hash, state.done])
            for source_id, state in upstream.items()
        },
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
    curves_of = widest_band(bands) if choice.light_curves == "widest" else None
    known = _known(connection, place, plan, source_ids, curves_of)
    return VariabilityJob(
        field_key(field),
        tuple(
            VariabilityUnit(
                row.source_id,
                _aperture(row, shapes.get(row.id, {})) if plan.shared[row.source_id].done else None,
                known.get(row.id),
            )
            for row in rows
        ),
        bands,
        place.survey.calibration_key,
        field.psf_blur,
        TimingChoices(choice.pvalues, choice.bin),
        curves_of,
    )


def _known(
    connection: Connection, place: Place, plan: Plan, source_ids: Sequence[int], curves_of: int | None
) -> dict[int, Tested]:
    """What earlier runs found of extractions of which only bands are new, by row number.

    Where the band that gets all light curves is new, nothing is kept.
    """
    key = (STAGE, place.recipe_id, place.scope)
    sources = stale_in_bands(connection, key, plan.wanted, source_ids)
    if not sources:
        return {}
    rows: dict[int, dict[int, dict[str, Any]]] = {}
    curves: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    chosen = (
        Extraction.event_set_id == place.observed.event_set_id,
        Extraction.recipe_id == place.recipe_id,
        Extraction.source_id.in_(sources),
    )
    number = {band_id: i for i, band_id in enumerate(place.bands)}
    for row in connection.execute(
        select(Variability.__table__)
        .join(Extraction, Extraction.id == Variability.extraction_id)
        .where(*chosen, Variability.band_id.in_(number))
    ):
        own = rows.setdefault(row.extraction_id, {})
        own[number[row.band_id]] = {name: getattr(row, name) for name in COLUMNS}
    for row in connection.execute(
        select(LightCurve.__table__)
        .join(Extraction, Extraction.id == LightCurve.extraction_id)
        .where(*chosen, LightCurve.band_id.in_(number))
    ):
        curve = {"product": row.product, "columns": list(row.columns), "data": row.data}
        curves.setdefault(row.extraction_id, []).append((number[row.band_id], curve))
    return {
        row_id: Tested(
            tuple(found.get(i, {}) for i in number.values()), tuple(curves.get(row_id, ())), frozenset(found)
        )
        for row_id, found in rows.items()
        if curves_of is None or curves_of in found
    }


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
            found = attempt(partial(_test, unit, unit.aperture, batch))
        if isinstance(found, Failure):
            results.append(Result.failed(unit.source_id, found.reason, found.message))
        else:
            results.append(Result(unit.source_id, fingerprint(found.rows, found.curves), found))
    return results


def _test(unit: VariabilityUnit, aperture: Aperture, batch: VariabilityJob) -> Tested:
    field, psf = observed_field(batch.field), psf_of(batch.calibration, batch.psf_blur)
    known = unit.known or Tested()
    new = [i for i in range(len(batch.bands)) if i not in known.kept]
    curves_of = None if batch.curves_of is None else new.index(batch.curves_of) if not known.kept else -1
    bands = [batch.bands[i] for i in new]
    found = dict(zip(new, timing(field, aperture, bands, psf, batch.choices, curves_of), strict=True))
    curves = [
        (i, {"product": product, "columns": list(curve.columns), "data": pack(curve.values)})
        for i, band in found.items()
        for product, curve in band.curves.items()
    ]
    return Tested(
        tuple(found[i].columns if i in found else known.rows[i] for i in range(len(batch.bands))),
        tuple(sorted([*known.curves, *curves], key=lambda item: (item[0], item[1]["product"]))),
        known.kept,
    )


def store(writer: Writer, place: Place, run_id: int, results: Sequence[Result[Tested]]) -> None:
    """Replace the rows of a batch."""
    bands = place.bands
    rows = extraction_ids(writer.connection, place.observed.event_set_id, place.recipe_id)
    found = {
        rows[result.source_id]: result.value or Tested() for result in results if result.source_id in rows
    }
    whole = [row_id for row_id, item in found.items() if not item.kept]
    for table in (Variability, LightCurve):
        own = table.extraction_id.in_(found)
        writer.delete(table, own & (table.extraction_id.in_(whole) | table.band_id.not_in(bands)))
    writer.insert(
        Variability,
        [
            {"run_id": run_id, "extraction_id": row_id, "band_id": band_id, **columns}
            for row_id, item in found.items()
            for i, (band_id, columns) in enumerate(zip(bands, item.rows, strict=bool(item.rows)))
            if i not in item.kept
        ],
    )
    writer.insert(
        LightCurve,
        [
            {"run_id": run_id, "extraction_id": row_id, "band_id": bands[i], **curve}
            for row_id, item in found.items()
            for i, curve in item.curves
            if i not in item.kept
        ],
    )
