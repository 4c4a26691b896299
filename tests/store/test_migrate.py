"""Creating and upgrading a database: the scripts and the models say the same, and no upgrade loses a row."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Engine, func, inspect, select, text

import migrations
from catalog.errors import ProjectError, SchemaVersionError
from catalog.schema.tables import METADATA
from catalog.schema.views import VIEW_NAMES, all_flags, view_columns
from catalog.store import migrate, schema_version
from catalog.store.door import Store
from catalog.store.engine import database_url, open_engine
from catalog.store.migrate import upgrade
from catalog.store.schema_version import check_revision, database_revision

SCRIPTS = Path(migrations.__file__).parent


@pytest.fixture
def empty(empty_url: str) -> Iterator[Engine]:
    """Engine of a database that holds nothing."""
    engine = open_engine(database_url(empty_url, Path("/")))
    yield engine
    engine.dispose()


def described(engine: Engine) -> dict[str, dict[str, Any]]:
    """Everything the engine knows of each table, by table and kind, in a form that can be compared."""
    inspector = inspect(engine)
    comments = engine.dialect.supports_comments
    found: dict[str, dict[str, Any]] = {}
    for table in sorted(set(inspector.get_table_names()) - {"alembic_version"}):
        found[table] = {
            "columns": [
                (
                    column["name"],
                    str(column["type"]),
                    column["nullable"],
                    column["default"],
                    column.get("comment"),
                )
                for column in inspector.get_columns(table)
            ],
            "primary key": inspector.get_pk_constraint(table),
            "foreign keys": sorted(map(repr, inspector.get_foreign_keys(table))),
            "uniques": sorted(map(repr, inspector.get_unique_constraints(table))),
            "checks": sorted(
                (check["name"], check["sqltext"]) for check in inspector.get_check_constraints(table)
            ),
            "indexes": sorted(map(repr, inspector.get_indexes(table))),
            "comment": inspector.get_table_comment(table) if comments else None,
        }
    return found


def counted(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {
            name: connection.scalar(select(func.count()).select_from(table)) or 0
            for name, table in METADATA.tables.items()
        }


def create_all(engine: Engine) -> None:
    with engine.connect().execution_options(srccat_write=True) as connection, connection.begin():
        METADATA.create_all(connection)


def test_upgraded_equals_fresh_table_by_table(store: Store, empty: Engine) -> None:
    create_all(empty)
    upgraded, fresh = described(store.engine), described(empty)
    assert set(upgraded) == set(fresh) == set(METADATA.tables)
    for table in fresh:
        for kind in fresh[table]:
            # Columns by name: a later revision may add one at the end of a table.
            left, right = upgraded[table][kind], fresh[table][kind]
            if kind == "columns":
                left, right = sorted(left), sorted(right)
            assert left == right, (table, kind)


def test_the_description_sees_what_alembic_does_not(store: Store) -> None:
    tables = described(store.engine)
    checks = [name for table in tables.values() for name, _ in table["checks"]]
    expected = [
        constraint.name
        for table in METADATA.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    ]
    assert sorted(checks) == sorted(str(name) for name in expected)
    assert len(checks) > 150
    if store.engine.dialect.supports_comments:
        assert all(comment for table in tables.values() for *_, comment in table["columns"])


def test_alembic_sees_no_difference(store: Store) -> None:
    with store.read() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []


def test_revisions_are_the_scripts_in_one_line() -> None:
    scripts = ScriptDirectory(str(SCRIPTS))
    assert len(scripts.get_heads()) == 1
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == migrations.REVISIONS


def test_a_fresh_database_has_the_newest_revision(store: Store) -> None:
    assert database_revision(store.engine) == migrations.REVISIONS[-1]
    check_revision(store.engine)


@pytest.mark.parametrize("view", VIEW_NAMES)
def test_views_have_the_columns_of_the_registry(store: Store, ids: dict[str, int], view: str) -> None:
    with store.read() as connection:
        result = connection.execute(text(f"SELECT * FROM {view}"))
        names = list(result.keys())
        rows = result.all()
    assert names == [column.definition.name for column in view_columns(view)]
    assert len(set(names)) == len(names)
    assert len(rows) == 1


def test_values_arrive_in_the_views(store: Store, ids: dict[str, int]) -> None:
    with store.write() as writer:
        writer.connection.execute(text("UPDATE extraction SET flags = 1"))
        writer.connection.execute(text("UPDATE measurement SET flags = 4, cnts_aper = 17"))
        writer.connection.execute(text("UPDATE merge SET flags = 8, all_flags = NULL"))
        writer.connection.execute(text("UPDATE merged_measurement SET flags = 16, cnts_aper = 34"))
        writer.connection.execute(text("UPDATE variability SET var_index = 3, flags = 64"))
        writer.connection.execute(text("UPDATE merged_variability SET flags = 128"))
    with store.read() as connection:
        query = "SELECT source_id, band, flags, cnts_aper, var_index, obs_id, role FROM detections"
        assert tuple(connection.execute(text(query)).one()) == (
            ids["source"], "broad", 69, 17, 3, "x", "photometry",
        )  # fmt: skip
        query = "SELECT source_id, flags, flags_b, cnts_aper_b, cnts_aper_s, var_intra_index_b FROM catalog"
        # Flags that nobody has summed up, as after an upgrade, are summed up by the view.
        assert tuple(connection.execute(text(query)).one()) == (ids["source"], 152, 144, 34, None, 1)
    with store.write() as writer:
        writer.connection.execute(text(f"UPDATE merge SET all_flags = {all_flags('merge')}"))
        assert writer.connection.scalar(text("SELECT all_flags FROM merge")) == 152
        writer.connection.execute(text("UPDATE merge SET all_flags = 32"))
        assert writer.connection.scalar(text("SELECT flags FROM catalog")) == 32


def test_a_merge_for_another_purpose_is_not_in_the_catalog(store: Store, ids: dict[str, int]) -> None:
    with store.write() as writer:
        writer.connection.execute(text("UPDATE merge SET purpose = 'position'"))
    with store.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM catalog")) == 0


def test_upgrading_twice_changes_nothing(store: Store, ids: dict[str, int]) -> None:
    before, rows = described(store.engine), counted(store.engine)
    upgrade(store.engine)
    assert described(store.engine) == before
    assert counted(store.engine) == rows
    assert set(rows.values()) == {1}
    with store.read() as connection:
        for view in VIEW_NAMES:
            assert connection.scalar(text(f"SELECT count(*) FROM {view}")) == 1


def test_an_empty_database_is_refused(empty: Engine) -> None:
    with pytest.raises(ProjectError) as caught:
        check_revision(empty)
    assert caught.value.code == "NO_CATALOG"
    assert "srccat init" in str(caught.value)


def test_a_newer_database_is_refused_and_left_alone(store: Store, ids: dict[str, int]) -> None:
    with store.write() as writer:
        writer.connection.execute(text("UPDATE alembic_version SET version_num = 'ffff'"))
    for action in (check_revision, upgrade):
        with pytest.raises(SchemaVersionError, match="newer srccat") as caught:
            action(store.engine)
        assert caught.value.code == "SCHEMA_NEWER"
        assert "\n" not in str(caught.value)
    with store.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM detections")) == 1


def test_an_older_database_is_refused_with_the_command(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_version, "REVISIONS", (*migrations.REVISIONS, "zzzz"))
    with pytest.raises(SchemaVersionError, match="srccat db upgrade") as caught:
        check_revision(store.engine)
    assert caught.value.code == "SCHEMA_OLDER"


# --- a later migration ------------------------------------------------------------------------------------

HEAD = migrations.REVISIONS[-1]
LATER = f"""
import sqlalchemy as sa
from alembic import op

