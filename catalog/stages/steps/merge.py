"""Stage `merge`: joint values of each source over its observations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, literal_column, select, update

from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.flags import Flag, combine
from catalog.measure.merge_selection import prune_overlap
from catalog.measure.merging import Members, MergeChoices, merge_band
from catalog.measure.posterior_columns import to_rows
from catalog.recipes.recipe import Recipe
from catalog.schema.measurement import POSTERIORS, Photometry
from catalog.schema.tables import (
    Crowding,
    EventSet,
    Extraction,
    Measurement,
    Merge,
    MergedMeasurement,
    MergeMember,
    Observation,
)
from catalog.schema.views import all_flags
from catalog.stages.base.fingerprint import Inputs, fingerprint
from catalog.stages.base.stage import Place, Plan, Result
from catalog.stages.base.upstream import merged_inputs
from catalog.store.door import Writer

STAGE = "merge"
VERSION = 4
PURPOSE = "photometry"

UPSTREAM = ("apertures", "extract", "photometry")

COLUMNS = tuple(
    item.name
    for item in MergedMeasurement.__table__.columns
    if item.name in vars(Photometry) or item.name.startswith("response_ratio_")
)
"""Columns of `merged_measurement` that this stage fills."""


_POSTERIOR_COLUMNS = tuple(
    name for name in COLUMNS if name.startswith(POSTERIORS) or name.endswith(("significance", "_no_source"))
)


@dataclass(frozen=True)
class MergeContext:
    """Recipe and reference spectrum."""

    recipe: Recipe
    spectrum: ReferenceSpectrum

    def common(self) -> Inputs:
        """What every merge depends on."""
        recipe = self.recipe
        return Inputs.of(
            code=VERSION,
            spectrum=[self.spectrum.photon_index, self.spectrum.nh, self.spectrum.absorption],
            recipe=[recipe.confidence, [recipe.limit.alpha, recipe.limit.power], recipe.merging.model_dump()],
            bands=[(band.name, band.lo, band.hi) for band in recipe.energy_bands],
        )


@dataclass(frozen=True, eq=False)
class MergeJob:
    """Extractions of a batch and their measurements by extraction and band; `bands` are row numbers."""

    context: MergeContext
    source_ids: Sequence[int]
    bands: Sequence[int]
    extractions: Sequence[Any]
    measured: dict[int, dict[int, Any]]


@dataclass(frozen=True, eq=False)
class Merged:
    """Columns of one merge, its members and its measurements by band row number."""

    merge: dict[str, Any]
    members: tuple[tuple[int, bool, str | None], ...]
    measurements: dict[int, dict[str, Any]]


def plan(connection: Connection, place: Place) -> Plan:
    """Return the inputs of the merges of all sources."""
    context = MergeContext(place.recipe, place.survey.spectrum)
    return Plan(merged_inputs(connection, place, UPSTREAM, context.common()), shared=context)


def load(connection: Connection, place: Place, plan: Plan, source_ids: Sequence[int]) -> MergeJob:
    """Read the extractions of a batch."""
    return MergeJob(
        plan.shared,
        source_ids,
        place.bands,
        _extractions(connection, place.recipe_id, source_ids),
        _measurements(connection, place.recipe_id, source_ids),
    )


def compute(job: MergeJob) -> list[Result[Merged]]:
    """Merge the extractions of sources; one that no observation saw gets a row that says so."""
    context = job.context
    used = {row.id: _usable(row, job.measured.get(row.id, {}), context.recipe) for row in job.extractions}
    by_source: dict[int, list[Any]] = {source_id: [] for source_id in job.source_ids}
    for row in job.extractions:
        by_source[row.source_id].append(row)
    if context.recipe.merging.overlap_limit is not None:
        for own in by_source.values():
            used |= _overlapping(own, used, context.recipe.merging.overlap_limit)
    columns: dict[int, dict[int, dict[str, Any]]] = {source_id: {} for source_id in job.source_ids}
    for band, band_id in zip(context.recipe.energy_bands, job.bands, strict=True):
        merged = _merge_one_band(context, band, band_id, by_source, used, job.measured)
        for source_id, row in merged.items():
            columns[source_id][band_id] = row
    results = []
    for source_id in job.source_ids:
        own = by_source[source_id]
        found = Merged(
            _summary(own, used),
            tuple((row.id, used[row.id] is None, used[row.id]) for row in own),
            columns[source_id],
        )
        content = [found.measurements[band_id] for band_id in job.bands]
        results.append(Result(source_id, fingerprint(found.merge, content), found))
    return results


def _extractions(connection: Connection, recipe_id: int, source_ids: Sequence[int]) -> Sequence[Any]:
    return connection.execute(
        select(
            Extraction.id,
            Extraction.source_id,
            Extraction.flags,
            Extraction.theta,
            Extraction.livetime,
            Extraction.in_fov,
            Extraction.good_frac,
            Extraction.area_aper,
            Crowding.overlap,
        )
        .outerjoin(Crowding, Crowding.extraction_id == Extraction.id)
        .join(EventSet, EventSet.id == Extraction.event_set_id)
        .join(Observation, Observation.id == EventSet.observation_id)
        .where(
            Extraction.recipe_id == recipe_id,
            Extraction.source_id.in_(source_ids),
            EventSet.role == "photometry",
        )
        # Not in the order in which they were added: sums depend on it in their last bit.
        .order_by(
            Extraction.source_id,
            Observation.obs_id,
            Observation.obi_num,
            Observation.cycle,
            Observation.datamode,
        )
    ).all()


def _measurements(
    connection: Connection, recipe_id: int, source_ids: Sequence[int]
) -> dict[int, dict[int, Any]]:
    rows = connection.execute(
        select(Measurement.__table__)
        .join(Extraction, Extraction.id == Measurement.extraction_id)
        .where(Extraction.recipe_id == recipe_id, Extraction.source_id.in_(source_ids))
    )
    found: dict[int, dict[int, Any]] = {}
    for row in rows:
        found.setdefault(row.extraction_id, {})[row.band_id] = row
    return found


def _usable(extraction: Any, measurements: dict[int, Any], recipe: Recipe) -> str | None:
    """Why an extraction cannot enter a merge; None when it can."""
    if extraction.flags & Flag.FAILED:
        return "failed"
    if not extraction.in_fov:
        return "outside_fov"
    if extraction.area_aper is None:
        return "no_aperture"
    if not measurements or any(row.bkg_ratio is None for row in measurements.values()):
        return "no_background_or_exposure"
    if recipe.merging.edge == "drop" and (extraction.good_frac or 0.0) < recipe.merging.edge_fraction:
        return "edge_of_field"
    return None


def _overlapping(rows: Sequence[Any], used: Mapping[int, str | None], limit: float) -> dict[int, str]:
    """Usable extractions of one source whose aperture overlaps a neighbour's too much."""
    own = [row for row in rows if used[row.id] is None]
    kept = prune_overlap([row.overlap or 0.0 for row in own], limit)
    return {row.id: "overlap" for row, taken in zip(own, kept, strict=True) if not taken}


