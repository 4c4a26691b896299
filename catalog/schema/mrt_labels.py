"""Short labels for machine-readable tables, for columns whose names leave no room for their explanation."""

from __future__ import annotations

MRT_LABELS: dict[str, str] = {
    "good_frac_area_aper": "GoodA",
    "good_frac_area_aperbkg": "GoodB",
    "exposure_area_aper": "ExpA",
    "exposure_area_aperbkg": "ExpAb",
    "psf_good_frac_aper": "GoodP",
    "psf_good_frac_aperbkg": "GoodPb",
    "response_ratio_min": "RspMin",
    "response_ratio_max": "RspMax",
    "flux_conversion": "Cnv",
    "contam_cnts_aper": "Cc",
    "contam_cnts_aperbkg": "Ccb",
    "joint_cnts_aperbkg": "Cjb",
    "joint_psf_frac_aperbkg": "PSFjb",
    "net_cnts_sigma_up": "E_Net",
    "net_cnts_sigma_low": "e_Net",
    **{
        f"energ_{quantity}_{kind}": f"{short}{kind[0].upper()}"
        for quantity, short in (("mean", "Emean"), ("pct25", "E25"), ("pct50", "E50"), ("pct75", "E75"))
        for kind in ("observed", "incident")
    },
    "flux_aperbkg_raw": "FErawb",
    **{
        f"{name}{end}": f"{mark}{short}"
        for name, short in (
            ("src_rate_aprates", "RateG"),
            ("mflux_aper", "FM"),
            ("umflux_aper", "FU"),
            ("merged_net_rate_aper", "RateM"),
            ("merged_aprates_photflux_aper", "FPM"),
            ("merged_net_photflux_aper", "FPT"),
            ("hard_cnts_hm", "HRChm"),
            ("hard_cnts_ms", "HRCms"),
            ("hard_cnts_hs", "HRChs"),
        )
        for end, mark in (("", ""), ("_lolim", "b_"), ("_hilim", "B_"))
    },
    "mflux_conversion": "CnvM",
    "umflux_conversion": "CnvU",
    "merged_net_photflux_guide": "FPGuide",
    "merged_rate_areascal": "RatioR",
    "merged_photflux_areascal": "RatioP",
    "psf_weighted_exposure_time": "ExpPSF",
    "psf_weighted_exposure": "ExpPSFs",
    "psf_weighted_exposure_bkg": "ExpPSFb",
    "gl_log10_odds_net": "GLnet",
    "ks_log10_pvalue_net": "logKSnet",
    "kp_log10_pvalue_net": "logKPnet",
    "var_inter_log10_pvalue": "logPint",
    "var_inter_chi2_log10_pvalue": "logPchi2",
    "ks_merged_log10_pvalue": "logKSmrg",
    "ks_min_log10_pvalue": "logKSmin",
    "kp_min_log10_pvalue": "logKPmin",
}
"""Label by column name; a label that a column brings itself wins."""
