"""Upgrading a catalog of the first schema with rows in every table, once and by several at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, MetaData, inspect, text

from catalog.schema.tables import METADATA
from catalog.schema.views import VIEW_NAMES
from catalog.store.door import Store
from catalog.store.engine import database_url, open_engine
from catalog.store.migrate import upgrade
from catalog.store.schema_version import check_revision, database_revision
from migrations import REVISIONS

ROOT = Path(__file__).resolve().parents[2]
Rows = dict[str, list[dict[str, Any]]]


def first_schema(engine: Engine) -> None:
    """Create the tables of revision 0001, without views: today's would ask for later columns."""
    with engine.connect().execution_options(srccat_write=True) as connection, connection.begin():
        config = Config()
        config.set_main_option("script_location", str(files("migrations")))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")


def fill(engine: Engine, row: Callable[..., dict[str, Any]], models: dict[str, Any]) -> None:
    """Insert one row into each table of an old database, with a value in every column that it has."""
    ids: dict[str, int] = {}
    with engine.connect().execution_options(srccat_write=True) as connection, connection.begin():
        inspector = inspect(connection)
        present = set(inspector.get_table_names())
        for name, model in models.items():
            if name in present:
                have = {column["name"] for column in inspector.get_columns(name)}
                values = {key: value for key, value in row(model, ids).items() if key in have}
                statement = METADATA.tables[name].insert().values(values)
                ids[name] = connection.execute(statement).inserted_primary_key[0]


def content(engine: Engine) -> Rows:
    """All rows of all tables as plain values, ids included."""
    metadata = MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        return {
            name: [dict(row) for row in connection.execute(table.select()).mappings()]
            for name, table in sorted(metadata.tables.items())
            if name != "alembic_version"
        }


@pytest.fixture
def old(empty_url: str, row: Callable[..., dict[str, Any]], all_models: dict[str, Any]) -> Iterator[Engine]:
    """Engine of a database of the first schema with a row in each table."""
    engine = open_engine(database_url(empty_url, Path("/")))
    first_schema(engine)
    fill(engine, row, all_models)
    yield engine
    engine.dispose()


def test_no_value_changes_in_an_upgrade(old: Engine) -> None:
    before = content(old)
    assert database_revision(old) == "0001"
    assert len(before) >= 29
    assert all(len(rows) == 1 for rows in before.values())
    upgrade(old)
    check_revision(old)
    after = content(old)
    assert set(after) == set(METADATA.tables)
    for table, rows in before.items():
        kept = [{name: row[name] for name in rows[0]} for row in after[table]]
        assert kept == rows, table
        added = set(after[table][0]) - set(rows[0])
        assert all(
            row[name] is None
            for row in after[table]
            for name in added
            if METADATA.tables[table].c[name].nullable
        )
    with old.connect() as connection:
        for view in VIEW_NAMES:
            assert connection.scalar(text(f"SELECT count(*) FROM {view}")) == 1


def test_an_upgraded_catalog_takes_new_rows(old: Engine, fill: Callable[..., dict[str, int]]) -> None:
    upgrade(old)
    with Store(old).write() as writer:
        writer.connection.execute(text("DELETE FROM source"))
        for name in ("recipe", "band", "observation", "input_file"):
            writer.connection.execute(text(f"DELETE FROM {name}"))
        for table in reversed(METADATA.sorted_tables):
            writer.connection.execute(table.delete())
        ids = fill(writer)
    assert set(ids) == set(METADATA.tables)


def test_the_upgraded_tables_are_those_of_a_fresh_catalog(old: Engine, store: Store) -> None:
    upgrade(old)
    for name in METADATA.tables:
        assert described(old, name) == described(store.engine, name), name


def described(engine: Engine, name: str) -> dict[str, Any]:
    inspector = inspect(engine)
    return {
        "columns": sorted(
            (c["name"], str(c["type"]), c["nullable"], str(c["default"])) for c in inspector.get_columns(name)
        ),
        "checks": sorted((c["name"], c["sqltext"]) for c in inspector.get_check_constraints(name)),
        "indexes": sorted((i["name"], tuple(i["column_names"])) for i in inspector.get_indexes(name)),
        "uniques": sorted(
            (u["name"], tuple(u["column_names"])) for u in inspector.get_unique_constraints(name)
        ),
        "foreign keys": sorted(repr(key) for key in inspector.get_foreign_keys(name)),
    }


UPGRADE = """
import sys
from pathlib import Path
from catalog.store.engine import database_url, open_engine
from catalog.store.migrate import upgrade
upgrade(open_engine(database_url(sys.argv[1], Path("/"))))
"""


def test_several_processes_upgrade_at_once(old: Engine) -> None:
    before = content(old)
    url = old.url.render_as_string(hide_password=False)
    upgrading = [
        subprocess.Popen([sys.executable, "-c", UPGRADE, url], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in upgrading:
        _, report = process.communicate(timeout=100)
        assert process.returncode == 0, report
    check_revision(old)
    after = content(old)
    assert all(len(after[table]) == len(rows) for table, rows in before.items())
    assert database_revision(old) == REVISIONS[-1]


def test_an_upgrade_waits_for_the_one_before(old: Engine, engine_name: str) -> None:
    """The lock is real: an upgrade does not pass while another transaction holds it."""
    if engine_name == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time by itself")
    from catalog.store.migrate import _UPGRADE_LOCK

    url = old.url.render_as_string(hide_password=False)
    with old.connect() as holder, holder.begin():
        holder.execute(text(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})"))
        waiting = subprocess.Popen([sys.executable, "-c", UPGRADE, url], cwd=ROOT)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(timeout=4)
        assert database_revision(old) == "0001"
    assert waiting.wait(timeout=60) == 0
    assert database_revision(old) == REVISIONS[-1]
