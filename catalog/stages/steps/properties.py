"""Stage `properties`: of each extraction, what srcflux and ACIS Extract print, model fluxes and hardness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection

from catalog.measure.posterior_columns import Columns, to_rows
from catalog.measure.properties import (
    aprates_columns,
    channel_properties,
    chip_spectra,
    model_conversions,
    model_fluxes,
    net_counts,
    raw_event_flux,
)
from catalog.schema.properties import PROPERTY_NAMES
from catalog.schema.tables import MeasurementProperty, ObservationHardness
from catalog.stages.base.fingerprint import fingerprint
from catalog.stages.base.stage import Place, Plan, Result, values
from catalog.stages.base.upstream import upstream_states
from catalog.stages.base.work import FieldInput
from catalog.stages.steps.apertures import extraction_ids
from catalog.stages.steps.extract import STAGE as EXTRACT
from catalog.stages.steps.photometry import STAGE as PHOTOMETRY
from catalog.stages.steps.property_rows import (
    HARDNESS,
    Measured,
    PropertyContext,
    by_chip,
    chip_group,
    load_measured,
    posterior_input,
    property_context,
)
from catalog.store.door import Writer

STAGE = "properties"
VERSION = 2

APRATES = ("src_rate_aprates", "src_rate_aprates_lolim", "src_rate_aprates_hilim")
COLUMNS = (*PROPERTY_NAMES, *APRATES)
"""Columns of `measurement_property` that this stage fills."""
HARDNESS_COLUMNS = tuple(
    f"{kind}_{pair}{end}"
    for kind in ("hard", "hard_cnts")
    for pair, _, _ in HARDNESS
    for end in ("", "_lolim", "_hilim")
)


@dataclass(frozen=True, eq=False)
class PropertyJob:
    """Extractions of a batch in one event set, with their measurements."""

    context: PropertyContext
    field: FieldInput
    members: Sequence[Measured]
    source_ids: Sequence[int]


@dataclass(frozen=True, eq=False)
class Properties:
    """Rows of one extraction by number of the band, and its hardness; no rows where nothing was measured."""

    extraction_id: int | None
    rows: tuple[dict[str, Any], ...] = ()
    hardness: dict[str, Any] | None = None


def plan(connection: Connection, place: Place) -> Plan:
    """Return the inputs of all that photometry has seen."""
    context = property_context(place)
    common = context.common(VERSION)
    upstream = [upstream_states(connection, place, stage) for stage in (EXTRACT, PHOTOMETRY)]
    wanted = {}
    for source_id in upstream[-1]:
        hashes = [stage[source_id].result_hash if source_id in stage else None for stage in upstream]
        wanted[source_id] = common.plus(upstream=hashes, nh=context.nh.get(source_id, 0.0))
    return Plan(wanted, shared=context)


def load(connection: Connection, place: Place, plan: Plan, source_ids: Sequence[int]) -> PropertyJob:
    """Read the measurements of a batch."""
    field = place.observed
    members = load_measured(connection, plan.shared, place.recipe_id, source_ids, field.event_set_id)
    return PropertyJob(plan.shared.of(source_ids), field, members, source_ids)


def compute(job: PropertyJob) -> list[Result[Properties]]:
    """Properties of a batch, all bands at once."""
    context = job.context
    usable = [member for member in job.members if member.is_usable]
    rows: dict[int, tuple[dict[str, Any], ...]] = {}
    for chosen in by_chip(usable).values():
        group = [usable[i] for i in chosen]
        columns = chip_columns(context, job.field, group)
        table = to_rows({name: columns[name] for name in COLUMNS}, (len(group), len(context.bands)))
        for i, member in enumerate(group):
            own = table[i * len(context.bands) : (i + 1) * len(context.bands)]
            rows[member.extraction.source_id] = tuple(own)
    hardness = _hardness(context, usable)
    extractions = {member.extraction.source_id: member.extraction.id for member in job.members}
    results = []
    for source_id in job.source_ids:
        found = Properties(extractions.get(source_id), rows.get(source_id, ()), hardness.get(source_id))
        results.append(Result(source_id, fingerprint(found.rows, found.hardness), found))
    return results


def chip_columns(context: PropertyContext, field: FieldInput, members: Sequence[Measured]) -> Columns:
    """Columns of extractions on one chip, shape (n, b)."""
    group = chip_group(members, field)
    bands = context.bands

    def table(name: str) -> Any:
        return np.array([member.value(name) for member in members])

    with_area = field.grating == "NONE"
    calibration = context.calibration_of(field)
    spectra = chip_spectra(group, calibration, bands)
    columns = channel_properties(spectra, group, bands, with_area)
    own = table("cnts_aper"), table("cnts_aperbkg")
    columns |= net_counts(*own, group.bkg_ratio)
    nh = np.array([context.nh.get(member.extraction.source_id, 0.0) for member in members])
    columns |= model_conversions(calibration, group, context.model, nh, bands)
    for name, events in (("flux_aper_raw", group.energy_aper), ("flux_aperbkg_raw", group.energy_aperbkg)):
        columns[name] = raw_event_flux(events, spectra, group.livetime, bands)
    if not with_area:
        for name in (
            "flux_aper_raw",
            "flux_aperbkg_raw",
            "mflux_conversion",
            "umflux_conversion",
            "model_nh",
        ):
            columns[name] = np.full(columns[name].shape, np.nan)
    rate = [table(f"src_rate_aper{end}") for end in ("", "_lolim", "_hilim")]
    columns |= model_fluxes(columns, *rate)
    factors = posterior_input(members)
    time = group.livetime[:, None] * group.psf_good_frac_aper
    columns |= aprates_columns(
        factors.n.T, factors.m.T, factors.f.T, factors.g.T, factors.r.T, time, context.recipe.confidence
    )
    return columns


def _hardness(context: PropertyContext, members: Sequence[Measured]) -> dict[int, dict[str, Any]]:
    if not members:
        return {}
    factors = posterior_input(members)
    columns: Columns = {name: np.full(len(members), np.nan) for name in HARDNESS_COLUMNS}
    names = [band.name for band in context.bands]
    each = np.arange(len(members) + 1)
    for kind, unit in (("hard", factors.flux_unit), ("hard_cnts", np.ones_like(factors.f))):
        columns |= factors.hardness(kind, names, each, unit, context.recipe.confidence)
    rows = to_rows(columns, (len(members),))
    return {member.extraction.source_id: row for member, row in zip(members, rows, strict=True)}


def store(writer: Writer, place: Place, run_id: int, results: Sequence[Result[Properties]]) -> None:
    """Replace the rows of a batch."""
    known = extraction_ids(writer.connection, place.observed.event_set_id, place.recipe_id)
    extractions = [known[result.source_id] for result in results if result.source_id in known]
    writer.delete(MeasurementProperty, MeasurementProperty.extraction_id.in_(extractions))
    writer.delete(ObservationHardness, ObservationHardness.extraction_id.in_(extractions))
    found = [item for item in values(results) if item.extraction_id is not None]
    writer.insert(
        MeasurementProperty,
        [
            {"run_id": run_id, "extraction_id": item.extraction_id, "band_id": band_id, **columns}
            for item in found
            for band_id, columns in zip(place.bands, item.rows, strict=bool(item.rows))
        ],
    )
    writer.insert(
        ObservationHardness,
        [
            {"run_id": run_id, "extraction_id": item.extraction_id, **item.hardness}
            for item in found
            if item.hardness is not None
        ],
    )
