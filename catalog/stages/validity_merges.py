"""Merges for validity: of each source, the observations that together speak most clearly for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select

from catalog.band import Band
from catalog.measure.merge_selection import merged_log10_prob_no_source, select_for_validity
from catalog.recipes.recipe import Recipe
from catalog.schema.tables import Merge, MergedMeasurement, MergeMember
from catalog.stages.property_rows import Measured
from catalog.store.door import Writer

PURPOSE = "validity"


@dataclass(frozen=True, eq=False)
class ValidityMerge:
    """The merge of one source.

    Attributes
    ----------
    source_id
        The source.
    members
        Extractions with whether they were taken.
    n_obs, livetime
        Observations taken, and their live time in s.
    rows
        Counts, background ratio and probability that there is no source, one per band.
    """

    source_id: int
    members: tuple[tuple[int, bool], ...]
    n_obs: int
    livetime: float
    rows: tuple[dict[str, Any], ...]

    def plain(self) -> list[Any]:
        """Content for a fingerprint, without row numbers."""
        return [[used for _, used in self.members], self.n_obs, list(self.rows)]


def validity_merge(recipe: Recipe, bands: Sequence[Band], members: Sequence[Measured]) -> ValidityMerge:
    """Choose observations by the widest band, greedily by PROB_NO_SOURCE; all bands are then merged alike.

    The choice makes the probability as small as it can: no photometry is taken from it.
    """
    widest = max(range(len(bands)), key=lambda j: bands[j].hi - bands[j].lo)
    n, m, ratio = (
        np.array([member.value(name) for member in members])
        for name in ("cnts_aper", "cnts_aperbkg", "bkg_ratio")
    )
    used = select_for_validity(n[:, widest], m[:, widest], ratio[:, widest], recipe.merging.validity_counts)
    rows = []
    for j in range(len(bands)):
        own = n[used, j], m[used, j], ratio[used, j]
        scaled = float((own[1] / own[2]).sum())
        rows.append(
            {
                "flags": 0,
                "cnts_aper": int(own[0].sum()),
                "cnts_aperbkg": int(own[1].sum()),
                "bkg_ratio": float(own[1].sum()) / scaled if scaled > 0 else float(own[2].mean()),
                "log10_prob_no_source": min(merged_log10_prob_no_source(*own), 0.0),
            }
        )
    return ValidityMerge(
        members[0].extraction.source_id,
        tuple((member.extraction.id, bool(taken)) for member, taken in zip(members, used, strict=True)),
        int(used.sum()),
        float(sum(m.extraction.livetime for m, taken in zip(members, used, strict=True) if taken)),
        tuple(rows),
    )


def store_validity(
    writer: Writer,
    run_id: int,
    recipe_id: int,
    source_ids: Sequence[int],
    merges: Sequence[ValidityMerge],
    bands: Sequence[int],
) -> None:
    """Replace the validity merges of sources; a source without a usable observation has none."""
    chosen = (
        Merge.recipe_id == recipe_id,
        Merge.purpose == PURPOSE,
        Merge.source_id.in_(source_ids),
    )
    writer.delete(Merge, chosen[0] & chosen[1] & chosen[2])
    writer.insert(
        Merge,
        [
            {
                "run_id": run_id,
                "source_id": merge.source_id,
                "recipe_id": recipe_id,
                "purpose": PURPOSE,
                "flags": 0,
                "n_obs": merge.n_obs,
                "livetime": merge.livetime,
            }
            for merge in merges
        ],
    )
    ids = {
        row.source_id: row.id
        for row in writer.connection.execute(select(Merge.id, Merge.source_id).where(*chosen))
    }
    writer.insert(
        MergeMember,
        [
            {
                "merge_id": ids[merge.source_id],
                "extraction_id": extraction_id,
                "used": used,
                "reason": None if used else "no_gain",
            }
            for merge in merges
            for extraction_id, used in merge.members
        ],
    )
    writer.insert(
        MergedMeasurement,
        [
            {"run_id": run_id, "merge_id": ids[merge.source_id], "band_id": band_id, **row}
            for merge in merges
            for band_id, row in zip(bands, merge.rows, strict=True)
        ],
    )
