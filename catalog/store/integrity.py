"""Integrity of a database: what the engine itself can tell, and references that lead nowhere."""

from __future__ import annotations

from sqlalchemy import Engine

from catalog.errors import ProjectError
from catalog.store.database_errors import explained
from catalog.store.migrate import row_counts


def integrity(engine: Engine) -> list[str]:
    """Return sentences on a sound database.

    Raises
    ------
    ProjectError
        For a damaged file or broken references.
    """
    with explained(engine), engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            answer = connection.exec_driver_sql("PRAGMA integrity_check").fetchone()
            if answer is None or answer[0] != "ok":
                raise ProjectError("the database file is damaged", answer, "restore it from a copy")
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise ProjectError("references lead nowhere", broken[0], "restore the database from a copy")
        counts = row_counts(connection)
    filled = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()) if count)
    return ["integrity ok", f"rows: {filled or 'none'}"]
