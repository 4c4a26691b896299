"""`run`: plan what is stale, compute it, store it batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from catalog.calibration.provider import Calibration
from catalog.calibration.psf import PsfLibrary
from catalog.errors import SettingsError
from catalog.schema.tables import Extraction, WorkUnit
from catalog.stages import (
    apertures,
    extract,
    joint,
    merge,
    merged_properties,
    merged_variability,
    photometry,
    properties,
    variability,
)
from catalog.stages.executor import Executor, open_executor, worker_count
from catalog.stages.field_cache import field_key, observed_field
from catalog.stages.hydrogen_columns import hydrogen_columns
from catalog.stages.project import Project
from catalog.stages.property_rows import PropertyContext
from catalog.stages.recipe_store import StoredRecipe, band_ids, stored_recipes
from catalog.stages.user_files import files_by_source
from catalog.stages.work import (
    EVERYWHERE,
    FieldInput,
    SourceTable,
    batches,
    field_inputs,
    source_table,
    unit_states,
)
from catalog.store.runs import begin_run, end_run

STAGES = (
    "apertures",
    "extract",
    "photometry",
    "properties",
    "variability",
    "merge",
    "merged_properties",
    "merged_variability",
)
CORE_STAGES = ("apertures", "extract", "photometry", "merge")
"""The path to a catalog; the others add to it and may be left for later."""
BATCH = 250
"""Units computed and committed together: what a killed run loses at most, per stage."""
PRELOAD = ("catalog.stages.extract", "catalog.events.dither_kernel", "catalog.calibration.psf_kernels")
"""Modules that the server of worker processes imports once for all of them."""
WORTH_A_POOL = 800
"""Extractions below which starting worker processes costs more than they save."""

Job = TypeVar("Job")
Result = TypeVar("Result")
Track = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Progress: called with a description and a number of units, gives a function that counts them."""


@dataclass
class StageCount:
    """Units of one stage, recipe and scope."""

    stage: str
    recipe: str
    scope: str
    stale: int
    total: int


@dataclass
class RunReport:
    """What a run did.

    Attributes
    ----------
    run_id
        The run's row; None when nothing was stale, or for a dry run.
    counts
        Units stale and in all, by stage, recipe and observation.
    reasons
        Failed units by reason.
    """

    run_id: int | None = None
    counts: list[StageCount] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def computed(self) -> int:
        """Units computed, or to compute for a dry run."""
        return sum(count.stale for count in self.counts)

    @property
    def failed(self) -> int:
        """Units without a result."""
        return sum(self.reasons.values())


def _no_progress(_description: str, _total: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda _done: None)


def run(
    project: Project,
    stages: Sequence[str] = (),
    recipes: Sequence[str] = (),
    *,
    workers: int | None = None,
    dry_run: bool = False,
    track: Track = _no_progress,
) -> RunReport:
    """Bring the catalog up to date.

    Parameters
    ----------
    project
        The project.
    stages, recipes
        Which; all unless given.
    workers
        Number of processes; all cores unless given here or in the settings.
    dry_run
        Only say what is stale now; later stages can become stale through it.
    track
        Progress.

    Raises
    ------
    SettingsError
        For an unknown stage.
    UnknownNameError
        For a recipe that the database does not have.
    """
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown:
        raise SettingsError(
            "unknown stage", unknown[0], f"choose from {', '.join(STAGES)}", code="UNKNOWN_STAGE"
        )
    job = _Run(project, tuple(stages) or STAGES, recipes, dry_run, track)
    return job.execute(worker_count(workers if workers is not None else project.settings.run.workers))


def due_stages(project: Project) -> tuple[str, ...]:
    """Return the stages that a catalog keeps up to date: the core, and the others that it has results of."""
    with project.store.read() as connection:
        begun = set(connection.scalars(select(WorkUnit.stage).distinct()))
    return tuple(stage for stage in STAGES if stage in CORE_STAGES or stage in begun)


