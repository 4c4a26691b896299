"""Tables of merges: chosen sets of extractions of one source, and what is measured of them together."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped

from catalog.schema.base import Base, column, key, positive_checks, reference, run_reference
from catalog.schema.measurement import Photometry, photometry_checks


class Merge(Base):
    """A chosen set of extractions of one source under one recipe, with a purpose."""

    __tablename__ = "merge"
    __table_args__ = (
        UniqueConstraint("source_id", "recipe_id", "purpose"),
        CheckConstraint("purpose IN ('photometry', 'position', 'validity')", name="purpose"),
        *positive_checks("n_obs", "livetime"),
        {"comment": "Chosen sets of extractions of one source, with a purpose"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    source_id: Mapped[int] = reference("source")
    recipe_id: Mapped[int] = reference("recipe")
    purpose: Mapped[str] = column("purpose")
    flags: Mapped[int] = column("flags")
    all_flags: Mapped[int | None] = column("all_flags")
    n_obs: Mapped[int] = column("n_obs")
    livetime: Mapped[float | None] = column("livetime")
    theta_min: Mapped[float | None] = column("theta_min")
    theta_mean: Mapped[float | None] = column("theta_mean")
    hard_hm: Mapped[float | None] = column("hard_hm")
    hard_hm_lolim: Mapped[float | None] = column("hard_hm_lolim")
    hard_hm_hilim: Mapped[float | None] = column("hard_hm_hilim")
    hard_ms: Mapped[float | None] = column("hard_ms")
    hard_ms_lolim: Mapped[float | None] = column("hard_ms_lolim")
    hard_ms_hilim: Mapped[float | None] = column("hard_ms_hilim")
    hard_hs: Mapped[float | None] = column("hard_hs")
    hard_hs_lolim: Mapped[float | None] = column("hard_hs_lolim")
    hard_hs_hilim: Mapped[float | None] = column("hard_hs_hilim")


class MergeMember(Base):
    """Membership of an extraction in a merge, used or left out with a reason."""

    __tablename__ = "merge_member"
    __table_args__ = (
        UniqueConstraint("merge_id", "extraction_id"),
        {"comment": "Extractions considered by a merge, used or left out"},
    )

    id: Mapped[int] = key()
    merge_id: Mapped[int] = reference("merge")
    extraction_id: Mapped[int] = reference("extraction")
    used: Mapped[bool] = column("used")
    reason: Mapped[str | None] = column("reason")


class MergedMeasurement(Photometry, Base):
    """One merge in one band."""

    __tablename__ = "merged_measurement"
    __table_args__ = (
        UniqueConstraint("merge_id", "band_id"),
        *photometry_checks(),
        {"comment": "One merge in one band: joint values over the observations used"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    merge_id: Mapped[int] = reference("merge")
    band_id: Mapped[int] = reference("band", delete="RESTRICT")
    response_ratio_min: Mapped[float | None] = column("response_ratio_min")
    response_ratio_max: Mapped[float | None] = column("response_ratio_max")
