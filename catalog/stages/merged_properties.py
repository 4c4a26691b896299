"""Stage `merged_properties`: of each merge, what the reference systems print, model fluxes, hardness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from catalog.measure.channel_photometry import ChannelSpectra, channel_columns
from catalog.measure.merged_variants import MergedCounts, srcflux_merged
from catalog.measure.posterior_columns import Columns, to_rows
from catalog.measure.properties import (
    ChipSpectra,
    chip_spectra,
    model_conversions,
    model_fluxes,
    net_counts,
    raw_event_flux,
)
from catalog.schema.tables import BandRow, Merge, MergedMeasurement, MergedProperty, MergeMember, WorkUnit
from catalog.stages import merge
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
from catalog.stages.validity_merges import ValidityMerge, store_validity, validity_merge
from catalog.stages.work import EVERYWHERE, SourceTable, UnitResult, UnitState, store_units
from catalog.stats.hardness import hardness_many
from catalog.store.door import Writer

Array = NDArray[np.float64]
STAGE = "merged_properties"
VERSION = 1
UPSTREAM = ("apertures", "extract", "photometry", "merge")

COLUMNS = tuple(
    item.name
    for item in MergedProperty.__table__.columns
    if item.name not in {"id", "run_id", "merge_id", "band_id"}
)
"""Columns of `merged_property` that this stage fills."""
HARDNESS_COLUMNS = tuple(f"hard_{pair}{end}" for pair, _, _ in HARDNESS for end in ("", "_lolim", "_hilim"))


@dataclass(frozen=True, eq=False)
class MergedPropertyResult:
    """Rows of one merge by row number of the band, its hardness, and the merge (None: there is none yet)."""

    source_id: int
    merge_id: int | None
    rows: dict[int, dict[str, Any]]
    hardness: dict[str, Any]
    validity: ValidityMerge | None = None


def plan(
    connection: Connection,
    context: PropertyContext,
    recipe_id: int,
    sources: SourceTable,
    states: dict[int, UnitState],
) -> dict[int, str]:
    """Return fingerprints of the stale units by source id."""
    hashes: dict[int, list[tuple[str, str, str | None]]] = {int(source_id): [] for source_id in sources.id}
    rows = connection.execute(
        select(WorkUnit.source_id, WorkUnit.scope, WorkUnit.stage, WorkUnit.result_hash)
        .where(WorkUnit.recipe_id == recipe_id, WorkUnit.stage.in_(UPSTREAM))
        .order_by(WorkUnit.scope, WorkUnit.stage)
    )
    for row in rows:
        hashes[row.source_id].append((row.scope, row.stage, row.result_hash))
    common = context.common(VERSION)
    found = {}
    for source_id, parts in hashes.items():
        value = fingerprint(common, parts, context.nh.get(source_id, 0.0))
        known = states.get(source_id)
        if known is None or not known.done or known.fingerprint != value:
            found[source_id] = value
    return found


def compute(
    connection: Connection,
    context: PropertyContext,
    recipe_id: int,
    source_ids: Sequence[int],
    bands: Sequence[int],
) -> list[MergedPropertyResult]:
    """Properties of merges; `bands` are the row numbers of the recipe's bands."""
    merges = {
        row.source_id: row.id
        for row in connection.execute(
            select(Merge.id, Merge.source_id).where(
                Merge.recipe_id == recipe_id,
                Merge.purpose == merge.PURPOSE,
                Merge.source_id.in_(source_ids),
            )
        )
    }
    used = set(
        connection.execute(
            select(MergeMember.extraction_id).where(
                MergeMember.merge_id.in_(merges.values()), MergeMember.used
            )
        ).scalars()
    )
    members = [
        member
        for member in load_measured(connection, context, recipe_id, source_ids)
        if member.extraction.id in used and member.is_usable
    ]
    sources = list(dict.fromkeys(member.extraction.source_id for member in members))
    rows: dict[int, dict[int, dict[str, Any]]] = {}
    hardness: dict[int, dict[str, Any]] = {}
    if members:
        sizes = [sum(member.extraction.source_id == source_id for member in members) for source_id in sources]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        rates = _merged_rates(connection, context, merges, sources)
        columns = _columns(context, members, offsets, rates)
        table = to_rows({name: columns[name] for name in COLUMNS}, (len(sources), len(bands)))
        for k, source_id in enumerate(sources):
            own = table[k * len(bands) : (k + 1) * len(bands)]
            rows[source_id] = dict(zip(bands, own, strict=True))
        hardness = dict(zip(sources, _hardness(context, members, offsets), strict=True))
    nothing = dict.fromkeys(HARDNESS_COLUMNS)
    groups: dict[int, list[Measured]] = {}
    for member in members:
        groups.setdefault(member.extraction.source_id, []).append(member)
    validity = {
        source_id: validity_merge(context.recipe, context.bands, own) for source_id, own in groups.items()
    }
    return [
        MergedPropertyResult(
            source_id,
            merges.get(source_id),
            rows.get(source_id, {}),
            hardness.get(source_id, nothing),
            validity.get(source_id),
        )
        for source_id in source_ids
    ]


