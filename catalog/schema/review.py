"""Tables of values given by plugins and of decisions taken by people."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from catalog.schema.base import Base, column, key, reference, run_reference


class PluginValue(Base):
    """A value that a plugin gave for an extraction and band."""

    __tablename__ = "plugin_value"
    __table_args__ = (
        UniqueConstraint("extraction_id", "band_id", "plugin", "key"),
        {"comment": "Values given by plugins"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    extraction_id: Mapped[int] = reference("extraction")
    band_id: Mapped[int] = reference("band", delete="RESTRICT")
    plugin: Mapped[str] = column("plugin")
    key: Mapped[str] = column("key")
    value: Mapped[float | None] = column("value")
    unit: Mapped[str | None] = column("unit")


class ReviewDecision(Base):
    """A decision that a person took on a source."""

    __tablename__ = "review_decision"
    __table_args__ = ({"comment": "Decisions of people on sources"},)

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    source_id: Mapped[int] = reference("source")
    reviewer: Mapped[str] = column("reviewer")
    decision: Mapped[str] = column("decision")
    decided_at: Mapped[datetime] = column("decided_at")
    why: Mapped[str | None] = column("why")