def _merge_one_band(
    context: MergeContext,
    band: Any,
    band_id: int,
    by_source: dict[int, list[Any]],
    used: dict[int, str | None],
    measured: dict[int, dict[int, Any]],
) -> dict[int, dict[str, Any]]:
    sources: list[int] = []
    offsets = [0]
    rows: list[tuple[Any, Any]] = []
    for source_id, extractions in by_source.items():
        # A band new in the recipe is not measured everywhere when only this stage was asked for.
        own = [
            (item, measured[item.id][band_id])
            for item in extractions
            if used[item.id] is None and band_id in measured[item.id]
        ]
        if own:
            sources.append(source_id)
            rows += own
            offsets.append(len(rows))
    empty = dict.fromkeys(COLUMNS)
    merged: dict[int, dict[str, Any]] = {
        source_id: {**empty, "flags": _no_band(extractions, used)}
        for source_id, extractions in by_source.items()
        if source_id not in set(sources)
    }
    if sources:
        recipe = context.recipe
        choices = MergeChoices(
            recipe.confidence,
            recipe.limit.alpha,
            recipe.limit.power,
            context.spectrum.energy_conversion(band.lo, band.hi),
        )
        columns = merge_band(_members(np.array(offsets), rows), choices)
        table = to_rows({name: columns[name] for name in COLUMNS}, (len(sources),))
        merged |= dict(zip(sources, table, strict=True))
        for k, source_id in enumerate(sources):
            if offsets[k + 1] - offsets[k] == 1:
                merged[source_id] |= _joint_alone(rows[offsets[k]][1], merged[source_id]["flags"])
    return merged


def _no_band(extractions: list[Any], used: dict[int, str | None]) -> int:
    """Flags of a band without members: observations may have seen the source in other bands."""
    return int(Flag.BAND_NOT_MEASURED) if any(used[row.id] is None for row in extractions) else 0


def _joint_alone(measurement: Any, flags: int) -> dict[str, Any]:
    """Columns of a source measured jointly in one observation only: these are exact, the merge is not."""
    if measurement.joint_cnts_aperbkg is None:
        return {}
    found = {name: getattr(measurement, name) for name in _POSTERIOR_COLUMNS}
    bound = int(Flag.BOUND_ONLY)
    found["flags"] = (flags & ~bound) | (measurement.flags & bound)
    return found


