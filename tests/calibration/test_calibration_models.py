"""Spectral models: closed forms, the conversions of 9774, and an independent folding of its spectrum."""

import numpy as np
import pytest
from astropy.io import fits
from scipy import integrate, special

from catalog.calibration.models import SpectralModel, model_conversion
from catalog.calibration.rmf_file import read_rmf
from catalog.calibration.spectrum import ERG_PER_KEV, ReferenceSpectrum
from catalog.errors import SettingsError


@pytest.fixture
def response(data_dir):
    folder = data_dir / "spectra"
    matrix = read_rmf(folder / "9774.rmf")
    table = fits.getdata(folder / "9774.arf", "SPECRESP")
    assert table["ENERG_LO"] == pytest.approx(matrix.energy_lo, rel=1e-5)
    return matrix, np.asarray(table["SPECRESP"], dtype=float)


def test_published_conversions_of_9774(response):
    """Photon index 1.7, nH 1e21 (wabs), 0.5-7 keV, statistics.md."""
    found = model_conversion(*response, SpectralModel("powerlaw", 1.7, 0.1, "wabs"), 0.5, 7.0)
    assert float(found.absorbed) == pytest.approx(7.36545e-12, rel=1e-4, abs=0)
    assert float(found.unabsorbed) == pytest.approx(8.24002e-12, rel=1e-4, abs=0)


@pytest.mark.parametrize(
    "model",
    [
        SpectralModel("blackbody", 0.8, 0.3),
        SpectralModel("bremsstrahlung", 3.0, 1.0, "phabs", "wilm"),
        SpectralModel("powerlaw", 2.2, 0.5, "phabs", "angr"),
    ],
)
def test_conversions_against_independent_folding(response, data_dir, model):
    """Channel by channel from the file, the model integrated on a fine grid by midpoints."""
    _, area = response
    with fits.open(data_dir / "spectra" / "9774.rmf") as hdus:
        rows, bounds = hdus["MATRIX"].data, hdus["EBOUNDS"].data
        middle = 0.5 * (bounds["E_MIN"] + bounds["E_MAX"])
        wanted = (middle >= 0.5) & (middle < 7.0)
        rate = 0.0
        for row, own in zip(rows, area, strict=True):
            fine = np.linspace(row["ENERG_LO"], row["ENERG_HI"], 41)
            centre = 0.5 * (fine[1:] + fine[:-1])
            photons = model.density(centre).sum() * (fine[1] - fine[0])
            probabilities, used = np.zeros(len(bounds)), 0
            for start, length in zip(
                np.atleast_1d(row["F_CHAN"])[: row["N_GRP"]], np.atleast_1d(row["N_CHAN"]), strict=False
            ):
                probabilities[start - 1 : start - 1 + length] = row["MATRIX"][used : used + length]
                used += length
            rate += photons * own * probabilities[wanted].sum()
    edges = np.linspace(0.5, 7.0, 260_001)
    centre = 0.5 * (edges[1:] + edges[:-1])
    step = edges[1] - edges[0]
    found = model_conversion(*response, model, 0.5, 7.0)
    flux = (centre * model.density(centre)).sum() * step * ERG_PER_KEV
    assert float(found.absorbed) == pytest.approx(flux / rate, rel=1e-4, abs=0)
    flux = (centre * model.unabsorbed().density(centre)).sum() * step * ERG_PER_KEV
    assert float(found.unabsorbed) == pytest.approx(flux / rate, rel=1e-4, abs=0)


def test_closed_forms():
    assert SpectralModel("powerlaw", 2.0).energy_flux(1, 10) == pytest.approx(
        np.log(10) * ERG_PER_KEV, rel=1e-9, abs=0
    )
    # Black body: all photons 2 zeta(3) kT^3, all energy pi^4/15 kT^4.
    model = SpectralModel("blackbody", 0.2)
    edges = np.linspace(1e-6, 20, 20001)
    assert model.photons(edges[:-1], edges[1:]).sum() == pytest.approx(2 * special.zeta(3) * 0.2**3, rel=1e-6)
    assert model.energy_flux(1e-6, 20) / ERG_PER_KEV == pytest.approx(np.pi**4 / 15 * 0.2**4, rel=1e-6)
    # Integral of K_0(x/2) exp(-x/2) over all x is 2.
    brems = SpectralModel("bremsstrahlung", 2.0)
    whole, _ = integrate.quad(lambda e: e * brems.density(np.array(e)), 0, np.inf)
    assert whole == pytest.approx(np.sqrt(3) / np.pi * 2 * 2.0, rel=1e-6)


def test_agrees_with_the_reference_spectrum():
    for nh, name in ((0.0, "phabs-angr"), (0.7, "phabs-angr"), (0.7, "phabs-wilm"), (0.7, "wabs")):
        absorber, _, abundances = name.partition("-")
        ours = SpectralModel("powerlaw", 1.7, nh, absorber, abundances or "angr")
        reference = ReferenceSpectrum(1.7, nh, name)
        assert ours.energy_flux(0.5, 7) == pytest.approx(
            float(reference.energy_flux(0.5, 7)), rel=1e-7, abs=0
        )


def test_abundances_are_really_used():
    fluxes = [
        SpectralModel("powerlaw", 1.7, 1.0, "phabs", name).energy_flux(0.5, 2) for name in ("angr", "wilm")
    ]
    assert fluxes[1] > 1.1 * fluxes[0]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("mekal", 1.0), "powerlaw, blackbody, bremsstrahlung"),
        (("powerlaw", 1.7, 0.1, "tbabs"), "phabs, wabs"),
        (("powerlaw", 1.7, 0.1, "phabs", "lodd"), "angr, wilm"),
        (("powerlaw", 1.7, -0.1), "nH"),
        (("blackbody", 0.0), "kT"),
        (("powerlaw", np.nan), "photon index"),
    ],
)
def test_bad_input_is_refused_with_the_allowed_values(arguments, word):
    with pytest.raises(SettingsError, match=word):
        SpectralModel(*arguments)
