"""Many rows at once: checked as a block, written by executemany (SQLite) or COPY (PostgreSQL)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Integer, LargeBinary, Table, Text, TypeDecorator
from sqlalchemy import types as sqltypes
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from catalog.schema.base import FiniteDouble

Row = Mapping[str, Any]
Values = tuple[Any, ...]

_STAGED = "srccat_staged"
_POSTGRES_TYPES: tuple[tuple[type[sqltypes.TypeEngine[Any]], str], ...] = (
    (sqltypes.BigInteger, "int8"),
    (Integer, "int4"),
    (sqltypes.Double, "float8"),
    (Boolean, "bool"),
    (LargeBinary, "bytea"),
    (Text, "text"),
)


@dataclass(frozen=True)
class Block:
    """Rows of one table as the driver takes them.

    Attributes
    ----------
    table
        The table.
    names
        The columns given.
    values
        One tuple a row, in the order of `names`.
    """

    table: Table
    names: tuple[str, ...]
    values: list[Values]

    def with_ids(self, ids: Sequence[int]) -> Block:
        """Return the same rows with their row numbers in front."""
        return Block(
            self.table,
            ("id", *self.names),
            [(row_id, *row) for row_id, row in zip(ids, self.values, strict=True)],
        )


def make_block(connection: Connection, table: Table, rows: Sequence[Row]) -> Block:
    """Check rows as a whole and turn their values into those of the driver.

    Raises
    ------
    ValueError
        Rows whose columns differ, NaN or infinity: a defect of the caller, not of the input. A stage turns
        what it cannot give into None and sets a flag.
    """
    names = tuple(rows[0])
    values = _tuples(table, rows, names)
    refuse_not_finite(table, names, values)
    constants = {
        column.name: column.default.arg
        for column in table.columns
        if column.name not in rows[0] and isinstance(column.default, ScalarElementColumnDefault)
    }
    if constants:
        more = tuple(constants.values())
        names, values = (*names, *constants), [row + more for row in values]
    return Block(table, names, _converted(connection, table, names, values))


def _tuples(table: Table, rows: Sequence[Row], names: tuple[str, ...]) -> list[Values]:
    first = rows[0].keys()
    # As many columns, and each of the first row's: the same ones. Comparing all names would cost more.
    if any(length != len(names) for length in map(len, rows)):
        raise _unlike(table, next(row.keys() ^ first for row in rows if len(row) != len(names)))
    try:
        if len(names) == 1:
            return [(row[names[0]],) for row in rows]
        return list(map(itemgetter(*names), rows))
    except KeyError:
        raise _unlike(table, next(row.keys() ^ first for row in rows if row.keys() != first)) from None


def _unlike(table: Table, names: set[str]) -> ValueError:
    return ValueError(f"rows of {table.name} with different columns: {', '.join(sorted(names))}")


def refuse_not_finite(table: Table, names: Sequence[str], values: Sequence[Values]) -> None:
    """Refuse NaN and infinity in the float columns of rows.

    Raises
    ------
    ValueError
        Names the table and column.
    """
    columns = [i for i, name in enumerate(names) if isinstance(table.c[name].type, FiniteDouble)]
    if not columns:
        return
    # Of one column alone the getter would give the value, not a tuple of one.
    chosen = itemgetter(*columns) if len(columns) > 1 else itemgetter(slice(columns[0], columns[0] + 1))
    numbers = chain.from_iterable(map(chosen, values))
    # One NaN or infinity spoils the sum of all; a sum of healthy numbers may itself overflow, so look again.
    if math.isfinite(sum(filter(None, numbers))):
        return
    for i in columns:
        if not all(math.isfinite(row[i]) for row in values if row[i] is not None):
            raise ValueError(f"NaN or infinity in {table.name}.{names[i]}: use None and a flag")


def _converted(
    connection: Connection, table: Table, names: Sequence[str], values: list[Values]
) -> list[Values]:
    """Apply what the column types do to a value on its way in; most do nothing."""
    dialect = connection.dialect
    processors = {}
    for i, name in enumerate(names):
        kind = table.c[name].type
        # Numbers were checked above, and both drivers take bytes as they are.
        if not isinstance(kind, FiniteDouble | LargeBinary):
            processor = kind.dialect_impl(dialect).bind_processor(dialect)
            if processor is not None:
                processors[i] = processor
    if not processors:
        return values
    columns: list[Any] = list(zip(*values, strict=True))
    for i, processor in processors.items():
        columns[i] = map(processor, columns[i])
    return list(zip(*columns, strict=True))


def take_ids(connection: Connection, table: Table, number: int, above: int = 0) -> list[int]:
    """Return row numbers for new rows of a table, in rising order.

    On SQLite those after the largest one there, or after `above`: the writer is alone. On PostgreSQL from the
    table's sequence, which gives no number twice.
    """
    if connection.dialect.name == "sqlite":
        largest = connection.exec_driver_sql(f"SELECT max(id) FROM {table.name}").scalar()
        start = max(int(largest or 0), above) + 1
        return list(range(start, start + number))
    statement = (
        f"SELECT nextval(pg_get_serial_sequence('{table.name}', 'id')) FROM generate_series(1, {number})"
    )
    return sorted(int(row_id) for row_id in connection.exec_driver_sql(statement).scalars())


def load(connection: Connection, block: Block) -> None:
    """Insert the rows of a block; a row whose key is there is an error."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_insert_sql(connection, block), block.values)
    else:
        _copy(connection, block, block.table.name)