def _merged_rates(
    connection: Connection, context: PropertyContext, merges: dict[int, int], sources: Sequence[int]
) -> list[Array]:
    """Joint rates with their ends, shape (sources, bands) each."""
    found = {
        (row.merge_id, row.band): row
        for row in connection.execute(
            select(
                MergedMeasurement.merge_id,
                BandRow.band,
                MergedMeasurement.src_rate_aper,
                MergedMeasurement.src_rate_aper_lolim,
                MergedMeasurement.src_rate_aper_hilim,
            )
            .join(BandRow, BandRow.id == MergedMeasurement.band_id)
            .where(MergedMeasurement.merge_id.in_([merges[source_id] for source_id in sources]))
        )
    }

    def value(source_id: int, band: str, name: str) -> float:
        row = found.get((merges[source_id], band))
        number = None if row is None else getattr(row, name)
        return np.nan if number is None else float(number)

    return [
        np.array([[value(source_id, band.name, name) for band in context.bands] for source_id in sources])
        for name in ("src_rate_aper", "src_rate_aper_lolim", "src_rate_aper_hilim")
    ]


def _columns(
    context: PropertyContext, members: Sequence[Measured], offsets: NDArray[np.int64], rates: list[Array]
) -> Columns:
    starts = offsets[:-1]
    spectra: list[ChipSpectra | None] = [None] * len(members)
    single: dict[str, Array] = {
        name: np.full((len(members), len(context.bands)), np.nan)
        for name in (
            "mflux_conversion",
            "umflux_conversion",
            "model_nh",
            "flux_aper_raw",
            "flux_aperbkg_raw",
        )
    }
    for (event_set_id, _), chosen in by_chip(members).items():
        field = context.fields[event_set_id]
        group = chip_group([members[i] for i in chosen], field)
        found = chip_spectra(group, context.calibration, context.bands)
        nh = np.array([context.nh.get(members[i].extraction.source_id, 0.0) for i in chosen])
        if field.grating == "NONE":
            parts = model_conversions(context.calibration, group, context.model, nh, context.bands)
            parts["flux_aper_raw"] = raw_event_flux(group.energy_aper, found, group.livetime, context.bands)
            parts["flux_aperbkg_raw"] = raw_event_flux(
                group.energy_aperbkg, found, group.livetime, context.bands
            )
            for name, values in parts.items():
                single[name][chosen] = values
        for row, i in enumerate(chosen):
            spectra[i] = _row(found, row)
    live = np.array([member.extraction.livetime for member in members], dtype=float)
    weight = live[:, None] * np.array([member.value("psf_good_frac_aper") for member in members])
    columns = _channels(context, members, offsets, [item for item in spectra if item is not None], live)
    for name in ("mflux_conversion", "umflux_conversion"):
        # Rates at one model flux add, weighted by time: the responses are averaged, not the conversions.
        columns[name] = np.add.reduceat(weight, starts) / np.add.reduceat(weight / single[name], starts)
    for name in ("flux_aper_raw", "flux_aperbkg_raw"):
        columns[name] = (
            np.add.reduceat(single[name] * live[:, None], starts) / np.add.reduceat(live, starts)[:, None]
        )
    columns["model_nh"] = single["model_nh"][starts]
    columns |= model_fluxes(columns, *rates)
    columns |= _variants(context, members, offsets)
    no_area = ~np.isfinite(columns["mflux_conversion"])
    for name in ("mean_arf", "flux1_aper", "flux2_aper", "energyflux_aper"):
        columns[name] = np.where(no_area, np.nan, columns[name])
    return columns


def _row(spectra: ChipSpectra, row: int) -> ChipSpectra:
    return ChipSpectra(
        spectra.source[row],
        spectra.background[row],
        spectra.area[row],
        spectra.bare_area[row],
        spectra.channel_lo,
        spectra.channel_hi,
    )


