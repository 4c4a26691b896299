"""Spectral fits: published results of real spectra, simulated ones, limits and bad input."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from catalog.band import parse_band
from catalog.calibration.factory import open_calibration
from catalog.errors import CalibrationError, InputFileError, MissingFileError, SettingsError
from catalog.measure.spectral_consistency import inconsistent_areas
from catalog.measure.spectral_data import FitSpectrum, fold, together
from catalog.measure.spectral_files import read_fit_spectrum
from catalog.measure.spectral_fit import FitChoices, fit_spectra
from catalog.measure.spectral_model import FitModel, fit_model
from catalog.measure.spectral_preference import prefer
from catalog.measure.spectral_problem import OutOfTimeError

BROAD = (parse_band("broad"),)
WABS = fit_model("powerlaw", "wabs", nh=0.05)
RATIO = 8.0


@pytest.fixture(scope="module")
def simulated() -> FitSpectrum:
    """Area and redistribution of chip 3; counts are put in by `_draw`."""
    calibration = open_calibration()
    matrix = calibration.redistribution(3)
    area = 0.9 * calibration.area_curve(3, 2005.0, 2.0, 30.0)
    return FitSpectrum("sim", np.zeros(1024), np.zeros(1024), RATIO, 5e4, area, matrix)


def _expected(base: FitSpectrum, model: FitModel, values: tuple[float, ...]) -> np.ndarray:
    edges = np.append(base.matrix.energy_lo, base.matrix.energy_hi[-1])
    return base.matrix.fold(model.photons(edges, np.array([values]))[0] * base.area * base.exposure)


def _draw(base: FitSpectrum, expected: np.ndarray, rng: np.random.Generator, level: float) -> FitSpectrum:
    flat = np.full(1024, level)
    counts = rng.poisson(expected + flat / RATIO).astype(float)
    return replace(base, counts=counts, background=rng.poisson(flat).astype(float))


def test_3c186_as_published(data_dir: Path) -> None:
    spectrum = read_fit_spectrum(data_dir / "spectra" / "9774.pi", background=False)
    found = fit_spectra([spectrum], WABS, FitChoices("cstat", 0.3, 7.0, BROAD))
    assert fold(spectrum, 0.3, 7.0).counts.size == 460
    assert found.status == "ok"
    assert found.degrees_of_freedom == 457
    assert found.statistic == pytest.approx(472.68, rel=5e-4)
    assert found.parameter("photon_index").value == pytest.approx(1.7500, rel=0.005)
    assert found.parameter("norm").value == pytest.approx(7.284e-5, rel=0.005)
    assert found.parameter("nh").value == pytest.approx(0.00998, rel=0.02)


def test_3c273_as_published(data_dir: Path) -> None:
    spectrum = read_fit_spectrum(data_dir / "spectra" / "3c273.pi", background=False)
    found = fit_spectra([spectrum], WABS, FitChoices("cstat", 0.5, 7.0))
    assert found.degrees_of_freedom == 39
    assert found.statistic == pytest.approx(34.955, rel=0.005)
    assert found.parameter("photon_index").value == pytest.approx(1.9926, rel=0.005)
    assert found.parameter("norm").value == pytest.approx(2.0667e-4, rel=0.005)
    assert found.parameter("nh").value == pytest.approx(0.0373, rel=0.02)


def test_statistics_agree_where_counts_are_many(data_dir: Path) -> None:
    spectrum = read_fit_spectrum(data_dir / "spectra" / "9774.pi")
    indices = []
    for statistic in ("cstat", "wstat", "chi2"):
        found = fit_spectra([spectrum], WABS, FitChoices(statistic, 0.5, 7.0))
        indices.append(found.parameter("photon_index").value)
        assert found.goodness is not None
        assert found.goodness > 1e-3
    assert np.ptp(indices) < 0.05


def test_one_quasar_in_four_observations(data_dir: Path) -> None:
    spectra = [read_fit_spectrum(data_dir / "spectra" / f"obs{number}.pi") for number in (1, 2, 3, 4)]
    wrong = inconsistent_areas(spectra)
    assert list(wrong) == ["obs2.pi"]
    assert "effective area" in wrong["obs2.pi"]
    good = [item for item in spectra if item.name not in wrong]
    assert inconsistent_areas(good) == {}
    joint = fit_spectra(good, WABS, FitChoices("cstat", 0.5, 7.0, BROAD))
    assert joint.status == "ok"
    assert joint.net_counts == pytest.approx(sum(fold(item, 0.5, 7.0).net_counts for item in good))
    # Three fits of their own agree with the joint one.
    index = joint.parameter("photon_index")
    assert index.lo90 is not None
    assert index.hi90 is not None
    assert index.lo90 < index.value < index.hi90
    alone = [fit_spectra([item], WABS, FitChoices("cstat", 0.5, 7.0, BROAD)) for item in good]
    fluxes = [fit.fluxes[0].flux for fit in alone]
    assert min(fluxes) < joint.fluxes[0].flux < max(fluxes)


@pytest.mark.parametrize("name", ["obs1.pi", "9774.pi"])
def test_folding_is_that_of_sherpa(data_dir: Path, name: str) -> None:
    from sherpa.astro import io
    from sherpa.astro.data import DataRMF

    import catalog.measure.spectral_sherpa  # noqa: F401  (silences sherpa)

    path = data_dir / "spectra" / name
    spectrum = read_fit_spectrum(path, background=False)
    edges = np.append(spectrum.matrix.energy_lo, spectrum.matrix.energy_hi[-1])
    photons = WABS.photons(edges, np.array([[0.1, 1.7, 1e-4]]))[0]
    rmf: DataRMF = io.read_rmf(str(path.with_suffix(".rmf")))
    theirs = rmf.apply_rmf(photons * spectrum.area * spectrum.exposure)
    chosen = fold(spectrum, 0.5, 7.0)
    ours = together([chosen]).predict(WABS, np.array([[0.1, 1.7, 1e-4]]))[0]
    inside = np.searchsorted(spectrum.matrix.channel_lo, chosen.lo)
    # Joined energy bins cost less than 2e-3 in a channel and 1e-5 in the sum.
    assert ours.sum() == pytest.approx(theirs[inside].sum(), rel=1e-5)
    assert np.abs(ours / theirs[inside] - 1).max() < 2e-3


def test_pulls_and_fluxes_of_simulated_spectra(simulated: FitSpectrum) -> None:
    rng = np.random.default_rng(11)
    model = fit_model("powerlaw", "phabs-angr", nh=0.1)
    expected = _expected(simulated, model, (0.3, 1.8, 3e-5))
    (true_flux,), (true_bare,) = model.energy_flux(0.5, 7.0, np.array([[0.3, 1.8, 3e-5]]))
    pulls, ratios, inside = [], [], []
    for _ in range(24):
        found = fit_spectra(
            [_draw(simulated, expected, rng, 0.2)], model, FitChoices("cstat", 0.5, 7.0, BROAD)
        )
        index = found.parameter("photon_index")
        assert index.lo68 is not None
        assert index.hi68 is not None
        error = index.value - index.lo68 if index.value > 1.8 else index.hi68 - index.value
        pulls.append((index.value - 1.8) / error)
        ratios.append(found.fluxes[0].flux / true_flux)
        flux = found.fluxes[0]
        assert flux.unabsorbed_lolim is not None
        assert flux.unabsorbed_hilim is not None
        inside.append(flux.unabsorbed_lolim < true_bare < flux.unabsorbed_hilim)
    assert expected.sum() > 200
    assert abs(np.mean(pulls)) < 0.5
    assert 0.7 < np.std(pulls) < 1.35
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.03)
    assert 17 <= sum(inside) <= 24


def test_weak_spectrum_keeps_shape_and_column(simulated: FitSpectrum) -> None:
    rng = np.random.default_rng(3)
    model = fit_model("powerlaw", nh=0.2)
    expected = _expected(simulated, model, (0.2, 1.7, 1.0))
    for counts, free in ((8, ["norm"]), (30, ["photon_index", "norm"]), (90, ["nh", "photon_index", "norm"])):
        spectrum = _draw(simulated, expected * counts / expected[34:480].sum(), rng, 0.0)
        # A spectrum with that many counts, whatever was drawn.
        spectrum = replace(spectrum, background=None)
        total = fold(spectrum, 0.5, 7.0).counts.sum()
        limits = FitChoices(counts_for_shape=15 * total / counts, counts_for_nh=50 * total / counts)
        found = fit_spectra([spectrum], model, limits)
        assert [item.name for item in found.parameters if not item.frozen] == free
        assert found.parameter("nh").value == 0.2 or "nh" in free


def test_nothing_gives_an_upper_bound(simulated: FitSpectrum) -> None:
    model = fit_model("powerlaw", nh=0.1)
    empty = replace(simulated, background=None)
    found = fit_spectra([empty], model, FitChoices("cstat", 0.5, 7.0, BROAD))
    assert found.status == "bound"
    norm, flux = found.parameter("norm"), found.fluxes[0]
    per_norm = float(_expected(simulated, model, (0.1, 1.7, 1.0))[34:480].sum())
    assert norm.value == 0.0
    assert norm.lo90 is None
    # C-statistic of nothing is twice the expected counts; 2.706 more at 1.353 counts.
    assert norm.hi90 is not None
    assert norm.hi90 * per_norm == pytest.approx(1.3528, rel=0.02)
    # 90 % of the posterior exp(-counts) lie below 2.3026 counts.
    (per_flux,), _ = model.energy_flux(0.5, 7.0, np.array([[0.1, 1.7, 1.0]]))
    assert flux.flux_lolim == 0.0
    assert flux.flux_hilim is not None
    assert flux.flux_hilim / per_flux * per_norm == pytest.approx(2.3026, rel=0.02)
    # Background alone is nothing too.
    rng = np.random.default_rng(2)
    flat = replace(simulated, background=rng.poisson(np.full(1024, 0.5)).astype(float))
    assert fit_spectra([flat], model, FitChoices("cstat", 0.5, 7.0, BROAD)).status == "bound"


def test_same_input_same_result(simulated: FitSpectrum) -> None:
    model = fit_model("powerlaw")
    spectrum = _draw(simulated, _expected(simulated, model, (0.1, 1.7, 2e-5)), np.random.default_rng(1), 0.3)
    first, second = (fit_spectra([spectrum], model, FitChoices(bands=BROAD)) for _ in range(2))
    assert first == second
    other = fit_spectra([spectrum], model, FitChoices(bands=BROAD, seed=2))
    assert other.statistic == first.statistic
    assert other.fluxes[0].flux_hilim != first.fluxes[0].flux_hilim
    assert other.fluxes[0].flux_hilim == pytest.approx(first.fluxes[0].flux_hilim, rel=0.05, abs=0)


def test_hundred_counts_are_fitted_at_once(simulated: FitSpectrum) -> None:
    model = fit_model("powerlaw")
    expected = _expected(simulated, model, (0.1, 1.7, 1e-5))
    spectrum = _draw(simulated, expected * 100 / expected.sum(), np.random.default_rng(1), 0.3)
    fit_spectra([spectrum], model, FitChoices(bands=BROAD))
    start = time.process_time()
    fit_spectra([spectrum], model, FitChoices(bands=BROAD))
    assert time.process_time() - start < 0.5


def test_models_tell_each_other_apart(simulated: FitSpectrum) -> None:
    rng = np.random.default_rng(6)
    black = fit_model("blackbody", nh=0.1)
    spectrum = _draw(simulated, _expected(simulated, black, (0.1, 0.6, 1e-6)), rng, 0.2)
    names = ("powerlaw", "blackbody", "bremsstrahlung")
    fits = [fit_spectra([spectrum], fit_model(name, nh=0.1), FitChoices(bands=BROAD)) for name in names]
    choice = prefer([*fits, None], [*names, "thermal"])
    assert choice.chosen == 1
    assert choice.reasons[1].startswith("by rule")
    assert choice.reasons[0].startswith("worse by")
    assert choice.reasons[3] == "no usable fit"
    assert fits[1].parameter("kt").value == pytest.approx(0.6, rel=0.1)
    # A frozen shape gives way to a free one that is worse by less than 1.
    frozen = replace(
        fits[1],
        statistic=fits[2].statistic - 0.5,
        parameters=tuple(replace(item, frozen=True) for item in fits[1].parameters),
    )
    assert prefer([frozen, fits[2]], ["blackbody", "bremsstrahlung"]).chosen == 1


def test_asked_values_are_held(simulated: FitSpectrum) -> None:
    model = fit_model("powerlaw")
    spectrum = _draw(simulated, _expected(simulated, model, (0.1, 1.7, 5e-5)), np.random.default_rng(1), 0.3)
    found = fit_spectra([spectrum], model, FitChoices(frozen=(("photon_index", 2.5),), free=("nh",)))
    assert found.parameter("photon_index").value == 2.5
    assert found.parameter("photon_index").frozen
    assert not found.parameter("nh").frozen
    limit = fit_spectra([spectrum], model, FitChoices(frozen=(("nh", 0.1), ("photon_index", 1.7))))
    assert limit.n_free == 1


def test_a_fit_that_runs_into_a_limit_says_so(simulated: FitSpectrum) -> None:
    counts = np.zeros(1024)
    counts[470:479] = 100.0
    hard = replace(simulated, counts=counts, background=None)
    found = fit_spectra([hard], fit_model("bremsstrahlung"), FitChoices(frozen=(("nh", 0.0),)))
    assert found.status == "limit"
    assert found.parameter("kt").at_limit
    assert found.parameter("kt").hi90 is None


def test_time_is_limited(simulated: FitSpectrum) -> None:
    with pytest.raises(OutOfTimeError):
        fit_spectra([simulated], fit_model("powerlaw"), FitChoices(timeout=1e-9))


def test_bad_input(simulated: FitSpectrum, data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError) as caught:
        replace(simulated, counts=np.zeros(512))
    assert caught.value.code == "CHANNEL_MISMATCH"
    with pytest.raises(CalibrationError) as caught:
        fold(replace(simulated, area=np.zeros_like(simulated.area)), 0.5, 7.0)
    assert caught.value.code == "NO_AREA"
    with pytest.raises(CalibrationError) as caught:
        fold(simulated, 16.0, 17.0)
    assert caught.value.code == "NO_CHANNELS"
    for name, code in (("nonsense", "UNKNOWN_MODEL"), ("thermal", "TABLE_MODEL")):
        with pytest.raises(SettingsError) as wrong:
            fit_model(name)
        assert wrong.value.code == code
    # Alone in a folder, a spectrum has lost its response.
    lonely = tmp_path / "9774.pi"
    lonely.write_bytes((data_dir / "spectra" / "9774.pi").read_bytes())
    with pytest.raises(MissingFileError):
        read_fit_spectrum(lonely)
    with pytest.raises(InputFileError):
        read_fit_spectrum(data_dir / "spectra" / "9774.rmf")


def test_without_sherpa_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['sherpa'] = None\n"
        "from catalog.errors import UserError\n"
        "try:\n    import catalog.measure.spectral_sherpa\n"
        "except UserError as error:\n    print(error.code, error)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("NO_SHERPA")
    assert "srccat[spectral]" in found.stdout
