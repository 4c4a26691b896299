"""Copy a project's catalog to another database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from catalog.errors import ProjectError
from catalog.stages.base.project import open_project
from catalog.store.copying import copy_catalog, count_rows
from catalog.store.engine import database_url, is_writable, open_engine

Track = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Opens a progress display for a description and a total; the result is called with numbers of rows."""


def copy_project(folder: Path, url: str, track: Track) -> dict[str, int]:
    """Copy the catalog of a project into the empty database at `url`; return the number of rows by table.

    The project goes on using its own database. A relative SQLite path is taken from the project folder, as in
    the settings.

    Raises
    ------
    ProjectError
        The target is not empty, or cannot be written; the project cannot be opened.
    SchemaVersionError
        The catalog must be upgraded before.
    """
    target = database_url(url, folder)
    with open_project(folder, read_only=True) as project:
        if not is_writable(target):
            raise ProjectError(
                "the database cannot be written", target.database, "choose a folder that may be written"
            )
        engine = open_engine(target)
        try:
            with track("copy rows", count_rows(project.store)) as advance:
                return copy_catalog(project.store, engine, lambda _table, rows: advance(rows))
        finally:
            engine.dispose()
