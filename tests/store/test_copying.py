"""Copying a catalog between the engines: nothing changes, numbers go on, and half a copy is no catalog."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, inspect, select, text
from store_rows import open_store

from catalog.errors import ProjectError
from catalog.schema.tables import METADATA, BandRow, Extraction, Measurement, Run, Source, SourceEvent
from catalog.store import copying
from catalog.store.copying import copy_catalog
from catalog.store.door import Store
from catalog.store.engine import database_url, open_engine
from catalog.store.schema_version import check_revision, database_revision

ROOT = Path(__file__).resolve().parents[2]
TINY = 5e-324
EDGES = [0.1 + 0.2, 1 / 3, TINY, 1.7976931348623157e308, -1.7976931348623157e308, 0.0, 3.0, None]


def digest(store: Store) -> dict[str, str]:
    """Hash of all rows of each table, ids included, as our types read them."""
    found = {}
    with store.read() as connection:
        for name, table in METADATA.tables.items():
            hashed = hashlib.sha256()
            for row in connection.execute(select(table).order_by(table.c.id)):
                hashed.update(repr([bytes(v) if isinstance(v, memoryview) else v for v in row]).encode())
            found[name] = hashed.hexdigest()
    return found


@pytest.fixture
def filled(store: Store, ids: dict[str, int], row: Callable[..., dict[str, Any]]) -> Store:
    """A catalog with a row of everything, awkward values, and row numbers with holes."""
    with store.write() as writer:
        sources = writer.insert(Source, [row(Source, ids, origin_hpx29=i + 5, hpx29=i) for i in range(40)])
        writer.delete(Source, Source.id.in_(sources[::3]))
        kept = [source for source in sources if source not in sources[::3]]
        parts = writer.insert(Extraction, [row(Extraction, ids | {"source": number}) for number in kept])
        writer.insert(
            Measurement,
            [
                row(Measurement, ids | {"extraction": part}, src_significance=EDGES[i % len(EDGES)])
                for i, part in enumerate(parts)
            ],
        )
        writer.update(Run, ids["run"], {"command": "ψ \t\n\\N 'quoted' \\x", "seed": 2**63 - 1})
        writer.update(Extraction, parts[0], {"events_aper": bytes(range(256)) * 10, "near_edge": False})
        writer.update(Extraction, parts[1], {"events_aper": b"", "events_aperbkg": None})
    return store


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Engine of a database that holds nothing."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'copy.db'}"
    else:
        server = request.getfixturevalue("postgres_server")
        url = server.create()
    engine = open_engine(database_url(url, Path("/")))
    yield engine
    engine.dispose()
    if request.param == "postgresql":
        server.drop(url)


def test_the_copy_is_the_same(filled: Store, target: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "BATCH", 7)
    seen: dict[str, int] = {}
    rows = copy_catalog(filled, target, lambda table, n: seen.update({table: seen.get(table, 0) + n}))
    check_revision(target)
    copy = Store(target)
    assert digest(copy) == digest(filled)
    assert rows["source"] == seen["source"] == 27
    assert sum(rows.values()) == copying.count_rows(filled)
    with filled.read() as left, copy.read() as right:
        for view in ("catalog", "detections"):
            query = text(f"SELECT * FROM {view} ORDER BY source_id")
            ours = [tuple(map(float_or_same, item)) for item in left.execute(query)]
            theirs = [tuple(map(float_or_same, item)) for item in right.execute(query)]
            assert ours == theirs
            assert len(ours) >= 1


def float_or_same(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def test_the_copy_has_all_foreign_keys_and_indexes(filled: Store, target: Engine) -> None:
    copy_catalog(filled, target)
    found = inspect(target)
    for name, table in METADATA.tables.items():
        keys = {
            (key.name, *key.column_keys, key.referred_table.name, key.ondelete)
            for key in table.foreign_key_constraints
        }
        assert keys == {
            (key["name"], *key["constrained_columns"], key["referred_table"], key["options"].get("ondelete"))
            for key in found.get_foreign_keys(name)
        }
        unique = {key["name"] for key in found.get_unique_constraints(name)}
        indexes = {index["name"] for index in found.get_indexes(name)} - unique
        assert indexes == {index.name for index in table.indexes}


def test_rows_that_hang_on_nothing_are_refused(filled: Store, target: Engine) -> None:
    """Another program, without foreign keys, took rows away."""
    statements = {
        "sqlite": ("PRAGMA query_only = OFF", "PRAGMA foreign_keys = OFF", "DELETE FROM extraction"),
        "postgresql": ("SET session_replication_role = replica", "DELETE FROM extraction"),
    }[filled.engine.dialect.name]
    driver = filled.engine.raw_connection()
    for statement in statements:
        driver.cursor().execute(statement)
    driver.commit()
    driver.invalidate()
    with pytest.raises(ProjectError, match="refer to rows that are not there") as caught:
        copy_catalog(filled, target)
    assert caught.value.code == "DAMAGED"
    assert not inspect(target).get_table_names()


def test_there_and_back(filled: Store, target: Engine, tmp_path: Path) -> None:
    copy_catalog(filled, target)
    with open_store(f"sqlite:///{tmp_path / 'back.db'}") as back:
        copy_catalog(Store(target), back.engine)
        assert digest(back) == digest(filled)


def test_numbers_go_on_after_the_largest(
    filled: Store, target: Engine, row: Callable[..., dict[str, Any]], ids: dict[str, int]
) -> None:
    with filled.write() as writer:
        writer.update(SourceEvent, ids["source_event"], {"source_id": 900})
        last = int(writer.connection.scalar(select(func.max(Extraction.id))) or 0)
    copy_catalog(filled, target)
    with Store(target).write() as writer:
        assert writer.insert(BandRow, [{"band": "new", "lo": 1.0, "hi": 2.0, "eff": 1.5}]) == [2]
        above = int(writer.connection.scalar(select(func.max(SourceEvent.source_id))) or 0)
        (source,) = writer.insert(Source, [row(Source, ids, origin_hpx29=77)], above=above)
        assert source > 900
        assert writer.insert(Extraction, [row(Extraction, ids | {"source": source})]) == [last + 1]


def test_a_target_with_anything_in_it_is_refused(filled: Store, target: Engine) -> None:
    with target.connect().execution_options(srccat_write=True) as connection, connection.begin():
        connection.execute(text("CREATE TABLE mine (x INTEGER)"))
        connection.execute(text("INSERT INTO mine VALUES (7)"))
    with pytest.raises(ProjectError) as caught:
        copy_catalog(filled, target)
    assert caught.value.code == "TARGET_NOT_EMPTY"
    with target.connect() as connection:
        assert connection.scalar(text("SELECT x FROM mine")) == 7


def test_a_catalog_is_not_copied_onto_itself(filled: Store) -> None:
    before = digest(filled)
    again = open_engine(filled.engine.url)
    with pytest.raises(ProjectError) as caught:
        copy_catalog(filled, again)
    again.dispose()
    assert caught.value.code == "TARGET_NOT_EMPTY"
    assert digest(filled) == before


def test_an_interruption_leaves_nothing(filled: Store, target: Engine) -> None:
    def stop(table: str, _rows: int) -> None:
        if table == "measurement":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_catalog(filled, target, stop)
    if target.dialect.name == "sqlite":
        folder = Path(str(target.url.database)).parent
        assert not [item for item in folder.iterdir() if item.name.startswith("copy.db")]
    else:
        assert database_revision(target) is None
    copy_catalog(filled, target)
    assert digest(Store(target)) == digest(filled)


KILLED = """
import sys, time
from pathlib import Path
from catalog.store.copying import copy_catalog
from catalog.store.door import Store
from catalog.store.engine import database_url, open_engine
source, target = (open_engine(database_url(url, Path("/"))) for url in sys.argv[1:])
def wait(table, rows):
    if table == "measurement":
        print("here", flush=True)
        time.sleep(60)
copy_catalog(Store(source, read_only=True), target, wait)
"""


def test_a_killed_copy_is_no_catalog_and_can_be_made_again(filled: Store, target: Engine) -> None:
    urls = [engine.url.render_as_string(hide_password=False) for engine in (filled.engine, target)]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *urls], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with pytest.raises(ProjectError) as caught:
        check_revision(target)
    assert caught.value.code == "NO_CATALOG"
    deadline = time.monotonic() + 20
    while target.dialect.name == "postgresql" and time.monotonic() < deadline:
        # The server needs a moment to notice; its locks would only make the next copy wait.
        with target.connect() as connection:
            if not connection.scalar(
                text(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' "
                    "AND pid <> pg_backend_pid()"
                )
            ):
                break
        time.sleep(0.1)
    copy_catalog(filled, target)
    assert digest(Store(target)) == digest(filled)
