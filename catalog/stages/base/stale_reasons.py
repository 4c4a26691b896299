"""Why a unit is stale: which of its inputs changed since it was computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import ColumnElement, Connection, func, select

from catalog.schema.tables import SourceEvent, WorkUnit
from catalog.stages.base.fingerprint import Inputs
from catalog.stages.base.work import UnitState, unit_states

NEW_OBSERVATION = "new observation"
NEW_SOURCE = "new source"
NEVER = "not computed yet"
FAILED = "failed before"
OLDER = "computed by an older srccat"

INPUTS = {
    "code": "other version of the stage",
    "file": "event list or companion file changed",
    "settings": "settings changed (gti, exclude_times, shift)",
    "calibration": "calibration changed",
    "files": "the user's file for it changed",
    "spectrum": "reference spectrum changed",
    "nh": "hydrogen column changed",
    "recipe": "recipe changed",
    "bands": "bands of the recipe changed",
    "source": "source moved",
    "drawn": "region drawn, edited or released",
    "neighbours": "neighbour moved, added, removed or measured anew",
    "observations": "observation added or removed",
    "upstream": "an earlier stage gave another result",
}
"""What a change of an input is called; the first that changed is the reason given."""
_TOGETHER = 500


def stale_units(wanted: Mapping[int, Inputs], states: Mapping[int, UnitState]) -> dict[int, Inputs]:
    """Return the units whose inputs changed, that failed, or that were never computed."""
    found = {}
    for source_id, inputs in wanted.items():
        known = states.get(source_id)
        if known is None or not known.done or known.fingerprint != inputs.fingerprint:
            found[source_id] = inputs
    return found


def is_current(
    connection: Connection, key: tuple[str, int, str], wanted: Mapping[int, Inputs], derived: str
) -> bool:
    """Tell whether all units are done with these inputs, leaving out one that follows from those of all.

    `key` are stage, recipe and scope. For a stage that would have to compute much to know that input. Once a
    source was moved or removed, the others no longer tell: the answer is no until all are computed anew.
    """
    states = unit_states(connection, *key)
    if states.keys() != wanted.keys() or not all(state.done for state in states.values()):
        return False
    gone = connection.scalar(
        select(func.max(SourceEvent.run_id)).where(SourceEvent.action.in_(("moved", "removed")))
    )
    oldest = connection.scalar(select(func.min(WorkUnit.run_id)).where(*_units_of(key)))
    if gone is not None and oldest is not None and gone > oldest:
        return False
    known = known_inputs(connection, key, wanted)
    return all(
        {**(known[source_id] or {}), derived: ""} == {**inputs.short(), derived: ""}
        for source_id, inputs in wanted.items()
    )


def stale_in_bands(
    connection: Connection,
    key: tuple[str, int, str],
    wanted: Mapping[int, Inputs],
    source_ids: Iterable[int],
    but: tuple[str, ...] = ("bands",),
) -> dict[int, int]:
    """Units done before from the same inputs `but` some, by default the bands of the recipe, with their runs.

    What such a unit found in a band that the recipe still has, holds.
    """
    rows = connection.execute(
        select(WorkUnit.source_id, WorkUnit.inputs, WorkUnit.run_id).where(
            *_units_of(key), WorkUnit.state == "done", WorkUnit.source_id.in_(list(source_ids))
        )
    )
    unlike = dict.fromkeys(but, "")
    return {
        row.source_id: row.run_id
        for row in rows
        if row.inputs is not None and {**row.inputs, **unlike} == {**wanted[row.source_id].short(), **unlike}
    }


def count_reasons(
    connection: Connection,
    key: tuple[str, int, str],
    stale: Mapping[int, Inputs],
    states: Mapping[int, UnitState],
) -> dict[str, int]:
    """Count stale units by reason, most frequent first; `key` are stage, recipe and scope of the units."""
    known = known_inputs(connection, key, [source_id for source_id in stale if source_id in states])
    found: dict[str, int] = {}
    for source_id, inputs in stale.items():
        reason = _reason(inputs, states.get(source_id), known.get(source_id), bool(states), key[2])
        found[reason] = found.get(reason, 0) + 1
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _reason(
    inputs: Inputs, state: UnitState | None, known: Mapping[str, str] | None, begun: bool, scope: str
) -> str:
    if state is None:
        return NEW_SOURCE if begun else NEVER
    if known is None:
        return OLDER
    wanted = inputs.short()
    for name, sentence in INPUTS.items():
        if wanted.get(name) != known.get(name):
            return sentence
    return NEVER if state.done else FAILED


def known_inputs(
    connection: Connection, key: tuple[str, int, str], source_ids: Iterable[int]
) -> dict[int, Mapping[str, str] | None]:
    """Short hashes of the inputs that units were computed from; None where an older srccat computed them."""
    chosen = set(source_ids)
    if not chosen:
        return {}
    rows = connection.execute(select(WorkUnit.source_id, WorkUnit.inputs).where(*_units_of(key)))
    return {row.source_id: row.inputs for row in rows if row.source_id in chosen}


def _units_of(key: tuple[str, int, str]) -> tuple[ColumnElement[bool], ...]:
    stage, recipe_id, scope = key
    return WorkUnit.stage == stage, WorkUnit.recipe_id == recipe_id, WorkUnit.scope == scope
