"""Stage `photometry`: rates, fluxes, significances and limits from what extraction found."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from catalog.calibration.provider import Calibration
from catalog.flags import Flag
from catalog.measure.band_response import BandResponse, band_response
from catalog.measure.photometry import PhotometryChoices, photometry
from catalog.measure.posterior_columns import Columns, to_rows
from catalog.measure.user_exposure import with_exposures
from catalog.schema.tables import Extraction, Measurement, NeighbourLight
from catalog.stages.base.fingerprint import fingerprint
from catalog.stages.base.stage import Place, Plan, Result
from catalog.stages.base.stale_reasons import is_current, stale_in_bands
from catalog.stages.base.upstream import upstream_states
from catalog.stages.steps.apertures import extraction_ids
from catalog.stages.steps.exposure_maps import Means, check_bands, exposure_images, map_means
from catalog.stages.steps.extract import BAND_FLAGS
from catalog.stages.steps.extract import STAGE as EXTRACT
from catalog.stages.steps.joint import FieldCrowd, JointRows, load_crowd, measure
from catalog.stages.steps.photometry_rows import (
    PhotometryContext,
    count_arrays,
    load_counted,
    photometry_context,
)
from catalog.store.door import Writer

STAGE = "photometry"
VERSION = 3

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
        "offset_east_aper",
        "offset_north_aper",
        "afterglow_cnts_aper",
    }
)
"""Columns of `measurement` that this stage fills."""


@dataclass(frozen=True, eq=False)
class PhotometryJob:
    """A batch of extractions with their measurements, and the crowds that its sources are part of.

    `kept` is what holds of earlier runs: columns by source id and number of the band.
    """

    context: PhotometryContext
    extractions: Sequence[Any]
    measurements: dict[int, list[Any]]
    crowd: FieldCrowd
    maps: Means
    kept: Mapping[int, Mapping[int, dict[str, Any]]]

    def without(self, kept: Collection[int]) -> PhotometryJob:
        """The job in the other bands."""
        bands = self.context.recipe.bands
        new = [i for i in range(len(bands)) if i not in kept]
        recipe = self.context.recipe.model_copy(update={"bands": tuple(bands[i] for i in new)})
        return replace(
            self,
            context=replace(self.context, recipe=recipe),
            measurements={row: [table[i] for i in new] for row, table in self.measurements.items()},
            maps={
                row: (tuple(source[i] for i in new), tuple(background[i] for i in new))
                for row, (source, background) in self.maps.items()
            },
        )


@dataclass(frozen=True, eq=False)
class PhotometryRows:
    """New rows of `measurement` of a source, with their ids; its neighbours, see `JointRows.neighbours`."""

    rows: tuple[dict[str, Any], ...]
    neighbours: tuple[tuple[int, int, float, float], ...] = ()


def plan(connection: Connection, place: Place) -> Plan:
    """Return the inputs of all extractions.

    The result of a source that is measured together with others depends on their counts too. A failed
    extraction is a unit too: what was computed from an earlier one must not stay.
    """
    context = photometry_context(connection, place)
    check_bands(context.field, place.survey.band_ids)
    upstream = upstream_states(connection, place, EXTRACT)
    common = context.common(VERSION)
    wanted = {}
    for source_id, state in upstream.items():
        own = context.own_files.get(source_id)
        found = common.plus(upstream=state.result_hash)
        wanted[source_id] = found if own is None else found.plus(files=own.response_key())
    # Who is whose neighbour takes long to find, and follows from all counts.
    if is_current(connection, (STAGE, place.recipe_id, place.scope), wanted, "neighbours"):
        return Plan(wanted, is_current=True)
    crowd = load_crowd(connection, context, place.recipe_id, place.psf)
    for source_id, found in wanted.items():
        others = crowd.companions.get(source_id, ())
        wanted[source_id] = found.plus(
            neighbours=sorted(upstream[other].result_hash or "" for other in others)
        )
    return Plan(wanted, shared=(context, crowd), together=crowd.companions)


def load(connection: Connection, place: Place, plan: Plan, source_ids: Sequence[int]) -> PhotometryJob:
    """Read the counts of a batch."""
    context, crowd = plan.shared
    extractions, measurements = load_counted(connection, context, place.recipe_id, source_ids)
    maps = map_means(connection, context.field, context.recipe.energy_bands, extractions)
    kept = _kept(connection, place, plan, extractions, measurements)
    return PhotometryJob(context, extractions, measurements, crowd.around(source_ids), maps, kept)


def _kept(
    connection: Connection,
    place: Place,
    plan: Plan,
    extractions: Sequence[Any],
    measurements: Mapping[int, list[Any]],
) -> dict[int, dict[int, dict[str, Any]]]:
    """Columns of bands in which nothing was extracted anew since photometry, by source id.

    Only of sources without companions: who influences whom depends on the counts in all bands.
    """
    key = (STAGE, place.recipe_id, place.scope)
    _, crowd = plan.shared
    alone = {row.source_id: row for row in extractions if row.source_id not in crowd.companions}
    changing = ("bands", "upstream", "neighbours")
    runs = stale_in_bands(connection, key, plan.wanted, alone, changing)
    places = {
        item.id: (source_id, i)
        for source_id, run_id in runs.items()
        if alone[source_id].run_id <= run_id
        for i, item in enumerate(measurements[alone[source_id].id])
        if item.run_id <= run_id
    }
    found: dict[int, dict[int, dict[str, Any]]] = {}
    columns = [getattr(Measurement, name) for name in COLUMNS]
    for row in connection.execute(select(Measurement.id, *columns).where(Measurement.id.in_(places))):
        source_id, i = places[row.id]
        found.setdefault(source_id, {})[i] = {name: getattr(row, name) for name in COLUMNS}
    return found


def compute(job: PhotometryJob) -> list[Result[PhotometryRows]]:
    """Photometry of a batch, all bands at once."""
    context = job.context
    joint = measure(context, job.crowd)
    found: dict[int, tuple[dict[str, Any], ...]] = {}
    groups: dict[tuple[int, int, tuple[int, ...]], list[Any]] = {}
    for row in job.extractions:
        if row.area_aper is None:
            found[row.source_id] = _nothing(item.id for item in job.measurements[row.id])
            continue
        # A source with files of its own has its own calibration.
        own = row.source_id if row.source_id in context.own_files else 0
        kept = tuple(job.kept.get(row.source_id, ()))
        groups.setdefault((own, row.chip_id, kept), []).append(row)
    for (own, _, kept), group in sorted(groups.items()):
        part, together = (job.without(kept), None) if kept else (job, joint)
        if part.context.recipe.bands:
            found |= _on_chip(part, context.calibration_of(own), group, together)
    neighbours = {} if joint is None else joint.neighbours()
    results = []
    for row in job.extractions:
        rows, kept_rows = found.get(row.source_id, ()), job.kept.get(row.source_id, {})
        new = iter(rows)
        content = [kept_rows[i] if i in kept_rows else next(new) for i in range(len(context.recipe.bands))]
        value = PhotometryRows(rows, tuple(neighbours.get(row.source_id, ())))
        results.append(Result(row.source_id, _content_hash(content), value))
    return results


def _nothing(row_ids: Iterable[int], flags: int = 0) -> tuple[dict[str, Any], ...]:
    return tuple({**dict.fromkeys(COLUMNS), "id": row_id, "flags": flags} for row_id in row_ids)


def _on_chip(
    job: PhotometryJob,
    calibration: Calibration,
    group: list[Any],
    joint: JointRows | None,
) -> dict[int, tuple[dict[str, Any], ...]]:
    context, measurements = job.context, job.measurements
    bands, chip = context.recipe.energy_bands, group[0].chip_id
    theta = np.array([row.theta for row in group])
    phi = np.array([row.phi for row in group])
    response = _response(context, calibration, chip, theta, phi)
    table = [measurements[row.id] for row in group]
    counted = count_arrays(context, calibration, group, table, (theta, phi))
    on_source, on_background = (
        np.array([job.maps[row.id][k] if row.id in job.maps else no_map for row in group])
        for k, no_map in enumerate([(np.nan,) * len(bands)] * 2)
    )
    if response is not None and job.maps:
        counted, response = with_exposures(counted, response, on_source, on_background)
    recipe = context.recipe
    choices = PhotometryChoices(
        recipe.background.follows, recipe.confidence, recipe.limit.alpha, recipe.limit.power
    )
    together = None if joint is None else joint.of([row.source_id for row in group])
    columns = photometry(counted, response, bands, context.spectrum, choices, together)
    kept = np.array([[item.flags & int(BAND_FLAGS) for item in row] for row in table], dtype=np.int64)
    columns["flags"] = columns["flags"] | kept
    if calibration.area_extrapolated(context.field.decimal_year) and response is not None:
        columns["flags"] |= int(Flag.AREA_EXTRAPOLATED)
    if response is not None:
        columns["flags"][:, _outside_calibration(context, calibration)] |= int(Flag.BAND_OUTSIDE_CALIBRATION)
    identity = np.full(counted.n.shape, calibration.identity, dtype=object)
    if response is not None:
        for name, image in exposure_images(context.field).items():
            identity[:, [band.name == name for band in bands]] += f"; {image.identity}"
    identity[~np.isfinite(columns["bkg_ratio"])] = None
    columns["calibration"] = identity
    chosen: Columns = {name: columns[name] for name in COLUMNS}
    rows = to_rows(chosen, counted.n.shape)
    return {
        row.source_id: tuple(
            {**values, "id": item.id}
            for values, item in zip(rows[i * len(bands) : (i + 1) * len(bands)], table[i], strict=True)
        )
        for i, row in enumerate(group)
    }


def _outside_calibration(context: PhotometryContext, calibration: Calibration) -> NDArray[np.bool_]:
    """Bands of which the calibration does not know all."""
    matrix = calibration.redistribution(calibration.chip_ids[0])
    first, last = float(matrix.energy_lo[0]) - 1e-6, float(matrix.energy_hi[-1]) + 1e-6
    return np.array([band.lo < first or band.hi > last for band in context.recipe.energy_bands])


def _response(
    context: PhotometryContext,
    calibration: Calibration,
    chip: int,
    theta: NDArray[np.float64],
    phi: NDArray[np.float64],
) -> BandResponse | None:
    if context.field.grating != "NONE":
        return None
    return band_response(
        calibration,
        chip,
        context.field.decimal_year,
        theta,
        phi,
        context.recipe.energy_bands,
        context.spectrum,
        context.recipe.exposure.weighting,
    )


def store(writer: Writer, place: Place, run_id: int, results: Sequence[Result[PhotometryRows]]) -> None:
    """Store a batch; the measurements of a source that failed lose their values."""
    rows = [row for result in results if result.value is not None for row in result.value.rows]
    failed = [result.source_id for result in results if result.value is None]
    lost = writer.connection.scalars(
        select(Measurement.id)
        .join(Extraction, Extraction.id == Measurement.extraction_id)
        .where(
            Extraction.event_set_id == place.observed.event_set_id,
            Extraction.recipe_id == place.recipe_id,
            Extraction.source_id.in_(failed),
        )
    )
    rows += _nothing(lost, int(Flag.FAILED))
    writer.update_many(Measurement, [{**row, "run_id": run_id} for row in rows])
    _store_neighbours(writer, place, run_id, results)


def _store_neighbours(
    writer: Writer, place: Place, run_id: int, results: Sequence[Result[PhotometryRows]]
) -> None:
    ids = extraction_ids(writer.connection, place.observed.event_set_id, place.recipe_id)
    own = [ids[result.source_id] for result in results if result.source_id in ids]
    writer.delete(NeighbourLight, NeighbourLight.extraction_id.in_(own))
    bands = place.bands
    writer.insert(
        NeighbourLight,
        [
            {
                "run_id": run_id,
                "extraction_id": ids[result.source_id],
                "band_id": bands[band],
                "neighbour_id": neighbour,
                "contam_cnts_aper": aperture,
                "contam_cnts_aperbkg": background,
            }
            for result in results
            if result.value is not None
            for neighbour, band, aperture, background in result.value.neighbours
        ],
    )


def _content_hash(rows: Sequence[dict[str, Any]]) -> str:
    return fingerprint([{name: value for name, value in row.items() if name != "id"} for row in rows])
