"""The one write door: every write of the project passes through `Store.write`.

A write is one transaction. On SQLite it begins IMMEDIATE, so that two writers queue instead of failing; on
PostgreSQL it is an ordinary transaction. Rows are checked on their way to the driver; where one is refused,
none of its call is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, Engine, Table, delete
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql import ColumnElement

from catalog.errors import ProjectError
from catalog.store.bulk import Row, change, finite_check, load, load_or, make_block, take_ids
from catalog.store.database_errors import explained, where_is


class Writer:
    """What may be written within one transaction: insert, ensure, upsert, delete.

    `insert` fails on a row whose key is there, `ensure` leaves it as it is, `upsert` replaces its values. All
    take any number of rows with the same columns, and refuse NaN and infinity in any of them.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def insert(self, model: type[DeclarativeBase], rows: Sequence[Row], *, above: int = 0) -> list[int]:
        """Insert rows and return their ids in order.

        Parameters
        ----------
        model
            The table.
        rows
            Values by column; with an ``id`` in each, that is kept.
        above
            Ids are larger than this one, however few rows there are.
        """
        if not rows:
            return []
        table = _table(model)
        taken = None if "id" in rows[0] else take_ids(self.connection, table, len(rows), above)
        load(self.connection, make_block(self.connection, table, rows, taken))
        return [int(row["id"]) for row in rows] if taken is None else list(taken)

    def ensure(self, model: type[DeclarativeBase], rows: Sequence[Row], key: Sequence[str]) -> int:
        """Insert the rows whose natural key is not there; return how many were new."""
        if not rows:
            return 0
        block = make_block(self.connection, _table(model), rows)
        return load_or(self.connection, block, key, replace=False)

    def upsert(self, model: type[DeclarativeBase], rows: Sequence[Row], key: Sequence[str]) -> None:
        """Insert rows, or replace the given values of rows whose natural key is there."""
        if rows:
            block = make_block(self.connection, _table(model), rows)
            load_or(self.connection, block, key, replace=True)

    def update(self, model: type[DeclarativeBase], row_id: int, values: Row) -> None:
        """Change values of one row."""
        table = _table(model)
        finite_check(table, tuple(values))([tuple(values.values())])
        self.connection.execute(table.update().where(table.c.id == row_id).values(dict(values)))

    def update_many(self, model: type[DeclarativeBase], rows: Sequence[Row]) -> None:
        """Change values of many rows; each has its ``id`` and the same columns."""
        if rows:
            change(self.connection, make_block(self.connection, _table(model), rows))

    def delete(self, model: type[DeclarativeBase], condition: ColumnElement[bool]) -> int:
        """Delete the rows that meet a condition, with all that hangs on them; return how many met it."""
        return self.connection.execute(delete(_table(model)).where(condition)).rowcount


def _table(model: type[DeclarativeBase]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)
    return table


class Store:
    """An open catalog database.

    Parameters
    ----------
    engine
        Engine made by `open_engine`.
    read_only
        Whether `write` is refused.
    """

    def __init__(self, engine: Engine, *, read_only: bool = False) -> None:
        self.engine = engine
        self.read_only = read_only

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """One transaction: committed at the end of the block, rolled back when it raises."""
        if self.read_only:
            raise ProjectError(
                "the database cannot be written", self.where, "check the rights of the folder and file"
            )
        with (
            explained(self.engine),
            self.engine.connect().execution_options(srccat_write=True) as connection,
            connection.begin(),
        ):
            yield Writer(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of the database: what others commit meanwhile is not seen, writing refused."""
        # SQLite reads from one snapshot by itself, and `open_engine` makes a plain transaction query-only.
        snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        options = snapshot if self.engine.dialect.name == "postgresql" else {}
        with (
            explained(self.engine),
            self.engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection

    @property
    def where(self) -> str:
        """The database as one would name it to the user, without a password."""
        return where_is(self.engine)

    def close(self) -> None:
        """Release connections, after folding the write-ahead log back into the file."""
        if self.engine.dialect.name == "sqlite" and not self.read_only:
            # Where it fails, as on a full disk, the log stays beside the file, and nothing is lost.
            with suppress(DatabaseError), self.engine.connect() as connection:
                # Not waiting for readers: what they still need stays in the log until another writer closes.
                connection.exec_driver_sql("PRAGMA busy_timeout = 0")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
