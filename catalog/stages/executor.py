"""Executors: who computes. One interface, results in the order of the jobs."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

_AHEAD = 2
"""Jobs submitted per worker beyond those running: bounds what waits in memory."""


class Executor(Protocol):
    """Maps a function over jobs."""

    def map(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        """Yield results in the order of the jobs, as they become ready."""
        ...


class SerialExecutor:
    """Computes in this process."""

    def map(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        """Yield results one by one."""
        return map(function, jobs)


class PoolExecutor:
    """Computes in worker processes; the parent stores meanwhile."""

    def __init__(self, pool: ProcessPoolExecutor, workers: int) -> None:
        self.pool = pool
        self.workers = workers

    def map(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        """Yield results in order, with few jobs under way at a time."""
        waiting: list[Future[Result]] = []
        for job in jobs:
            waiting.append(self.pool.submit(function, job))
            if len(waiting) >= _AHEAD * self.workers:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def worker_count(asked: int | None) -> int:
    """Return the number of workers: as asked, else all cores that this process may use."""
    return asked if asked is not None else len(os.sched_getaffinity(0))


@contextmanager
def open_executor(workers: int, preload: Sequence[str] = ()) -> Iterator[Executor]:
    """Open an executor; one worker computes in this process.

    Workers are forked from a clean server process, never from this one: it holds database connections.
    """
    if workers <= 1:
        yield SerialExecutor()
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield PoolExecutor(pool, workers)
