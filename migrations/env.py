"""Alembic environment: the connection comes from the library, or from alembic.ini for developers."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection, TypeDecorator, create_engine

from catalog.schema.tables import METADATA


def render_item(kind: str, item: Any, _context: Any) -> str | bool:
    """Write our types as their plain SQL types: a migration must not depend on today's classes."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{type(item.impl_instance).__name__}()"
    return False


def migrate(connection: Connection) -> None:
    """Run the migrations on one connection, within the caller's transaction."""
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=render_item,
        compare_type=True,
        include_name=lambda name, kind, _parents: not (kind == "table" and name == "alembic_version"),
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "sqlite://")
    with engine.connect() as own, own.begin():
        migrate(own)
