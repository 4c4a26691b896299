"""The version rule: a database newer than the code is refused, an older one must be upgraded."""

from __future__ import annotations

from sqlalchemy import Engine, inspect, text

from catalog.errors import ProjectError, SchemaVersionError
from catalog.store.database_errors import explained, where_is
from migrations import REVISIONS


def database_revision(engine: Engine) -> str | None:
    """Return the schema revision of a database, None when it holds no catalog."""
    with explained(engine), engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return None if found is None else str(found)


def check_revision(engine: Engine) -> None:
    """Refuse a database that this code cannot work with.

    Raises
    ------
    ProjectError
        The database holds no catalog.
    SchemaVersionError
        Its schema is newer than the code, or older; the message names the command.
    """
    where = where_is(engine)
    revision = database_revision(engine)
    if revision is None:
        raise ProjectError(
            "the database holds no catalog", where, "create it with `srccat init`", code="NO_CATALOG"
        )
    refuse_newer(engine, revision)
    if revision != REVISIONS[-1]:
        raise SchemaVersionError(
            f"the database has schema {revision}, this srccat needs {REVISIONS[-1]}",
            where,
            "run `srccat db upgrade`",
            code="SCHEMA_OLDER",
        )


def refuse_newer(engine: Engine, revision: str) -> None:
    """Refuse a revision that this code does not know.

    Raises
    ------
    SchemaVersionError
        The database was made by a newer srccat.
    """
    if revision not in REVISIONS:
        raise SchemaVersionError(
            f"the database was made by a newer srccat (schema {revision}, known here: {REVISIONS[-1]})",
            where_is(engine),
            "update srccat: pip install --upgrade srccat",
            code="SCHEMA_NEWER",
        )
