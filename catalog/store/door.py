"""The one write door: every write of the project passes through `Store.write`.

A write is one transaction. On SQLite it begins IMMEDIATE, so that two writers queue instead of failing; on
PostgreSQL it is an ordinary transaction. Rows are checked by whole columns before they reach the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Table, bindparam, delete, func, insert, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql import ColumnElement

from catalog.errors import ProjectError
from catalog.schema.base import FiniteDouble
from catalog.store.database_errors import explained, where_is

Row = Mapping[str, Any]


class Writer:
    """What may be written within one transaction: insert, ensure, upsert, delete.

    `insert` fails on a row whose key is there, `ensure` leaves it as it is, `upsert` replaces its values. All
    take any number of rows with the same columns, and refuse NaN and infinity in any of them.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def insert(self, model: type[DeclarativeBase], rows: Sequence[Row]) -> list[int]:
        """Insert rows and return their ids in order."""
        if not rows:
            return []
        table = _table(model)
        check_finite(table, rows)
        statement = insert(table).returning(table.c.id, sort_by_parameter_order=True)
        return list(self.connection.scalars(statement, list(rows)))

    def ensure(self, model: type[DeclarativeBase], rows: Sequence[Row], key: Sequence[str]) -> int:
        """Insert the rows whose natural key is not there; return how many were new."""
        if not rows:
            return 0
        table = _table(model)
        check_finite(table, rows)
        before = self._count(table)
        self.connection.execute(
            self._insert(table).on_conflict_do_nothing(index_elements=list(key)), list(rows)
        )
        return self._count(table) - before

    def upsert(self, model: type[DeclarativeBase], rows: Sequence[Row], key: Sequence[str]) -> None:
        """Insert rows, or replace the given values of rows whose natural key is there."""
        if not rows:
            return
        table = _table(model)
        check_finite(table, rows)
        statement = self._insert(table)
        changed = {name: statement.excluded[name] for name in rows[0] if name not in key}
        self.connection.execute(
            statement.on_conflict_do_update(index_elements=list(key), set_=changed), list(rows)
        )

    def update(self, model: type[DeclarativeBase], row_id: int, values: Row) -> None:
        """Change values of one row."""
        table = _table(model)
        check_finite(table, [values])
        self.connection.execute(table.update().where(table.c.id == row_id).values(dict(values)))

    def update_many(self, model: type[DeclarativeBase], rows: Sequence[Row]) -> None:
        """Change values of many rows; each has its ``id`` and the same columns."""
        if not rows:
            return
        table = _table(model)
        check_finite(table, rows)
        names = [name for name in rows[0] if name != "id"]
        statement = (
            table.update()
            .where(table.c.id == bindparam("row_id"))
            .values({name: bindparam(f"new_{name}") for name in names})
        )
        values = [{"row_id": row["id"], **{f"new_{name}": row[name] for name in names}} for row in rows]
        self.connection.execute(statement, values)

    def delete(self, model: type[DeclarativeBase], condition: ColumnElement[bool]) -> int:
        """Delete the rows that meet a condition, with all that hangs on them; return how many met it."""
        return self.connection.execute(delete(_table(model)).where(condition)).rowcount

    def _insert(self, table: Table) -> Any:
        engine_insert: Callable[[Table], Any] = (
            sqlite_insert if self.connection.dialect.name == "sqlite" else postgresql_insert
        )
        return engine_insert(table)

    def _count(self, table: Table) -> int:
        return int(self.connection.scalar(select(func.count()).select_from(table)) or 0)


def _table(model: type[DeclarativeBase]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)
    return table


def check_finite(table: Table, rows: Sequence[Row]) -> None:
    """Refuse rows whose columns differ, and NaN and infinity, column by column.

    Raises
    ------
    ValueError
        Names the table and column concerned. This is a defect of the caller, not of the input: a stage turns
        what it cannot give into None and sets a flag.
    """
    columns = rows[0].keys()
    # A bulk statement is made for the first row: what only a later row has would be lost without a word.
    unlike = next((row.keys() ^ columns for row in rows if row.keys() != columns), None)
    if unlike is not None:
        raise ValueError(f"rows of {table.name} with different columns: {', '.join(sorted(unlike))}")
    for column in table.columns:
        if not isinstance(column.type, FiniteDouble) or column.name not in rows[0]:
            continue
        values = np.array([row[column.name] for row in rows if row[column.name] is not None], dtype=float)
        if not np.isfinite(values).all():
            raise ValueError(f"NaN or infinity in {table.name}.{column.name}: use None and a flag")


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
            with self.engine.connect() as connection:
                # Not waiting for readers: what they still need stays in the log until another writer closes.
                connection.exec_driver_sql("PRAGMA busy_timeout = 0")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
