"""The executor of a Dask scheduler: workers on this and other machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from catalog import __version__
from catalog.errors import ProjectError
from catalog.stages.engine.executor import AHEAD, Executor, worker_lost

Job = TypeVar("Job")
Result = TypeVar("Result")

CONNECT_SECONDS = 10.0
WORKERS_SECONDS = 60.0


class DaskExecutor:
    """Computes on the workers of a scheduler; the client, which is this process, stores meanwhile."""

    def __init__(self, client: Any, workers: int) -> None:
        self.client = client
        self.workers = workers

    def map(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        """Yield results in order, with few jobs under way at a time.

        The scheduler gives the job of a worker that is gone to another one.

        Raises
        ------
        ProjectError
            A job killed several workers, or the scheduler is gone (code WORKER_LOST).
        """
        from distributed import CancelledError, KilledWorker
        from distributed.comm.core import CommClosedError

        waiting: list[Any] = []
        try:
            for job in jobs:
                waiting.append(self.client.submit(function, job, pure=False))
                if len(waiting) >= AHEAD * self.workers:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        except (KilledWorker, CancelledError, CommClosedError):
            raise worker_lost(str(self.client.scheduler.address), "look at the logs of the workers") from None
        finally:
            if waiting:
                self.client.cancel(waiting)


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """Connect to a scheduler with at least one worker.

    Raises
    ------
    ProjectError
        The package is missing, nobody answers (code NO_SCHEDULER), there is no worker, or workers have
        another version of srccat.
    """
    try:
        import distributed
    except ModuleNotFoundError:
        raise ProjectError("a scheduler needs Dask", address, "pip install 'srccat[dask]'") from None
    try:
        connect: Any = distributed.Client
        client = connect(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError):
        raise ProjectError(
            "no Dask scheduler answers",
            address,
            "start one with `dask scheduler` and give its address, tcp://host:8786",
            code="NO_SCHEDULER",
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKERS_SECONDS)
        except TimeoutError:
            raise ProjectError(
                "the Dask scheduler has no workers", address, f"start some with `dask worker {address}`"
            ) from None
        _check_versions(client, address)
        yield DaskExecutor(client, sum(client.nthreads().values()))


def _check_versions(client: Any, address: str) -> None:
    for worker, version in client.run(worker_version, on_error="return").items():
        if version != __version__:
            raise ProjectError(
                f"a Dask worker has no srccat {__version__}",
                f"{worker} of {address}",
                "install the same srccat, with the same libraries, for all workers",
                code="WORKER_VERSION",
            )


def worker_version() -> str:
    """Version of srccat where this is called."""
    return __version__
