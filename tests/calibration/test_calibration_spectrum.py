"""Reference spectrum and absorption against closed forms, quadrature and published conversions."""

from __future__ import annotations

import subprocess
import sys

import mpmath
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.calibration.absorption import cross_section
from catalog.calibration.rmf_file import read_rmf
from catalog.calibration.spectrum import ERG_PER_KEV, ReferenceSpectrum
from catalog.errors import SettingsError


@given(index=st.floats(-1, 4), lo=st.floats(0.1, 5), width=st.floats(0.01, 5), share=st.floats(0.1, 0.9))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_power_law_integrals_against_mpmath_and_additive(index, lo, width, share):
    spectrum = ReferenceSpectrum(index)
    hi = lo + width
    for moment, value in ((0, spectrum.photons(lo, hi)), (1, spectrum.energy_flux(lo, hi) / ERG_PER_KEV)):
        exact = mpmath.quad(lambda e, m=moment: e ** (m - index), [lo, hi])
        assert float(value) == pytest.approx(float(exact), rel=1e-9)
    middle = lo + share * width
    assert spectrum.photons(lo, middle) + spectrum.photons(middle, hi) == pytest.approx(
        float(spectrum.photons(lo, hi)), rel=1e-9
    )


def test_logarithmic_cases():
    assert float(ReferenceSpectrum(1.0).photons(0.5, 7)) == pytest.approx(np.log(14), rel=1e-12)
    assert ReferenceSpectrum(2.0).energy_conversion(1, 10) == pytest.approx(
        np.log(10) / 0.9 * ERG_PER_KEV, rel=1e-12
    )


@pytest.mark.parametrize("model", ["wabs", "phabs-angr", "phabs-wilm"])
def test_absorbed_integral_against_fine_midpoint_sum(model):
    spectrum = ReferenceSpectrum(1.7, 0.5, model)
    edges = np.linspace(0.5, 7, 400_001)
    middle = 0.5 * (edges[1:] + edges[:-1])
    brute = spectrum.density(middle).sum() * (edges[1] - edges[0])
    assert float(spectrum.photons(0.5, 7)) == pytest.approx(brute, rel=2e-5)
    bins = np.linspace(0.5, 7, 651)
    assert spectrum.photons(bins[:-1], bins[1:]).sum() == pytest.approx(brute, rel=2e-4)


def test_wabs_is_continuous_but_for_edges_and_as_published():
    # Morrison & McCammon (1983), table 2: sigma E^3 at 1 keV from the coefficients 120.6, 169.3, -47.7.
    assert float(cross_section("wabs", 1.0)) == pytest.approx(242.2e-24, rel=1e-12, abs=0)
    for edge, jump in ((0.532, 1.2), (0.707, 1.03), (7.111, 1.2)):
        below, above = cross_section("wabs", np.array([edge - 1e-6, edge + 1e-6]))
        assert above > below * jump
    below, above = cross_section("wabs", np.array([1.303 - 1e-6, 1.303 + 1e-6]))
    # Magnesium: 141.3, 146.8, -31.5 above the edge, in units of 1e-24 / 1.303^3.
    assert below * 1.303**3 == pytest.approx(260.213e-24, rel=1e-5, abs=0)
    assert above * 1.303**3 == pytest.approx(279.099e-24, rel=1e-5, abs=0)


def test_phabs_near_wabs_for_solar_abundances_and_wilm_below():
    energy = np.array([0.6, 1.0, 1.5, 3.0, 6.0])
    old, angr, wilm = (cross_section(model, energy) for model in ("wabs", "phabs-angr", "phabs-wilm"))
    assert np.allclose(angr, old, rtol=0.12, atol=0)
    assert (wilm < angr).all()
    assert (wilm > 0.5 * angr).all()


def test_phabs_table_against_direct_sum():
    import xraydb

    from catalog.calibration.absorption import ABUNDANCES

    energy = np.array([0.4, 0.6, 1.0, 2.0, 5.0])
    direct = sum(
        abundance
        * xraydb.mu_elam(element, energy * 1e3, kind="photo")
        * xraydb.atomic_mass(element)
        / 6.02214076e23
        for element, abundance in ABUNDANCES["wilm"].items()
    )
    assert np.allclose(cross_section("phabs-wilm", energy), direct, rtol=2e-4, atol=0)


def test_conversion_of_9774(data_dir):
    """statistics.md, Conversions: Gamma 1.7, nH 1e21 (wabs), 0.5-7 keV."""
    response = read_rmf(data_dir / "spectra" / "9774.rmf")
    area = fits.getdata(data_dir / "spectra" / "9774.arf", 1)["SPECRESP"].astype(float)
    spectrum = ReferenceSpectrum(1.7, 0.1, "wabs")
    # Flux per count rate: mean energy of a photon over counts per photon.
    absorbed = spectrum.energy_conversion(0.5, 7) / float(response.folded_area(area, spectrum, 0.5, 7))
    ratio = float(spectrum.unabsorbed().energy_flux(0.5, 7) / spectrum.energy_flux(0.5, 7))
    assert absorbed == pytest.approx(7.36545e-12, rel=1e-4, abs=0)
    assert absorbed * ratio == pytest.approx(8.24002e-12, rel=1e-4, abs=0)


def test_no_cross_sections_are_loaded_without_absorption():
    code = (
        "import sys\n"
        "from catalog.calibration.spectrum import ReferenceSpectrum\n"
        "ReferenceSpectrum().photons(0.5, 7)\n"
        "assert 'xraydb' not in sys.modules and 'numba' not in sys.modules\n"
        "ReferenceSpectrum(1.7, 1.0).photons(0.5, 7)\n"
        "assert 'xraydb' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_refusals():
    with pytest.raises(SettingsError):
        ReferenceSpectrum(1.7, -0.1)
    with pytest.raises(SettingsError):
        ReferenceSpectrum(float("nan"))
    with pytest.raises(SettingsError, match="choose one of"):
        ReferenceSpectrum(1.7, 1.0, "tbabs").photons(0.5, 7)
