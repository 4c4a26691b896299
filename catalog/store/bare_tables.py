"""Tables without foreign keys and indexes while a whole catalog is copied into them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.schema import AddConstraint, CreateIndex, DropConstraint, DropIndex

from catalog.schema.tables import METADATA


@contextmanager
def bare_tables(connection: Connection) -> Iterator[None]:
    """Take foreign keys and indexes off our tables on PostgreSQL, and put them back at the end of the block.

    The server asks for each foreign key row by row, which takes as long as storing the row, and longer the
    more rows one transaction has; put back, all rows are checked by one query. Nobody else may use the tables
    meanwhile. SQLite cannot take them off, and asks quickly.

    Raises
    ------
    sqlalchemy.exc.IntegrityError
        At the end, for rows that refer to what is not there.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    tables = METADATA.sorted_tables
    references = [key for table in tables for key in table.foreign_key_constraints]
    indexes = [index for table in tables for index in table.indexes]
    for key in references:
        connection.execute(DropConstraint(key))
    for index in indexes:
        connection.execute(DropIndex(index))
    yield
    for index in indexes:
        connection.execute(CreateIndex(index))
    for key in references:
        connection.execute(AddConstraint(key, isolate_from_table=False))
