"""Stage `merged_variability`: variability of each source over its observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.measure.merged_timing import Epoch, merged_timing
from catalog.recipes.recipe import Recipe
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
    WorkUnit,
)
from catalog.stages import merge
from catalog.stages.fingerprint import fingerprint
from catalog.stages.work import EVERYWHERE, SourceTable, UnitResult, UnitState, store_units
from catalog.store.arrays import unpack
from catalog.store.door import Writer

STAGE = "merged_variability"
VERSION = 1
UPSTREAM = ("extract", "photometry", "variability", "merge")


@dataclass(frozen=True)
class MergedVariabilityContext:
    """Recipe and reference spectrum."""

    recipe: Recipe
    spectrum: ReferenceSpectrum

    def common(self) -> str:
        """Hash of what every unit depends on."""
        return fingerprint(
            VERSION,
            self.spectrum.photon_index,
            self.recipe.timing.pvalues,
            [(band.name, band.lo, band.hi) for band in self.recipe.energy_bands],
        )


@dataclass(frozen=True, eq=False)
class MergedVariabilityResult:
    """Columns of one source by band row number, and the merge they belong to (None: there is none yet)."""

    source_id: int
    merge_id: int | None
    rows: dict[int, dict[str, Any]]


def plan(
    connection: Connection,
    context: MergedVariabilityContext,
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
    common = context.common()
    found = {}
    for source_id, parts in hashes.items():
        value = fingerprint(common, parts)
        known = states.get(source_id)
        if known is None or not known.done or known.fingerprint != value:
            found[source_id] = value
    return found


def compute(
    connection: Connection,
    context: MergedVariabilityContext,
    recipe_id: int,
    source_ids: Sequence[int],
    bands: Sequence[int],
) -> list[MergedVariabilityResult]:
    """Test the merges of sources; `bands` are the row numbers of the recipe's bands."""
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
    epochs = _epochs(connection, recipe_id, source_ids, bands)
    index, method = context.spectrum.photon_index, context.recipe.timing.pvalues
    return [
        MergedVariabilityResult(
            source_id,
            merges.get(source_id),
            {band: merged_timing(epochs.get((source_id, band), ()), index, method) for band in bands},
        )
        for source_id in source_ids
    ]


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
        with_area = all(row.area_band is not None and row.area_band > 0 for row in own)
        found[key] = [
            _epoch(
                row,
                with_area,
                phases.get((row.extraction_id, row.band_id)),
                tests.get((row.extraction_id, row.band_id), {}),
            )
            for row in own
        ]
    return found


def _epoch(row: Any, with_area: bool, phase: Any, tests: dict[str, Any]) -> Epoch:
    weight = row.livetime * (row.area_band if with_area else 1.0)
    ontime = tests.get("ontime_timing") or 0.0
    return Epoch(
        start=row.tstart,
        n=row.cnts_aper,
        m=row.cnts_aperbkg,
        f=row.psf_frac_aper * row.psf_good_frac_aper * weight,
        g=(row.psf_frac_aperbkg or 0.0) * (row.psf_good_frac_aperbkg or 0.0) * weight,
        r=row.bkg_ratio,
        exposure=(row.psf_frac_aper * row.psf_good_frac_aper * weight) if ontime > 0 else 0.0,
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


def store(
    writer: Writer,
    run_id: int,
    recipe_id: int,
    results: Sequence[MergedVariabilityResult],
    fingerprints: dict[int, str],
) -> None:
    """Store a batch."""
    merges = [result.merge_id for result in results if result.merge_id is not None]
    writer.delete(MergedVariability, MergedVariability.merge_id.in_(merges))
    writer.insert(
        MergedVariability,
        [
            {"run_id": run_id, "merge_id": result.merge_id, "band_id": band_id, **columns}
            for result in results
            if result.merge_id is not None
            for band_id, columns in result.rows.items()
        ],
    )
    done = [
        UnitResult(
            result.source_id,
            fingerprints[result.source_id],
            fingerprint(result.merge_id is None, list(result.rows.values())),
        )
        for result in results
    ]
    store_units(writer, run_id, STAGE, recipe_id, EVERYWHERE, None, done)
