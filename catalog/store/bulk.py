"""Many rows at once: checked piece by piece on their way into executemany (SQLite) or COPY (PostgreSQL)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, repeat
from operator import eq, itemgetter
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Integer, LargeBinary, Table, Text, TypeDecorator
from sqlalchemy import types as sqltypes
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from catalog.schema.base import FiniteDouble

Row = Mapping[str, Any]
Values = tuple[Any, ...]

_STAGED = "srccat_staged"
_PIECE = 200
"""Rows that are turned into the driver's form together: few enough to stay in the processor's cache."""
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
        One tuple a row, in the order of `names`; may be read once only.
    """

    table: Table
    names: tuple[str, ...]
    values: Iterable[Values]


def make_block(
    connection: Connection, table: Table, rows: Sequence[Row], ids: Sequence[int] | None = None
) -> Block:
    """Return the block of rows, with their row numbers in front where `ids` gives them.

    Its values are made when the driver asks for them. ValueError is raised then for rows whose columns
    differ, NaN or infinity: a defect of the caller, not of the input. A stage turns what it cannot give into
    None and sets a flag.
    """
    names = tuple(rows[0])
    constants = {
        column.name: column.default.arg
        for column in table.columns
        if column.name not in rows[0] and isinstance(column.default, ScalarElementColumnDefault)
    }
    pieces = _pieces(connection, table, rows, names, tuple(constants.items()), ids)
    first = () if ids is None else ("id",)
    return Block(table, (*first, *names, *constants), chain.from_iterable(pieces))


def _pieces(
    connection: Connection,
    table: Table,
    rows: Sequence[Row],
    names: tuple[str, ...],
    constants: tuple[tuple[str, Any], ...],
    ids: Sequence[int] | None,
) -> Iterator[Sequence[Values]]:
    given = names if ids is None else ("id", *names)
    refuse, convert = finite_check(table, given), _converter(connection, table, given)
    more = tuple(_converter(connection, table, (name,))([(value,)])[0][0] for name, value in constants)
    for start in range(0, len(rows), _PIECE):
        end = start + _PIECE
        piece = _tuples(table, rows[start:end], names, None if ids is None else ids[start:end])
        refuse(piece)
        piece = convert(piece)
        yield [row + more for row in piece] if more else piece


def _tuples(
    table: Table, rows: Sequence[Row], names: tuple[str, ...], ids: Sequence[int] | None
) -> list[Values]:
    if not all(map(eq, map(tuple, rows), repeat(names))):
        unlike = next((row.keys() ^ set(names) for row in rows if row.keys() != set(names)), None)
        if unlike is not None:
            raise ValueError(f"rows of {table.name} with different columns: {', '.join(sorted(unlike))}")
        rows = [{name: row[name] for name in names} for row in rows]
    if ids is None:
        return [tuple(row.values()) for row in rows]
    return [(row_id, *row.values()) for row_id, row in zip(ids, rows, strict=True)]


def finite_check(table: Table, names: Sequence[str]) -> Callable[[Sequence[Values]], None]:
    """Return a function that refuses NaN and infinity in the float columns of rows.

    It raises ValueError with the table and column.
    """
    columns = [i for i, name in enumerate(names) if isinstance(table.c[name].type, FiniteDouble)]
    if not columns:
        return lambda values: None
    # Of one column alone the getter would give the value, not a tuple of one.
    chosen = itemgetter(*columns) if len(columns) > 1 else itemgetter(slice(columns[0], columns[0] + 1))

    def refuse(values: Sequence[Values]) -> None:
        numbers = chain.from_iterable(map(chosen, values))
        # One NaN or infinity spoils the sum of all; that of healthy numbers may overflow, so look again.
        if math.isfinite(sum(filter(None, numbers))):
            return
        for i in columns:
            if not all(math.isfinite(row[i]) for row in values if row[i] is not None):
                raise ValueError(f"NaN or infinity in {table.name}.{names[i]}: use None and a flag")

    return refuse


def _converter(
    connection: Connection, table: Table, names: Sequence[str]
) -> Callable[[list[Values]], list[Values]]:
    """Return a function that applies what the column types do to a value on its way in; most do nothing."""
    dialect = connection.dialect
    processors = {}
    for i, name in enumerate(names):
        kind = table.c[name].type
        # Numbers are checked by themselves, and both drivers take bytes as they are.
        if not isinstance(kind, FiniteDouble | LargeBinary):
            processor = kind.dialect_impl(dialect).bind_processor(dialect)
            if processor is not None:
                processors[i] = processor
    if not processors:
        return lambda values: values

    def convert(values: list[Values]) -> list[Values]:
        columns: list[Any] = list(zip(*values, strict=True))
        for i, processor in processors.items():
            columns[i] = map(processor, columns[i])
        return list(zip(*columns, strict=True))

    return convert


