"""Thermal models by XSPEC, with a stand-in for the module that only a Sherpa built with XSPEC has."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from catalog.calibration.factory import open_calibration
from catalog.errors import SettingsError
from catalog.measure.spectral_data import FitSpectrum
from catalog.measure.spectral_fit import FitChoices, fit_spectra
from catalog.measure.spectral_model import fit_model
from catalog.measure.spectral_xspec import MODULE, xspec_plasma


class Apec:
    """A continuum exp(-E/kT) with a line at 1.85 keV of as many photons as the abundance says."""

    def calc(self, values: list[float], low: np.ndarray, high: np.ndarray) -> np.ndarray:
        kt, abundance, redshift, norm = values
        assert redshift == 0.0
        smooth = kt * (np.exp(-low / kt) - np.exp(-high / kt))
        return norm * (smooth + abundance * np.where((low <= 1.85) & (high > 1.85), 0.1, 0.0))


@pytest.fixture
def xspec(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(XSapec=Apec, get_xsversion=lambda: "12.99", get_xsabund=lambda: "angr")
    monkeypatch.setitem(sys.modules, MODULE, module)


def test_without_xspec_it_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, MODULE, None)
    assert xspec_plasma() is None
    with pytest.raises(SettingsError, match="a Sherpa with XSPEC") as caught:
        fit_model("thermal2")
    assert caught.value.code == "TABLE_MODEL"
    assert "table_model" in str(caught.value)


@pytest.mark.usefixtures("xspec")
def test_one_and_two_temperatures() -> None:
    one, two = fit_model("thermal", "wabs", nh=0.1), fit_model("thermal2", "wabs", nh=0.1)
    assert one.names == ("nh", "kt", "abundance", "norm")
    assert two.names == ("nh", "kt", "abundance", "norm", "kt2", "abundance2", "norm2")
    assert "XSPEC 12.99 apec angr" in one.identity
    edges = np.linspace(0.4, 8.0, 400)
    cold, hot = one.photons(edges, np.array([[0.2, 0.5, 1.0, 2.0], [0.2, 3.0, 0.3, 1.0]]))
    assert cold[(edges[:-1] <= 1.85) & (edges[1:] > 1.85)] > 5 * np.median(cold)
    (both,) = two.photons(edges, np.array([[0.2, 0.5, 1.0, 2.0, 3.0, 0.3, 1.0]]))
    assert both == pytest.approx(cold + hot)


@pytest.mark.usefixtures("xspec")
def test_the_temperature_is_found() -> None:
    calibration = open_calibration()
    matrix = calibration.redistribution(3)
    area = calibration.area_curve(3, 2005.0, 2.0, 30.0)
    model = fit_model("thermal", "wabs", nh=0.2)
    edges = np.append(matrix.energy_lo, matrix.energy_hi[-1])
    expected = matrix.fold(model.photons(edges, np.array([[0.2, 1.3, 1.0, 1e-4]]))[0] * area)
    counts = np.random.default_rng(6).poisson(expected * 1500.0 / expected.sum()).astype(float)
    empty = FitSpectrum("sim", np.zeros(1024), None, 1.0, 5e4, area, matrix)
    fit = fit_spectra([replace(empty, counts=counts)], model, FitChoices())
    kt = fit.parameter("kt")
    assert kt.lo90 is not None
    assert kt.hi90 is not None
    assert kt.lo90 < 1.3 < kt.hi90
    assert fit.parameter("abundance").frozen
    assert fit.goodness is not None
    assert fit.goodness > 0.01
