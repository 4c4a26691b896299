"""`run`: plan what is stale, compute it, store it batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from catalog.errors import SettingsError, UserError
from catalog.schema.tables import WorkUnit
from catalog.stages.base.project import Project
from catalog.stages.base.recipe_store import StoredRecipe, band_ids, stored_recipes
from catalog.stages.base.stage import Place, Result, Stage, Survey
from catalog.stages.base.stale_reasons import count_reasons, stale_units
from catalog.stages.base.work import field_inputs, source_table, unit_states
from catalog.stages.engine.chip_rows import checked_rows, outdated, refresh
from catalog.stages.engine.computing import Computing, batch_size, seconds_ahead
from catalog.stages.engine.executor import worker_count
from catalog.stages.engine.hydrogen_columns import hydrogen_columns
from catalog.stages.engine.pairs import drop_pairs, find_pairs, lost_pairs
from catalog.stages.engine.run_lock import begin_exclusive, mark_killed
from catalog.stages.engine.run_log import Log, no_log
from catalog.stages.engine.run_report import RunReport, StageCount, StageTimes
from catalog.stages.engine.stage_list import ALL, COMMON_STAGES, CORE_STAGES, STAGES
from catalog.stages.engine.unit_batches import StaleUnits, compute_batches, store_batch
from catalog.store.runs import end_run

PRELOAD = ("catalog.stages.engine.worker_start",)
"""Modules that the server of worker processes imports once for all of them, besides the stages."""

Track = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Progress: called with a description and a number of units, gives a function that counts them."""


def _no_progress(_description: str, _total: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda _done: None)


def run(
    project: Project,
    stages: Sequence[str] = (),
    recipes: Sequence[str] = (),
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    dry_run: bool = False,
    track: Track = _no_progress,
    log: Log = no_log,
) -> RunReport:
    """Bring the catalog up to date.

    Parameters
    ----------
    project
        The project.
    stages, recipes
        Which; all unless given, but for stages that need an optional library.
    workers
        Number of processes; all cores unless given here or in the settings.
    scheduler
        Address of a Dask scheduler whose workers compute, in place of processes of this machine.
    dry_run
        Only say what is stale now, and why; later stages can become stale through it.
    track, log
        Progress, and what takes note of everything.

    Raises
    ------
    SettingsError
        For an unknown stage.
    UnknownNameError
        For a recipe that the database does not have.
    ProjectError
        Another run is going on, the scheduler does not answer, or a worker died.
    """
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown:
        raise SettingsError(
            "unknown stage", unknown[0], f"choose from {', '.join(STAGES)}", code="UNKNOWN_STAGE"
        )
    chosen = [stage for stage in ALL if stage.name in (stages or COMMON_STAGES)]
    settings = project.settings.run
    # Workers asked for by number are those of this machine.
    address = scheduler or (settings.scheduler if workers is None else None)
    number = worker_count(workers if workers is not None else settings.workers)
    preload = (*PRELOAD, *(stage.file for stage in chosen))
    computing = Computing(number, address, preload)
    return _Run(project, chosen, recipes, dry_run, computing, (track, log)).execute()


def due_stages(project: Project) -> tuple[str, ...]:
    """Return the stages that a catalog keeps up to date: the core, and the others that it has results of."""
    with project.store.read() as connection:
        begun = set(connection.scalars(select(WorkUnit.stage).distinct()))
    return tuple(stage for stage in STAGES if stage in CORE_STAGES or stage in begun)


def survey_of(project: Project) -> Survey:
    """Read what all stages of a run share."""
    settings = project.settings
    with project.store.read() as connection:
        fields = tuple(field_inputs(connection, settings))
        sources = source_table(connection)
        bands = band_ids(connection)
    return Survey(
        project.calibration(),
        project.calibration_key(),
        project.spectrum(),
        fields,
        sources,
        find_pairs(fields, sources),
        bands,
        hydrogen_columns(settings, sources),
        settings.spectrum.table_model,
    )


