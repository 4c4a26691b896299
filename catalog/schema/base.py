"""Declarative base: naming convention, types that refuse NaN, and columns made from the registry."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Dialect,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy import types as sqltypes
from sqlalchemy.orm import DeclarativeBase, MappedColumn, mapped_column
from sqlalchemy.types import Double

from catalog.schema.registry import REGISTRY

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

LARGEST = "1.7976931348623157e308"
"""Largest double: a value between its two signs is neither NaN nor infinite, on both engines."""


class FiniteDouble(TypeDecorator[float]):
    """Double precision number that is finite or NULL."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> float | None:
        """Refuse NaN and infinity."""
        if value is None:
            return None
        number = float(value)
        if not math.isfinite(number):
            raise ValueError("NaN and infinity are not stored: use NULL and a flag")
        return number


class UtcTime(TypeDecorator[datetime]):
    """Time in UTC, stored as ISO 8601 text so that both engines sort and print it alike."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Write with microseconds and zone."""
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """Read back as an aware datetime."""
        return None if value is None else datetime.fromisoformat(value)


class JsonText(TypeDecorator[Any]):
    """JSON as text with sorted keys: one content has one form on both engines."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Write compactly; NaN is refused."""
        return None if value is None else canonical_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Parse."""
        return None if value is None else json.loads(value)


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


_TYPES: dict[str, sqltypes.TypeEngine[Any]] = {
    "int": Integer(),
    "bigint": BigInteger(),
    "float": FiniteDouble(),
    "text": Text(),
    "bool": Boolean(),
    "json": JsonText(),
    "binary": LargeBinary(),
    "time": UtcTime(),
}


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


def column(
    name: str,
    *,
    null: bool | None = None,
    index: bool = False,
    default: Any = None,
    server_default: str | None = None,
) -> MappedColumn[Any]:
    """Return the mapped column that the registry defines under `name`.

    Parameters
    ----------
    name
        Name in the registry.
    null
        Whether NULL is allowed; by default where the registry gives NULL a meaning.
    index
        Whether to index it.
    default
        Value where none is given.
    server_default
        Value that the database itself puts in: what rows of an older schema get.
    """
    definition = REGISTRY[name]
    comment = definition.description + (f" [{definition.unit}]" if definition.unit else "")
    return mapped_column(
        name,
        _TYPES[definition.kind],
        nullable=bool(definition.null) if null is None else null,
        index=index,
        default=default,
        server_default=server_default,
        comment=comment,
        info={"definition": definition},
    )


def key() -> MappedColumn[int]:
    """Return the surrogate primary key."""
    return mapped_column("id", Integer, primary_key=True, comment=REGISTRY["id"].description)


def reference(
    target: str,
    *,
    name: str | None = None,
    null: bool = False,
    delete: str = "CASCADE",
    index: bool = True,
) -> MappedColumn[Any]:
    """Return a foreign key column ``<target>_id``, indexed; rows go with what they hang on."""
    column_name = name or f"{target}_id"
    return mapped_column(
        column_name,
        Integer,
        ForeignKey(f"{target}.id", ondelete=delete),
        nullable=null,
        index=index,
        comment=REGISTRY[column_name].description,
        info={"definition": REGISTRY[column_name]},
    )


def run_reference() -> MappedColumn[Any]:
    """Return the run that wrote the row; a run with rows cannot be deleted.

    Without an index: nobody asks for all rows of a run, and each row written would pay for it.
    """
    return reference("run", delete="RESTRICT", index=False)


def require_finite(metadata: MetaData) -> None:
    """Give each float column a CHECK that refuses NaN and infinity on either engine."""
    for table in metadata.tables.values():
        for item in table.columns:
            if isinstance(item.type, FiniteDouble):
                rule = f"{item.name} BETWEEN -{LARGEST} AND {LARGEST}"
                table.append_constraint(CheckConstraint(rule, name=f"{item.name}_finite"))


def drop_covered_indexes(metadata: MetaData) -> None:
    """Take away the indexes that a UNIQUE constraint beginning with the same column already gives."""
    for table in metadata.tables.values():
        covered = {
            next(iter(item.columns)).name for item in table.constraints if isinstance(item, UniqueConstraint)
        }
        for index in list(table.indexes):
            if len(index.columns) == 1 and next(iter(index.columns)).name in covered:
                table.indexes.discard(index)


def posterior_checks(*names: str) -> tuple[CheckConstraint, ...]:
    """Return CHECKs 0 <= lolim <= value <= hilim for posterior columns."""
    return tuple(
        CheckConstraint(
            f"0 <= {name}_lolim AND {name}_lolim <= {name} AND {name} <= {name}_hilim", name=f"{name}_order"
        )
        for name in names
    )


def fraction_checks(*names: str) -> tuple[CheckConstraint, ...]:
    """Return CHECKs that a fraction lies in [0, 1]."""
    return tuple(CheckConstraint(f"{name} BETWEEN 0 AND 1", name=f"{name}_fraction") for name in names)


def positive_checks(*names: str) -> tuple[CheckConstraint, ...]:
    """Return CHECKs that a count, area or exposure is not negative."""
    return tuple(CheckConstraint(f"{name} >= 0", name=f"{name}_positive") for name in names)