def take_ids(connection: Connection, table: Table, number: int, above: int = 0) -> Sequence[int]:
    """Return row numbers for new rows of a table, in rising order.

    On SQLite those after the largest one there, or after `above`: the writer is alone. On PostgreSQL from the
    table's sequence, which gives no number twice.
    """
    if connection.dialect.name == "sqlite":
        largest = connection.exec_driver_sql(f"SELECT max(id) FROM {table.name}").scalar()
        start = max(int(largest or 0), above) + 1
        return range(start, start + number)
    sequence = connection.exec_driver_sql(f"SELECT pg_get_serial_sequence('{table.name}', 'id')").scalar()
    statement = f"SELECT nextval('{sequence}') AS id FROM generate_series(1, {number})"
    low, high = connection.exec_driver_sql(f"SELECT min(id), max(id) FROM ({statement}) AS taken").one()
    if high - low + 1 == number:
        return range(low, high + 1)
    # Another writer took some meanwhile; those in between stay unused.
    return sorted(connection.exec_driver_sql(statement).scalars())


def load(connection: Connection, block: Block) -> None:
    """Insert the rows of a block; a row whose key is there is an error."""
    if connection.dialect.name == "sqlite":
        _execute(connection, _insert_sql(connection, block), block)
        return
    with _driver(connection) as driver:
        _copy(driver, block, block.table.name, _listed(connection, block))


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
        return _execute(connection, _insert_sql(connection, block) + conflict, block)
    names = _listed(connection, block)
    return _through_staging(
        connection, block, f"INSERT INTO {block.table.name} ({names}) SELECT {names} FROM {_STAGED}{conflict}"
    )


def change(connection: Connection, block: Block) -> None:
    """Change the rows of a block, found by their ``id``, to the values given."""
    quote = connection.dialect.identifier_preparer.quote
    table = block.table.name
    names = [name for name in block.names if name != "id"]
    if connection.dialect.name == "sqlite":
        place = {name: f"?{i}" for i, name in enumerate(block.names, start=1)}
        assigned = ", ".join(f"{quote(name)} = {place[name]}" for name in names)
        _execute(connection, f"UPDATE {table} SET {assigned} WHERE id = {place['id']}", block)
        return
    assigned = ", ".join(f"{quote(name)} = {_STAGED}.{quote(name)}" for name in names)
    statement = f"UPDATE {table} SET {assigned} FROM {_STAGED} WHERE {table}.id = {_STAGED}.id"
    _through_staging(connection, block, statement)


def _insert_sql(connection: Connection, block: Block) -> str:
    marks = ", ".join("?" * len(block.names))
    return f"INSERT INTO {block.table.name} ({_listed(connection, block)}) VALUES ({marks})"


def _listed(connection: Connection, block: Block) -> str:
    return ", ".join(map(connection.dialect.identifier_preparer.quote, block.names))


def _execute(connection: Connection, statement: str, block: Block) -> int:
    with _driver(connection) as driver:
        return int(driver.executemany(statement, block.values).rowcount)


def _through_staging(connection: Connection, block: Block, statement: str) -> int:
    """Copy rows into a table of the session, and let one statement take them from there."""
    names = _listed(connection, block)
    with _driver(connection) as driver:
        connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE {_STAGED} ON COMMIT DROP AS "
            f"SELECT {names} FROM {block.table.name} WITH NO DATA"
        )
        _copy(driver, block, _STAGED, names)
        changed = connection.exec_driver_sql(statement).rowcount
        connection.exec_driver_sql(f"DROP TABLE {_STAGED}")
    return changed


def _copy(driver: Any, block: Block, target: str, names: str) -> None:
    statement = f"COPY {target} ({names}) FROM STDIN (FORMAT BINARY)"
    with driver.cursor() as cursor, cursor.copy(statement) as stream:
        stream.set_types([_postgres_type(block.table.c[name]) for name in block.names])
        for row in block.values:
            stream.write_row(row)


@contextmanager
def _driver(connection: Connection) -> Iterator[Any]:
    """Give the driver's connection; its errors leave as SQLAlchemy's.

    Where rows are refused on their way, those before them are taken back, and the transaction can go on.
    """
    failure = connection.dialect.loaded_dbapi.Error
    before = connection.begin_nested()
    try:
        yield connection.connection.driver_connection
    except failure as error:
        raise DBAPIError.instance(None, None, error, failure, dialect=connection.dialect) from error
    except ValueError:
        before.rollback()
        raise
    before.commit()


def _postgres_type(column: Column[Any]) -> str:
    kind = column.type
    plain = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    return next(name for base, name in _POSTGRES_TYPES if isinstance(plain, base))
