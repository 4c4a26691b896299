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
from catalog.stages.fingerprint import fingerprint
from catalog.stages.property_rows import (
    HARDNESS,
    Measured,
    PropertyContext,
    by_chip,
    chip_group,
    load_measured,
    posterior_input,
)
from catalog.stages.work import FieldInput, UnitResult, UnitState, is_changed, store_units, unit_states
from catalog.stats.hardness import hardness_many
from catalog.store.door import Writer

STAGE = "properties"
VERSION = 1

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
class PropertyResult:
    """Rows of one extraction by number of the band, and its hardness; no rows where nothing was measured."""

    source_id: int
    extraction_id: int | None
    rows: tuple[dict[str, Any], ...] = ()
    hardness: dict[str, Any] | None = None


def plan(
    context: PropertyContext,
    upstream: Sequence[dict[int, UnitState]],
    states: dict[int, UnitState],
) -> dict[int, str]:
    """Return fingerprints of the stale units by source id.

    `upstream` are the units of extraction and photometry.
    """
    common = context.common(VERSION)
    found = {}
    for source_id in upstream[-1]:
        hashes = [stage[source_id].result_hash if source_id in stage else None for stage in upstream]
        value = fingerprint(common, hashes, context.nh.get(source_id, 0.0))
        known = states.get(source_id)
        if known is None or not known.done or known.fingerprint != value:
            found[source_id] = value
    return found


def compute(
    connection: Connection,
    context: PropertyContext,
    recipe_id: int,
    field: FieldInput,
    source_ids: Sequence[int],
) -> list[PropertyResult]:
    """Properties of sources in one event set, all bands at once."""
    members = load_measured(connection, context, recipe_id, source_ids, field.event_set_id)
    usable = [member for member in members if member.is_usable]
    rows: dict[int, tuple[dict[str, Any], ...]] = {}
    for chosen in by_chip(usable).values():
        group = [usable[i] for i in chosen]
        columns = chip_columns(context, field, group)
        table = to_rows({name: columns[name] for name in COLUMNS}, (len(group), len(context.bands)))
        for i, member in enumerate(group):
            own = table[i * len(context.bands) : (i + 1) * len(context.bands)]
            rows[member.extraction.source_id] = tuple(own)
    hardness = _hardness(context, usable)
    extractions = {member.extraction.source_id: member.extraction.id for member in members}
    return [
        PropertyResult(
            source_id, extractions.get(source_id), rows.get(source_id, ()), hardness.get(source_id)
        )
        for source_id in source_ids
    ]


def chip_columns(context: PropertyContext, field: FieldInput, members: Sequence[Measured]) -> Columns:
    """Columns of extractions on one chip, shape (n, b)."""
    group = chip_group(members, field)
    bands = context.bands

    def table(name: str) -> Any:
        return np.array([member.value(name) for member in members])

    with_area = field.grating == "NONE"
    spectra = chip_spectra(group, context.calibration, bands)
    columns = channel_properties(spectra, group, bands, with_area)
    own = table("cnts_aper"), table("cnts_aperbkg")
    columns |= net_counts(*own, group.bkg_ratio)
    nh = np.array([context.nh.get(member.extraction.source_id, 0.0) for member in members])
    columns |= model_conversions(context.calibration, group, context.model, nh, bands)
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
    pairs = factors.hardness_rows([band.name for band in context.bands])
    columns: Columns = {name: np.full(len(members), np.nan) for name in HARDNESS_COLUMNS}
    offsets = np.arange(len(members) + 1)
    for kind, unit in (("hard", factors.flux_unit), ("hard_cnts", np.ones_like(factors.f))):
        if not pairs:
            break
        found = hardness_many(
            offsets,
            factors.n,
            factors.m,
            factors.f * unit,
            factors.g * unit,
            factors.r,
            [(a, b) for _, a, b in pairs],
            context.recipe.confidence,
        )
        for i, (end, _, _) in enumerate(pairs):
            columns[f"{kind}_{end}"] = found.mode[:, i]
            columns[f"{kind}_{end}_lolim"] = found.lolim[:, i]
            columns[f"{kind}_{end}_hilim"] = found.hilim[:, i]
    rows = to_rows(columns, (len(members),))
    return {member.extraction.source_id: row for member, row in zip(members, rows, strict=True)}


def store(
    writer: Writer,
    run_id: int,
    recipe_id: int,
    field: FieldInput,
    results: Sequence[PropertyResult],
    fingerprints: dict[int, str],
    bands: Sequence[int],
) -> None:
    """Store a batch; `bands` are the row numbers of the recipe's bands in its order.

    Rows of a result that is what it was stay as they are.
    """
    done = [
        UnitResult(
            result.source_id, fingerprints[result.source_id], fingerprint(result.rows, result.hardness)
        )
        for result in results
    ]
    states = unit_states(writer.connection, STAGE, recipe_id, field.scope)
    changed = [
        result
        for result, unit in zip(results, done, strict=True)
        if is_changed(unit, states) and result.extraction_id is not None
    ]
    extractions = [result.extraction_id for result in changed]
    writer.delete(MeasurementProperty, MeasurementProperty.extraction_id.in_(extractions))
    writer.delete(ObservationHardness, ObservationHardness.extraction_id.in_(extractions))
    writer.insert(
        MeasurementProperty,
        [
            {"run_id": run_id, "extraction_id": result.extraction_id, "band_id": band_id, **columns}
            for result in changed
            for band_id, columns in zip(bands, result.rows, strict=bool(result.rows))
        ],
    )
    writer.insert(
        ObservationHardness,
        [
            {"run_id": run_id, "extraction_id": result.extraction_id, **result.hardness}
            for result in changed
            if result.hardness is not None
        ],
    )
    store_units(writer, run_id, STAGE, recipe_id, field.scope, field.event_set_id, done)
