"""Copy a whole catalog into another database, of either engine, in batches and one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Boolean, Connection, Engine, Table, inspect, text
from sqlalchemy.exc import IntegrityError

from catalog.errors import ProjectError
from catalog.schema.tables import METADATA
from catalog.store.bare_tables import bare_tables
from catalog.store.bulk import Block, finite_check, load
from catalog.store.database_errors import explained, where_is
from catalog.store.door import Store
from catalog.store.migrate import migrate_within, row_counts

BATCH = 5000
"""Rows in memory at once."""

Progress = Callable[[str, int], None]
"""Called with a table and the number of its rows just copied."""


def count_rows(source: Store) -> int:
    """Rows of all tables of a catalog."""
    with source.read() as connection:
        return sum(row_counts(connection).values())


def copy_catalog(source: Store, target: Engine, progress: Progress | None = None) -> dict[str, int]:
    """Copy a catalog into an empty database; return the number of rows by table.

    Row numbers stay, and new rows go on after the largest. All is one transaction: until it ends the target
    holds no catalog, and what an interruption leaves is empty again.

    Raises
    ------
    ProjectError
        The target is not empty (TARGET_NOT_EMPTY), cannot be opened or written, or has no space left; the
        catalog has rows that refer to rows which are not there (DAMAGED).
    """
    with explained(target), _empty_target(target) as into, source.read() as connection:
        migrate_within(into)
        copied = {}
        try:
            with bare_tables(into):
                for table in METADATA.sorted_tables:
                    copied[table.name] = _copy_table(connection, into, table, progress)
        except IntegrityError as error:
            reason = str(error.orig).splitlines()[0]
            raise ProjectError(
                f"rows refer to rows that are not there ({reason})",
                source.where,
                "see `srccat db check`; the target is left empty",
                code="DAMAGED",
            ) from error
        _continue_sequences(into)
        arrived = row_counts(into)
        if arrived != copied:
            lost = ", ".join(name for name in copied if arrived[name] != copied[name])
            raise ProjectError("rows were lost on the way", lost, "the target is left empty")
    with explained(target), target.connect().execution_options(srccat_write=True) as into, into.begin():
        # Without knowing how many rows there are, the engines choose slow ways through the views.
        into.execute(text("ANALYZE"))
    return copied


@contextmanager
def _empty_target(target: Engine) -> Iterator[Connection]:
    """A transaction on a database that holds nothing; a file made for it goes when the copy fails."""
    path = Path(str(target.url.database)) if target.dialect.name == "sqlite" else None
    new = path is not None and not path.exists()
    empty = new or (path is not None and path.stat().st_size == 0)
    done = False
    try:
        with target.connect().execution_options(srccat_write=True) as connection:
            if empty:
                # New pages need no copy of what was there before: the log would double the space.
                connection.connection.cursor().execute("PRAGMA journal_mode = DELETE")
            with connection.begin():
                if inspect(connection).get_table_names():
                    raise ProjectError(
                        "the database is not empty",
                        where_is(target),
                        "give an empty one",
                        code="TARGET_NOT_EMPTY",
                    )
                yield connection
        done = True
    finally:
        if new and not done and path is not None:
            target.dispose()
            path.unlink(missing_ok=True)


def _copy_table(connection: Connection, into: Connection, table: Table, progress: Progress | None) -> int:
    # One statement for all rows: each further one of a transaction makes PostgreSQL slower at foreign keys.
    rows = _Rows(connection, into, table, progress)
    load(into, Block(table, rows.names, rows))
    return rows.copied


class _Rows:
    """Rows of a table as the other driver takes them, read and checked in batches."""

    def __init__(
        self, connection: Connection, into: Connection, table: Table, progress: Progress | None
    ) -> None:
        self.connection = connection
        self.into = into
        self.table = table
        self.progress = progress
        self.names = tuple(column.name for column in table.columns)
        self.copied = 0

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        quote = self.into.dialect.identifier_preparer.quote
        # Read without our types: what the drivers exchange is the same on both engines, but for truth values.
        listed = ", ".join(map(quote, self.names))
        statement = text(f"SELECT {listed} FROM {self.table.name} ORDER BY id")
        truths = [i for i, column in enumerate(self.table.columns) if isinstance(column.type, Boolean)]
        refuse = finite_check(self.table, self.names)
        result = self.connection.execution_options(yield_per=BATCH).execute(statement)
        for part in result.partitions():
            values: list[tuple[Any, ...]] = [tuple(row) for row in part]
            if truths:
                values = [_with_truths(row, truths) for row in values]
            refuse(values)
            yield from values
            self.copied += len(values)
            if self.progress is not None:
                self.progress(self.table.name, len(values))


def _with_truths(row: tuple[Any, ...], truths: list[int]) -> tuple[Any, ...]:
    values = list(row)
    for i in truths:
        values[i] = None if values[i] is None else bool(values[i])
    return tuple(values)


def _continue_sequences(into: Connection) -> None:
    """Let PostgreSQL number new rows after the copied ones; SQLite does so by itself."""
    if into.dialect.name != "postgresql":
        return
    for name in METADATA.tables:
        largest = int(into.execute(text(f"SELECT max(id) FROM {name}")).scalar() or 0)
        if name == "source":
            # The number of a removed source is never given again.
            removed = into.execute(text("SELECT max(source_id) FROM source_event")).scalar()
            largest = max(largest, int(removed or 0))
        if largest:
            into.execute(text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {largest})"))
