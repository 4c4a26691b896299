"""Registry: spectral fits, their parameters and fluxes."""

from __future__ import annotations

from catalog.schema.column import ColumnDefinition as Col

_FAILED = "the fit failed"
_FROZEN = "frozen, not a parameter of the model, or the fit runs into a limit before 90 %"
_NOT_THERE = "not a parameter of the model, or the fit failed"
_FEW = "too few draws carried weight, or nothing is free"


def _interval(name: str, unit: str, ucd: str, what: str, mrt: str, digits: int = 4) -> tuple[Col, ...]:
    return (
        Col(name, "float", unit, ucd, what, digits, _NOT_THERE, mrt),
        Col(f"{name}_lolim", "float", unit, f"{ucd};stat.min", f"Lower 90 % limit of the {_low(what)}",
            digits, _FROZEN, f"b_{mrt}"),
        Col(f"{name}_hilim", "float", unit, f"{ucd};stat.max", f"Upper 90 % limit of the {_low(what)}",
            digits, _FROZEN, f"B_{mrt}"),
    )  # fmt: skip


def _low(text: str) -> str:
    return text if text[:2].isupper() or text[1:2].isupper() else text[0].lower() + text[1:]


def _flux(name: str, what: str, mrt: str) -> tuple[Col, ...]:
    unit, ucd = "erg cm-2 s-1", "phot.flux;em.X-ray"
    return (
        Col(name, "float", unit, ucd, what, 4, _FAILED, mrt),
        Col(f"{name}_lolim", "float", unit, f"{ucd};stat.min", f"Lower 90 % limit of the {_low(what)}",
            4, _FEW, f"b_{mrt}"),
        Col(f"{name}_hilim", "float", unit, f"{ucd};stat.max", f"Upper 90 % limit of the {_low(what)}",
            4, _FEW, f"B_{mrt}"),
    )  # fmt: skip


COLUMNS = (
    Col("spectral_fit_id", "int", "", "meta.record", "Spectral fit"),
    Col(
        "fit_scope",
        "text",
        "",
        "meta.id",
        "What was fitted: 'joint', 'merged' or an observation",
    ),
    Col("absorber", "text", "", "meta.id;meta.modelled", "Absorption of the model", null="not recorded"),
    Col("fit_statistic", "text", "", "meta.id;stat.fit", "Statistic: cstat, wstat or chi2", null=_FAILED),
    Col(
        "fit_status",
        "text",
        "",
        "meta.code.status;stat.fit",
        "How the fit ended: ok, limit, bound, not_converged, timeout or failed",
        null="not recorded",
        mrt="FitSt",
    ),
    Col("fit_message", "text", "", "meta.note", "Why a fit failed, or which observations it left out",
        null="nothing to say"),
    Col("fit_cnts", "float", "count", "phot.count;em.X-ray", "Net counts in the channels of the fit", -1,
        _FAILED),
    Col("n_free", "int", "", "meta.number;stat.fit.param", "Free parameters of the source's model", None,
        _FAILED),
    Col("fit_goodness", "float", "", "stat.fit.goodness",
        "Probability of a statistic as large if the model is right", 3, "no degrees of freedom, or failed"),
    Col("preferred", "bool", "", "meta.code;meta.modelled", "Whether this is the source's preferred model",
        null="not decided"),
    Col("preference", "text", "", "meta.note", "Why the model is preferred or not", null="not decided"),
    Col("fit_frozen", "text", "", "meta.note;stat.fit.param", "Parameters that were not fitted, by name",
        null=_FAILED),
    *_interval("fit_nh", "cm-2", "phys.columnDensity;stat.fit", "Hydrogen column of the fit", "NH"),
    *_interval("fit_photon_index", "", "spect.index;em.X-ray", "Photon index of the fit", "PhInd"),
    *_interval("fit_kt", "keV", "phys.temperature;stat.fit", "Temperature kT of the fit", "kT"),
    *_interval("fit_kt2", "keV", "phys.temperature;stat.fit", "Second temperature kT of the fit", "kT2"),
    *_interval("fit_norm", "", "arith.factor;stat.fit", "Norm of the fitted model", "Norm"),
    *_interval("fit_norm2", "", "arith.factor;stat.fit", "Norm of the second component", "Norm2"),
    *_flux("flux_fit", "Energy flux of the fitted model, absorbed", "FFit"),
    *_flux("uflux_fit", "Energy flux of the fitted model without absorption", "FFit0"),
)  # fmt: skip
