"""One run at a time on one catalog: the run that holds it is a row of `run` that has not ended."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, text

from catalog.errors import ProjectError
from catalog.schema.tables import Run
from catalog.stages.base.project import Project
from catalog.stages.engine.executor import is_running
from catalog.store.door import Store, Writer
from catalog.store.runs import begin_run, finish

SILENT = timedelta(minutes=15)
"""A run on another machine that has stored nothing for so long is taken for dead."""
KILLED = "killed"
"""Reason recorded for a run whose process is gone."""
_LOCK = 7_270_170


def begin_exclusive(project: Project, command: str, stages: Sequence[str]) -> int:
    """Begin a run that holds the catalog, and return its number; one that was killed is marked as failed.

    Raises
    ------
    ProjectError
        Another run holds it (code RUN_GOING_ON).
    """
    with project.store.write() as writer:
        check_no_run(writer, project.store.where)
        run_id = begin_run(writer, command, project.frozen_settings(), stages)
        writer.update(Run, run_id, {"process": this_process(), "heartbeat_at": datetime.now(UTC)})
    return run_id


def check_no_run(writer: Writer, where: str) -> None:
    """Refuse while a run holds the catalog; within the same transaction none can begin.

    Raises
    ------
    ProjectError
        As above.
    """
    if writer.connection.dialect.name == "postgresql":
        # On SQLite a writing transaction is alone; here two could both see that there is no run.
        writer.connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    for row in _not_ended(writer.connection):
        if _is_alive(row):
            raise ProjectError(
                f"run {row.id} of {row.user_name or 'somebody'} is going on (process "
                f"{row.process.split()[0]} on {row.host or 'another machine'}, last sign of life "
                f"{row.heartbeat_at:%Y-%m-%d %H:%M:%S} UTC)",
                where,
                "wait until it has ended",
                code="RUN_GOING_ON",
            )
        finish(writer, row.id, "failed", {KILLED: 1})


def mark_killed(store: Store) -> None:
    """Record as failed the runs whose process is gone, as the next one that holds the catalog would."""
    with store.read() as connection:
        found = [row.id for row in _not_ended(connection) if not _is_alive(row)]
    if found:
        with store.write() as writer:
            for row in _not_ended(writer.connection):
                if row.id in found:
                    finish(writer, row.id, "failed", {KILLED: 1})


def _not_ended(connection: Connection) -> Sequence[Any]:
    return connection.execute(
        select(Run.id, Run.host, Run.process, Run.user_name, Run.started_at, Run.heartbeat_at).where(
            Run.state == "running", Run.process.is_not(None)
        )
    ).all()


def heartbeat(writer: Writer, run_id: int) -> None:
    """Note that the run is alive, in the transaction of what it stores."""
    writer.update(Run, run_id, {"heartbeat_at": datetime.now(UTC)})


def this_process() -> str:
    """Number and start of this process."""
    return f"{os.getpid()} {_start_of(os.getpid())}"


def _is_alive(row: Any) -> bool:
    if (row.host or None) != (platform.node() or None):
        return bool(datetime.now(UTC) - row.heartbeat_at < SILENT)
    number = int(row.process.split()[0])
    # What this process itself has left behind ended with an error that could not be recorded.
    return number != os.getpid() and row.process == f"{number} {_start_of(number)}"


def _start_of(number: int) -> str:
    """When a process began, in clock ticks since the machine was booted; empty when there is no such one."""
    try:
        # The name of the program, in brackets, may hold anything.
        words = Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return "" if Path("/proc/self").exists() or not is_running(number) else "alive"
    # A zombie has ended, though its parent has not noticed.
    return "" if words[0] == "Z" else words[19]