class _Run:
    """State of one execution: its run row is made when the first stale unit is found."""

    def __init__(
        self, project: Project, stages: tuple[str, ...], recipes: Sequence[str], dry_run: bool, track: Track
    ) -> None:
        self.project = project
        self.stages = stages
        self.dry_run = dry_run
        self.track = track
        self.report = RunReport()
        self._executor: Executor | None = None
        self._stack = ExitStack()
        self._workers = 1
        self.calibration: Calibration = project.calibration()
        with project.store.read() as connection:
            self.recipes = stored_recipes(connection, recipes)
            self.fields = field_inputs(connection, project.settings)
            self.sources = source_table(connection)
            self.bands = band_ids(connection)
        self.pairs = _pairs(self.fields, self.sources)
        self.nh = hydrogen_columns(project.settings, self.sources)

    def execute(self, workers: int) -> RunReport:
        state = "failed"
        try:
            with ExitStack() as stack:
                self._stack, self._workers = stack, workers
                for stored in self.recipes:
                    self._drop_lost_pairs(stored)
                    for item in self.fields:
                        self._one_field(stored, item)
                    self._merge(stored)
                    self._merged_properties(stored)
                    self._merged_variability(stored)
            state = "partial" if self.report.failed else "done"
        finally:
            if self.report.run_id is not None:
                end_run(self.project.store, self.report.run_id, state, self.report.reasons)
        return self.report

    @property
    def run_id(self) -> int:
        if self.report.run_id is None:
            with self.project.store.write() as writer:
                self.report.run_id = begin_run(writer, "run", self.project.frozen_settings(), self.stages)
        return self.report.run_id

    def _count(self, stage: str, stored: StoredRecipe, scope: str, stale: int, total: int) -> bool:
        """Record the plan of a stage; tell whether there is something to do."""
        self.report.counts.append(StageCount(stage, stored.recipe.name, scope, stale, total))
        return stale > 0 and not self.dry_run

    def _one_field(self, stored: StoredRecipe, item: FieldInput) -> None:
        if "apertures" in self.stages:
            self._apertures(stored, item)
        if "extract" in self.stages:
            self._extract(stored, item)
        if "photometry" in self.stages:
            self._photometry(stored, item)
        if "properties" in self.stages:
            self._properties(stored, item)
        if "variability" in self.stages:
            self._variability(stored, item)

    def _psf(self, item: FieldInput) -> PsfLibrary:
        """Point spread functions with the blur of an event list's positions."""
        return self.calibration.psf.with_blur(item.psf_blur)

    def _apertures(self, stored: StoredRecipe, item: FieldInput) -> None:
        rows = self.pairs[item.event_set_id]
        units = apertures.plan(stored.recipe, item, self.sources, rows, self._psf(item))
        with self.project.store.read() as connection:
            states = unit_states(connection, apertures.STAGE, stored.id, item.scope)
        stale = apertures.stale(units, states)
        if not self._count(apertures.STAGE, stored, item.scope, len(stale), len(units)):
            return
        observed = observed_field(field_key(item))
        with self.track(_title(apertures.STAGE, stored, item), len(stale)) as advance:
            for batch in batches(stale, BATCH):
                found = apertures.compute(
                    list(batch), stored.recipe, item, observed, self.sources, self._psf(item)
                )
                run_id = self.run_id
                with self.project.store.write() as writer:
                    apertures.store(writer, run_id, stored.id, item, list(batch), found)
                advance(len(batch))

    def _extract(self, stored: StoredRecipe, item: FieldInput) -> None:
        with self.project.store.read() as connection:
            upstream = unit_states(connection, apertures.STAGE, stored.id, item.scope)
            states = unit_states(connection, extract.STAGE, stored.id, item.scope)
            units = extract.plan(
                connection, stored.recipe, stored.id, item, self._psf(item), upstream, states
            )
        if not self._count(extract.STAGE, stored, item.scope, len(units), len(upstream)):
            return
        bands = stored.recipe.energy_bands
        key = field_key(item)
        jobs = (
            extract.ExtractJob(key, tuple(batch), bands, item.psf_blur) for batch in batches(units, BATCH)
        )
        row_numbers = [self.bands[band.name] for band in bands]
        with self.track(_title(extract.STAGE, stored, item), len(units)) as advance:
            for results in self._map(extract.compute, jobs, len(units)):
                run_id = self.run_id
                with self.project.store.write() as writer:
                    extract.store(writer, run_id, stored.id, item, results, row_numbers)
                for result in results:
                    if result.reason:
                        self.report.reasons[result.reason] = self.report.reasons.get(result.reason, 0) + 1
                advance(len(results))

    def _map(
        self, compute: Callable[[Job], list[Result]], jobs: Iterable[Job], size: int
    ) -> Iterator[list[Result]]:
        if size < WORTH_A_POOL:
            return map(compute, jobs)
        if self._executor is None:
            self._executor = self._stack.enter_context(open_executor(self._workers, PRELOAD))
        return self._executor.map(compute, jobs)

    def _photometry(self, stored: StoredRecipe, item: FieldInput) -> None:
        with self.project.store.read() as connection:
            context = photometry.PhotometryContext(
                stored.recipe,
                item,
                item.user_files[0].calibration(self.calibration.with_psf(self._psf(item))),
                self.project.spectrum(),
                files_by_source(connection, item.user_files),
            )
            upstream = unit_states(connection, extract.STAGE, stored.id, item.scope)
            states = unit_states(connection, photometry.STAGE, stored.id, item.scope)
            crowd = joint.load_crowd(connection, context, stored.id, self._psf(item))
        stale = photometry.plan(context, upstream, states, crowd.companions)
        if not self._count(photometry.STAGE, stored, item.scope, len(stale), len(upstream)):
            return
        with self.track(_title(photometry.STAGE, stored, item), len(stale)) as advance:
            together = joint.measure(context, crowd, stale, self._psf(item))
            for batch in batches(sorted(stale), BATCH):
                with self.project.store.read() as connection:
                    results = photometry.compute(connection, context, stored.id, batch, together)
                run_id = self.run_id
                with self.project.store.write() as writer:
                    photometry.store(writer, run_id, stored.id, item, results, stale)
                advance(len(batch))

    def _property_context(self, stored: StoredRecipe) -> PropertyContext:
        fields = {item.event_set_id: item for item in self.fields}
        return PropertyContext(stored.recipe, self.calibration, fields, self.nh)

    def _properties(self, stored: StoredRecipe, item: FieldInput) -> None:
        context = self._property_context(stored)
        with self.project.store.read() as connection:
            upstream = [
                unit_states(connection, stage, stored.id, item.scope)
                for stage in (extract.STAGE, photometry.STAGE)
            ]
            states = unit_states(connection, properties.STAGE, stored.id, item.scope)
        stale = properties.plan(context, upstream, states)
        if not self._count(properties.STAGE, stored, item.scope, len(stale), len(upstream[-1])):
            return
        row_numbers = [self.bands[band.name] for band in stored.recipe.energy_bands]
        with self.track(_title(properties.STAGE, stored, item), len(stale)) as advance:
            for batch in batches(sorted(stale), BATCH):
                with self.project.store.read() as connection:
                    results = properties.compute(connection, context, stored.id, item, batch)
                run_id = self.run_id
                with self.project.store.write() as writer:
                    properties.store(writer, run_id, stored.id, item, results, stale, row_numbers)
                advance(len(batch))

    def _merged_properties(self, stored: StoredRecipe) -> None:
        if "merged_properties" not in self.stages:
            return
        stage, context = merged_properties, self._property_context(stored)
        with self.project.store.read() as connection:
            states = unit_states(connection, stage.STAGE, stored.id, EVERYWHERE)
            stale = stage.plan(connection, context, stored.id, self.sources, states)
        if not self._count(stage.STAGE, stored, EVERYWHERE, len(stale), len(self.sources)):
            return
        row_numbers = [self.bands[band.name] for band in stored.recipe.energy_bands]
        with self.track(f"{stage.STAGE} {stored.recipe.name}", len(stale)) as advance:
            for batch in batches(sorted(stale), BATCH):
                with self.project.store.read() as connection:
                    results = stage.compute(connection, context, stored.id, batch, row_numbers)
                run_id = self.run_id
                with self.project.store.write() as writer:
                    stage.store(writer, run_id, stored.id, results, stale, row_numbers)
                advance(len(batch))

    def _variability(self, stored: StoredRecipe, item: FieldInput) -> None:
        with self.project.store.read() as connection:
            upstream = unit_states(connection, extract.STAGE, stored.id, item.scope)
            states = unit_states(connection, variability.STAGE, stored.id, item.scope)
            units = variability.plan(
                connection, stored.recipe, stored.id, item, self._psf(item), upstream, states
            )
        if not self._count(variability.STAGE, stored, item.scope, len(units), len(upstream)):
            return
        key = field_key(item)
        jobs = (variability.job(key, batch, stored.recipe, item.psf_blur) for batch in batches(units, BATCH))
        row_numbers = [self.bands[band.name] for band in stored.recipe.energy_bands]
        with self.track(_title(variability.STAGE, stored, item), len(units)) as advance:
            for results in self._map(variability.compute, jobs, len(units)):
                run_id = self.run_id
                with self.project.store.write() as writer:
                    variability.store(writer, run_id, stored.id, item, results, row_numbers)
                for result in results:
                    if result.reason:
                        self.report.reasons[result.reason] = self.report.reasons.get(result.reason, 0) + 1
                advance(len(results))

    def _merge(self, stored: StoredRecipe) -> None:
        if "merge" not in self.stages:
            return
        context = merge.MergeContext(stored.recipe, self.project.spectrum())
        with self.project.store.read() as connection:
            states = unit_states(connection, merge.STAGE, stored.id, EVERYWHERE)
            stale = merge.plan(connection, context, stored.id, self.sources, states)
        if not self._count(merge.STAGE, stored, EVERYWHERE, len(stale), len(self.sources)):
            return
        row_numbers = [self.bands[band.name] for band in stored.recipe.energy_bands]
        with self.track(f"{merge.STAGE} {stored.recipe.name}", len(stale)) as advance:
            for batch in batches(sorted(stale), BATCH):
                with self.project.store.read() as connection:
                    results = merge.compute(connection, context, stored.id, batch, self.bands)
                run_id = self.run_id
                with self.project.store.write() as writer:
                    merge.store(writer, run_id, stored.id, results, stale, row_numbers)
                advance(len(batch))

    def _merged_variability(self, stored: StoredRecipe) -> None:
        if "merged_variability" not in self.stages:
            return
        stage = merged_variability
        context = stage.MergedVariabilityContext(stored.recipe, self.project.spectrum())
        with self.project.store.read() as connection:
            states = unit_states(connection, stage.STAGE, stored.id, EVERYWHERE)
            stale = stage.plan(connection, context, stored.id, self.sources, states)
        if not self._count(stage.STAGE, stored, EVERYWHERE, len(stale), len(self.sources)):
            return
        row_numbers = [self.bands[band.name] for band in stored.recipe.energy_bands]
        with self.track(f"{stage.STAGE} {stored.recipe.name}", len(stale)) as advance:
            for batch in batches(sorted(stale), BATCH):
                with self.project.store.read() as connection:
                    results = stage.compute(connection, context, stored.id, batch, row_numbers)
                run_id = self.run_id
                with self.project.store.write() as writer:
                    stage.store(writer, run_id, stored.id, results, stale)
                advance(len(batch))

    def _drop_lost_pairs(self, stored: StoredRecipe) -> None:
        """Remove extractions of sources that no longer belong to an observation, and their work units."""
        wanted = {
            (event_set_id, int(self.sources.id[row]))
            for event_set_id, own in self.pairs.items()
            for row in own
        }
        lost: dict[type[Extraction] | type[WorkUnit], list[int]] = {}
        with self.project.store.read() as connection:
            for model in (Extraction, WorkUnit):
                rows = connection.execute(
                    select(model.id, model.source_id, model.event_set_id).where(
                        model.recipe_id == stored.id, model.event_set_id.is_not(None)
                    )
                )
                lost[model] = [row.id for row in rows if (row.event_set_id, row.source_id) not in wanted]
        if any(lost.values()) and not self.dry_run:
            with self.project.store.write() as writer:
                for model, row_ids in lost.items():
                    for batch in batches(row_ids, BATCH):
                        writer.delete(model, model.id.in_(batch))


def _title(stage: str, stored: StoredRecipe, item: FieldInput) -> str:
    return f"{stage} {stored.recipe.name} ObsID {item.scope.split('/')[0]}"


def _pairs(fields: Sequence[FieldInput], sources: SourceTable) -> dict[int, NDArray[np.intp]]:
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
    near = cosines >= np.cos(np.radians(apertures.NEAR_POINTING))
    alone = np.flatnonzero(~near.any(axis=0))
    near[cosines[:, alone].argmax(axis=0), alone] = True
    return {item.event_set_id: np.flatnonzero(near[i]) for i, item in enumerate(fields)}