def _channels(
    context: PropertyContext,
    members: Sequence[Measured],
    offsets: NDArray[np.int64],
    spectra: Sequence[ChipSpectra],
    live: Array,
) -> Columns:
    """Net counts, channel fluxes and energies of summed spectra, each observation with its own ratio."""
    bands = context.bands
    ratio = np.array([member.value("bkg_ratio") for member in members])
    n = np.array([member.value("cnts_aper") for member in members])
    m = np.array([member.value("cnts_aperbkg") for member in members])
    starts = offsets[:-1]
    total_n, total_m = np.add.reduceat(n, starts), np.add.reduceat(m, starts)
    scaled = np.add.reduceat(m / ratio, starts)
    plain = np.add.reduceat(ratio * live[:, None], starts) / np.add.reduceat(live, starts)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        common = np.where(scaled > 0, total_m / scaled, plain)
    columns = net_counts(total_n, total_m, common)
    parts: list[list[Columns]] = []
    for k in range(len(starts)):
        own = slice(offsets[k], offsets[k + 1])
        time = live[own]
        rows = spectra[own]
        area = sum(row.area * t for row, t in zip(rows, time, strict=True)) / time.sum()
        source = sum(row.source for row in rows)
        parts.append([])
        for j, band in enumerate(bands):
            background = sum(row.background / r for row, r in zip(rows, ratio[own, j], strict=True))
            merged = ChannelSpectra(
                np.asarray(source)[None],
                np.asarray(background)[None],
                np.asarray(area)[None],
                np.array([time.sum()]),
            )
            parts[k].append(channel_columns(merged, rows[0].channel_lo, rows[0].channel_hi, [band]))
    for name in parts[0][0]:
        columns[name] = np.array([[found[name][0, 0] for found in row] for row in parts])
    return columns


def _variants(context: PropertyContext, members: Sequence[Measured], offsets: NDArray[np.int64]) -> Columns:
    found = []
    live = np.array([member.extraction.livetime for member in members], dtype=float)
    areas = np.array([[m.extraction.area_aper, m.extraction.area_aperbkg] for m in members], dtype=float)

    def values(name: str) -> Array:
        return np.array([member.value(name) for member in members])

    n, m = values("cnts_aper"), values("cnts_aperbkg")
    alpha, beta = values("psf_frac_aper"), np.nan_to_num(values("psf_frac_aperbkg"))
    own, other = values("exposure_area_aper"), values("exposure_area_aperbkg")
    for j in range(len(context.bands)):
        counts = MergedCounts(
            offsets,
            n[:, j].astype(np.int64),
            m[:, j].astype(np.int64),
            alpha[:, j],
            beta[:, j],
            areas[:, 1] / areas[:, 0],
            live,
            own[:, j] / live,
            other[:, j] / live,
        )
        found.append(srcflux_merged(counts, context.recipe.confidence))
    return {name: np.stack([part[name] for part in found], axis=1) for name in found[0]}


def _hardness(
    context: PropertyContext, members: Sequence[Measured], offsets: NDArray[np.int64]
) -> list[dict[str, Any]]:
    factors = posterior_input(members)
    pairs = factors.hardness_rows([band.name for band in context.bands])
    columns: Columns = {name: np.full(len(offsets) - 1, np.nan) for name in HARDNESS_COLUMNS}
    if pairs:
        unit = factors.flux_unit
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
            columns[f"hard_{end}"] = found.mode[:, i]
            columns[f"hard_{end}_lolim"] = found.lolim[:, i]
            columns[f"hard_{end}_hilim"] = found.hilim[:, i]
    return to_rows(columns, (len(offsets) - 1,))


def store(
    writer: Writer,
    run_id: int,
    recipe_id: int,
    results: Sequence[MergedPropertyResult],
    fingerprints: dict[int, str],
    bands: Sequence[int],
) -> None:
    """Store a batch; `bands` are the row numbers of the recipe's bands in its order."""
    known = [result for result in results if result.merge_id is not None]
    writer.delete(MergedProperty, MergedProperty.merge_id.in_([result.merge_id for result in known]))
    writer.insert(
        MergedProperty,
        [
            {"run_id": run_id, "merge_id": result.merge_id, "band_id": band_id, **columns}
            for result in known
            for band_id, columns in result.rows.items()
        ],
    )
    writer.update_many(Merge, [{"id": result.merge_id, **result.hardness} for result in known])
    validity = [result.validity for result in results if result.validity is not None]
    store_validity(writer, run_id, recipe_id, [result.source_id for result in results], validity, bands)
    done = [
        UnitResult(
            result.source_id,
            fingerprints[result.source_id],
            fingerprint(
                result.merge_id is None,
                list(result.rows.values()),
                result.hardness,
                None if result.validity is None else result.validity.plain(),
            ),
        )
        for result in results
    ]
    store_units(writer, run_id, STAGE, recipe_id, EVERYWHERE, None, done)
