"""Runs: who did what, when, with which code and settings."""

from __future__ import annotations

import getpass
import hashlib
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from catalog import __version__
from catalog.schema.base import canonical_json
from catalog.schema.tables import Run
from catalog.store.door import Store, Writer

_LIBRARIES = ("sqlalchemy", "alembic", "astropy", "numpy", "scipy", "shapely", "numba", "astropy-healpix")


def library_versions() -> dict[str, str]:
    """Versions of the libraries that results depend on."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def user_name() -> str | None:
    """Name of the current user, None where the system has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


def begin_run(
    writer: Writer, command: str, settings: Mapping[str, Any], stages: Sequence[str], seed: int | None = None
) -> int:
    """Record the start of a run and return its id."""
    text = canonical_json(dict(settings))
    row = {
        "started_at": datetime.now(UTC),
        "finished_at": None,
        "state": "running",
        "command": command,
        "user_name": user_name(),
        "host": platform.node() or None,
        "code_version": __version__,
        "library_versions": library_versions(),
        "settings": dict(settings),
        "settings_hash": hashlib.sha256(text.encode()).hexdigest(),
        "stages": list(stages),
        "seed": seed,
        "reasons": {},
    }
    return writer.insert(Run, [row])[0]


def end_run(store: Store, run_id: int, state: str, reasons: Mapping[str, int]) -> None:
    """Record how a run ended: done, partial or failed, with the count of units and events by reason."""
    with store.write() as writer:
        finish(writer, run_id, state, reasons)


def finish(writer: Writer, run_id: int, state: str, reasons: Mapping[str, int]) -> None:
    """Do the same within a transaction."""
    values = {"finished_at": datetime.now(UTC), "state": state, "reasons": dict(reasons)}
    writer.update(Run, run_id, values)
