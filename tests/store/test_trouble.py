"""Many readers beside a writer, full disks, servers that go away: clear errors, and nothing is lost."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, select, text
from store_rows import complete_row, open_store, write_everything

from catalog.errors import ProjectError
from catalog.schema.tables import Extraction, Measurement, Source
from catalog.store.door import Store
from catalog.store.engine import database_url, open_engine
from catalog.store.integrity import integrity
from catalog.store.schema_version import check_revision

ROOT = Path(__file__).resolve().parents[2]
READERS = 8
BATCH = 50


def sources(ids: dict[str, int], first: int, number: int = BATCH) -> list[dict[str, Any]]:
    return [complete_row(Source, ids, origin_hpx29=i, hpx29=i) for i in range(first, first + number)]


def read_on(url: str, stop: Any, report: Queue[tuple[int, str]]) -> None:
    """Read one view after another until told to stop; report how many, and the first problem."""
    seen, problem = 0, ""
    try:
        with Store(open_engine(database_url(url, Path("/")), read_only=True), read_only=True) as store:
            check_revision(store.engine)
            while not stop.is_set():
                with store.read() as connection:
                    number = connection.scalar(select(func.count()).select_from(Source))
                    again = connection.scalar(select(func.count(Extraction.id)))
                    connection.execute(text("SELECT count(*) FROM detections")).scalar()
                    assert number == connection.scalar(select(func.count()).select_from(Source))
                # A batch is seen whole or not at all.
                assert number == again
                assert number % BATCH == 1, number
                seen += 1
                # Eight that never pause would measure the processors, not the locks.
                time.sleep(0.05)
    except Exception as error:  # noqa: BLE001
        problem = f"{type(error).__name__}: {error}"
    report.put((seen, problem))


def test_eight_processes_read_while_one_writes(store: Store, ids: dict[str, int]) -> None:
    url = store.engine.url.render_as_string(hide_password=False)
    context = multiprocessing.get_context("fork")
    stop, report = context.Event(), context.Queue()
    readers = [context.Process(target=read_on, args=(url, stop, report)) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    end = time.monotonic() + 2
    written = 0
    while time.monotonic() < end or written < 10:
        with store.write() as writer:
            new = writer.insert(Source, sources(ids, 100 + written * BATCH))
            rows = [complete_row(Extraction, ids | {"source": number}) for number in new]
            parts = writer.insert(Extraction, rows)
            writer.insert(Measurement, [complete_row(Measurement, ids | {"extraction": n}) for n in parts])
        written += 1
    stop.set()
    found = [report.get(timeout=60) for _ in readers]
    for reader in readers:
        reader.join(30)
    assert [problem for _, problem in found if problem] == []
    assert all(seen > 0 for seen, _ in found)
    with store.read() as connection:
        assert connection.scalar(select(func.count()).select_from(Source)) == 1 + written * BATCH


# --- no space ---------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(sqlite_store: Store) -> Iterator[list[int]]:
    """Limits the pages that new connections may use; an empty list is no limit."""
    limit: list[int] = []

    def set_limit(connection: Connection) -> None:
        pages = limit[0] if limit else 2**31
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    event.listen(sqlite_store.engine, "begin", set_limit)
    yield limit
    event.remove(sqlite_store.engine, "begin", set_limit)


def test_a_full_disk_is_told_and_loses_nothing(sqlite_store: Store, small_disk: list[int]) -> None:
    with sqlite_store.write() as writer:
        ids = write_everything(writer)
        pages = int(writer.connection.exec_driver_sql("PRAGMA page_count").scalar() or 0)
    small_disk.append(pages + 20)
    written = 0

    def write_on() -> None:
        nonlocal written
        while written < 100:
            with sqlite_store.write() as writer:
                writer.insert(Source, sources(ids, 100 + written * BATCH))
            written += 1

    with pytest.raises(ProjectError) as caught:
        write_on()
    assert caught.value.code == "DISK_FULL"
    assert "\n" not in str(caught.value)
    assert 0 < written < 100
    small_disk.clear()
    assert "integrity ok" in integrity(sqlite_store.engine)
    with sqlite_store.write() as writer:
        assert writer.connection.scalar(select(func.count()).select_from(Source)) == 1 + written * BATCH
        writer.insert(Source, sources(ids, 100 + written * BATCH))


LIMITED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, "tests/store")
from store_rows import complete_row, write_everything
from catalog.errors import ProjectError
from catalog.schema.tables import Source
from catalog.store.door import Store
from catalog.store.engine import database_url, open_engine
with Store(open_engine(database_url(sys.argv[1], Path("/")))) as store:
    with store.write() as writer:
        ids = write_everything(writer)
    size = Path(sys.argv[1].removeprefix("sqlite:///")).stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 2_000_000, size + 2_000_000))
    written = 0
    try:
        while True:
            with store.write() as writer:
                first = 100 + 500 * written
                rows = [complete_row(Source, ids, origin_hpx29=i, hpx29=i) for i in range(first, first + 500)]
                writer.insert(Source, rows)
            written += 1
    except ProjectError as error:
        print(written, error.code, error)
"""


def test_a_limit_on_the_size_of_files_is_told(sqlite_store: Store) -> None:
    url = sqlite_store.engine.url.render_as_string()
    sqlite_store.close()
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, url], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    written, code, message = done.stdout.strip().split(maxsplit=2)
    assert code == "DISK_FULL"
    assert "srccat" not in message or str(Path(url).name) in message
    with open_store(url) as store:
        assert "integrity ok" in integrity(store.engine)
        with store.read() as connection:
            assert connection.scalar(select(func.count()).select_from(Source)) == 1 + 500 * int(written)


# --- a server that goes away ------------------------------------------------------------------------------


@pytest.mark.parametrize("copying", [False, True])
def test_a_server_that_ends_the_connection_is_told(
    postgres_store: Store, postgres_server: Any, copying: bool
) -> None:
    with postgres_store.write() as writer:
        ids = write_everything(writer)

    def lose_the_server() -> None:
        with postgres_store.write() as writer:
            writer.insert(Source, sources(ids, 100))
            pid = writer.connection.scalar(text("SELECT pg_backend_pid()"))
            postgres_server.command(f"SELECT pg_terminate_backend({pid})")
            if copying:
                writer.insert(Source, sources(ids, 500))
            else:
                writer.connection.execute(text("SELECT 1"))

    with pytest.raises(ProjectError) as caught:
        lose_the_server()
    assert caught.value.code == "NO_SERVER"
    assert "\n" not in str(caught.value)
    with postgres_store.write() as writer:
        assert writer.connection.scalar(select(func.count()).select_from(Source)) == 1
        writer.insert(Source, sources(ids, 100))
