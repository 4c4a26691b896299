"""Choose rows and columns of a view and bring them out of the database, always in the same order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from sqlalchemy import Connection, Select, column, exists, func, literal_column, select, table
from sqlalchemy.exc import DBAPIError

from catalog import __version__
from catalog.band import CSC_SUFFIX
from catalog.errors import SettingsError, UnknownNameError
from catalog.export.band_columns import flags_name, limit_names, split_band
from catalog.export.column_buffer import ColumnBuffer, fill_value
from catalog.export.table import Column, ExportTable
from catalog.export.where_clause import check_expression, query_failure, unknown_column
from catalog.schema.column import ColumnDefinition
from catalog.schema.tables import METADATA, BandRow, MergedMeasurement, Recipe, Run
from catalog.schema.views import view_columns
from catalog.store.parts import parts

View = Literal["catalog", "detections"]

_BATCH = 250
"""Rows that are turned into numbers together: few enough to stay in the processor's cache."""
_ORDER = ("ra", "dec", "source_id", "obs_id", "band", "role", "date_obs", "livetime")
_ALWAYS = ("name", "ra", "dec", "obs_id", "radius_aper", "run_id", "flags")


def select_rows(
    connection: Connection,
    view: View,
    recipe: str | None = None,
    where: str | None = None,
    columns: Sequence[str] | None = None,
) -> ExportTable:
    """Return rows of a view under one recipe, ordered by position, observation and band.

    Parameters
    ----------
    connection
        Connection of `Store.read`, which refuses whatever `where` might write.
    view
        `catalog` or `detections`.
    recipe
        Name of the recipe. None takes the only one with rows, or `default` where several have some; the
        metadata's `remark` then names the others.
    where
        SQL expression over the columns of the view.
    columns
        Names of the columns in the order wanted; None for all but those of bands that were never merged.

    Raises
    ------
    UnknownNameError
        A column (UNKNOWN_COLUMN) or recipe (UNKNOWN_RECIPE) that is not there.
    SettingsError
        No column at all, or several recipes without a default (RECIPE_NEEDED).
    QueryError
        A condition that is not one expression, or that the database refuses (BAD_WHERE).
    """
    known = {item.definition.name: item.definition for item in view_columns(view) if item.definition.exported}
    chosen = _chosen_columns(connection, view, known, columns)
    used, remark = _chosen_recipe(connection, view, recipe)
    supporting = _supporting_columns(chosen, known)
    fetched = [known[name] for name in dict.fromkeys((*chosen, *supporting)) if name in known]
    values = _fetch(connection, view, fetched, used, where)
    runs = _describe_runs(connection, values["run_id"])
    metadata = {"creator": f"srccat {__version__}", "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")}
    metadata |= {"where": where} if where else {}
    metadata |= {"remark": remark} if remark else {}
    return ExportTable(
        name=view,
        recipe=used,
        definitions=[known[name] for name in chosen],
        values={name: values[name] for name in chosen},
        support={name: values[name] for name in values if name not in chosen},
        metadata=metadata,
        runs=runs,
        chosen=columns is not None,
    )


def _chosen_columns(
    connection: Connection, view: str, known: dict[str, ColumnDefinition], columns: Sequence[str] | None
) -> list[str]:
    if columns is None:
        merged = exists().where(MergedMeasurement.band_id == BandRow.id)
        measured = {
            CSC_SUFFIX.get(name, "") for name in connection.scalars(select(BandRow.band).where(merged))
        } | {""}
        return [name for name in known if split_band(name)[1] in measured]
    if not columns:
        raise SettingsError("no column to export", view, "name some, or leave the choice of columns out")
    for name in columns:
        if name not in known:
            raise unknown_column(name, known, view)
    return list(dict.fromkeys(columns))


def _supporting_columns(chosen: Iterable[str], known: dict[str, ColumnDefinition]) -> list[str]:
    wanted = [*_ALWAYS, *_ORDER]
    for name in chosen:
        flags = flags_name(name)
        wanted += [*(limit_names(name) or ()), *([flags] if flags else ())]
    return [name for name in wanted if name in known]


