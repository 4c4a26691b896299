"""Tables of what the two reference systems print besides the posterior, and of hardness by observation."""

from __future__ import annotations

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from catalog.schema.base import Base, column, key, positive_checks, reference, run_reference


class Properties:
    """Columns shared by single and merged properties; fluxes may be negative, as in the systems."""

    net_cnts: Mapped[float | None] = column("net_cnts")
    net_cnts_sigma_up: Mapped[float | None] = column("net_cnts_sigma_up")
    net_cnts_sigma_low: Mapped[float | None] = column("net_cnts_sigma_low")
    mean_arf: Mapped[float | None] = column("mean_arf")
    flux1_aper: Mapped[float | None] = column("flux1_aper")
    flux2_aper: Mapped[float | None] = column("flux2_aper")
    energyflux_aper: Mapped[float | None] = column("energyflux_aper")
    energ_mean_observed: Mapped[float | None] = column("energ_mean_observed")
    energ_mean_incident: Mapped[float | None] = column("energ_mean_incident")
    energ_pct25_observed: Mapped[float | None] = column("energ_pct25_observed")
    energ_pct25_incident: Mapped[float | None] = column("energ_pct25_incident")
    energ_pct50_observed: Mapped[float | None] = column("energ_pct50_observed")
    energ_pct50_incident: Mapped[float | None] = column("energ_pct50_incident")
    energ_pct75_observed: Mapped[float | None] = column("energ_pct75_observed")
    energ_pct75_incident: Mapped[float | None] = column("energ_pct75_incident")
    flux_aper_raw: Mapped[float | None] = column("flux_aper_raw")
    flux_aperbkg_raw: Mapped[float | None] = column("flux_aperbkg_raw")
    model_nh: Mapped[float | None] = column("model_nh")
    mflux_conversion: Mapped[float | None] = column("mflux_conversion")
    umflux_conversion: Mapped[float | None] = column("umflux_conversion")
    mflux_aper: Mapped[float | None] = column("mflux_aper")
    mflux_aper_lolim: Mapped[float | None] = column("mflux_aper_lolim")
    mflux_aper_hilim: Mapped[float | None] = column("mflux_aper_hilim")
    umflux_aper: Mapped[float | None] = column("umflux_aper")
    umflux_aper_lolim: Mapped[float | None] = column("umflux_aper_lolim")
    umflux_aper_hilim: Mapped[float | None] = column("umflux_aper_hilim")


PROPERTY_NAMES = tuple(name for name in vars(Properties) if not name.startswith("_"))
"""The shared columns, in order."""
_POSITIVE = ("net_cnts_sigma_up", "net_cnts_sigma_low", "mean_arf", "model_nh", "mflux_aper", "umflux_aper")


