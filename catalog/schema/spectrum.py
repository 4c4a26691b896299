"""Tables of spectra, responses, spectral fits and position estimates."""

from __future__ import annotations

from typing import Any

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from catalog.schema.base import Base, column, key, reference, run_reference


class Response(Base):
    """A response (ARF or RMF), stored once by content."""

    __tablename__ = "response"
    __table_args__ = (UniqueConstraint("sha256"), {"comment": "Responses shared by content"})

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    product: Mapped[str] = column("product")
    sha256: Mapped[str] = column("sha256")
    columns: Mapped[list[Any]] = column("columns")
    data: Mapped[bytes] = column("data")


class Spectrum(Base):
    """A source or background spectrum of one extraction."""

    __tablename__ = "spectrum"
    __table_args__ = (
        UniqueConstraint("extraction_id", "product"),
        {"comment": "Spectra in 1024 PI channels"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    extraction_id: Mapped[int] = reference("extraction")
    product: Mapped[str] = column("product")
    response_id: Mapped[int | None] = reference("response", null=True, delete="RESTRICT")
    columns: Mapped[list[Any]] = column("columns")
    data: Mapped[bytes] = column("data")


class SpectralFit(Base):
    """A model fitted to the spectra of a merge."""

    __tablename__ = "spectral_fit"
    __table_args__ = (
        UniqueConstraint("merge_id", "model"),
        {"comment": "Spectral models fitted to merges"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    merge_id: Mapped[int] = reference("merge")
    model: Mapped[str] = column("model")
    parameters: Mapped[dict[str, Any]] = column("parameters")
    statistic: Mapped[float | None] = column("statistic")
    degrees_of_freedom: Mapped[int | None] = column("degrees_of_freedom")


class PositionEstimate(Base):
    """A position measured from the events of a merge."""

    __tablename__ = "position_estimate"
    __table_args__ = (
        UniqueConstraint("merge_id", "method"),
        {"comment": "Positions measured from the events of a merge"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    merge_id: Mapped[int] = reference("merge")
    method: Mapped[str] = column("method")
    ra: Mapped[float] = column("ra")
    dec: Mapped[float] = column("dec")
    error_radius: Mapped[float | None] = column("error_radius")
