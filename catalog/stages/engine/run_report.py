"""What a run found stale, did, and could not do."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from catalog.stages.base.stage import Result


@dataclass
class StageTimes:
    """Where the time of a stage went, s.

    Attributes
    ----------
    elapsed
        From begin to end.
    planning, reading, storing
        Of this process: finding what is stale, reading jobs from the database, storing results in it.
    computing
        Processor time of the units, wherever they were computed: of all workers together.
    """

    elapsed: float = 0.0
    planning: float = 0.0
    reading: float = 0.0
    storing: float = 0.0
    computing: float = 0.0

    @contextmanager
    def spent_on(self, name: str) -> Iterator[None]:
        """Add the time until the end of the block to one of the attributes."""
        start = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, name, getattr(self, name) + time.perf_counter() - start)


@dataclass
class StageCount:
    """Units of one stage, recipe and scope.

    Attributes
    ----------
    why
        Stale units by what changed, see `stale_reasons`.
    times
        Where the time went.
    """

    stage: str
    recipe: str
    scope: str
    stale: int
    total: int
    why: dict[str, int] = field(default_factory=dict)
    times: StageTimes = field(default_factory=StageTimes)


@dataclass
class StageFailure:
    """Failed units of one stage, recipe, scope and reason, with one message as an example."""

    stage: str
    recipe: str
    scope: str
    reason: str
    count: int
    message: str


@dataclass
class RunReport:
    """What a run did.

    Attributes
    ----------
    run_id
        The run's row; None when nothing was stale, or for a dry run.
    counts
        Units stale and in all, by stage, recipe and observation.
    failures
        Failed units.
    """

    run_id: int | None = None
    counts: list[StageCount] = field(default_factory=list)
    failures: list[StageFailure] = field(default_factory=list)

    @property
    def computed(self) -> int:
        """Units computed, or to compute for a dry run."""
        return sum(count.stale for count in self.counts)

    @property
    def failed(self) -> int:
        """Units without a result."""
        return sum(item.count for item in self.failures)

    @property
    def reasons(self) -> dict[str, int]:
        """Failed units by reason."""
        found: dict[str, int] = {}
        for item in self.failures:
            found[item.reason] = found.get(item.reason, 0) + item.count
        return found

    def add_failed(self, count: StageCount, results: Iterable[Result[Any]]) -> None:
        """Count the failed of a stage's results."""
        own = {
            item.reason: item
            for item in self.failures
            if (item.stage, item.recipe, item.scope) == (count.stage, count.recipe, count.scope)
        }
        for result in results:
            if result.reason is None:
                continue
            if result.reason not in own:
                own[result.reason] = StageFailure(
                    count.stage, count.recipe, count.scope, result.reason, 0, result.message or ""
                )
                self.failures.append(own[result.reason])
            own[result.reason].count += 1
