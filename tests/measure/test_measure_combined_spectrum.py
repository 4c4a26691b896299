"""Combined spectra against sums written out by hand, and against the sum of foldings."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.calibration.redistribution import Redistribution
from catalog.errors import CalibrationError, SettingsError
from catalog.measure.combined_spectrum import combine_spectra, combined_background, parse_background_rule
from catalog.measure.spectra import ExtractedSpectrum, SpectralResponse

CHANNELS = 40


def a_matrix(width: float, energies: int = 30) -> Redistribution:
    edges, channels = np.linspace(0.3, 6.0, energies + 1), np.linspace(0.2, 6.5, CHANNELS + 1)
    middle, centre = 0.5 * (edges[1:] + edges[:-1]), 0.5 * (channels[1:] + channels[:-1])
    matrix = np.exp(-0.5 * ((centre - middle[:, None]) / width) ** 2)
    matrix /= matrix.sum(axis=1, keepdims=True)
    return Redistribution(
        edges[:-1], edges[1:], channels[:-1], channels[1:], matrix.astype(np.float32), 1, f"width {width}"
    )


def a_spectrum(seed: int, livetime: float, ratio: float, matrix: Redistribution) -> ExtractedSpectrum:
    rng = np.random.default_rng(seed)
    energies = matrix.energy_lo.size
    return ExtractedSpectrum(
        counts=rng.poisson(3.0, CHANNELS).astype(float),
        background=rng.poisson(5.0, CHANNELS).astype(float),
        livetime=livetime,
        bkg_ratio=ratio,
        response=SpectralResponse(
            matrix, rng.uniform(50, 500, energies), rng.uniform(0.5, 1.0, energies), rng.uniform(0.5, 1.0)
        ),
        background_response=SpectralResponse(matrix, rng.uniform(50, 500, energies), np.ones(energies), 0.9),
    )


@pytest.fixture
def spectra() -> list[ExtractedSpectrum]:
    one, other = a_matrix(0.1), a_matrix(0.25)
    return [
        a_spectrum(1, 1000.0, 12.0, one),
        a_spectrum(2, 7000.0, 3.0, other),
        a_spectrum(3, 2500.0, 30.0, one),
    ]


def by_hand(spectra: list[ExtractedSpectrum], rule: str) -> tuple[np.ndarray, float]:
    """Background counts and BACKSCAL from EXPOSURE and BACKSCAL of files, as CIAO defines it."""
    files = [(item.livetime, 1.0, item.livetime, item.bkg_ratio, item.background) for item in spectra]
    if rule == "time":
        counts = sum(item[4] for item in files)
        return counts, sum(item[2] * item[3] for item in files) / sum(item[2] for item in files)
    if rule == "asca":
        weighted = sum(exp_s * bs_s / bs_b for exp_s, bs_s, _, bs_b, _ in files)
        scale = sum(item[2] for item in files) / weighted
        counts = sum(scale * exp_s / exp_b * bs_s / bs_b * b for exp_s, bs_s, exp_b, bs_b, b in files)
        return counts, sum(item[0] for item in files) / weighted
    r = [exp_s * bs_s / (exp_b * bs_b) for exp_s, bs_s, exp_b, bs_b, _ in files]
    m1 = sum(item[4].sum() * value for item, value in zip(files, r, strict=True))
    m2 = sum(item[4].sum() * value**2 for item, value in zip(files, r, strict=True))
    shape = sum(item[4] * value for item, value in zip(files, r, strict=True))
    return shape / shape.sum() * m1**2 / m2, m1 / m2


@pytest.mark.parametrize("rule", ["asca", "time", "counts"])
def test_backgrounds_are_those_of_the_definitions(spectra, rule):
    found = combine_spectra(spectra, rule)
    counts, scale = by_hand(spectra, rule)
    assert np.allclose(found.background, counts, rtol=1e-12)
    assert found.bkg_ratio == pytest.approx(scale, rel=1e-12)
    assert np.array_equal(found.counts, sum(item.counts for item in spectra))
    assert found.livetime == 10500.0


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.floats(1.0, 60.0), st.floats(10.0, 1e5)), min_size=2, max_size=5
    )
)
def test_the_background_of_the_aperture_is_kept_and_its_variance(items):
    spectra = [
        ExtractedSpectrum(np.zeros(3), np.array([0.0, number, 1.0]), time, ratio, None)
        for number, ratio, time in items
    ]
    wanted = sum((number + 1) / ratio for number, ratio, _ in items)
    variance = sum((number + 1) / ratio**2 for number, ratio, _ in items)
    for rule in ("asca", "counts"):
        counts, scale = combined_background(spectra, rule)
        assert counts.sum() / scale == pytest.approx(wanted, rel=1e-9)
    counts, scale = combined_background(spectra, "counts")
    assert counts.sum() / scale**2 == pytest.approx(variance, rel=1e-9)


def test_without_background_counts_the_ratio_is_still_a_number():
    spectra = [ExtractedSpectrum(np.ones(3), np.zeros(3), time, 10.0, None) for time in (10.0, 20.0)]
    for rule in ("asca", "time", "counts"):
        counts, scale = combined_background(spectra, rule)
        assert not counts.any()
        assert scale == pytest.approx(10.0)


def test_folding_through_the_combined_response_is_the_sum_of_foldings(spectra):
    found = combine_spectra(spectra)
    flux = np.random.default_rng(4).uniform(0, 1e-3, 30)
    single = sum(item.response.fold(flux, item.livetime) for item in spectra)
    assert np.allclose(found.response.fold(flux, found.livetime), single, rtol=1e-6)
    weights = np.array([item.livetime for item in spectra]) / 10500.0
    assert np.allclose(found.response.area, weights @ [item.response.area for item in spectra])
    assert np.allclose(found.response.psf_area, weights @ [item.response.psf_area for item in spectra])
    assert found.response.good_frac == pytest.approx(weights @ [item.response.good_frac for item in spectra])


def test_one_redistribution_stays_the_one(spectra):
    alike = [spectra[0], spectra[2]]
    assert combine_spectra(alike).response.redistribution is spectra[0].response.redistribution


def test_energies_without_area_give_no_undefined_response(spectra):
    blind = [
        dataclasses.replace(
            item, response=dataclasses.replace(item.response, area=np.where(np.arange(30) < 3, 0.0, 100.0))
        )
        for item in spectra
    ]
    found = combine_spectra(blind).response
    assert np.isfinite(found.psf_frac).all()
    assert np.allclose(found.redistribution.matrix.sum(axis=1), 1.0, atol=1e-5)


def test_one_alone_is_itself_and_none_is_refused(spectra):
    assert combine_spectra(spectra[:1]) is spectra[0]
    with pytest.raises(ValueError, match="nothing"):
        combine_spectra([])


def test_what_one_of_them_lacks_the_sum_lacks(spectra):
    bare = dataclasses.replace(spectra[1], background=None, bkg_ratio=None, response=None)
    found = combine_spectra([spectra[0], bare])
    assert found.background is None
    assert found.bkg_ratio is None
    assert found.response is None
    assert np.array_equal(found.counts, spectra[0].counts + bare.counts)


def test_different_energies_are_refused(spectra):
    other = a_spectrum(5, 100.0, 4.0, a_matrix(0.1, 31))
    with pytest.raises(CalibrationError, match="fit them jointly"):
        combine_spectra([spectra[0], other])


def test_names_of_rules():
    assert parse_background_rule("asca") == "asca"
    with pytest.raises(SettingsError, match="asca, time, counts"):
        parse_background_rule("mean")
