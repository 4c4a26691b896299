"""Light of neighbours in spectra: what is put on channels, and that fits are right with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from catalog.band import parse_band
from catalog.calibration.factory import open_calibration
from catalog.measure.combined_spectrum import combine_spectra
from catalog.measure.neighbour_spectrum import BandLight, neighbour_counts, smooth_net
from catalog.measure.spectra import ExtractedSpectrum, channel_energies
from catalog.measure.spectral_data import FitSpectrum, fold, group_by_counts
from catalog.measure.spectral_fit import FitChoices, fit_spectra
from catalog.measure.spectral_lines import smooth_line
from catalog.measure.spectral_model import fit_model

MODEL = fit_model("powerlaw", "wabs", nh=0.1)
RATIO = 10.0
ENERGY = channel_energies()


@pytest.fixture(scope="module")
def empty() -> FitSpectrum:
    calibration = open_calibration()
    area = 0.9 * calibration.area_curve(3, 2005.0, 2.0, 30.0)
    matrix = calibration.redistribution(3)
    return FitSpectrum("sim", np.zeros(1024), np.zeros(1024), RATIO, 5e4, area, matrix)


def expected_counts(base: FitSpectrum, index: float, nh: float, total: float) -> np.ndarray:
    """A power law of so many counts between 0.5 and 7 keV."""
    edges = np.append(base.matrix.energy_lo, base.matrix.energy_hi[-1])
    counts = base.matrix.fold(MODEL.photons(edges, np.array([[nh, index, 1e-4]]))[0] * base.area)
    return counts * total / counts[(ENERGY > 0.5) & (ENERGY < 7.0)].sum()


def test_a_line_is_near_what_was_drawn_from() -> None:
    truth = np.where(ENERGY < 2.0, 2.0 * ENERGY, np.maximum(5.0 - 0.5 * ENERGY, 0.0))
    counts = np.random.default_rng(3).poisson(truth).astype(float)
    inside = ENERGY < 10.0
    found = smooth_line(counts[inside], ENERGY[inside], 20.0, 24)
    assert found.sum() == pytest.approx(counts[inside].sum(), rel=1e-3)
    error = np.sqrt(np.mean((found - truth[inside]) ** 2))
    assert error < 0.25 * np.sqrt(np.mean((counts - truth)[inside] ** 2))
    assert not smooth_line(np.zeros(9), ENERGY[:9], 20.0, 24).any()


def test_bands_hold_what_the_photometry_found() -> None:
    rng = np.random.default_rng(8)
    counts = rng.poisson(np.exp(-ENERGY) * 8.0).astype(float)
    background = rng.poisson(0.3, 1024).astype(float)
    shape = smooth_net(counts, background, RATIO, ENERGY)
    light = [
        BandLight(0.5, 7.0, 30.0),
        BandLight(0.5, 1.2, 18.0),
        BandLight(1.2, 2.0, 9.0),
        BandLight(2.0, 7.0, -3.0),
    ]
    found = neighbour_counts(shape, ENERGY, light)
    for band in light[1:]:
        assert found[(band.lo <= ENERGY) & (band.hi > ENERGY)].sum() == pytest.approx(band.counts)
    # Channels in no band follow the one beside them.
    outside = ENERGY < 0.5
    low = (ENERGY >= 0.5) & (ENERGY < 1.2)
    assert found[outside].sum() == pytest.approx(18.0 * shape[outside].sum() / shape[low].sum())
    wide = neighbour_counts(shape, ENERGY, light[:1])
    assert wide[(ENERGY >= 0.5) & (ENERGY < 7.0)].sum() == pytest.approx(30.0)
    assert not neighbour_counts(np.zeros(1024), ENERGY, light).any()


def test_a_faint_source_beside_a_bright_one_is_fitted_right(empty: FitSpectrum) -> None:
    """The light of a hard neighbour is two thirds of that of the source itself."""
    rng = np.random.default_rng(20)
    own, bright = expected_counts(empty, 2.4, 0.1, 300.0), expected_counts(empty, 1.0, 0.5, 5000.0)
    leak, level = 0.04, np.full(1024, 0.1)
    choices = FitChoices(frozen=(("nh", 0.1),), bands=(parse_band("broad"),))
    pulls, ratios, blind = [], [], []
    true = None
    for _ in range(12):
        seen = rng.poisson(bright + level / RATIO).astype(float)
        shape = smooth_net(seen, rng.poisson(level).astype(float), RATIO, ENERGY)
        light = neighbour_counts(shape, ENERGY, [BandLight(0.5, 7.0, 5000.0 * leak)])
        spectrum = replace(
            empty,
            counts=rng.poisson(own + leak * bright + level / RATIO).astype(float),
            background=rng.poisson(level).astype(float),
            neighbours=light,
        )
        if true is None:
            exact = replace(empty, counts=own, background=None)
            true = fit_spectra([exact], MODEL, choices).fluxes[0].flux
        fit = fit_spectra([spectrum], MODEL, choices)
        index = fit.parameter("photon_index")
        end = index.lo68 if index.value > 2.4 else index.hi68
        assert end is not None
        pulls.append((index.value - 2.4) / abs(index.value - end))
        ratios.append(fit.fluxes[0].flux / true)
        blind.append(fit_spectra([replace(spectrum, neighbours=None)], MODEL, choices).fluxes[0].flux / true)
        assert fit.net_counts == pytest.approx(300.0, abs=90.0)
    assert abs(np.mean(pulls)) < 0.9
    assert 0.6 < np.std(pulls) < 1.5
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.1)
    assert np.mean(blind) > 1.5


@pytest.mark.parametrize("statistic", ["cstat", "wstat", "chi2"])
def test_known_light_changes_nothing_but_the_counts(empty: FitSpectrum, statistic: str) -> None:
    """With expected counts as data the best fit is the truth, whatever light comes on top."""
    own, light = expected_counts(empty, 1.8, 0.1, 4000.0), expected_counts(empty, 0.5, 1.0, 1500.0)
    flat = np.full(1024, 2.0)
    spectrum = replace(empty, counts=own + light + flat / RATIO, background=flat, neighbours=light)
    fit = fit_spectra([spectrum], MODEL, FitChoices(statistic=statistic))
    assert fit.parameter("photon_index").value == pytest.approx(1.8, abs=0.02)
    assert fit.parameter("nh").value == pytest.approx(0.1, abs=0.02)
    folded = fold(spectrum, 0.5, 7.0)
    assert folded.net.sum() == pytest.approx(4000.0, rel=0.01)
    assert group_by_counts(folded, folded.counts, 30.0).neighbours.sum() == pytest.approx(
        folded.neighbours.sum()
    )


def test_more_of_a_neighbour_in_the_background_than_in_the_aperture(empty: FitSpectrum) -> None:
    """A negative light: the fit goes on and finds more than without it."""
    own, wing = expected_counts(empty, 1.8, 0.1, 400.0), expected_counts(empty, 1.0, 0.1, 600.0)
    rng = np.random.default_rng(4)
    spectrum = replace(
        empty, counts=rng.poisson(own).astype(float), background=rng.poisson(wing).astype(float)
    )
    choices = FitChoices(bands=(parse_band("broad"),))
    plain = fit_spectra([spectrum], MODEL, choices)
    found = fit_spectra([replace(spectrum, neighbours=-wing / RATIO)], MODEL, choices)
    assert found.net_counts == pytest.approx(plain.net_counts + 60.0, rel=0.02)
    assert found.status == "ok"
    assert found.fluxes[0].flux / plain.fluxes[0].flux == pytest.approx(400.0 / 340.0, rel=0.1)
    # However much is said to be taken off, the aperture keeps a part of its background.
    absurd = fit_spectra([replace(spectrum, neighbours=-wing)], MODEL, choices)
    assert absurd.fluxes[0].flux / found.fluxes[0].flux == pytest.approx(1.0, rel=0.1)


def test_combined_light_is_the_sum() -> None:
    light = np.linspace(0.0, 1.0, 8)
    parts = [
        ExtractedSpectrum(np.ones(8), np.ones(8), 10.0, 5.0, None, neighbours=light),
        ExtractedSpectrum(np.ones(8), np.ones(8), 10.0, 5.0, None),
    ]
    combined = combine_spectra(parts)
    assert combined.neighbours is not None
    assert np.allclose(combined.neighbours, light)
    assert np.allclose(combined.net, 2.0 - light - combined.background / combined.bkg_ratio)
    assert combine_spectra([parts[1], parts[1]]).neighbours is None
