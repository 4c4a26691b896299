"""A run's log for programs: one JSON object per line, written as things happen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from catalog.errors import SettingsError


class Log(Protocol):
    """Takes what happens: `stage`, `batch`, `failure`, `times`, `error` and `end`, each with its values."""

    def __call__(self, event: str, **values: Any) -> None:
        """Note an event."""
        ...


def no_log(event: str, **values: Any) -> None:
    """Note nothing."""


@contextmanager
def json_lines(path: Path | None) -> Iterator[Log]:
    """Append to a file, None for no log; every line has `time` (UTC) and `event`.

    Raises
    ------
    SettingsError
        The file cannot be written (code LOG_FILE).
    """
    if path is None:
        yield no_log
        return
    try:
        stream = path.open("a", encoding="utf-8", buffering=1)
    except OSError as error:
        reason = (error.strerror or "error").lower()
        raise SettingsError(
            f"the log cannot be written ({reason})", path, "choose another file", code="LOG_FILE"
        ) from None

    def note(event: str, **values: Any) -> None:
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        stream.write(json.dumps({"time": moment, "event": event, **values}) + "\n")

    with stream:
        yield note
