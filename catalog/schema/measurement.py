"""Table of measurements: one extraction in one band."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped

from catalog.schema.base import (
    Base,
    column,
    fraction_checks,
    key,
    positive_checks,
    posterior_checks,
    reference,
    run_reference,
)

POSTERIORS = ("src_cnts_aper", "src_rate_aper", "photflux_aper", "flux_aper")
"""The four units in which the one posterior is stored; each has _lolim, _hilim and _mean."""


class Photometry:
    """Columns shared by single and merged measurements."""

    flags: Mapped[int] = column("flags")
    cnts_aper: Mapped[int | None] = column("cnts_aper")
    cnts_aperbkg: Mapped[int | None] = column("cnts_aperbkg")
    bkg_ratio: Mapped[float | None] = column("bkg_ratio")
    src_cnts_aper: Mapped[float | None] = column("src_cnts_aper")
    src_cnts_aper_lolim: Mapped[float | None] = column("src_cnts_aper_lolim")
    src_cnts_aper_hilim: Mapped[float | None] = column("src_cnts_aper_hilim")
    src_cnts_aper_mean: Mapped[float | None] = column("src_cnts_aper_mean")
    src_rate_aper: Mapped[float | None] = column("src_rate_aper")
    src_rate_aper_lolim: Mapped[float | None] = column("src_rate_aper_lolim")
    src_rate_aper_hilim: Mapped[float | None] = column("src_rate_aper_hilim")
    src_rate_aper_mean: Mapped[float | None] = column("src_rate_aper_mean")
    photflux_aper: Mapped[float | None] = column("photflux_aper")
    photflux_aper_lolim: Mapped[float | None] = column("photflux_aper_lolim")
    photflux_aper_hilim: Mapped[float | None] = column("photflux_aper_hilim")
    photflux_aper_mean: Mapped[float | None] = column("photflux_aper_mean")
    flux_aper: Mapped[float | None] = column("flux_aper")
    flux_aper_lolim: Mapped[float | None] = column("flux_aper_lolim")
    flux_aper_hilim: Mapped[float | None] = column("flux_aper_hilim")
    flux_aper_mean: Mapped[float | None] = column("flux_aper_mean")
    flux_conversion: Mapped[float | None] = column("flux_conversion")
    flux_method: Mapped[str | None] = column("flux_method")
    src_significance: Mapped[float | None] = column("src_significance")
    snr_gehrels: Mapped[float | None] = column("snr_gehrels")
    flux_significance: Mapped[float | None] = column("flux_significance")
    log10_prob_no_source: Mapped[float | None] = column("log10_prob_no_source")
    photflux_limit: Mapped[float | None] = column("photflux_limit")
    limit_alpha: Mapped[float | None] = column("limit_alpha")
    limit_power: Mapped[float | None] = column("limit_power")
    confidence: Mapped[float | None] = column("confidence")


def photometry_checks() -> tuple[CheckConstraint, ...]:
    """Return new CHECKs on the shared columns, for one table."""
    return (
        *posterior_checks(*POSTERIORS),
        *positive_checks("cnts_aper", "cnts_aperbkg", "bkg_ratio", "photflux_limit"),
        *fraction_checks("limit_alpha", "limit_power", "confidence"),
        CheckConstraint("log10_prob_no_source <= 0", name="log10_prob_no_source_negative"),
        CheckConstraint("flux_method IN ('events', 'model')", name="flux_method"),
    )


class Measurement(Photometry, Base):
    """One extraction in one band: counts, areas, exposures, PSF fractions and what follows from them."""

    __tablename__ = "measurement"
    __table_args__ = (
        UniqueConstraint("extraction_id", "band_id"),
        *photometry_checks(),
        *fraction_checks("psf_frac_aper", "psf_frac_aperbkg", "psf_good_frac_aper", "psf_good_frac_aperbkg"),
        *positive_checks("exposure_aper", "exposure_aperbkg", "exposure_area_aper", "exposure_area_aperbkg"),
        *positive_checks("contam_cnts_aper", "contam_cnts_aperbkg", "joint_cnts_aperbkg", "joint_bkg_ratio"),
        {"comment": "One extraction in one band"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    extraction_id: Mapped[int] = reference("extraction")
    band_id: Mapped[int] = reference("band", delete="RESTRICT")
    psf_frac_aper: Mapped[float | None] = column("psf_frac_aper")
    psf_frac_aperbkg: Mapped[float | None] = column("psf_frac_aperbkg")
    exposure_aper: Mapped[float | None] = column("exposure_aper")
    exposure_aperbkg: Mapped[float | None] = column("exposure_aperbkg")
    exposure_area_aper: Mapped[float | None] = column("exposure_area_aper")
    exposure_area_aperbkg: Mapped[float | None] = column("exposure_area_aperbkg")
    psf_good_frac_aper: Mapped[float | None] = column("psf_good_frac_aper")
    psf_good_frac_aperbkg: Mapped[float | None] = column("psf_good_frac_aperbkg")
    offset_east_aper: Mapped[float | None] = column("offset_east_aper")
    offset_north_aper: Mapped[float | None] = column("offset_north_aper")
    afterglow_cnts_aper: Mapped[int | None] = column("afterglow_cnts_aper")
    n_joint: Mapped[int | None] = column("n_joint")
    contam_cnts_aper: Mapped[float | None] = column("contam_cnts_aper")
    contam_cnts_aperbkg: Mapped[float | None] = column("contam_cnts_aperbkg")
    joint_cnts_aperbkg: Mapped[float | None] = column("joint_cnts_aperbkg")
    joint_psf_frac_aperbkg: Mapped[float | None] = column("joint_psf_frac_aperbkg")
    joint_bkg_ratio: Mapped[float | None] = column("joint_bkg_ratio")
    area_band: Mapped[float | None] = column("area_band")
    fluence_aper: Mapped[float | None] = column("fluence_aper")
    fluence_aperbkg: Mapped[float | None] = column("fluence_aperbkg")
    fluence_max: Mapped[float | None] = column("fluence_max")
    response_ratio: Mapped[float | None] = column("response_ratio")
    response_index1: Mapped[float | None] = column("response_index1")
    response_index3: Mapped[float | None] = column("response_index3")
    calibration: Mapped[str | None] = column("calibration")
