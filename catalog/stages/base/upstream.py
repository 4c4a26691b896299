"""What a stage builds on: results of the stages before it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from catalog.schema.tables import WorkUnit
from catalog.stages.base.fingerprint import Inputs
from catalog.stages.base.stage import Place
from catalog.stages.base.work import UnitState, unit_states


def upstream_states(connection: Connection, place: Place, stage: str) -> dict[int, UnitState]:
    """Units of a stage before, at the same place, by source id."""
    return unit_states(connection, stage, place.recipe_id, place.scope)


def merged_inputs(
    connection: Connection, place: Place, stages: Sequence[str], common: Inputs
) -> dict[int, Inputs]:
    """Inputs of every source over all observations: the common ones, where it was seen, and all results."""
    found: dict[int, list[tuple[str, str, str | None]]] = {
        int(source_id): [] for source_id in place.survey.sources.id
    }
    rows = connection.execute(
        select(WorkUnit.source_id, WorkUnit.scope, WorkUnit.stage, WorkUnit.result_hash)
        .where(WorkUnit.recipe_id == place.recipe_id, WorkUnit.stage.in_(stages))
        .order_by(WorkUnit.scope, WorkUnit.stage)
    )
    for row in rows:
        if row.source_id in found:
            found[row.source_id].append((row.scope, row.stage, row.result_hash))
    return {
        source_id: common.plus(
            observations=list(dict.fromkeys(scope for scope, _, _ in parts)), upstream=parts
        )
        for source_id, parts in found.items()
    }
