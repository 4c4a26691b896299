"""What a catalog holds, what is done, what is stale, what failed and why."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from catalog.schema.tables import EventSet, Observation, Recipe, Run, Source, WorkUnit
from catalog.stages.base.project import Project
from catalog.stages.engine.run import due_stages, run
from catalog.stages.engine.run_report import StageCount


@dataclass(frozen=True)
class ObservationStatus:
    """One event set of the catalog."""

    obs_id: str
    role: str
    date_obs: str
    livetime: float
    n_events: int
    dropped: int
    energy_range: tuple[float, float] | None


@dataclass(frozen=True)
class Failure:
    """Failed units of one stage and reason."""

    stage: str
    reason: str
    count: int
    message: str


@dataclass(frozen=True)
class Status:
    """State of a catalog.

    Attributes
    ----------
    database
        Where it is.
    n_sources
        Number of sources.
    observations, recipes
        What is there.
    counts
        Stale and total units by stage, recipe and observation.
    failures
        Failed units by stage and reason.
    last_run
        Command, state and end of the newest run, None without any.
    """

    database: str
    n_sources: int
    observations: tuple[ObservationStatus, ...]
    recipes: tuple[str, ...]
    counts: tuple[StageCount, ...]
    failures: tuple[Failure, ...]
    last_run: tuple[str, str, str] | None

    @property
    def stale(self) -> int:
        """Units that the next run computes, as far as known before it."""
        return sum(count.stale for count in self.counts)


def status(project: Project) -> Status:
    """Look at a catalog without changing it."""
    with project.store.read() as connection:
        observations = _observations(connection)
        recipes = tuple(connection.scalars(select(Recipe.recipe).order_by(Recipe.recipe)))
        n_sources = int(connection.scalar(select(func.count()).select_from(Source)) or 0)
        failures = failed_units(connection)
        last = connection.execute(
            select(Run.command, Run.state, Run.finished_at).order_by(Run.id.desc()).limit(1)
        ).first()
    report = run(project, due_stages(project), dry_run=True)
    return Status(
        database=project.store.where,
        n_sources=n_sources,
        observations=observations,
        recipes=recipes,
        counts=tuple(report.counts),
        failures=failures,
        last_run=None if last is None else (last.command, last.state, _when(last.finished_at)),
    )


def _when(moment: object) -> str:
    return "not ended" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _observations(connection: Connection) -> tuple[ObservationStatus, ...]:
    rows = connection.execute(
        select(
            Observation.obs_id,
            EventSet.role,
            Observation.date_obs,
            Observation.livetime,
            EventSet.n_events,
            EventSet.dropped,
            EventSet.energy_lo,
            EventSet.energy_hi,
        )
        .join(EventSet, EventSet.observation_id == Observation.id)
        .order_by(Observation.date_obs, Observation.obs_id, EventSet.role)
    )
    return tuple(
        ObservationStatus(
            row.obs_id,
            row.role,
            row.date_obs,
            row.livetime,
            row.n_events,
            sum(row.dropped.values()),
            None if row.energy_lo is None else (row.energy_lo, row.energy_hi),
        )
        for row in rows
    )


def failed_units(connection: Connection) -> tuple[Failure, ...]:
    """Return failed units by stage and reason, with one message as an example."""
    rows = connection.execute(
        select(WorkUnit.stage, WorkUnit.reason, func.count(), func.min(WorkUnit.message))
        .where(WorkUnit.state == "failed")
        .group_by(WorkUnit.stage, WorkUnit.reason)
        .order_by(func.count().desc(), WorkUnit.stage, WorkUnit.reason)
    )
    return tuple(Failure(stage, reason or "", count, message or "") for stage, reason, count, message in rows)
