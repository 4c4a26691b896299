"""What a run found stale, did, and could not do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from catalog.stages.stage import Result


@dataclass
class StageCount:
    """Units of one stage, recipe and scope.

    Attributes
    ----------
    why
        Stale units by what changed, see `stale_reasons`.
    """

    stage: str
    recipe: str
    scope: str
    stale: int
    total: int
    why: dict[str, int] = field(default_factory=dict)


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
