"""Executors: who computes. One interface, results in the order of the jobs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import forkserver, resource_tracker
from typing import Protocol, TypeVar

from catalog.errors import ProjectError

Job = TypeVar("Job")
Result = TypeVar("Result")

AHEAD = 2
"""Jobs under way per worker, running or waiting for it: bounds what is in memory."""
_WATCH_SECONDS = 1.0


class Executor(Protocol):
    """Maps a function over jobs."""

    workers: int

    def map(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        """Yield results in the order of the jobs, as they become ready."""
        ...


class SerialExecutor:
    """Computes in this process."""

    workers = 1

    def map(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        """Yield results one by one."""
        return map(function, jobs)


class PoolExecutor:
    """Computes in worker processes; the parent stores meanwhile."""

    def __init__(self, pool: ProcessPoolExecutor, workers: int) -> None:
        self.pool = pool
        self.workers = workers

    def map(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        """Yield results in order, with few jobs under way at a time.

        Raises
        ------
        ProjectError
            A worker died (code WORKER_LOST).
        """
        waiting: list[Future[Result]] = []
        try:
            for job in jobs:
                waiting.append(self.pool.submit(function, job))
                if len(waiting) >= AHEAD * self.workers:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        except BrokenProcessPool:
            where, remark = f"one of {self.workers} processes", "with fewer --workers if memory ran out"
            raise worker_lost(where, remark) from None


def worker_lost(where: str, remark: str) -> ProjectError:
    """Return the error for a worker that died at its work."""
    return ProjectError(
        "a worker was killed or ran out of memory",
        where,
        f"run again: what was finished is stored; {remark}",
        code="WORKER_LOST",
    )


def worker_count(asked: int | None) -> int:
    """Return the number of workers: as asked, else all cores that this process may use."""
    return asked if asked is not None else len(os.sched_getaffinity(0))


def open_executor(
    workers: int, preload: Sequence[str] = (), scheduler: str | None = None
) -> AbstractContextManager[Executor]:
    """Open an executor: of a Dask scheduler where one is named, else with processes of this machine."""
    if scheduler is not None:
        from catalog.stages.engine.dask_executor import dask_executor

        return dask_executor(scheduler)
    return _process_pool(workers, preload)


@contextmanager
def _process_pool(workers: int, preload: Sequence[str]) -> Iterator[Executor]:
    """One worker computes in this process.

    Workers are forked from a clean server process, never from this one: it holds database connections.
    """
    if workers <= 1:
        yield SerialExecutor()
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    _start_server()
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin_worker, initargs=(os.getpid(),)
    )
    ended = False
    try:
        yield PoolExecutor(pool, workers)
        ended = True
    finally:
        # Whoever interrupts does not wait for what the workers are at.
        for process in () if ended else set(multiprocessing.active_children()) - others:
            process.kill()
        pool.shutdown(cancel_futures=True)


def _start_server() -> None:
    """Start the server of workers, which leave Ctrl-C, that a terminal sends to all of them, to this process.

    They inherit that the signal is blocked: none is met by it while it still imports its modules.
    """
    # Its start unblocks the signal again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(parent: int) -> None:
    """Let a worker end when its parent is killed."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    # A worker waits for jobs at a pipe that it holds open itself: it would wait for ever.
    while is_running(parent):
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


def is_running(process: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
