"""`srccat spectra fit`, `plot`, `prefer` and `table`: what they print and write, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from astropy.io import fits

pytestmark = pytest.mark.usefixtures("finished")


@pytest.mark.usefixtures("finished")
def test_from_spectra_to_tables(done, srccat):
    done("run", "spectra", "spectral_fit", "--recipe", "default", "--workers", "1")
    found = json.loads(done("spectra", "fit", "s0", "--model", "powerlaw", "--json"))
    assert found[0]["model"] == "powerlaw"
    assert found[0]["scope"] == "joint"
    assert {item["name"] for item in found[0]["parameters"]} == {"nh", "photon_index", "norm"}
    text = done("spectra", "fit", "s0", "--freeze", "nh=0.02", "--scope", "each", "--band", "0.3:8")
    assert "frozen" in text
    assert text.count("cstat") == 1
    page = Path(done("spectra", "plot", "s0", "--out", "pages").strip())
    assert page.suffix == ".png"
    assert page.stat().st_size > 20_000
    table = Path(done("spectra", "table", "fits.tex", "--distance", "1860").strip()).read_text()
    assert table.startswith(r"\begin{deluxetable}")
    assert table.count(r" & ") > 20
    assert done("spectra", "prefer", "s0", "powerlaw", "--why", "lines").endswith("powerlaw\n")
    said = done("query", "SELECT model, preference FROM spectral_fit WHERE preference LIKE 'chosen%'")
    assert ": lines | by rule" in said
    done("spectra", "prefer", "s0", "automatic")
    done("export", "ae", "--style", "acis-extract", "--recipe", "default")
    models = fits.getdata("ae/source_spectra.fits")
    assert {"MODEL", "NH_ERRU", "PH_FZ", "F0P5_8L", "FC2_8", "BEST_MDL", "DOF"} <= set(models.names)
    assert models["BEST_MDL"].sum() >= 1
    for words, code in (
        (("fit", "s0", "--model", "nonsense"), "UNKNOWN_MODEL"),
        (("fit", "s0", "--model", "thermal"), "TABLE_MODEL"),
        (("fit", "s0", "--freeze", "nh"), "NUMBER"),
        (("fit", "s0", "--freeze", "kt=1"), "UNKNOWN_PARAMETER"),
        (("fit", "s0", "--freeze", "nh=-1"), "LIMIT"),
        (("fit", "s0", "--band", "7:1"), "BAND"),
        (("fit", "s0", "--statistic", "x"), "UNKNOWN_FIT"),
        (("fit", "nobody"), "UNKNOWN_SOURCE"),
        (("plot", "s0", "--format", "gif"), "UNKNOWN_FORMAT"),
        (("prefer", "s0", "blackbody"), "UNKNOWN_MODEL"),
        (("table", "x.tex", "--kind", "x"), "UNKNOWN_MODEL"),
    ):
        outcome = srccat("spectra", *words)
        assert outcome.code == 2
        assert outcome.err.startswith(f"error[{code}]"), outcome
        assert outcome.err.count("\n") == 1


def test_before_anything_is_fitted(srccat):
    outcome = srccat("spectra", "table", "x.tex")
    assert outcome.code == 2
    assert outcome.err.startswith(("error[NO_FITS]", "error[NO_SPECTRA]"))
