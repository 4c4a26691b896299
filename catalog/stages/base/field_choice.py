"""The observation that a person means."""

from __future__ import annotations

from collections.abc import Sequence

from catalog.errors import UnknownNameError
from catalog.stages.base.work import FieldInput


def obs_id_of(item: FieldInput) -> str:
    """ObsID of an event set."""
    return item.scope.split("/")[0]


def find_field(inputs: Sequence[FieldInput], obs_id: str) -> FieldInput:
    """Return the event set of an ObsID, given with or without leading zeros.

    Raises
    ------
    UnknownNameError
        UNKNOWN_OBSERVATION: none of them has it.
    """
    wanted = obs_id.strip().lstrip("0") or "0"
    for item in inputs:
        if obs_id_of(item) == wanted:
            return item
    known = ", ".join(dict.fromkeys(obs_id_of(item) for item in inputs))
    todo = f"choose one of {known}" if known else "add it with `srccat add observations`"
    raise UnknownNameError("no such observation in this catalog", obs_id, todo, code="UNKNOWN_OBSERVATION")
