"""Free SQL and cones: read-only, errors as sentences."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, ResourceClosedError

from catalog.errors import MissingFileError, ProjectError, QueryError
from catalog.schema.registry import REGISTRY
from catalog.schema.views import VIEW_NAMES, view_columns
from catalog.stages.base.recipe_store import stored_recipes
from catalog.store.cone import sources_in_cone


@dataclass(frozen=True)
class QueryResult:
    """Rows of a query in the order the database gave them; names of columns differ."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def as_csv(self) -> str:
        """Comma-separated text with a head line; NULL is empty."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([[_text(value) for value in row] for row in self.rows])
        return stream.getvalue()

    def as_json(self) -> str:
        """A list of objects; NULL is null, bytes are their length."""
        plain = [
            {name: _plain(value) for name, value in zip(self.columns, row, strict=True)} for row in self.rows
        ]
        return json.dumps(plain, indent=1)

    def write(self, path: Path, format: str) -> None:
        """Write a file in the format csv, json or fits.

        Raises
        ------
        MissingFileError
            Its folder does not exist.
        ProjectError
            It cannot be written.
        """
        if not path.parent.is_dir():
            raise MissingFileError("no such folder", path.parent, "create it first")
        try:
            if format == "fits":
                self.write_fits(path)
            else:
                text = self.as_csv() if format == "csv" else self.as_json() + "\n"
                path.write_text(text, encoding="utf-8")
        except OSError as error:
            reason = error.strerror or "error"
            raise ProjectError(
                f"the file cannot be written ({reason})", path, "check its folder and rights"
            ) from error

    def write_fits(self, path: Path) -> None:
        """Write a FITS table with the units of the registry's columns."""
        from astropy.table import MaskedColumn, Table

        table = Table(masked=True)
        for i, name in enumerate(self.columns):
            cells = [_plain(row[i]) for row in self.rows]
            mask = [cell is None for cell in cells]
            kind = next((type(cell) for cell in cells if cell is not None), float)
            empty: Any = "" if kind is str else kind()
            values = [empty if cell is None else cell for cell in cells]
            definition = _DEFINITIONS.get(name)
            column = MaskedColumn(values, mask=mask, name=name)
            if definition is not None:
                column.unit = definition.unit or None
                column.description = definition.description
            table[name] = column
        table.write(path, format="fits", overwrite=True)


_DEFINITIONS = {
    **REGISTRY,
    **{item.definition.name: item.definition for view in VIEW_NAMES for item in view_columns(view)},
}


def _text(value: Any) -> str:
    plain = _plain(value)
    return "" if plain is None else str(plain)


def _plain(value: Any) -> Any:
    """A value that JSON and FITS can hold: PostgreSQL gives times, decimals and JSON as objects."""
    if isinstance(value, bytes | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value) if isinstance(value, dict | list) else value


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Names of columns, a repeated one with its number: a.name, b.name become name, name_2."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return tuple(found)


def query(connection: Connection, statement: str) -> QueryResult:
    """Run one SQL statement that reads.

    Parameters
    ----------
    connection
        Connection of `Store.read`.
    statement
        The SQL.

    Raises
    ------
    QueryError
        When the database refuses it, or it is not a query.
    """
    try:
        # A colon is SQL's own here, never a parameter.
        result = connection.execute(text(statement.replace(":", r"\:")))
        return QueryResult(_distinct(result.keys()), tuple(tuple(row) for row in result))
    except ResourceClosedError:
        raise QueryError(
            "not a query", statement, "begin with SELECT; the catalog is read-only here"
        ) from None
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        raise QueryError(
            f"the database refuses this query ({reason})", statement, "see docs/columns.md for the columns"
        ) from None


def cone(
    connection: Connection, ra: float, dec: float, radius: float, recipe: str | None = None
) -> QueryResult:
    """Sources within `radius` degrees of a position, nearest first, with their broad-band values.

    One row per source and recipe (all unless one is named); a source that was never merged has its position
    only.

    Raises
    ------
    UnknownNameError
        With code UNKNOWN_RECIPE: the database has no recipe of that name.
    """
    if recipe is not None:
        stored_recipes(connection, [recipe])
    found = sources_in_cone(connection, ra, dec, radius)
    columns = (
        "source_id",
        "name",
        "ra",
        "dec",
        "separation",
        "recipe",
        "n_obs",
        "src_cnts_aper_b",
        "flux_aper_b",
        "flux_aper_lolim_b",
        "flux_aper_hilim_b",
        "src_significance_b",
        "flags",
    )
    rows: list[tuple[Any, ...]] = []
    named = text("SELECT name, ra, dec FROM source WHERE id = :id")
    # A query of its own: joined to another table the engines would make the whole view first.
    measured = text(
        f"SELECT {', '.join(columns[5:])} FROM catalog "
        "WHERE source_id = :id AND (CAST(:recipe AS TEXT) IS NULL OR recipe = :recipe) ORDER BY recipe"
    )
    for source_id, separation in found:
        chosen = {"id": source_id, "recipe": recipe}
        place = connection.execute(named, {"id": source_id}).one()
        values: Sequence[Any] = connection.execute(measured, chosen).all()
        for row in values or [(None,) * len(columns[5:])]:
            rows.append((source_id, *place, round(separation, 3), *row))
    return QueryResult(columns, tuple(rows))
