"""Who computes in a run: this process until worker processes are worth their start."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from types import TracebackType

from sqlalchemy import Connection, exists, select

from catalog.schema.tables import WorkUnit
from catalog.stages.base.stage import Place, Stage
from catalog.stages.engine.executor import Executor, SerialExecutor, open_executor

WORTH_A_POOL = 5.0
"""Seconds of work on one core below which starting worker processes costs more than they save. Stages of a
tenth of it are not sent to those that are there."""
BATCH = 250
"""Units computed and committed together at most: what a killed run loses, per stage and worker."""
BATCH_SECONDS = 4.0
"""The same in seconds of work, as far as a stage tells how long its units take."""


@dataclass
class Computing(AbstractContextManager["Computing"]):
    """Opens an executor when it is first worth it, and ends it with the run.

    Attributes
    ----------
    workers
        Number of worker processes.
    scheduler
        Address of a Dask scheduler that computes all, in place of processes of this machine.
    preload
        Modules that the server of worker processes imports once for all of them.
    spent
        Seconds of work, as estimated, that this process has taken on so far.
    """

    workers: int
    scheduler: str | None
    preload: Sequence[str]
    spent: float = 0.0
    _stack: ExitStack = field(default_factory=ExitStack)
    _opened: Executor | None = None

    def prepare(self, seconds: float) -> None:
        """Start workers now, while this process plans, if so much work lies ahead that they will be used."""
        wanted = seconds >= WORTH_A_POOL if self.scheduler is None else seconds > 0.0
        if wanted and self._opened is None:
            executor = open_executor(self.workers, self.preload, self.scheduler)
            self._opened = self._stack.enter_context(executor)

    def executor(self, seconds: float) -> Executor:
        """The executor for so much work on one core."""
        self.prepare(self.spent + seconds)
        if self._opened is None or (seconds < 0.1 * WORTH_A_POOL and self.scheduler is None):
            self.spent += seconds
            return SerialExecutor()
        return self._opened

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)


def seconds_ahead(connection: Connection, places: Sequence[Place], stages: Sequence[Stage]) -> float:
    """Estimate of the work, in seconds on one core, in event sets where nothing was computed yet."""
    stages = [stage for stage in stages if not stage.everywhere]
    if not stages:
        return 0.0
    per_source = sum(stage.seconds for stage in stages)
    unit = exists().where(WorkUnit.stage == stages[0].name)
    ahead = 0.0
    for place in places:
        begun = unit.where(
            WorkUnit.recipe_id == place.recipe_id, WorkUnit.event_set_id == place.observed.event_set_id
        )
        if not connection.scalar(select(begun)):
            ahead += place.size * per_source
    return ahead


def batch_size(number: int, workers: int, seconds: float) -> int:
    """Units per batch: several batches for each worker, so that all are busy to the end."""
    most = max(1, min(BATCH, int(BATCH_SECONDS / seconds)))
    return most if workers == 1 else max(1, min(most, -(-number // (4 * workers))))