revision = "later"
down_revision = "{HEAD}"
branch_labels = None
depends_on = None


def whole(name):
    # What Alembic itself takes along in a rebuild leaves out CHECKs; a table with index=True, its indexes.
    table = sa.Table(name, sa.MetaData(), autoload_with=op.get_bind())
    have = {{constraint.name for constraint in table.constraints}}
    for check in sa.inspect(op.get_bind()).get_check_constraints(name):
        if check["name"] not in have:
            table.append_constraint(sa.CheckConstraint(check["sqltext"], name=check["name"]))
    return table


def upgrade():
    ACTION
"""
REBUILD = """
    for name in ("run", "source", "extraction", "merge"):
        rebuild = "always" if op.get_bind().dialect.name == "sqlite" else "never"
        with op.batch_alter_table(name, recreate=rebuild, copy_from=whole(name)) as batch:
            batch.add_column(sa.Column("later", sa.Text()))
"""


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Add a revision that does something to the scripts that `upgrade` finds."""

    def add(action: str) -> None:
        folder = tmp_path / "migrations"
        shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "versions" / "later.py").write_text(LATER.replace("ACTION", action.strip()))
        monkeypatch.setattr(migrate, "files", lambda _package: folder)

    return add


def test_rebuilding_parents_keeps_children_and_constraints(
    store: Store, ids: dict[str, int], later: Callable[[str], None]
) -> None:
    before = described(store.engine)
    later(REBUILD)
    upgrade(store.engine)
    assert database_revision(store.engine) == "later"
    assert set(counted(store.engine).values()) == {1}
    after = described(store.engine)
    for table in before:
        for kind in before[table]:
            expected = before[table][kind]
            if kind == "columns" and table in ("run", "source", "extraction", "merge"):
                expected = [*expected, ("later", "TEXT", True, None, None)]
            assert after[table][kind] == expected, (table, kind)
    with store.write() as writer:
        if store.engine.dialect.name == "sqlite":
            assert writer.connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        writer.connection.execute(text("DELETE FROM source"))
        assert writer.connection.scalar(text("SELECT count(*) FROM region")) == 0


@pytest.mark.parametrize(
    ("action", "problem"),
    [
        ('op.execute("DELETE FROM region")', "lose rows"),
        ('op.execute("DELETE FROM source")', "lose rows|break references"),
        ('op.execute("UPDATE region SET extraction_id = 77")', "break references|violates foreign key"),
        ('op.drop_table("region"); op.execute("SELECT no_such_column FROM run")', "no_such_column"),
    ],
)
def test_a_bad_migration_leaves_the_database_as_it_was(
    store: Store, ids: dict[str, int], later: Callable[[str], None], action: str, problem: str
) -> None:
    before = described(store.engine)
    later(action)
    with pytest.raises(Exception, match=problem):
        upgrade(store.engine)
    assert database_revision(store.engine) == HEAD
    assert described(store.engine) == before
    assert set(counted(store.engine).values()) == {1}
    with store.write() as writer:
        assert writer.connection.scalar(text("SELECT count(*) FROM detections")) == 1
        if store.engine.dialect.name == "sqlite":
            assert writer.connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
