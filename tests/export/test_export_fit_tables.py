"""LaTeX tables of fits: errors, frozen marks, logarithms."""

from __future__ import annotations

import math

import pytest

from catalog.export.fit_latex import FitTableChoices, fit_latex, value_with_errors
from catalog.export.fit_rows import FitRow


@pytest.mark.parametrize(
    ("value", "lower", "upper", "frozen", "text"),
    [
        (1.234, 0.11, 0.24, False, "$1.2_{-0.1}^{+0.2}$"),
        (1.234, 0.04, 0.24, False, "$1.23_{-0.04}^{+0.24}$"),
        (1.234, None, 0.24, False, r"$1.2_{\cdots}^{+0.2}$"),
        (1.234, 0.5, None, False, r"$1.2_{-0.5}^{\cdots}$"),
        (1.234, None, None, False, "$1.2$"),
        (1.7, None, None, True, "$1.7$*"),
        (None, None, None, False, r"\nodata"),
        (math.nan, 0.1, 0.1, False, r"\nodata"),
    ],
)
def test_values_with_errors(value, lower, upper, frozen, text):
    assert value_with_errors(value, lower, upper, frozen=frozen) == text


def _row(**changes):
    fit = {
        **{f"fit_{name}{end}": None for name in ("nh", "photon_index", "kt", "norm")
           for end in ("", "_lolim", "_hilim")},
        "model": "powerlaw", "statistic": 100.0, "fit_status": "ok", "fit_frozen": "",
        "fit_nh": 1e22, "fit_nh_lolim": 5e21, "fit_nh_hilim": 2e22,
        "fit_photon_index": 1.8, "fit_photon_index_lolim": 1.5, "fit_photon_index_hilim": 2.2,
        "fit_norm": 1e-6, "fit_norm_lolim": 5e-7, "fit_norm_hilim": 2e-6,
    } | changes  # fmt: skip
    fluxes = {band: {"flux_fit": 1e-14, "uflux_fit": 1e-13} for band in "sht"}
    return FitRow("CXOU J104418.84-593502.8", fit, fluxes, 123.4, 9.0)


def _cells(row, thermal=False, **choices):
    text = fit_latex([row], thermal, FitTableChoices(**choices))
    return text.split("\\startdata\n")[1].split("\\enddata")[0].strip("\n").split(" & ")


def test_a_power_law():
    cells = _cells(_row())
    assert cells[1] == "104418.84$-$593502.8"
    assert cells[2:4] == ["123.4", "9.0"]
    assert cells[4] == "$22.0_{-0.3}^{+0.3}$"
    assert cells[5] == "$1.8_{-0.3}^{+0.4}$"
    assert cells[6] == "$-6.0_{-0.3}^{+0.3}$"
    assert cells[7:12] == ["-14.00", "-14.00", "-13.00", "-14.00", "-13.00"]


def test_luminosities_and_emission_measure_of_the_reference():
    # At 1860 pc 1e-14 erg cm-2 s-1 are 10^30.617 erg/s, and norm 1e-6 is 10^52.617 cm-3.
    thermal = _row(model="thermal", fit_kt=2.0, fit_kt_lolim=1.5, fit_kt_hilim=3.0)
    cells = _cells(thermal, thermal=True, distance=1860.0, error_significance=99.0)
    assert cells[7] == "30.62"
    assert cells[5] == "$2.0$"
    assert cells[6] == "$52.6$"


def test_what_is_left_out():
    heavy = _cells(_row(fit_nh=5e22, fit_nh_hilim=6e22))
    assert heavy[7] == heavy[11] == r"\nodata"
    assert heavy[8] == "-14.00"
    assert _cells(_row(fit_status="limit"))[7:12] == [r"\nodata"] * 5
    assert _cells(_row(fit_frozen="nh,photon_index"))[4:6] == ["$22.0$*", "$1.8$*"]
    assert _cells(_row(), error_significance=10.0)[5] == "$1.8$"
    assert _cells(_row(), least_significance=10.0) == [""]
    assert _cells(_row(), thermal=True) == [""]
