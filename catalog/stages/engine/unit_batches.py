"""Batches of units: computed wherever the executor likes, stored here; a bad unit leaves the others alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from catalog.errors import UserError
from catalog.schema.tables import Source
from catalog.stages.base.attempt import Failure, attempt
from catalog.stages.base.fingerprint import Inputs
from catalog.stages.base.stage import Place, Plan, Result, Stage
from catalog.stages.base.work import UnitResult, UnitState, store_units
from catalog.stages.engine.executor import Executor
from catalog.stages.engine.run_lock import heartbeat
from catalog.stages.engine.run_report import StageTimes
from catalog.store.door import Store, Writer

Results = list[Result[Any]]


@dataclass(frozen=True, eq=False)
class StaleUnits:
    """Units of a stage at a place that are to be computed, and what the database knows of them."""

    stage: Stage
    place: Place
    plan: Plan
    stale: Mapping[int, Inputs]
    states: Mapping[int, UnitState]


def compute_batches(
    store: Store, units: StaleUnits, executor: Executor, size: int, times: StageTimes
) -> Iterator[Results]:
    """Yield results batch by batch, in the order of the sources; jobs are read as they are needed.

    The time that reading and computing take is added to `times`.
    """
    parts = list(split(sorted(units.stale), units.plan.together, size))
    jobs = (_read(store, units, part, times) for part in parts)
    found = executor.map(partial(compute_job, units.stage.work.compute), jobs)
    for part, (results, seconds) in zip(parts, found, strict=True):
        times.computing += seconds
        yield _one_by_one(store, units, part, results) if isinstance(results, Failure) else results


def split(source_ids: Sequence[int], together: Mapping[int, Sequence[int]], size: int) -> Iterator[list[int]]:
    """Cut a list into parts of about `size`, larger where sources belong together."""
    chosen, seen, part = set(source_ids), set(), list[int]()
    for source_id in source_ids:
        if source_id in seen:
            continue
        group = [source_id, *(other for other in together.get(source_id, ()) if other in chosen)]
        seen.update(group)
        part += group
        if len(part) >= size:
            yield sorted(part)
            part = []
    if part:
        yield sorted(part)


def compute_job(compute: Callable[[Any], Results], job: Any) -> tuple[Results | Failure, float]:
    """Compute a job where it was sent, and say how much processor time it took, s.

    A job that could not be read is its own result.
    """
    start = time.process_time()
    results = job if isinstance(job, Failure) else attempt(partial(compute, job))
    return results, time.process_time() - start


def _read(store: Store, units: StaleUnits, source_ids: Sequence[int], times: StageTimes) -> Any:
    with times.spent_on("reading"):
        return attempt(partial(_load, store, units, source_ids), (UserError, SQLAlchemyError))


def _load(store: Store, units: StaleUnits, source_ids: Sequence[int]) -> Any:
    with store.read() as connection:
        return units.stage.work.load(connection, units.place, units.plan, source_ids)


def _one_by_one(store: Store, units: StaleUnits, source_ids: Sequence[int], failure: Failure) -> Results:
    """Find the sources because of which a batch failed; an input that cannot be used fails all of them."""
    parts = [list(source_ids)] if failure.of_input else list(split(source_ids, units.plan.together, 1))
    found: Results = []
    for part in parts:
        if len(parts) > 1:
            job = attempt(partial(_load, store, units, part), (UserError, SQLAlchemyError))
            results, _ = compute_job(units.stage.work.compute, job)
            if not isinstance(results, Failure):
                found += results
                continue
            failure = results
        found += [Result.failed(source_id, failure.reason, failure.message) for source_id in part]
    return found


def store_batch(store: Store, units: StaleUnits, run_id: int, results: Results) -> Results:
    """Store a batch in one transaction; return what was stored, with what the database refused as failed."""
    try:
        with store.write() as writer:
            heartbeat(writer, run_id)
            _write(writer, units, run_id, results)
        return results
    except UserError:
        raise
    except (ValueError, IntegrityError, DataError) as error:
        if len(results) > 1:
            return [item for result in results for item in store_batch(store, units, run_id, [result])]
        if any(result.value is None for result in results):
            raise
        message = " ".join(str(getattr(error, "orig", error)).split())
        failed = [Result[Any].failed(result.source_id, type(error).__name__, message) for result in results]
        return store_batch(store, units, run_id, failed)


def _write(writer: Writer, units: StaleUnits, run_id: int, results: Results) -> None:
    stage, place = units.stage, units.place
    source_ids = [result.source_id for result in results]
    # A source may have been removed meanwhile, with all that hangs on it.
    there = set(writer.connection.scalars(select(Source.id).where(Source.id.in_(source_ids))))
    found = [result for result in results if result.source_id in there]
    changed = [result for result in found if not (stage.keeps_equal and _is_equal(result, units.states))]
    if changed:
        stage.work.store(writer, place, run_id, changed)
    event_set_id = None if place.field is None else place.field.event_set_id
    store_units(
        writer,
        run_id,
        stage.name,
        place.recipe_id,
        place.scope,
        event_set_id,
        [
            UnitResult(
                result.source_id,
                units.stale[result.source_id],
                result.content_hash,
                result.reason,
                result.message,
            )
            for result in found
        ],
    )


def _is_equal(result: Result[Any], states: Mapping[int, UnitState]) -> bool:
    """Whether a result is the one that the database holds."""
    known = states.get(result.source_id)
    return (
        known is not None
        and known.done
        and result.content_hash is not None
        and known.result_hash == result.content_hash
    )
