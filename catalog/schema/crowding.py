"""Tables of crowding: what it did to regions, and the light that neighbours send into them."""

from __future__ import annotations

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


class Crowding(Base):
    """What crowding did to the regions of one extraction; no row without a source aperture."""

    __tablename__ = "crowding"
    __table_args__ = (
        UniqueConstraint("extraction_id"),
        *fraction_checks("psf_frac_target", "psf_frac_contour", "overlap", "clipped_frac"),
        *positive_checks("bkg_correction", "bkg_imbalance"),
        CheckConstraint("crowding IN ('none', 'excluded', 'divided', 'shrunk', 'drawn')", name="crowding"),
        {"comment": "What crowding did to the regions of one extraction"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    extraction_id: Mapped[int] = reference("extraction")
    crowding: Mapped[str | None] = column("crowding")
    psf_frac_target: Mapped[float | None] = column("psf_frac_target")
    psf_frac_contour: Mapped[float | None] = column("psf_frac_contour")
    overlap: Mapped[float | None] = column("overlap")
    clipped_frac: Mapped[float | None] = column("clipped_frac")
    bkg_correction: Mapped[float | None] = column("bkg_correction")
    bkg_imbalance: Mapped[float | None] = column("bkg_imbalance")


class NeighbourLight(Base):
    """Expected counts of one neighbour in aperture and background of one extraction and band."""

    __tablename__ = "neighbour_light"
    __table_args__ = (
        UniqueConstraint("extraction_id", "band_id", "neighbour_id"),
        *positive_checks("contam_cnts_aper", "contam_cnts_aperbkg"),
        {"comment": "Expected counts of the strongest neighbours in aperture and background"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    extraction_id: Mapped[int] = reference("extraction")
    band_id: Mapped[int] = reference("band", delete="RESTRICT")
    neighbour_id: Mapped[int] = reference("source", name="neighbour_id")
    contam_cnts_aper: Mapped[float | None] = column("contam_cnts_aper")
    contam_cnts_aperbkg: Mapped[float | None] = column("contam_cnts_aperbkg")
