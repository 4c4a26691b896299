"""Tables of sources and their history."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped

from catalog.schema.base import Base, column, key, run_reference


class Source(Base):
    """A position on the sky with a stable number; its name is derived from it, never a key."""

    __tablename__ = "source"
    __table_args__ = (
        UniqueConstraint("origin_hpx29"),
        CheckConstraint("ra >= 0 AND ra < 360 AND dec BETWEEN -90 AND 90", name="position"),
        {"comment": "Positions on the sky"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    origin_hpx29: Mapped[int] = column("origin_hpx29")
    name: Mapped[str] = column("name", index=True)
    label: Mapped[str | None] = column("label")
    origin: Mapped[str] = column("origin")
    ra: Mapped[float] = column("ra")
    dec: Mapped[float] = column("dec")
    hpx29: Mapped[int] = column("hpx29", index=True)


class SourceEvent(Base):
    """What happened to a source; stays when the source is removed, so it refers to it by natural key.

    `source_id` and `label` are those that the source had; NULL in what was recorded before schema 0002.
    """

    __tablename__ = "source_event"
    __table_args__ = (
        CheckConstraint("action IN ('added', 'moved', 'removed', 'renamed')", name="action"),
        {"comment": "History of sources: added, moved, removed, renamed, by whom, why"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    origin_hpx29: Mapped[int] = column("origin_hpx29", index=True)
    name: Mapped[str] = column("name")
    action: Mapped[str] = column("action")
    happened_at: Mapped[datetime] = column("happened_at")
    user_name: Mapped[str | None] = column("user_name")
    old_value: Mapped[str | None] = column("old_value")
    new_value: Mapped[str | None] = column("new_value")
    why: Mapped[str | None] = column("why")
    source_id: Mapped[int | None] = column("source_id", null=True)
    label: Mapped[str | None] = column("label")
