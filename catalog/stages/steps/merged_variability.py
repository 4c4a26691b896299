"""Stage `merged_variability`: variability of each source over its observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from catalog.measure.merged_timing import Epoch, merged_timing
from catalog.recipes.recipe import TimingChoice
from catalog.schema.tables import (
    EventSet,
    Extraction,
    LightCurve,
    Measurement,
    Merge,
    MergedVariability,
    MergeMember,
    Observation,
    Variability,
)
from catalog.stages.base.fingerprint import Inputs, fingerprint
from catalog.stages.base.stage import Place, Plan, Result, values
from catalog.stages.base.upstream import merged_inputs
from catalog.stages.steps import merge
from catalog.store.arrays import unpack
from catalog.store.door import Writer

STAGE = "merged_variability"
VERSION = 3
UPSTREAM = ("extract", "photometry", "variability", "merge")


@dataclass(frozen=True, eq=False)
class MergedVariabilityJob:
    """Observations that entered the merges of a batch, by source and row number of the band."""

    source_ids: Sequence[int]
    bands: Sequence[int]
    merges: dict[int, int]
    epochs: dict[tuple[int, int], list[Epoch]]
    photon_index: float
    timing: TimingChoice


@dataclass(frozen=True, eq=False)
class MergedTests:
    """Columns of one source by band row number, and the merge they belong to (None: there is none yet)."""

    merge_id: int | None
    rows: dict[int, dict[str, Any]]


def plan(connection: Connection, place: Place) -> Plan:
    """Return the inputs of all sources."""
    recipe = place.recipe
    common = Inputs.of(
        code=VERSION,
        spectrum=place.survey.spectrum.photon_index,
        recipe=[recipe.timing.pvalues, recipe.timing.area_error],
        bands=[(band.name, band.lo, band.hi) for band in recipe.energy_bands],
    )
    return Plan(merged_inputs(connection, place, UPSTREAM, common))


def load(
    connection: Connection, place: Place, _plan: Plan, source_ids: Sequence[int]
) -> MergedVariabilityJob:
    """Read the observations of a batch."""
    return MergedVariabilityJob(
        source_ids,
        place.bands,
        merge.merge_ids(connection, place.recipe_id, source_ids),
        _epochs(connection, place.recipe_id, source_ids, place.bands),
        place.survey.spectrum.photon_index,
        place.recipe.timing,
    )


def compute(job: MergedVariabilityJob) -> list[Result[MergedTests]]:
    """Test the merges of sources."""
    index, choice = job.photon_index, job.timing
    results = []
    for source_id in job.source_ids:
        found = MergedTests(
            job.merges.get(source_id),
            {
                band: merged_timing(
                    job.epochs.get((source_id, band), ()), index, choice.pvalues, choice.area_error
                )
                for band in job.bands
            },
        )
        content_hash = fingerprint(found.merge_id is None, list(found.rows.values()))
        results.append(Result(source_id, content_hash, found))
    return results


def _epochs(
    connection: Connection, recipe_id: int, source_ids: Sequence[int], bands: Sequence[int]
) -> dict[tuple[int, int], list[Epoch]]:
    """Observations that entered the merges, by source and band."""
    chosen = (Extraction.recipe_id == recipe_id, Extraction.source_id.in_(source_ids))
    tests = {
        (row.extraction_id, row.band_id): dict(row._mapping)
        for row in connection.execute(
            select(Variability.__table__)
            .join(Extraction, Extraction.id == Variability.extraction_id)
            .where(*chosen)
        )
    }
    phases = _phases(connection, recipe_id, source_ids)
    rows = connection.execute(
        select(
            Extraction.source_id,
            Extraction.livetime,
            Observation.tstart,
            Measurement.extraction_id,
            Measurement.band_id,
            Measurement.cnts_aper,
            Measurement.cnts_aperbkg,
            Measurement.psf_frac_aper,
            Measurement.psf_frac_aperbkg,
            Measurement.psf_good_frac_aper,
            Measurement.psf_good_frac_aperbkg,
            Measurement.bkg_ratio,
            Measurement.joint_cnts_aperbkg,
            Measurement.joint_psf_frac_aperbkg,
            Measurement.joint_bkg_ratio,
            Measurement.area_band,
            Measurement.response_index1,
            Measurement.response_index3,
        )
        .join(Extraction, Extraction.id == Measurement.extraction_id)
        .join(MergeMember, (MergeMember.extraction_id == Extraction.id) & MergeMember.used)
        .join(Merge, (Merge.id == MergeMember.merge_id) & (Merge.purpose == merge.PURPOSE))
        .join(EventSet, EventSet.id == Extraction.event_set_id)
        .join(Observation, Observation.id == EventSet.observation_id)
        .where(*chosen, Measurement.band_id.in_(bands), Measurement.bkg_ratio.is_not(None))
        .order_by(Extraction.source_id, Observation.tstart, Observation.obs_id, Observation.obi_num)
    ).all()
    grouped: dict[tuple[int, int], list[Any]] = {}
    for row in rows:
        grouped.setdefault((row.source_id, row.band_id), []).append(row)
    found = {}
    for key, own in grouped.items():
        with_area = any(_has_area(row) for row in own)
        found[key] = [
            _epoch(
                row,
                (row.area_band if _has_area(row) else 0.0) if with_area else 1.0,
                phases.get((row.extraction_id, row.band_id)),
                tests.get((row.extraction_id, row.band_id), {}),
            )
            for row in own
        ]
    return found


def _has_area(row: Any) -> bool:
    return row.area_band is not None and row.area_band > 0


def _epoch(row: Any, area: float, phase: Any, tests: dict[str, Any]) -> Epoch:
    """One observation; `area` is 1 where none has one, and 0 where this one has none but another has."""
    seen = row.psf_good_frac_aper * row.livetime * area
    ontime = tests.get("ontime_timing") or 0.0
    if row.joint_cnts_aperbkg is not None:
        # Neighbours are background: a variable one must not make this source vary.
        background = row.joint_cnts_aperbkg, row.joint_psf_frac_aperbkg * seen, row.joint_bkg_ratio
    else:
        beside = (row.psf_frac_aperbkg or 0.0) * (row.psf_good_frac_aperbkg or 0.0) * row.livetime * area
        background = row.cnts_aperbkg, beside, row.bkg_ratio
    m, g, r = background
    return Epoch(
        start=row.tstart,
        n=row.cnts_aper,
        m=m,
        f=row.psf_frac_aper * seen,
        g=g,
        r=r,
        exposure=row.psf_frac_aper * seen if ontime > 0 else 0.0,
        index1=np.nan if row.response_index1 is None else row.response_index1,
        index3=np.nan if row.response_index3 is None else row.response_index3,
        phase=phase,
        tests=tests,
    )


def _phases(connection: Connection, recipe_id: int, source_ids: Sequence[int]) -> dict[tuple[int, int], Any]:
    rows = connection.execute(
        select(LightCurve.extraction_id, LightCurve.band_id, LightCurve.columns, LightCurve.data)
        .join(Extraction, Extraction.id == LightCurve.extraction_id)
        .where(
            Extraction.recipe_id == recipe_id,
            Extraction.source_id.in_(source_ids),
            LightCurve.product == "arrivals",
        )
    )
    return {
        (row.extraction_id, row.band_id): unpack(row.data)[list(row.columns).index("phase")] for row in rows
    }


def store(writer: Writer, place: Place, run_id: int, results: Sequence[Result[MergedTests]]) -> None:
    """Replace the rows of a batch."""
    known = merge.merge_ids(writer.connection, place.recipe_id, [result.source_id for result in results])
    writer.delete(MergedVariability, MergedVariability.merge_id.in_(known.values()))
    writer.insert(
        MergedVariability,
        [
            {"run_id": run_id, "merge_id": item.merge_id, "band_id": band_id, **columns}
            for item in values(results)
            if item.merge_id is not None
            for band_id, columns in item.rows.items()
        ],
    )
    merge.sum_flags(writer, known.values())