def load_or(connection: Connection, block: Block, key: Sequence[str], *, replace: bool) -> int:
    """Insert the rows of a block; where the key is there, replace the given values or leave the row.

    Returns
    -------
    int
        Rows inserted or replaced.
    """
    quote = connection.dialect.identifier_preparer.quote
    conflict = f" ON CONFLICT ({', '.join(map(quote, key))}) DO "
    changed = [quote(name) for name in block.names if name not in key]
    if replace and changed:
        conflict += "UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in changed)
    else:
        conflict += "NOTHING"
    if connection.dialect.name == "sqlite":
        statement = _insert_sql(connection, block) + conflict
        return connection.exec_driver_sql(statement, block.values).rowcount
    names = ", ".join(map(quote, block.names))
    return _through_staging(
        connection, block, f"INSERT INTO {block.table.name} ({names}) SELECT {names} FROM {_STAGED}{conflict}"
    )


def change(connection: Connection, block: Block) -> None:
    """Change the rows of a block, found by their ``id``, to the values given."""
    quote = connection.dialect.identifier_preparer.quote
    table = block.table.name
    names = [name for name in block.names if name != "id"]
    if connection.dialect.name == "sqlite":
        order = itemgetter(*(block.names.index(name) for name in (*names, "id")))
        assigned = ", ".join(f"{quote(name)} = ?" for name in names)
        statement = f"UPDATE {table} SET {assigned} WHERE id = ?"
        connection.exec_driver_sql(statement, list(map(order, block.values)))
        return
    assigned = ", ".join(f"{quote(name)} = {_STAGED}.{quote(name)}" for name in names)
    statement = f"UPDATE {table} SET {assigned} FROM {_STAGED} WHERE {table}.id = {_STAGED}.id"
    _through_staging(connection, block, statement)


def _insert_sql(connection: Connection, block: Block) -> str:
    quote = connection.dialect.identifier_preparer.quote
    names = ", ".join(map(quote, block.names))
    return f"INSERT INTO {block.table.name} ({names}) VALUES ({', '.join('?' * len(block.names))})"


def _through_staging(connection: Connection, block: Block, statement: str) -> int:
    """Copy rows into a table of the session, and let one statement take them from there."""
    names = ", ".join(map(connection.dialect.identifier_preparer.quote, block.names))
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {_STAGED} ON COMMIT DROP AS "
        f"SELECT {names} FROM {block.table.name} WITH NO DATA"
    )
    _copy(connection, block, _STAGED)
    changed = connection.exec_driver_sql(statement).rowcount
    connection.exec_driver_sql(f"DROP TABLE {_STAGED}")
    return changed


def _copy(connection: Connection, block: Block, target: str) -> None:
    names = ", ".join(map(connection.dialect.identifier_preparer.quote, block.names))
    statement = f"COPY {target} ({names}) FROM STDIN (FORMAT BINARY)"
    driver: Any = connection.connection.driver_connection
    failure = connection.dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as stream:
            stream.set_types([_postgres_type(block.table.c[name]) for name in block.names])
            for row in block.values:
                stream.write_row(row)
    except failure as error:
        raise DBAPIError.instance(statement, None, error, failure, dialect=connection.dialect) from error


def _postgres_type(column: Column[Any]) -> str:
    kind = column.type
    plain = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    return next(name for base, name in _POSTGRES_TYPES if isinstance(plain, base))
