"""Create and upgrade the database: Alembic configured in code, from the installed package."""

from __future__ import annotations

from importlib.resources import as_file, files

from sqlalchemy import Connection, Engine, func, inspect, select, text

from catalog.errors import ProjectError
from catalog.schema.tables import METADATA
from catalog.schema.views import VIEW_NAMES, create_view_sql, drop_view_sql
from catalog.store.database_errors import explained
from catalog.store.schema_version import database_revision, refuse_newer

_UPGRADE_LOCK = 0x5C_CA7A_106
"""Key of the advisory lock that PostgreSQL holds during an upgrade."""


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database to a revision, in one transaction; an empty one is created.

    Views are dropped before and created after. On SQLite a table rebuild would fire ON DELETE CASCADE, so
    foreign keys are off meanwhile, and then checked, together with the number of rows of each table. Of
    several processes that upgrade one database at once the first does it, the others find it done.

    Raises
    ------
    SchemaVersionError
        The database was made by a newer srccat.
    ProjectError
        It cannot be opened or written, or the upgrade would lose rows or break references.
    """
    present = database_revision(engine)
    if present is not None:
        refuse_newer(engine, present)
    with explained(engine), engine.connect().execution_options(srccat_write=True) as connection:
        sqlite = connection.dialect.name == "sqlite"
        if sqlite:
            connection.connection.cursor().execute("PRAGMA foreign_keys = OFF")
        try:
            with connection.begin():
                if not sqlite:
                    # SQLite's transaction is alone already.
                    connection.execute(select(func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
                before = row_counts(connection)
                migrate_within(connection, revision)
                _verify(connection, before)
        finally:
            if sqlite:
                connection.connection.cursor().execute("PRAGMA foreign_keys = ON")


def migrate_within(connection: Connection, revision: str = "head") -> None:
    """Run the scripts within the caller's transaction, and make the views anew."""
    from alembic import command
    from alembic.config import Config

    for view in VIEW_NAMES:
        connection.execute(text(drop_view_sql(view)))
    with as_file(files("migrations")) as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    for view in VIEW_NAMES:
        connection.execute(text(create_view_sql(view)))


def row_counts(connection: Connection) -> dict[str, int]:
    """Rows of each of our tables that is there."""
    present = set(inspect(connection).get_table_names())
    return {
        name: int(connection.scalar(select(func.count()).select_from(table)) or 0)
        for name, table in METADATA.tables.items()
        if name in present
    }


def _verify(connection: Connection, before: dict[str, int]) -> None:
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise ProjectError("the upgrade would break references", broken[0], "the database is unchanged")
    after = row_counts(connection)
    lost = [name for name, count in before.items() if after.get(name, 0) != count]
    if lost:
        raise ProjectError("the upgrade would lose rows", ", ".join(lost), "the database is unchanged")
