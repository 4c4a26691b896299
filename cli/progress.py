"""Progress: bars on a terminal, one line per stage elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from cli.output import warn


@contextmanager
def bars(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar with rate and remaining time on standard error."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units per second of late."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.3g}/s")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(description, total=total)
        yield lambda done: progress.advance(task, done)


@contextmanager
def lines(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Print one line when a stage ends."""
    start = time.monotonic()
    done = 0

    def count(number: int) -> None:
        nonlocal done
        done += number

    yield count
    seconds = time.monotonic() - start
    rate = f", {done / seconds:.3g}/s" if seconds > 0 else ""
    warn(f"{description}: {done}/{total} in {seconds:.1f} s{rate}")


def progress() -> Callable[[str, int], AbstractContextManager[Callable[[int], None]]]:
    """Return what fits where standard error goes."""
    return bars if sys.stderr.isatty() else lines
