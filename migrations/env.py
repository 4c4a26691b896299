"""Alembic environment: the connection comes from the library, or from alembic.ini for developers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from alembic import context
from alembic.operations.ops import AddColumnOp, MigrationScript, ModifyTableOps
from sqlalchemy import CheckConstraint, Column, Connection, TypeDecorator, create_engine

from catalog.schema.tables import METADATA

CHECKS = "checks"
"""Where a new column of a script carries its CHECK constraints."""


def render_item(kind: str, item: Any, _context: Any) -> str | bool:
    """Write our types as their plain SQL types: a migration must not depend on today's classes."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{type(item.impl_instance).__name__}()"
    if kind == "column" and item.info.get(CHECKS):
        return render_column(item)
    return False


def render_column(column: Column[Any]) -> str:
    """Write a new column with its CHECK constraints, which Alembic itself leaves out."""
    kind = column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
    parts = [repr(column.name), f"sa.{type(kind).__name__}()"]
    parts += [
        f"sa.CheckConstraint({str(check.sqltext)!r}, name=op.f({str(check.name)!r}))"
        for check in column.info[CHECKS]
    ]
    if column.server_default is not None:
        parts.append(f"server_default=sa.text({str(getattr(column.server_default, 'arg', ''))!r})")
    parts += [f"nullable={column.nullable}", f"comment={column.comment!r}"]
    return f"sa.Column({', '.join(parts)})"


def add_checks(_context: Any, _revision: Any, scripts: Iterable[MigrationScript]) -> None:
    """Give the new columns of a script the CHECK constraints of the models.

    Those of a column go with it, which SQLite can do without a rebuild of the table. One over several columns
    goes with the last of the new ones.
    """
    for script in scripts:
        for change in script.upgrade_ops.ops if script.upgrade_ops else ():
            if isinstance(change, ModifyTableOps):
                _add_to_columns(change)


def _add_to_columns(change: ModifyTableOps) -> None:
    added = {item.column.name: item.column for item in change.ops if isinstance(item, AddColumnOp)}
    checks = [
        item for item in METADATA.tables[change.table_name].constraints if isinstance(item, CheckConstraint)
    ]
    for check in sorted(checks, key=lambda item: str(item.name)):
        words = set(re.findall(r"\w+", str(check.sqltext)))
        mentioned = [name for name in added if name in words]
        if mentioned:
            added[mentioned[-1]].info = {**added[mentioned[-1]].info}
            added[mentioned[-1]].info.setdefault(CHECKS, []).append(check)


def migrate(connection: Connection) -> None:
    """Run the migrations on one connection, within the caller's transaction."""
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=render_item,
        compare_type=True,
        include_name=lambda name, kind, _parents: not (kind == "table" and name == "alembic_version"),
        process_revision_directives=add_checks,
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
