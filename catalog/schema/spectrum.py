"""Tables of spectra, responses, spectral fits and position estimates."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped

from catalog.schema.base import Base, column, key, positive_checks, reference, run_reference


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
    header: Mapped[dict[str, Any] | None] = column("header")
    arf: Mapped[bytes | None] = column("arf")


FIT_PARAMETERS = ("nh", "photon_index", "kt", "kt2", "norm", "norm2")
"""Parameters that have columns of their own, with 90 % limits; all are in `parameters`."""


class SpectralFit(Base):
    """A model fitted to the spectra of a merge."""

    __tablename__ = "spectral_fit"
    __table_args__ = (
        UniqueConstraint("merge_id", "fit_scope", "model"),
        CheckConstraint(
            "fit_status IN ('ok', 'limit', 'bound', 'not_converged', 'timeout', 'failed')", name="fit_status"
        ),
        {"comment": "Spectral models fitted to merges"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    merge_id: Mapped[int] = reference("merge")
    model: Mapped[str] = column("model")
    parameters: Mapped[dict[str, Any]] = column("parameters")
    statistic: Mapped[float | None] = column("statistic")
    degrees_of_freedom: Mapped[int | None] = column("degrees_of_freedom")
    fit_scope: Mapped[str] = column("fit_scope", server_default="joint")
    absorber: Mapped[str | None] = column("absorber")
    fit_statistic: Mapped[str | None] = column("fit_statistic")
    fit_status: Mapped[str | None] = column("fit_status")
    fit_message: Mapped[str | None] = column("fit_message")
    fit_cnts: Mapped[float | None] = column("fit_cnts")
    n_free: Mapped[int | None] = column("n_free")
    fit_goodness: Mapped[float | None] = column("fit_goodness")
    preferred: Mapped[bool | None] = column("preferred")
    preference: Mapped[str | None] = column("preference")
    fit_frozen: Mapped[str | None] = column("fit_frozen")
    fit_nh: Mapped[float | None] = column("fit_nh")
    fit_nh_lolim: Mapped[float | None] = column("fit_nh_lolim")
    fit_nh_hilim: Mapped[float | None] = column("fit_nh_hilim")
    fit_photon_index: Mapped[float | None] = column("fit_photon_index")
    fit_photon_index_lolim: Mapped[float | None] = column("fit_photon_index_lolim")
    fit_photon_index_hilim: Mapped[float | None] = column("fit_photon_index_hilim")
    fit_kt: Mapped[float | None] = column("fit_kt")
    fit_kt_lolim: Mapped[float | None] = column("fit_kt_lolim")
    fit_kt_hilim: Mapped[float | None] = column("fit_kt_hilim")
    fit_kt2: Mapped[float | None] = column("fit_kt2")
    fit_kt2_lolim: Mapped[float | None] = column("fit_kt2_lolim")
    fit_kt2_hilim: Mapped[float | None] = column("fit_kt2_hilim")
    fit_norm: Mapped[float | None] = column("fit_norm")
    fit_norm_lolim: Mapped[float | None] = column("fit_norm_lolim")
    fit_norm_hilim: Mapped[float | None] = column("fit_norm_hilim")
    fit_norm2: Mapped[float | None] = column("fit_norm2")
    fit_norm2_lolim: Mapped[float | None] = column("fit_norm2_lolim")
    fit_norm2_hilim: Mapped[float | None] = column("fit_norm2_hilim")


class SpectralFlux(Base):
    """Fluxes of a fitted model in one band."""

    __tablename__ = "spectral_flux"
    __table_args__ = (
        UniqueConstraint("spectral_fit_id", "band_id"),
        *positive_checks("flux_fit", "uflux_fit"),
        {"comment": "Energy fluxes of fitted models by band"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    spectral_fit_id: Mapped[int] = reference("spectral_fit")
    band_id: Mapped[int] = reference("band", delete="RESTRICT")
    flux_fit: Mapped[float | None] = column("flux_fit")
    flux_fit_lolim: Mapped[float | None] = column("flux_fit_lolim")
    flux_fit_hilim: Mapped[float | None] = column("flux_fit_hilim")
    uflux_fit: Mapped[float | None] = column("uflux_fit")
    uflux_fit_lolim: Mapped[float | None] = column("uflux_fit_lolim")
    uflux_fit_hilim: Mapped[float | None] = column("uflux_fit_hilim")


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