def _chosen_recipe(connection: Connection, view: str, recipe: str | None) -> tuple[str, str]:
    known = sorted(connection.scalars(select(Recipe.recipe)))
    if recipe is not None:
        if recipe not in known:
            todo = f"the database has {', '.join(known)}" if known else "the database has no recipe yet"
            raise UnknownNameError("no such recipe", recipe, todo, code="UNKNOWN_RECIPE")
        return recipe, ""
    rows = table(view, column("recipe"))
    filled = sorted(
        connection.scalars(select(Recipe.recipe).where(exists().where(rows.c.recipe == Recipe.recipe)))
    )
    candidates = filled or known
    if not candidates:
        return "", "the database has no recipe yet"
    if len(candidates) == 1:
        return candidates[0], ""
    if "default" not in candidates:
        raise SettingsError(
            "rows of several recipes, none of them named default",
            ", ".join(candidates),
            "name one recipe",
            code="RECIPE_NEEDED",
        )
    others = ", ".join(name for name in candidates if name != "default")
    return "default", f"recipe default was taken; there are also {others}"


def _fetch(
    connection: Connection, view: View, fetched: list[ColumnDefinition], recipe: str, where: str | None
) -> dict[str, Column]:
    every = [item.definition.name for item in view_columns(view)]
    empty = _empty_columns(connection, view)
    present = [item for item in fetched if item.name not in empty]
    rows: Select[*tuple[Any, ...]] = select(*(column(item.name) for item in present))
    rows = rows.select_from(table(view)).where(column("recipe") == recipe)
    if where is not None:
        check_expression(where, every, view)
        rows = rows.where(literal_column(f"({where})"))
    try:
        number = int(connection.scalar(rows.with_only_columns(func.count())) or 0)
        buffers = {item.name: ColumnBuffer(item, number) for item in fetched}
        found = _read(connection, rows, [buffers[item.name] for item in present])
    except DBAPIError as error:
        if where is None:
            raise
        failure = query_failure(error, where, every, view)
        if failure is error:
            raise
        raise failure from None
    for name in buffers.keys() & empty:
        buffers[name].extend([None] * found)
    return _in_order(fetched, buffers)


def _read(connection: Connection, rows: Select[*tuple[Any, ...]], buffers: Sequence[ColumnBuffer]) -> int:
    """Fill buffers with the columns of a query, and return the number of rows."""
    found = 0
    for part in parts(connection, rows, _BATCH):
        for buffer, cells in zip(buffers, zip(*part, strict=True), strict=True):
            buffer.extend(cells)
        found += len(part)
    return found


def _empty_columns(connection: Connection, view: View) -> set[str]:
    """Columns of tables that no stage has filled: they are NULL, and joining their tables is for nothing."""
    columns = view_columns(view)
    tables = {item.optional for item in columns if item.optional}
    empty = {
        name for name in tables if not connection.scalar(select(exists().select_from(METADATA.tables[name])))
    }
    return {item.definition.name for item in columns if item.optional in empty}


def _in_order(fetched: list[ColumnDefinition], buffers: dict[str, ColumnBuffer]) -> dict[str, Column]:
    """Sort the rows, freeing each buffer when its column is done."""
    joined: dict[str, Column] = {}
    for definition in fetched:
        joined[definition.name] = buffers.pop(definition.name).column()
    # The engines collate text each in its own way, so that the order is made here.
    kinds = {definition.name: definition for definition in fetched}
    ordering = [name for name in reversed(_ORDER) if name in kinds]
    order = np.lexsort([joined[name].filled(fill_value(kinds[name])) for name in ordering])
    values: dict[str, Column] = {}
    for definition in fetched:
        column = joined.pop(definition.name)
        values[definition.name] = column if _is_empty(column) else column[order]
    return values


def _is_empty(column: Column) -> bool:
    return column.dtype.kind == "f" and column.strides == (0,)


def _describe_runs(connection: Connection, run_id: Column) -> tuple[str, ...]:
    present = {int(number) for number in run_id.compressed()}
    rows = connection.execute(
        select(Run.id, Run.started_at, Run.code_version, Run.settings_hash).order_by(Run.id)
    )
    return tuple(
        f"run {row.id}: {row.started_at:%Y-%m-%dT%H:%M:%S}, srccat {row.code_version}, "
        f"settings {row.settings_hash[:12]}"
        for row in rows
        if row.id in present
    )
