"""Stage `merged_properties`: of each merge, what the reference systems print, model fluxes, hardness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from catalog.flags import Flag
from catalog.measure.posterior_columns import Columns, to_rows
from catalog.recipes.recipe import Recipe
from catalog.schema.tables import BandRow, Merge, MergedMeasurement, MergedProperty, MergeMember
from catalog.stages.base.fingerprint import fingerprint
from catalog.stages.base.stage import Place, Plan, Result, values
from catalog.stages.base.upstream import merged_inputs
from catalog.stages.steps import merge
from catalog.stages.steps.merged_property_columns import merged_columns
from catalog.stages.steps.position_merges import PURPOSE as POSITION
from catalog.stages.steps.position_merges import position_merge
from catalog.stages.steps.property_rows import (
    HARDNESS,
    Measured,
    PropertyContext,
    load_measured,
    posterior_input,
    property_context,
)
from catalog.stages.steps.purpose_merges import PurposeMerge, store_merges
from catalog.stages.steps.validity_merges import PURPOSE as VALIDITY
from catalog.stages.steps.validity_merges import validity_merge
from catalog.store.door import Writer

Array = NDArray[np.float64]
STAGE = "merged_properties"
VERSION = 3
UPSTREAM = ("apertures", "extract", "photometry", "merge")

COLUMNS = tuple(
    item.name
    for item in MergedProperty.__table__.columns
    if item.name not in {"id", "run_id", "merge_id", "band_id"}
)
"""Columns of `merged_property` that this stage fills."""
HARDNESS_COLUMNS = tuple(f"hard_{pair}{end}" for pair, _, _ in HARDNESS for end in ("", "_lolim", "_hilim"))


@dataclass(frozen=True, eq=False)
class MergedPropertyJob:
    """Members of the photometry merges of a batch, source by source.

    Attributes
    ----------
    context
        What all share.
    source_ids
        The batch.
    merges
        Row numbers of the merges by source id.
    members
        Usable members, those of one source beside each other.
    sources
        Sources that have any, in the order of the members.
    rates
        Joint rates with their ends, shape (sources, bands) each.
    listed
        Positions of these sources by source id, degrees ICRS.
    wide
        The same in the wide band alone, where the HRC has observed; None without it.
    """

    context: PropertyContext
    source_ids: Sequence[int]
    merges: dict[int, int]
    members: Sequence[Measured]
    sources: Sequence[int]
    rates: Sequence[Array]
    listed: Mapping[int, tuple[float, float]]
    wide: MergedPropertyJob | None = None


@dataclass(frozen=True, eq=False)
class MergedProperties:
    """Rows of one merge by name of the band, its hardness, and the merge (None: there is none yet)."""

    merge_id: int | None
    rows: dict[str, dict[str, Any]]
    hardness: dict[str, Any]
    purposes: tuple[PurposeMerge, ...] = ()


_NO_HARDNESS: dict[str, Any] = dict.fromkeys(HARDNESS_COLUMNS)


def plan(connection: Connection, place: Place) -> Plan:
    """Return the inputs of all sources."""
    context = property_context(place)
    found = merged_inputs(connection, place, UPSTREAM, context.common(VERSION))
    wanted = {source_id: item.plus(nh=context.nh.get(source_id, 0.0)) for source_id, item in found.items()}
    return Plan(wanted, shared=context)


def load(connection: Connection, place: Place, plan: Plan, source_ids: Sequence[int]) -> MergedPropertyJob:
    """Read the members of the merges of a batch."""
    context: PropertyContext = plan.shared
    merges = merge.merge_ids(connection, place.recipe_id, source_ids)
    table, wanted = place.survey.sources, set(source_ids)
    listed = {
        int(source_id): (float(ra), float(dec))
        for source_id, ra, dec in zip(table.id, table.ra, table.dec, strict=True)
        if source_id in wanted
    }
    used = set(
        connection.scalars(
            select(MergeMember.extraction_id).where(
                MergeMember.merge_id.in_(merges.values()), MergeMember.used
            )
        )
    )

    def part(own: PropertyContext, wide: MergedPropertyJob | None = None) -> MergedPropertyJob:
        members = [
            member
            for member in load_measured(connection, own, place.recipe_id, source_ids)
            if member.extraction.id in used and member.is_usable
        ]
        sources = list(dict.fromkeys(member.extraction.source_id for member in members))
        rates = _merged_rates(connection, own, merges, sources) if sources else []
        shared = own.of(source_ids)
        return MergedPropertyJob(shared, source_ids, merges, members, sources, rates, listed, wide)

    # Members have all bands of their part, and the HRC has the wide one alone.
    recipe = _main_recipe(place)
    if recipe == place.recipe:
        return part(context)
    return part(replace(context, recipe=recipe), part(replace(context, recipe=recipe.in_wide_band())))


def _main_recipe(place: Place) -> Recipe:
    """The recipe; without the wide band where the HRC has observed in that alone."""
    if all(item.has_energies for item in place.survey.fields):
        return place.recipe
    return place.recipe.without_wide_band() or place.recipe


def compute(job: MergedPropertyJob) -> list[Result[MergedProperties]]:
    """Properties of merges."""
    context = job.context
    groups: dict[int, list[Measured]] = {}
    for member in job.members:
        groups.setdefault(member.extraction.source_id, []).append(member)
    hardness = _hardness(context, job.members) if groups else {}
    rows = _rows(job)
    if job.wide is not None:
        for source_id, own_rows in _rows(job.wide).items():
            rows[source_id] = {**rows.get(source_id, {}), **own_rows}
    results = []
    for source_id in job.source_ids:
        own = groups.get(source_id)
        found = MergedProperties(
            job.merges.get(source_id),
            rows.get(source_id, {}),
            hardness.get(source_id, _NO_HARDNESS),
            () if own is None else _purposes(context, own, job.listed[source_id]),
        )
        content_hash = fingerprint(
            found.merge_id is None,
            found.rows,
            found.hardness,
            [item.plain() for item in found.purposes],
        )
        results.append(Result(source_id, content_hash, found))
    return results


def _rows(job: MergedPropertyJob) -> dict[int, dict[str, dict[str, Any]]]:
    """Columns of merges by source id and name of the band."""
    if not job.members:
        return {}
    columns = merged_columns(job.context, job.members, _offsets(job.members, job.sources), job.rates)
    names = [band.name for band in job.context.bands]
    table = to_rows({name: columns[name] for name in COLUMNS}, (len(job.sources), len(names)))
    width = len(names)
    return {
        source_id: dict(zip(names, table[k * width : (k + 1) * width], strict=True))
        for k, source_id in enumerate(job.sources)
    }


def _purposes(
    context: PropertyContext, members: Sequence[Measured], listed: tuple[float, float]
) -> tuple[PurposeMerge, ...]:
    """The merges of one source for validity and, where there are counts, for its position."""
    found = (validity_merge(context.recipe, context.bands, members), position_merge(context, members, listed))
    return tuple(item for item in found if item is not None)


def _merged_rates(
    connection: Connection, context: PropertyContext, merges: dict[int, int], sources: Sequence[int]
) -> list[Array]:
    """Joint rates with their ends of the observations with an area, shape (sources, bands) each."""
    found = {
        (row.merge_id, row.band): row
        for row in connection.execute(
            select(
                MergedMeasurement.merge_id,
                BandRow.band,
                MergedMeasurement.src_rate_aper,
                MergedMeasurement.src_rate_aper_lolim,
                MergedMeasurement.src_rate_aper_hilim,
                MergedMeasurement.flux_aper,
                MergedMeasurement.flux_aper_lolim,
                MergedMeasurement.flux_aper_hilim,
                MergedMeasurement.flux_conversion,
                MergedMeasurement.flags,
            )
            .join(BandRow, BandRow.id == MergedMeasurement.band_id)
            .where(MergedMeasurement.merge_id.in_([merges[source_id] for source_id in sources]))
        )
    }

    def value(source_id: int, band: str, name: str) -> float:
        row = found.get((merges[source_id], band))
        if row is not None and row.flags & Flag.PARTIAL_RESPONSE:
            return float(getattr(row, f"flux_aper{name}") / row.flux_conversion)
        number = None if row is None else getattr(row, f"src_rate_aper{name}")
        return np.nan if number is None else float(number)

    return [
        np.array([[value(source_id, band.name, name) for band in context.bands] for source_id in sources])
        for name in ("", "_lolim", "_hilim")
    ]


def _hardness(context: PropertyContext, members: Sequence[Measured]) -> dict[int, dict[str, Any]]:
    """Hardness of photon fluxes by source id; observations without an area have none."""
    with_area = [member for member in members if member.has_area]
    sources = list(dict.fromkeys(member.extraction.source_id for member in with_area))
    if not sources:
        return {}
    offsets = _offsets(with_area, sources)
    factors = posterior_input(with_area)
    names = [band.name for band in context.bands]
    columns: Columns = {name: np.full(len(sources), np.nan) for name in HARDNESS_COLUMNS}
    columns |= factors.hardness("hard", names, offsets, factors.flux_unit, context.recipe.confidence)
    return dict(zip(sources, to_rows(columns, (len(sources),)), strict=True))


def _offsets(members: Sequence[Measured], sources: Sequence[int]) -> NDArray[np.int64]:
    numbers = Counter(member.extraction.source_id for member in members)
    return np.concatenate([[0], np.cumsum([numbers[source_id] for source_id in sources])]).astype(np.int64)


def store(writer: Writer, place: Place, run_id: int, results: Sequence[Result[MergedProperties]]) -> None:
    """Replace the rows of a batch."""
    source_ids = [result.source_id for result in results]
    merges = merge.merge_ids(writer.connection, place.recipe_id, source_ids)
    writer.delete(MergedProperty, MergedProperty.merge_id.in_(merges.values()))
    found = [item for item in values(results) if item.merge_id is not None]
    writer.insert(
        MergedProperty,
        [
            {
                "run_id": run_id,
                "merge_id": item.merge_id,
                "band_id": place.survey.band_ids[band],
                **columns,
            }
            for item in found
            for band, columns in item.rows.items()
        ],
    )
    hardness = dict.fromkeys(merges.values(), _NO_HARDNESS)
    hardness |= {item.merge_id: item.hardness for item in found if item.merge_id is not None}
    writer.update_many(Merge, [{"id": merge_id, **columns} for merge_id, columns in hardness.items()])
    bands = [place.survey.band_ids[band.name] for band in _main_recipe(place).energy_bands]
    for purpose in (VALIDITY, POSITION):
        chosen = [own for item in values(results) for own in item.purposes if own.purpose == purpose]
        store_merges(writer, run_id, place.recipe_id, purpose, source_ids, chosen, bands)
