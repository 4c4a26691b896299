"""Which source gets an extraction in which event set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from catalog.schema.tables import Extraction, WorkUnit
from catalog.stages.base.work import FieldInput, SourceTable, batches
from catalog.stages.engine.run_lock import heartbeat
from catalog.store.door import Store

NEAR_POINTING = 0.5
"""Degrees: a source farther from the pointing than this has no row for the observation, unless it has none at
all otherwise."""
_TOGETHER = 500


def find_pairs(fields: Sequence[FieldInput], sources: SourceTable) -> dict[int, NDArray[np.intp]]:
    """Rows of the sources that get an extraction in each event set.

    Those near its pointing, and those near no pointing in the event set nearest to them, so that every source
    has a row that says what became of it.
    """
    if not fields:
        return {}
    a, d = np.radians(sources.ra), np.radians(sources.dec)
    cosines = np.empty((len(fields), len(sources)))
    for i, item in enumerate(fields):
        a0, d0 = np.radians(item.ra_pnt), np.radians(item.dec_pnt)
        cosines[i] = np.sin(d) * np.sin(d0) + np.cos(d) * np.cos(d0) * np.cos(a - a0)
    near = cosines >= np.cos(np.radians(NEAR_POINTING))
    alone = np.flatnonzero(~near.any(axis=0))
    near[cosines[:, alone].argmax(axis=0), alone] = True
    return {item.event_set_id: np.flatnonzero(near[i]) for i, item in enumerate(fields)}


Lost = dict[type[Extraction] | type[WorkUnit], list[int]]


def lost_pairs(store: Store, recipe_id: int, pairs: Mapping[int, NDArray[Any]], sources: SourceTable) -> Lost:
    """Row numbers of extractions and work units of sources that no longer belong to an observation."""
    wanted = {(event_set_id, int(sources.id[row])) for event_set_id, own in pairs.items() for row in own}
    lost: Lost = {}
    with store.read() as connection:
        for model in (Extraction, WorkUnit):
            rows = connection.execute(
                select(model.id, model.source_id, model.event_set_id).where(
                    model.recipe_id == recipe_id, model.event_set_id.in_(pairs)
                )
            )
            lost[model] = [row.id for row in rows if (row.event_set_id, row.source_id) not in wanted]
    return lost


def drop_pairs(store: Store, run_id: int, lost: Lost) -> None:
    """Remove them, with all that hangs on them."""
    with store.write() as writer:
        heartbeat(writer, run_id)
        for model, row_ids in lost.items():
            for batch in batches(row_ids, _TOGETHER):
                writer.delete(model, model.id.in_(batch))
