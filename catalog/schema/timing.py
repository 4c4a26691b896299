"""Tables of variability within and between observations, and of light curves."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped

from catalog.schema.base import Base, column, fraction_checks, key, positive_checks, reference, run_reference


class Variability(Base):
    """Variability of one extraction in one band."""

    __tablename__ = "variability"
    __table_args__ = (
        UniqueConstraint("extraction_id", "band_id"),
        CheckConstraint("var_index BETWEEN 0 AND 10", name="var_index"),
        CheckConstraint("var_index_net BETWEEN 0 AND 10", name="var_index_net"),
        CheckConstraint("bkg_var_index BETWEEN 0 AND 10", name="bkg_var_index"),
        *fraction_checks("var_prob", "ks_prob", "kp_prob"),
        *fraction_checks("var_prob_net", "ks_prob_net", "kp_prob_net", "bkg_var_prob"),
        *fraction_checks("var_frac_3sigma", "var_frac_5sigma"),
        *positive_checks("n_blocks", "cnts_timing", "ontime_timing"),
        {"comment": "Variability of one extraction in one band"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    extraction_id: Mapped[int] = reference("extraction")
    band_id: Mapped[int] = reference("band", delete="RESTRICT")
    flags: Mapped[int] = column("flags", default=0)
    var_index: Mapped[int | None] = column("var_index")
    var_prob: Mapped[float | None] = column("var_prob")
    gl_log10_odds: Mapped[float | None] = column("gl_log10_odds")
    ks_prob: Mapped[float | None] = column("ks_prob")
    kp_prob: Mapped[float | None] = column("kp_prob")
    ks_log10_pvalue: Mapped[float | None] = column("ks_log10_pvalue")
    kp_log10_pvalue: Mapped[float | None] = column("kp_log10_pvalue")
    var_index_net: Mapped[int | None] = column("var_index_net")
    var_prob_net: Mapped[float | None] = column("var_prob_net")
    gl_log10_odds_net: Mapped[float | None] = column("gl_log10_odds_net")
    ks_prob_net: Mapped[float | None] = column("ks_prob_net")
    kp_prob_net: Mapped[float | None] = column("kp_prob_net")
    ks_log10_pvalue_net: Mapped[float | None] = column("ks_log10_pvalue_net")
    kp_log10_pvalue_net: Mapped[float | None] = column("kp_log10_pvalue_net")
    var_peak_bins: Mapped[int | None] = column("var_peak_bins")
    var_mean_bins: Mapped[float | None] = column("var_mean_bins")
    var_frac_3sigma: Mapped[float | None] = column("var_frac_3sigma")
    var_frac_5sigma: Mapped[float | None] = column("var_frac_5sigma")
    bkg_var_index: Mapped[int | None] = column("bkg_var_index")
    bkg_var_prob: Mapped[float | None] = column("bkg_var_prob")
    n_blocks: Mapped[int | None] = column("n_blocks")
    cnts_timing: Mapped[int | None] = column("cnts_timing")
    ontime_timing: Mapped[float | None] = column("ontime_timing")


class MergedVariability(Base):
    """Variability of one merge in one band, within and between observations."""

    __tablename__ = "merged_variability"
    __table_args__ = (
        UniqueConstraint("merge_id", "band_id"),
        CheckConstraint("var_intra_index BETWEEN 0 AND 10", name="var_intra_index"),
        CheckConstraint("var_inter_index BETWEEN 0 AND 10", name="var_inter_index"),
        *fraction_checks("var_intra_prob", "var_inter_prob"),
        {"comment": "Variability of one merge in one band, within and between observations"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    merge_id: Mapped[int] = reference("merge")
    band_id: Mapped[int] = reference("band", delete="RESTRICT")
    flags: Mapped[int] = column("flags", default=0)
    var_intra_index: Mapped[int | None] = column("var_intra_index")
    var_intra_prob: Mapped[float | None] = column("var_intra_prob")
    var_inter_index: Mapped[int | None] = column("var_inter_index")
    var_inter_prob: Mapped[float | None] = column("var_inter_prob")
    var_inter_log10_pvalue: Mapped[float | None] = column("var_inter_log10_pvalue")
    var_inter_chi2_log10_pvalue: Mapped[float | None] = column("var_inter_chi2_log10_pvalue")
    ks_merged_log10_pvalue: Mapped[float | None] = column("ks_merged_log10_pvalue")
    ks_min_log10_pvalue: Mapped[float | None] = column("ks_min_log10_pvalue")
    kp_min_log10_pvalue: Mapped[float | None] = column("kp_min_log10_pvalue")


class LightCurve(Base):
    """A light curve of one extraction in one band, as an array."""

    __tablename__ = "light_curve"
    __table_args__ = (
        UniqueConstraint("extraction_id", "band_id", "product"),
        {"comment": "Light curves as typed arrays"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    extraction_id: Mapped[int] = reference("extraction")
    band_id: Mapped[int] = reference("band", delete="RESTRICT")
    product: Mapped[str] = column("product")
    columns: Mapped[list[Any]] = column("columns")
    data: Mapped[bytes] = column("data")
