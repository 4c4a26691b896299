"""The table of regions that a person drew; what is measured in is in `region`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped

from catalog.schema.base import Base, column, key, positive_checks, reference, run_reference


class UserRegion(Base):
    """An aperture or background that a person drew; it takes the place of the computed one until released.

    Kept by event set, not by extraction: it survives whatever becomes of those.
    """

    __tablename__ = "user_region"
    __table_args__ = (
        UniqueConstraint("source_id", "event_set_id", "recipe_id", "role"),
        CheckConstraint("role IN ('source', 'background')", name="role"),
        *positive_checks("area_pix", "reach"),
        {"comment": "Apertures and background regions drawn by a person, in force until released"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    source_id: Mapped[int] = reference("source")
    event_set_id: Mapped[int] = reference("event_set")
    recipe_id: Mapped[int] = reference("recipe")
    role: Mapped[str] = column("role")
    shape: Mapped[dict[str, Any]] = column("shape")
    area_pix: Mapped[float] = column("area_pix")
    ra: Mapped[float] = column("ra")
    dec: Mapped[float] = column("dec")
    reach: Mapped[float] = column("reach")
    region_file: Mapped[str] = column("region_file")
    note: Mapped[str | None] = column("note")
