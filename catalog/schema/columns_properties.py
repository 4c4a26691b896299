"""Registry: what the two reference systems print besides the posterior, single or merged."""

from __future__ import annotations

from dataclasses import replace

from catalog.schema.column import ColumnDefinition as Col

_NONE = "nothing was measured: see flags"
_NO_AREA = f"{_NONE}, or no area applies"
_NO_NET = f"{_NO_AREA}, or net counts that are not positive"

_FLUX = "erg cm-2 s-1"
_PHOTONS = "photon cm-2 s-1"
_UCD_FLUX = "phot.flux;em.X-ray"


def _with_ends(name: str, unit: str, ucd: str, text: str, null: str) -> tuple[Col, ...]:
    return (
        Col(name, "float", unit, ucd, text, 4, null),
        Col(f"{name}_lolim", "float", unit, f"{ucd};stat.min", f"{text}; lower end of the interval", 4, null),
        Col(f"{name}_hilim", "float", unit, f"{ucd};stat.max", f"{text}; upper end of the interval", 4, null),
    )


def _energies() -> tuple[Col, ...]:
    columns = []
    for kind, weight in (("observed", "net counts"), ("incident", "net counts over area")):
        columns.append(
            Col(
                f"energ_mean_{kind}",
                "float",
                "keV",
                "em.energy;stat.mean",
                f"Mean channel energy weighted by {weight}",
                4,
                _NO_NET,
            )
        )
        columns += [
            Col(
                f"energ_pct{percent}_{kind}",
                "float",
                "keV",
                "em.energy;stat.median" if percent == 50 else "em.energy;stat.param",
                f"Energy below which {percent} % of the {weight} lie",
                4,
                f"{_NO_NET}, or a band of four channels or fewer",
            )
            for percent in (25, 50, 75)
        ]
    return tuple(columns)


def _count_hardness(pair: str, first: str, second: str) -> tuple[Col, ...]:
    text = f"Hardness ({first} - {second})/({first} + {second}) of net counts"
    null = "a band is not measured, or has no background"
    return _with_ends(f"hard_cnts_{pair}", "", "phot.color;em.X-ray", text, null)


