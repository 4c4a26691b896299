"""Tables of extractions and their regions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped

from catalog.schema.base import (
    Base,
    column,
    fraction_checks,
    key,
    positive_checks,
    reference,
    run_reference,
)


class Extraction(Base):
    """One source in one event set under one recipe."""

    __tablename__ = "extraction"
    __table_args__ = (
        UniqueConstraint("source_id", "event_set_id", "recipe_id"),
        *positive_checks("theta", "livetime", "radius_aper", "area_aper", "area_aperbkg", "cnts_per_frame"),
        *fraction_checks("good_frac", "good_frac_area_aper", "good_frac_area_aperbkg"),
        {"comment": "One source in one event set under one recipe"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    source_id: Mapped[int] = reference("source")
    event_set_id: Mapped[int] = reference("event_set")
    recipe_id: Mapped[int] = reference("recipe")
    flags: Mapped[int] = column("flags")
    x: Mapped[float | None] = column("x")
    y: Mapped[float | None] = column("y")
    theta: Mapped[float | None] = column("theta")
    phi: Mapped[float | None] = column("phi")
    chip_id: Mapped[int | None] = column("chip_id")
    chipx: Mapped[float | None] = column("chipx")
    chipy: Mapped[float | None] = column("chipy")
    in_fov: Mapped[bool] = column("in_fov")
    near_edge: Mapped[bool] = column("near_edge")
    livetime: Mapped[float | None] = column("livetime")
    radius_aper: Mapped[float | None] = column("radius_aper")
    good_frac: Mapped[float | None] = column("good_frac")
    theta_aperbkg: Mapped[float | None] = column("theta_aperbkg")
    good_frac_area_aper: Mapped[float | None] = column("good_frac_area_aper")
    good_frac_area_aperbkg: Mapped[float | None] = column("good_frac_area_aperbkg")
    area_aper: Mapped[float | None] = column("area_aper")
    area_aperbkg: Mapped[float | None] = column("area_aperbkg")
    cnts_per_frame: Mapped[float | None] = column("cnts_per_frame")
    events_aper: Mapped[bytes | None] = column("events_aper")
    events_aperbkg: Mapped[bytes | None] = column("events_aperbkg")


class RegionRow(Base):
    """A source or background aperture or a mask of an extraction, in sky pixels."""

    __tablename__ = "region"
    __table_args__ = (
        UniqueConstraint("extraction_id", "role"),
        CheckConstraint("role IN ('source', 'background', 'mask')", name="role"),
        *positive_checks("area_pix"),
        {"comment": "Apertures, background regions and masks, exact geometry in sky pixels"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    extraction_id: Mapped[int] = reference("extraction")
    role: Mapped[str] = column("role")
    shape: Mapped[dict[str, Any]] = column("shape")
    area_pix: Mapped[float] = column("area_pix")
    edited: Mapped[bool] = column("edited")
    note: Mapped[str | None] = column("note")
