"""Opening stores, and rows for them: a valid one of each table."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import CheckConstraint, Table
from sqlalchemy.orm import DeclarativeBase

from catalog.schema import tables
from catalog.schema.base import Base
from catalog.store.door import Store, Writer
from catalog.store.engine import database_url, open_engine


def open_store(url: str) -> Store:
    return Store(open_engine(database_url(url, Path("/"))))


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


@cache
def first_allowed(table: Table) -> dict[str, str]:
    """First of the texts that a CHECK allows, by column; those where all are allowed are left out."""
    rules = [str(item.sqltext) for item in table.constraints if isinstance(item, CheckConstraint)]
    found = [re.match(r"(\w+) IN \('(\w+)'", rule) for rule in rules]
    return {match[1]: match[2] for match in found if match}


def complete_row(model: type[DeclarativeBase], ids: dict[str, int], **values: Any) -> dict[str, Any]:
    """Return a valid row with a value in every column; references go to `ids` by table."""
    table = tables.METADATA.tables[model.__tablename__]
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.name == "id":
            continue
        if column.foreign_keys:
            row[column.name] = ids[next(iter(column.foreign_keys)).column.table.name]
        else:
            kind = column.info["definition"].kind
            value = _ALLOWED.get(f"{table.name}.{column.name}", first_allowed(table).get(column.name))
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
