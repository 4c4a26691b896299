"""LaTeX tables of spectral fits in ACIS Extract's form: logarithms, asymmetric 90 % errors, frozen marks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.export.fit_rows import FitRow
from catalog.export.latex_columns import NO_DATA, escape

PARSEC = 3.0857e18
"""cm"""
HEAVY = 22.5
"""log NH above which soft and corrected total luminosities are not given."""
_DOTS = r"\cdots"
_SMALL = 0.1


@dataclass(frozen=True)
class FitTableChoices:
    """What a table shows.

    Attributes
    ----------
    distance
        pc; None gives fluxes in place of luminosities.
    least_significance
        Sources below it are left out.
    error_significance
        Sources below it are shown without errors.
    """

    distance: float | None = None
    least_significance: float = 0.0
    error_significance: float = 2.0


def value_with_errors(
    value: float | None, lower: float | None, upper: float | None, *, frozen: bool = False
) -> str:
    r"""Return a value with its errors in LaTeX.

    One decimal, two where the smaller error is below 0.1; a missing error is ``\cdots``, without both the
    bare value is given; a frozen value gets a star; no value is ``\nodata``.

    Parameters
    ----------
    value
        The value.
    lower, upper
        Sizes of the errors, not negative.
    frozen
        Whether it was not fitted.
    """
    if value is None or not math.isfinite(value):
        return NO_DATA
    if frozen:
        return f"${value:.1f}$*"
    sizes = [size for size in (lower, upper) if size is not None]
    decimals = 2 if sizes and min(sizes) < _SMALL else 1
    text = f"{value:.{decimals}f}"
    if not sizes:
        return f"${text}$"
    minus = _DOTS if lower is None else f"-{lower:.{decimals}f}"
    plus = _DOTS if upper is None else f"+{upper:.{decimals}f}"
    return f"${text}_{{{minus}}}^{{{plus}}}$"


def fit_latex(rows: Sequence[FitRow], thermal: bool, choices: FitTableChoices) -> str:
    """Return an AASTeX deluxetable of the thermal fits, or of the others.

    Parameters
    ----------
    rows
        Fits of the preferred models.
    thermal
        Whether the table is that of thermal models; otherwise that of power laws.
    choices
        Distance and limits.
    """
    wanted = [row for row in rows if _is_thermal(row) == thermal and _shown(row, choices)]
    shape = ("$kT$", "(keV)") if thermal else (r"$\Gamma$", "")
    scale = (r"$\log EM$", "(cm$^{-3}$)") if thermal and choices.distance else (r"$\log$ norm", "")
    letter, unit = ("L", "(erg s$^{-1}$)") if choices.distance else ("F", "(erg cm$^{-2}$ s$^{-1}$)")
    heads = [
        ("Seq.", ""),
        ("CXOU J", ""),
        ("$C_{t,net}$", "(count)"),
        ("Signif.", ""),
        (r"$\log N_H$", "(cm$^{-2}$)"),
        shape,
        scale,
        *((rf"$\log {letter}_{{{name}}}$", unit) for name in ("s", "h", "h,c", "t", "t,c")),
        ("Notes", ""),
    ]
    kind = "Thermal" if thermal else "Power-law"
    lines = [
        r"\begin{deluxetable}{" + "rl" + "r" * (len(heads) - 3) + "l}",
        r"\tabletypesize{\scriptsize}",
        rf"\tablecaption{{{kind} spectroscopy\label{{tab:{kind.lower().replace('-', '')}}}}}",
        r"\tablehead{" + " & ".join(rf"\colhead{{{head}}}" for head, _ in heads) + r" \\ "
        + " & ".join(rf"\colhead{{{text}}}" for _, text in heads) + "}",
        r"\startdata",
    ]  # fmt: skip
    cells = [" & ".join([str(number), *_cells(row, choices)]) for number, row in enumerate(wanted, start=1)]
    lines += [text + (r" \\" if number < len(cells) - 1 else "") for number, text in enumerate(cells)]
    lines += [
        r"\enddata",
        r"\tablecomments{Errors are 90 \% confidence; an asterisk marks a frozen parameter, \ldots\ an error "
        r"that the fit did not find. Subscripts: s, h and t are the soft, hard and total band, c is "
        r"corrected for absorption"
        + (f"; distance {choices.distance:g} pc" if choices.distance else "")
        + ".}",
        r"\end{deluxetable}",
        "",
    ]
    return "\n".join(lines)


def _is_thermal(row: FitRow) -> bool:
    return row.fit["model"] in ("thermal", "thermal2", "bremsstrahlung", "blackbody")


def _shown(row: FitRow, choices: FitTableChoices) -> bool:
    return row.fit["statistic"] is not None and (row.significance or 0.0) >= choices.least_significance


def _cells(row: FitRow, choices: FitTableChoices) -> list[str]:
    fit = row.fit
    frozen = set((fit["fit_frozen"] or "").split(","))
    bare = (row.significance or 0.0) < choices.error_significance
    area = None if choices.distance is None else 4.0 * math.pi * (choices.distance * PARSEC) ** 2
    is_thermal = _is_thermal(row)
    # The emission measure of XSPEC's plasma models: 1e14 x 4 pi d^2 x norm.
    factor = 1e14 * area if area is not None and is_thermal and fit["model"].startswith("thermal") else 1.0
    shape = "kt" if is_thermal else "photon_index"
    heavy = (fit["fit_nh"] or 0.0) > 10.0**HEAVY
    name = row.name.removeprefix("CXOU J").replace("+", "$+$").replace("-", "$-$")
    doubtful = fit["fit_status"] in ("limit", "not_converged")

    def flux(suffix: str, column: str, hidden: bool) -> str:
        value = row.fluxes.get(suffix, {}).get(column)
        if hidden or doubtful or not value:
            return NO_DATA
        return f"{math.log10(value * (area or 1.0)):.2f}"

    return [
        escape(name) if "$" not in name else name,
        NO_DATA if row.net_cnts is None else f"{row.net_cnts:.1f}",
        NO_DATA if row.significance is None else f"{row.significance:.1f}",
        _logarithm(fit, "fit_nh", 1.0, "nh" in frozen, bare),
        _linear(fit, f"fit_{shape}", shape in frozen, bare),
        _logarithm(fit, "fit_norm", factor, "norm" in frozen, bare),
        flux("s", "flux_fit", heavy),
        flux("h", "flux_fit", False),
        flux("h", "uflux_fit", False),
        flux("t", "flux_fit", False),
        flux("t", "uflux_fit", heavy),
        "2T" if fit["model"] == "thermal2" else escape(fit["model"] if is_thermal else ""),
    ]


def _linear(fit: Mapping[str, Any], name: str, frozen: bool, bare: bool) -> str:
    value, lower, upper = _three(fit, name)
    if value is None or bare:
        return value_with_errors(value, None, None, frozen=frozen)
    return value_with_errors(
        value,
        None if lower is None else value - lower,
        None if upper is None else upper - value,
        frozen=frozen,
    )


def _logarithm(fit: Mapping[str, Any], name: str, factor: float, frozen: bool, bare: bool) -> str:
    """Errors are differences of logarithms; a limit of 0 has none."""
    value, lower, upper = _three(fit, name)
    if not value:
        return NO_DATA
    middle = math.log10(value * factor)
    low = None if bare or not lower else math.log10(value / lower)
    high = None if bare or not upper else math.log10(upper / value)
    return value_with_errors(middle, low, high, frozen=frozen)


def _three(fit: Mapping[str, Any], name: str) -> tuple[float | None, float | None, float | None]:
    return fit[name], fit[f"{name}_lolim"], fit[f"{name}_hilim"]