def _members(offsets: NDArray[np.int64], rows: list[tuple[Any, Any]]) -> Members:
    def values(name: str) -> NDArray[np.float64]:
        return np.array(
            [np.nan if getattr(row, name) is None else getattr(row, name) for _, row in rows], dtype=float
        )

    return Members(
        offsets=offsets,
        n=values("cnts_aper").astype(np.int64),
        m=values("cnts_aperbkg").astype(np.int64),
        psf_frac_aper=values("psf_frac_aper"),
        psf_frac_aperbkg=values("psf_frac_aperbkg"),
        psf_good_frac_aper=values("psf_good_frac_aper"),
        psf_good_frac_aperbkg=values("psf_good_frac_aperbkg"),
        bkg_ratio=values("bkg_ratio"),
        livetime=np.array([item.livetime for item, _ in rows], dtype=float),
        area_band=values("area_band"),
        fluence_aper=values("fluence_aper"),
        fluence_aperbkg=values("fluence_aperbkg"),
        fluence_max=values("fluence_max"),
        response_ratio=values("response_ratio"),
        response_index1=values("response_index1"),
        response_index3=values("response_index3"),
        joint_cnts_aperbkg=values("joint_cnts_aperbkg"),
        joint_psf_frac_aperbkg=values("joint_psf_frac_aperbkg"),
        joint_bkg_ratio=values("joint_bkg_ratio"),
        flags=np.array([item.flags | row.flags for item, row in rows], dtype=np.int64),
    )


_SUMMARY_FLAGS = Flag.NEAR_EDGE | Flag.NEIGHBOUR_EXCLUDED | Flag.CONFUSED | Flag.PILEUP


def _summary(extractions: list[Any], used: dict[int, str | None]) -> dict[str, Any]:
    own = [row for row in extractions if used[row.id] is None]
    flags = combine(row.flags for row in own) & int(_SUMMARY_FLAGS)
    if not own:
        flags |= combine(row.flags for row in extractions)
        if not any(row.in_fov or used[row.id] == "failed" for row in extractions):
            flags |= int(Flag.OUTSIDE_FOV)
    elif any(used[row.id] not in (None, "outside_fov") for row in extractions):
        flags |= int(Flag.EXCLUDED_FROM_MERGE)
    livetime = sum(row.livetime for row in own)
    return {
        "flags": flags,
        "n_obs": len(own),
        "livetime": livetime if own else None,
        "theta_min": min((row.theta for row in own), default=None),
        "theta_mean": sum(row.theta * row.livetime for row in own) / livetime if livetime > 0 else None,
    }


def _failed(place: Place) -> Merged:
    nothing = {**dict.fromkeys(COLUMNS), "flags": int(Flag.FAILED)}
    merge = {**_summary([], {}), "flags": int(Flag.FAILED)}
    return Merged(merge, (), {band_id: dict(nothing) for band_id in place.bands})


def store(writer: Writer, place: Place, run_id: int, results: Sequence[Result[Merged]]) -> None:
    """Store a batch; a merge that failed has no values."""
    recipe_id = place.recipe_id
    found = [(result.source_id, result.value or _failed(place)) for result in results]
    rows = [
        {
            "run_id": run_id,
            "source_id": source_id,
            "recipe_id": recipe_id,
            "purpose": PURPOSE,
            **merged.merge,
        }
        for source_id, merged in found
    ]
    writer.upsert(Merge, rows, key=("source_id", "recipe_id", "purpose"))
    ids = merge_ids(writer.connection, recipe_id, [source_id for source_id, _ in found])
    chosen = list(ids.values())
    writer.delete(MergeMember, MergeMember.merge_id.in_(chosen))
    writer.insert(
        MergeMember,
        [
            {"merge_id": ids[source_id], "extraction_id": extraction, "used": used, "reason": reason}
            for source_id, merged in found
            for extraction, used, reason in merged.members
        ],
    )
    writer.delete(
        MergedMeasurement,
        MergedMeasurement.merge_id.in_(chosen) & MergedMeasurement.band_id.not_in(place.bands),
    )
    writer.upsert(
        MergedMeasurement,
        [
            {"run_id": run_id, "merge_id": ids[source_id], "band_id": band_id, **columns}
            for source_id, merged in found
            for band_id, columns in merged.measurements.items()
        ],
        key=("merge_id", "band_id"),
    )
    sum_flags(writer, chosen)


def sum_flags(writer: Writer, merges: Iterable[int]) -> None:
    """Write the flags of merges over all bands anew, after those of a band have changed."""
    summed: ColumnElement[int] = literal_column(all_flags("merge"))
    writer.connection.execute(update(Merge).where(Merge.id.in_(merges)).values(all_flags=summed))


def merge_ids(connection: Connection, recipe_id: int, source_ids: Sequence[int]) -> dict[int, int]:
    """Row numbers of the photometry merges of sources, by source id."""
    rows = connection.execute(
        select(Merge.id, Merge.source_id).where(
            Merge.recipe_id == recipe_id, Merge.purpose == PURPOSE, Merge.source_id.in_(source_ids)
        )
    )
    return {row.source_id: row.id for row in rows}
