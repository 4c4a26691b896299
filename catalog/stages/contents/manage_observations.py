"""Observations of a catalog: list them, remove one with all that hangs on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from catalog.errors import UnknownNameError
from catalog.schema.tables import (
    EventSet,
    Extraction,
    InputFile,
    Merge,
    MergeMember,
    Observation,
)
from catalog.stages.base.project import Project
from catalog.stages.engine.run_lock import check_no_run
from catalog.store.runs import begin_run, finish


@dataclass(frozen=True)
class ObservationRow:
    """An event set as it is listed: its observation, what it is for, its file, and how many extractions."""

    id: int
    event_set_id: int
    obs_id: str
    obi_num: int
    cycle: str
    datamode: str
    role: str
    object: str | None
    date_obs: str
    livetime: float
    path: str
    n_extractions: int

    @property
    def key(self) -> str:
        """Natural key as text: what work units and `--dry-run` name it by."""
        return f"{self.obs_id}/{self.obi_num}/{self.cycle}/{self.datamode}/{self.role}"


def list_observations(connection: Connection) -> list[ObservationRow]:
    """Return all event sets by ObsID."""
    extractions = (
        select(Extraction.event_set_id, func.count().label("number"))
        .group_by(Extraction.event_set_id)
        .subquery()
    )
    rows: Any = connection.execute(
        select(
            Observation.id,
            EventSet.id,
            Observation.obs_id,
            Observation.obi_num,
            Observation.cycle,
            Observation.datamode,
            EventSet.role,
            Observation.object,
            Observation.date_obs,
            Observation.livetime,
            InputFile.path,
            func.coalesce(extractions.c.number, 0),
        )
        .join(EventSet, EventSet.observation_id == Observation.id)
        .join(InputFile, InputFile.id == EventSet.input_file_id)
        .outerjoin(extractions, extractions.c.event_set_id == EventSet.id)
        .order_by(Observation.obs_id, Observation.obi_num, Observation.cycle, EventSet.role)
    )
    return [ObservationRow(*row) for row in rows]


def find_observation(connection: Connection, text: str) -> list[ObservationRow]:
    """Return the event sets of the one observation of an ObsID, or the one of a natural key.

    Raises
    ------
    UnknownNameError
        There is none, or an ObsID has more than one observation (code AMBIGUOUS_OBSERVATION).
    """
    rows = list_observations(connection)
    plain = text.lstrip("0") or "0"
    found = [row for row in rows if text == row.key] or [row for row in rows if plain == row.obs_id]
    if not found:
        raise UnknownNameError(
            "no such observation", text, "see `srccat observations list`", code="UNKNOWN_OBSERVATION"
        )
    if len({row.id for row in found}) > 1:
        raise UnknownNameError(
            "more than one observation",
            text,
            f"give one of {', '.join(row.key for row in found)}",
            code="AMBIGUOUS_OBSERVATION",
        )
    return found


def remove_observation(project: Project, text: str, why: str | None = None) -> list[ObservationRow]:
    """Remove an observation (by ObsID), or one event set (by its key), with all that was measured in it.

    The merges that used it go with it: `run` makes them anew from what is left. That it was there, and who
    removed it and why, stays in the table of runs, and its files in that of input files.

    Raises
    ------
    UnknownNameError
        See `find_observation`.
    ProjectError
        A run is going on.
    """
    with project.store.write() as writer:
        check_no_run(writer, project.store.where)
        found = find_observation(writer.connection, text)
        keys = ", ".join(row.key for row in found)
        command = f"observations remove {keys}" + (f": {why}" if why else "")
        run_id = begin_run(writer, command, project.frozen_settings(), [])
        event_sets = [row.event_set_id for row in found]
        merges = (
            select(MergeMember.merge_id)
            .join(Extraction, Extraction.id == MergeMember.extraction_id)
            .where(Extraction.event_set_id.in_(event_sets), MergeMember.used)
        )
        writer.delete(Merge, Merge.id.in_(merges))
        writer.delete(EventSet, EventSet.id.in_(event_sets))
        left: Any = select(EventSet.observation_id)
        writer.delete(
            Observation, Observation.id.in_({row.id for row in found}) & Observation.id.not_in(left)
        )
        finish(writer, run_id, "done", {})
    return found
