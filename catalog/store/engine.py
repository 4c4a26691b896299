"""Engines: SQLite with sane pragmas, PostgreSQL through psycopg."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from catalog.errors import ProjectError

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "lustre", "gpfs", "beegfs", "ceph", "fuse.sshfs", "9p"}
)
BUSY_TIMEOUT_MS = 60_000
CACHE_KIB = 65_536
"""Pages that a SQLite connection keeps at most: the joins of `catalog` read a dozen tables side by side."""


def database_url(text: str, folder: Path) -> URL:
    """Return the URL of a database named in the settings.

    A relative SQLite path is taken from the project folder; ``postgresql://`` means the psycopg driver.

    Raises
    ------
    ProjectError
        When the text is no URL, or names an engine other than SQLite and PostgreSQL.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise ProjectError("not a database URL", text, "give sqlite:///file.db or postgresql://...") from None
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise ProjectError("a catalog needs a database file", text, "give sqlite:///file.db")
        return url.set(database=str((folder / url.database).resolve()))
    if url.get_backend_name() != "postgresql":
        raise ProjectError("not a supported database", text, "use sqlite:// or postgresql://")
    return url


def file_system_of(path: Path) -> str:
    """Return the type of the file system that holds `path`, empty where the system does not tell."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in mounts:
        _, point, fs_type, *_ = line.split()
        point = point.replace("\\040", " ")
        inside = str(path) == point or str(path).startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fs_type
    return kind


def on_network(path: Path) -> bool:
    """Tell whether SQLite's write-ahead log must not be used at `path`."""
    return file_system_of(path.resolve()) in NETWORK_FILE_SYSTEMS


def is_writable(url: URL) -> bool:
    """Tell whether the database can be written; a server decides for itself."""
    if url.get_backend_name() != "sqlite":
        return True
    path = Path(str(url.database))
    return os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))


def open_engine(url: URL, *, read_only: bool = False) -> Engine:
    """Return an engine for `url`.

    A SQLite file in a folder that cannot be written is opened ``immutable``, since even a reader of a
    write-ahead log must be able to write beside it; unless there is a log, whose content would be missed.
    """
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, read_only=read_only)
    try:
        engine = create_engine(url, pool_pre_ping=True)
    except ModuleNotFoundError:
        raise ProjectError(
            "PostgreSQL needs the psycopg driver", url.render_as_string(), "pip install 'srccat[postgres]'"
        ) from None

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        from catalog.store.binary_cursor import BinaryServerCursor

        connection.server_cursor_factory = BinaryServerCursor
        # Compiling the hundreds of columns of a view takes longer than what is asked of them.
        connection.execute("SET jit = off")
        connection.commit()

    return engine


def _sqlite_engine(url: URL, *, read_only: bool) -> Engine:
    path = Path(str(url.database))
    if read_only:
        option = "mode=ro" if is_writable(url) or _has_log(path) else "immutable=1"
        quoted = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        url = url.set(database=f"file:{quoted}", query={**_flags(option), "uri": "true"})
    _adapt_numpy()
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    journal = "DELETE" if on_network(path) else "WAL"

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # The driver's own BEGIN comes too late to choose its kind: ours is issued below.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        if not read_only:
            connection.execute(f"PRAGMA journal_mode = {journal}")
            connection.execute("PRAGMA synchronous = NORMAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and then writes fails at once when another one wrote in between.
        writing = connection.get_execution_options().get("srccat_write", False)
        connection.exec_driver_sql(f"PRAGMA query_only = {'OFF' if writing else 'ON'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _has_log(path: Path) -> bool:
    log = path.with_name(path.name + "-wal")
    return log.exists() and log.stat().st_size > 0


def _adapt_numpy() -> None:
    # The driver would store numpy's integers as blobs, and find nothing when asked for one.
    for integer in (
        np.int8,
        np.int16,
        np.int32,
        np.int64,
        np.uint8,
        np.uint16,
        np.uint32,
        np.uint64,
        np.bool_,
    ):
        sqlite3.register_adapter(integer, _plain)
    for number in (np.float32, np.float64):
        sqlite3.register_adapter(number, _plain_float)


def _plain(value: Any) -> int:
    return int(value)


def _plain_float(value: Any) -> float:
    return float(value)


def _flags(option: str) -> dict[str, str]:
    name, value = option.split("=")
    return {name: value}
