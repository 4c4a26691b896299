"""Ctrl-C and the end of a batch job: heard even where the exception is lost."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catalog.stages.engine.run import Track


class Interruption:
    """Raises KeyboardInterrupt at SIGINT and SIGTERM, and again at the next step of a progress display.

    Compiled code that calls back into Python, as a compiler does while it loads what it compiled, cannot pass
    an exception on: the first one may be lost there.
    """

    def __init__(self) -> None:
        self.asked = False

    def listen(self) -> None:
        """Take over both signals; one that the process was told to ignore stays ignored."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._ask)
        report = sys.unraisablehook
        # What is lost is raised again below: no need to report it.
        sys.unraisablehook = lambda lost: None if lost.exc_type is KeyboardInterrupt else report(lost)

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        self.asked = True
        raise KeyboardInterrupt

    def heeded(self, track: Track) -> Track:
        """Return the progress display with steps that raise KeyboardInterrupt once it was asked for."""

        @contextmanager
        def heeding(description: str, total: int) -> Iterator[Callable[[int], None]]:
            with track(description, total) as advance:

                def step(done: int) -> None:
                    advance(done)
                    if self.asked:
                        raise KeyboardInterrupt

                yield step

        return heeding