_PLAIN = (
    Col(
        "net_cnts",
        "float",
        "count",
        "phot.count;em.X-ray",
        "Counts less scaled background (ACIS Extract's NET_CNTS); may be negative",
        5,
        _NONE,
    ),
    Col(
        "net_cnts_sigma_up",
        "float",
        "count",
        "stat.error;phot.count;stat.max",
        "Upper error of net_cnts (Gehrels 1986)",
        4,
        _NONE,
    ),
    Col(
        "net_cnts_sigma_low",
        "float",
        "count",
        "stat.error;phot.count;stat.min",
        "Lower error of net_cnts (Gehrels 1986)",
        4,
        f"{_NONE}, or no counts in source aperture or background region",
    ),
    Col(
        "mean_arf",
        "float",
        "cm2",
        "phys.area;instr.tel;stat.mean",
        "Mean area over the band's channels, with the PSF fraction in it (ACIS Extract's MEAN_ARF)",
        5,
        _NO_AREA,
    ),
    Col(
        "flux1_aper",
        "float",
        _PHOTONS,
        _UCD_FLUX,
        "Photon flux, sum over channels of net counts over area (ACIS Extract's FLUX1); may be negative",
        4,
        _NO_AREA,
    ),
    Col(
        "flux2_aper",
        "float",
        _PHOTONS,
        _UCD_FLUX,
        "Photon flux, net counts over mean area (ACIS Extract's FLUX2, PhotonFlux); may be negative",
        4,
        _NO_AREA,
    ),
    Col(
        "energyflux_aper",
        "float",
        _FLUX,
        _UCD_FLUX,
        "flux2_aper times the observed median energy (ACIS Extract's EnergyFlux)",
        4,
        _NO_NET,
    ),
    *_energies(),
    Col(
        "flux_aper_raw",
        "float",
        _FLUX,
        _UCD_FLUX,
        "Sum over events of energy over area and live time, source aperture (srcflux's FLUX_APER)",
        4,
        _NO_AREA,
    ),
    Col(
        "flux_aperbkg_raw",
        "float",
        _FLUX,
        f"{_UCD_FLUX};instr.background",
        "Sum over events of energy over area and live time, background region (srcflux's BG_FLUX_APER)",
        4,
        _NO_AREA,
    ),
    *_with_ends(
        "src_rate_aprates",
        "count s-1",
        "arith.rate;phot.count;em.X-ray",
        "Net rate as CIAO's aprates gives it: a Gaussian above 50 net counts",
        f"{_NONE}; lower end: a bound only",
    ),
    Col(
        "model_nh", "float", "cm-2", "phys.columnDensity", "Hydrogen column of the model flux", 4, _NO_AREA,
    ),
    Col(
        "mflux_conversion",
        "float",
        "erg cm-2 count-1",
        "arith.factor;phot.flux",
        "Factor between src_rate_aper and mflux_aper (srcflux's MFLUX_CNV)",
        6,
        _NO_AREA,
    ),
    Col(
        "umflux_conversion",
        "float",
        "erg cm-2 count-1",
        "arith.factor;phot.flux",
        "Factor between src_rate_aper and umflux_aper (srcflux's UMFLUX_CNV)",
        6,
        _NO_AREA,
    ),
    *_with_ends("mflux_aper", _FLUX, _UCD_FLUX, "Absorbed flux of the recipe's model", _NO_AREA),
    *_with_ends("umflux_aper", _FLUX, _UCD_FLUX, "Flux of the recipe's model, absorption removed", _NO_AREA),
    *_with_ends(
        "merged_net_rate_aper",
        "count s-1",
        "arith.rate;phot.count;em.X-ray",
        "Rate of summed counts with one background ratio (srcflux's merged RATE)",
        _NONE,
    ),
    *_with_ends(
        "merged_aprates_photflux_aper",
        _PHOTONS,
        _UCD_FLUX,
        "Photon flux of summed counts with one background ratio (srcflux's APRATES value)",
        _NO_AREA,
    ),
    *_with_ends(
        "merged_net_photflux_aper",
        _PHOTONS,
        _UCD_FLUX,
        "Mean of net photon fluxes weighted by live time (as srcflux's code gives merged PHOTFLUX)",
        f"{_NO_AREA}, or one observation's is negative",
    ),
    Col(
        "merged_net_photflux_guide",
        "float",
        _PHOTONS,
        _UCD_FLUX,
        "Combined net counts over combined exposure (srcflux's merged flux as its guide describes it)",
        4,
        _NO_AREA,
    ),
    Col(
        "merged_rate_areascal", "float", "", "arith.factor;instr.background",
        "Background ratio behind merged_net_rate_aper", 5, _NONE,
    ),
    Col(
        "merged_photflux_areascal", "float", "", "arith.factor;instr.background",
        "Background ratio behind the merged photon flux", 5, _NO_AREA,
    ),
    Col(
        "psf_weighted_exposure_time", "float", "s", "time.duration;obs.exposure",
        "Sum of live time times PSF fraction", 6, _NONE,
    ),
    Col(
        "psf_weighted_exposure", "float", "cm2 s", "phys.area;obs.exposure",
        "Sum of exposure times PSF fraction of the source apertures", 5, _NO_AREA,
    ),
    Col(
        "psf_weighted_exposure_bkg", "float", "cm2 s", "phys.area;obs.exposure;instr.background",
        "Sum of exposure times PSF fraction of the background regions", 5, _NO_AREA,
    ),
    *_count_hardness("hm", "hard", "medium"),
    *_count_hardness("ms", "medium", "soft"),
    *_count_hardness("hs", "hard", "soft"),
)  # fmt: skip

_LABELS = {
    "net_cnts": "Cnet",
    "net_cnts_sigma_up": "E_Cnet",
    "net_cnts_sigma_low": "e_Cnet",
    "mean_arf": "ARF",
    "flux1_aper": "F1",
    "flux2_aper": "F2",
    "energyflux_aper": "FEM",
    "energ_mean_observed": "EOm",
    "energ_mean_incident": "EIm",
    "energ_pct25_observed": "EO25",
    "energ_pct50_observed": "EO50",
    "energ_pct75_observed": "EO75",
    "energ_pct25_incident": "EI25",
    "energ_pct50_incident": "EI50",
    "energ_pct75_incident": "EI75",
    "flux_aper_raw": "FEr",
    "flux_aperbkg_raw": "FErb",
    "src_rate_aprates": "RateA",
    "model_nh": "NH",
    "mflux_conversion": "CM",
    "umflux_conversion": "CU",
    "mflux_aper": "FM",
    "umflux_aper": "FU",
    "merged_net_rate_aper": "RateS",
    "merged_aprates_photflux_aper": "FPS",
    "merged_net_photflux_aper": "FPT",
    "merged_net_photflux_guide": "FPG",
    "merged_rate_areascal": "BRS",
    "merged_photflux_areascal": "BFS",
    "psf_weighted_exposure_time": "TPSF",
    "psf_weighted_exposure": "XPSF",
    "psf_weighted_exposure_bkg": "XPSFb",
    "hard_cnts_hm": "HChm",
    "hard_cnts_ms": "HCms",
    "hard_cnts_hs": "HChs",
}
"""Labels in machine-readable tables; ends of intervals get b_ and B_ before them."""


def _label(name: str) -> str:
    for ending, mark in (("_lolim", "b_"), ("_hilim", "B_")):
        if name.endswith(ending):
            return mark + _LABELS[name.removesuffix(ending)]
    return _LABELS[name]


COLUMNS = tuple(replace(column, mrt=_label(column.name)) for column in _PLAIN)
