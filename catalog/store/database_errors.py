"""Errors of the database that a user can act on, as sentences instead of tracebacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError, InternalError, OperationalError

from catalog.errors import ProjectError

_RIGHTS = ("the database cannot be written", "check the rights of the folder and file", "PROJECT")
_BUSY = ("another process is writing to the database", "wait for it and try again", "LOCKED")
_FULL = ("the database cannot grow", "free some space and run again: nothing is lost", "DISK_FULL")
_CLOSED = ("the database cannot be opened", "check that the folder exists and may be read", "NO_DATABASE")
_SERVER = ("the database server does not let us in", "check the URL and that it runs", "NO_SERVER")

_ENDED = ("the database server ended the connection", "see that it runs, then run again", "NO_SERVER")
_UNWRITTEN = ("the database file cannot be written", "check space, quota and limits of the disk", "DISK_FULL")

_SENTENCES: dict[str, tuple[str, str, str]] = {
    "is locked": _BUSY,
    "deadlock detected": _BUSY,
    "readonly database": _RIGHTS,
    "read-only transaction": _RIGHTS,
    "disk is full": _FULL,
    "No space left on device": _FULL,
    "disk I/O error": _UNWRITTEN,
    "unable to open database file": _CLOSED,
    "malformed": ("the database file is damaged", "restore it from a copy", "DAMAGED"),
    "not a database": ("the file is no database", "give a catalog made by `srccat init`", "NOT_A_DATABASE"),
    "connection to server": _SERVER,
    "failed to resolve host": _SERVER,
    "terminating connection": _ENDED,
    "server closed the connection": _ENDED,
    "connection is closed": _ENDED,
    "connection is lost": _ENDED,
    "database system is": _ENDED,
}


def where_is(engine: Engine) -> str:
    """The database as one would name it to the user: a file, or a URL without its password."""
    if engine.dialect.name == "sqlite":
        return str(engine.url.database).removeprefix("file:")
    return engine.url.render_as_string(hide_password=True)


@contextmanager
def explained(engine: Engine) -> Iterator[None]:
    """Turn what the database reports within the block into `ProjectError`, where a user can act on it."""
    try:
        yield
    except DatabaseError as error:
        # Violated constraints and wrong statements are other subclasses: defects, or the caller's to explain.
        if not isinstance(error, OperationalError | InternalError) and type(error) is not DatabaseError:
            raise
        report = str(error.orig)
        for phrase, (what, todo, code) in _SENTENCES.items():
            if phrase in report:
                raise ProjectError(what, where_is(engine), todo, code=code) from error
        raise