class _Run:
    """State of one execution: its run row is made when the first stale unit is found."""

    def __init__(
        self,
        project: Project,
        stages: Sequence[Stage],
        recipes: Sequence[str],
        dry_run: bool,
        computing: Computing,
        observers: tuple[Track, Log],
    ) -> None:
        self.project = project
        self.stages = stages
        self.dry_run = dry_run
        self.track, self.log = observers
        self.report = RunReport()
        self.computing = computing
        with project.store.read() as connection:
            self.recipes = stored_recipes(connection, recipes)
        self.survey = survey_of(project)
        with project.store.read() as connection:
            changed = outdated(connection, self.survey.fields)
        # Before anything is written: files that cannot be used, or are of another observation, end the run.
        self.changed = [(field, checked_rows(field)) for field in changed]
        self.calibrations = {
            field.calibration(self.survey.calibration).identity for field in self.survey.fields
        }

    def execute(self) -> RunReport:
        """Do all; a run that an error or the user ends is recorded as failed."""
        with ExitStack() as stack:
            stack.push(self._note_error)
            stack.enter_context(self.computing)
            self._refresh_chips()
            for stored in self.recipes:
                self._one_recipe(stored)
        self._end("partial" if self.report.failed else "done", self.report.reasons)
        return self.report

    def _note_error(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            return
        reason = "interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__
        self.log("error", reason=reason, message=" ".join(str(error).split()))
        # The error may be that the database cannot be written.
        with suppress(UserError, SQLAlchemyError):
            self._end("failed", {**self.report.reasons, reason: 1})

    def _end(self, state: str, reasons: dict[str, int]) -> None:
        if self.report.run_id is not None:
            end_run(self.project.store, self.report.run_id, state, reasons)
        elif not self.dry_run:
            # Killed after its last batch, a run has left nothing to do but this.
            mark_killed(self.project.store)
        self.log("end", run=self.report.run_id, state=state, reasons=reasons, computed=self.report.computed)

    @property
    def run_id(self) -> int:
        """Number of the run, which holds the catalog from when it is first asked for."""
        if self.report.run_id is None:
            names = [stage.name for stage in self.stages]
            self.report.run_id = begin_exclusive(self.project, "run", names)
        return self.report.run_id

    def _refresh_chips(self) -> None:
        if self.dry_run or not any(stage.name == "apertures" for stage in self.stages):
            return
        for item, rows in self.changed:
            if rows is not None:
                refresh(self.project.store, self.run_id, item, rows)

    def _one_recipe(self, stored: StoredRecipe) -> None:
        survey = self.survey
        if not self.dry_run:
            lost = lost_pairs(self.project.store, stored.id, survey.pairs, survey.sources)
            if any(lost.values()):
                drop_pairs(self.project.store, self.run_id, lost)
        places = [Place(survey, stored, item) for item in survey.fields]
        if not self.dry_run:
            with self.project.store.read() as connection:
                self.computing.prepare(seconds_ahead(connection, places, self.stages))
        for place in places:
            for stage in self.stages:
                if not stage.everywhere:
                    self._one_stage(stage, place)
        for stage in self.stages:
            if stage.everywhere:
                self._one_stage(stage, Place(survey, stored))

    def _one_stage(self, stage: Stage, place: Place) -> None:
        times = StageTimes()
        with times.spent_on("elapsed"):
            with times.spent_on("planning"):
                units, count = self._planned(stage, place, times)
            self.report.counts.append(count)
            where = {"stage": count.stage, "recipe": count.recipe, "scope": count.scope}
            self.log("stage", **where, stale=count.stale, total=count.total, why=count.why)
            if not units.stale or self.dry_run:
                return
            if units.plan.refusal is not None:
                raise units.plan.refusal
            self._compute(units, count)
        self.log("times", **where, **{name: round(value, 3) for name, value in vars(times).items()})

    def _planned(self, stage: Stage, place: Place, times: StageTimes) -> tuple[StaleUnits, StageCount]:
        """Find out what is stale, and why."""
        with self.project.store.read() as connection:
            states = unit_states(connection, stage.name, place.recipe_id, place.scope)
            plan = stage.work.plan(connection, place)
            stale = {} if plan.is_current else stale_units(plan.wanted, states)
            why: Mapping[str, int] = {}
            if stale:
                key = (stage.name, place.recipe_id, place.scope)
                why = count_reasons(connection, key, stale, states)
        count = StageCount(
            stage.name, place.recipe.name, place.scope, len(stale), len(plan.wanted), dict(why), times
        )
        return StaleUnits(stage, place, plan, stale, states), count

    def _compute(self, units: StaleUnits, count: StageCount) -> None:
        """Compute and store what is stale."""
        seconds, number = units.stage.seconds, len(units.stale)
        run_id, executor = self.run_id, self.computing.executor(number * seconds)
        size = batch_size(number, executor.workers, seconds)
        with self.track(_title(count), number) as advance:
            for results in compute_batches(self.project.store, units, executor, size, count.times):
                with count.times.spent_on("storing"):
                    done = store_batch(self.project.store, units, run_id, results)
                self.report.add_failed(count, done)
                self._note_batch(count, done)
                advance(len(results))

    def _note_batch(self, count: StageCount, results: Sequence[Result[Any]]) -> None:
        where = {"stage": count.stage, "recipe": count.recipe, "scope": count.scope}
        failed = [result for result in results if result.reason is not None]
        self.log("batch", **where, units=len(results), failed=len(failed))
        for result in failed:
            self.log(
                "failure", **where, source_id=result.source_id, reason=result.reason, message=result.message
            )


def _title(count: StageCount) -> str:
    where = "" if "/" not in count.scope else f" ObsID {count.scope.split('/')[0]}"
    return f"{count.stage} {count.recipe}{where}"
