"""Merges for other purposes than photometry: chosen observations of a source with their summed counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from catalog.measure.merge_selection import merged_log10_prob_no_source
from catalog.schema.tables import Merge, MergedMeasurement, MergeMember, PositionEstimate
from catalog.stages.steps.property_rows import Measured
from catalog.store.door import Writer


@dataclass(frozen=True, eq=False)
class PurposeMerge:
    """The merge of one source for one purpose.

    Attributes
    ----------
    source_id, purpose
        The source; what the merge is for.
    members
        Extractions with whether they were taken.
    n_obs, livetime
        Observations taken, and their live time in s.
    rows
        Counts, background ratio and probability that there is no source, one per band.
    position
        Columns of `position_estimate`; None when the merge is for something else.
    """

    source_id: int
    purpose: str
    members: tuple[tuple[int, bool], ...]
    n_obs: int
    livetime: float
    rows: tuple[dict[str, Any], ...]
    position: dict[str, Any] | None = None

    def plain(self) -> list[Any]:
        """Content for a fingerprint, without row numbers."""
        return [self.purpose, [used for _, used in self.members], self.n_obs, list(self.rows), self.position]


def purpose_merge(purpose: str, members: Sequence[Measured], used: NDArray[np.bool_]) -> PurposeMerge:
    """Sum the observations chosen; each keeps its own background ratio."""
    n, m, ratio = (
        np.array([member.value(name) for member in members])[used]
        for name in ("cnts_aper", "cnts_aperbkg", "bkg_ratio")
    )
    rows = []
    for j in range(n.shape[1]):
        own = n[:, j], m[:, j], ratio[:, j]
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
    taken = [member.extraction.livetime for member, chosen in zip(members, used, strict=True) if chosen]
    return PurposeMerge(
        members[0].extraction.source_id,
        purpose,
        tuple((member.extraction.id, bool(chosen)) for member, chosen in zip(members, used, strict=True)),
        len(taken),
        float(sum(taken)),
        tuple(rows),
    )


def store_merges(
    writer: Writer,
    run_id: int,
    recipe_id: int,
    purpose: str,
    source_ids: Sequence[int],
    merges: Sequence[PurposeMerge],
    bands: Sequence[int],
) -> None:
    """Replace the merges of sources for a purpose; a source without one of `merges` has none."""
    chosen = (Merge.recipe_id == recipe_id, Merge.purpose == purpose, Merge.source_id.in_(source_ids))
    writer.delete(Merge, chosen[0] & chosen[1] & chosen[2])
    owner = {"run_id": run_id, "recipe_id": recipe_id, "purpose": purpose, "flags": 0}
    writer.insert(
        Merge,
        [
            {**owner, "source_id": merge.source_id, "n_obs": merge.n_obs, "livetime": merge.livetime}
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
    writer.insert(
        PositionEstimate,
        [
            {"run_id": run_id, "merge_id": ids[merge.source_id], **merge.position}
            for merge in merges
            if merge.position is not None
        ],
    )