class MeasurementProperty(Properties, Base):
    """One extraction in one band in the terms of srcflux and ACIS Extract."""

    __tablename__ = "measurement_property"
    __table_args__ = (
        UniqueConstraint("extraction_id", "band_id"),
        *positive_checks(*_POSITIVE),
        {"comment": "One extraction in one band in the terms of srcflux and ACIS Extract"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    extraction_id: Mapped[int] = reference("extraction")
    band_id: Mapped[int] = reference("band", delete="RESTRICT")
    src_rate_aprates: Mapped[float | None] = column("src_rate_aprates")
    src_rate_aprates_lolim: Mapped[float | None] = column("src_rate_aprates_lolim")
    src_rate_aprates_hilim: Mapped[float | None] = column("src_rate_aprates_hilim")


class MergedProperty(Properties, Base):
    """One merge in one band in the terms of srcflux and ACIS Extract."""

    __tablename__ = "merged_property"
    __table_args__ = (
        UniqueConstraint("merge_id", "band_id"),
        *positive_checks(*_POSITIVE),
        {"comment": "One merge in one band in the terms of srcflux and ACIS Extract"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    merge_id: Mapped[int] = reference("merge")
    band_id: Mapped[int] = reference("band", delete="RESTRICT")
    merged_net_rate_aper: Mapped[float | None] = column("merged_net_rate_aper")
    merged_net_rate_aper_lolim: Mapped[float | None] = column("merged_net_rate_aper_lolim")
    merged_net_rate_aper_hilim: Mapped[float | None] = column("merged_net_rate_aper_hilim")
    merged_aprates_photflux_aper: Mapped[float | None] = column("merged_aprates_photflux_aper")
    merged_aprates_photflux_aper_lolim: Mapped[float | None] = column("merged_aprates_photflux_aper_lolim")
    merged_aprates_photflux_aper_hilim: Mapped[float | None] = column("merged_aprates_photflux_aper_hilim")
    merged_net_photflux_aper: Mapped[float | None] = column("merged_net_photflux_aper")
    merged_net_photflux_aper_lolim: Mapped[float | None] = column("merged_net_photflux_aper_lolim")
    merged_net_photflux_aper_hilim: Mapped[float | None] = column("merged_net_photflux_aper_hilim")
    merged_net_photflux_guide: Mapped[float | None] = column("merged_net_photflux_guide")
    merged_rate_areascal: Mapped[float | None] = column("merged_rate_areascal")
    merged_photflux_areascal: Mapped[float | None] = column("merged_photflux_areascal")
    psf_weighted_exposure_time: Mapped[float | None] = column("psf_weighted_exposure_time")
    psf_weighted_exposure: Mapped[float | None] = column("psf_weighted_exposure")
    psf_weighted_exposure_bkg: Mapped[float | None] = column("psf_weighted_exposure_bkg")


class ObservationHardness(Base):
    """Hardness of one extraction: of photon fluxes and of counts."""

    __tablename__ = "observation_hardness"
    __table_args__ = (
        UniqueConstraint("extraction_id"),
        {"comment": "Hardness of one extraction: of photon fluxes and of counts"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    extraction_id: Mapped[int] = reference("extraction")
    hard_hm: Mapped[float | None] = column("hard_hm")
    hard_hm_lolim: Mapped[float | None] = column("hard_hm_lolim")
    hard_hm_hilim: Mapped[float | None] = column("hard_hm_hilim")
    hard_ms: Mapped[float | None] = column("hard_ms")
    hard_ms_lolim: Mapped[float | None] = column("hard_ms_lolim")
    hard_ms_hilim: Mapped[float | None] = column("hard_ms_hilim")
    hard_hs: Mapped[float | None] = column("hard_hs")
    hard_hs_lolim: Mapped[float | None] = column("hard_hs_lolim")
    hard_hs_hilim: Mapped[float | None] = column("hard_hs_hilim")
    hard_cnts_hm: Mapped[float | None] = column("hard_cnts_hm")
    hard_cnts_hm_lolim: Mapped[float | None] = column("hard_cnts_hm_lolim")
    hard_cnts_hm_hilim: Mapped[float | None] = column("hard_cnts_hm_hilim")
    hard_cnts_ms: Mapped[float | None] = column("hard_cnts_ms")
    hard_cnts_ms_lolim: Mapped[float | None] = column("hard_cnts_ms_lolim")
    hard_cnts_ms_hilim: Mapped[float | None] = column("hard_cnts_ms_hilim")
    hard_cnts_hs: Mapped[float | None] = column("hard_cnts_hs")
    hard_cnts_hs_lolim: Mapped[float | None] = column("hard_cnts_hs_lolim")
    hard_cnts_hs_hilim: Mapped[float | None] = column("hard_cnts_hs_hilim")


MERGED_PROPERTY_NAMES = tuple(
    item.name
    for item in MergedProperty.__table__.columns
    if item.name not in {"id", "run_id", "merge_id", "band_id"}
)
"""Columns of `merged_property` that the view of sources shows for each band."""
