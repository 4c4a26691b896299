"""Bayesian blocks, grouping, smoothing, and constancy between observations."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.stats import Events
from astropy.stats import bayesian_blocks as astropy_blocks
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from catalog.stats.bayesian_blocks import bayesian_blocks
from catalog.stats.constancy import constancy, inter_index, log10_chi2_sf
from catalog.stats.constancy_kernels import log_likelihood
from catalog.stats.exposure_clock import exposure_clock
from catalog.stats.smoothing import smooth_adaptively
from catalog.stats.time_grouping import group_by_snr, group_snr

# --- blocks ---


def test_blocks_find_a_flare_across_a_gap() -> None:
    rng = np.random.default_rng(2)
    clock = exposure_clock([0, 3000], [1000.0, 10000.0])
    times = np.append(clock.time_at(rng.random(300) * 8000), 5000 + rng.random(100) * 200)
    blocks = bayesian_blocks(times, clock)
    assert len(blocks) == 3
    assert blocks.start[1] == pytest.approx(5000, abs=30)
    assert blocks.stop[1] == pytest.approx(5200, abs=30)
    assert blocks.counts.sum() == 400
    assert blocks.exposure.sum() == pytest.approx(8000)


def test_blocks_of_constant_sources_are_rare() -> None:
    rng = np.random.default_rng(3)
    edges = np.arange(0.0, 20001.0, 25.0)
    clock = exposure_clock([0], [20000], edges, np.clip(0.5 + np.sin(edges[:-1] / 160), 0, 1), minimum=0.1)
    exposure = np.append(0, np.cumsum((clock.stop - clock.start) * clock.fraction))
    found = []
    for n in rng.integers(10, 150, 60):
        at = np.sort(rng.random(n)) * exposure[-1]
        i = np.searchsorted(exposure, at, side="right") - 1
        found.append(len(bayesian_blocks(clock.start[i] + (at - exposure[i]) / clock.fraction[i], clock)) > 1)
    assert np.mean(found) < 0.04


@pytest.mark.parametrize("times", [[], [5.0], [5.0, 5.0, 5.0, 5.0]])
def test_blocks_of_few_events(times) -> None:
    blocks = bayesian_blocks(times, exposure_clock([0], [10]))
    assert blocks.counts.sum() == len(times)
    assert blocks.exposure.sum() == pytest.approx(10)


@pytest.mark.parametrize("seed", range(12))
def test_blocks_are_those_of_astropy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start, length = rng.random(3) * 8000, rng.random(3) * 1500
    flares = [a + rng.random(rng.integers(3, 120)) * b for a, b in zip(start, length, strict=True)]
    times = np.sort(np.clip(np.concatenate([rng.random(rng.integers(3, 200)) * 1e4, *flares]), 1.0, 9999.0))
    if seed % 2:
        # Frames of a detector: several events in one.
        times = np.ceil(times / 20) * 20 - 10
    places, counts = np.unique(times, return_counts=True)
    prior = 4.0 - np.log(73.53 * 0.01 * places.size**-0.478)
    cells = np.concatenate([[0.0], places, [1e4]])
    numbers = np.concatenate([[0], counts, [0]])
    edges = astropy_blocks(cells, numbers, fitness=Events(ncp_prior=prior))
    blocks = bayesian_blocks(times, exposure_clock([0], [1e4]), 0.01)
    assert len(blocks) > 1
    np.testing.assert_allclose(blocks.stop[:-1], edges[1:-1], rtol=0, atol=1e-6)


def test_blocks_of_many_events_take_no_quadratic_time() -> None:
    rng = np.random.default_rng(1)
    times = np.append(rng.random(50000) * 1e5, 2e4 + rng.random(3000) * 2e3)
    blocks = bayesian_blocks(times, exposure_clock([0], [1e5]))
    assert len(blocks) == 3
    assert blocks.counts.sum() == 53000


# --- grouping and smoothing ---


def test_printed_signal_to_noise() -> None:
    assert float(group_snr(30, 100, 20)) == pytest.approx(3.8060, abs=5e-5)
    assert float(group_snr(30)) == pytest.approx(4.5835, abs=5e-5)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=300))
@settings(max_examples=80, deadline=None)
def test_groups_cover_all_bins_and_reach_the_threshold(counts: list[int]) -> None:
    edges, threshold = group_by_snr(counts)
    assert (edges[0], edges[-1]) == (0, len(counts))
    assert (np.diff(edges) > 0).all()
    assert threshold >= 2.0
    groups = np.add.reduceat(np.array(counts), edges[:-1])
    assert groups.sum() == sum(counts)
    if groups.size > 1:
        assert groups.size <= 50
        assert (group_snr(groups) >= threshold - 1e-9).all()


def test_boundaries_lie_midway_between_events() -> None:
    counts = np.zeros(400, dtype=int)
    counts[[10, 300]] = 12
    edges, threshold = group_by_snr(counts)
    assert edges.tolist() == [0, 155, 400]
    assert float(group_snr(12)) - 0.2 < threshold <= float(group_snr(12))


def test_smoothing_against_a_plain_loop() -> None:
    rng = np.random.default_rng(8)
    counts, exposure, snr = rng.poisson(1.5, 120), rng.uniform(5, 10, 120), 4.0
    rate, error, radius = smooth_adaptively(counts, exposure, snr)
    for i in range(120):
        expected = -1
        for r in range(min(i, 119 - i) + 1):
            if counts[i - r : i + r + 1].sum() >= snr**2:
                expected = r
                break
        assert radius[i] == expected
        if expected < 0:
            assert np.isnan(rate[i])
        else:
            inside = slice(i - expected, i + expected + 1)
            assert rate[i] == pytest.approx(counts[inside].sum() / exposure[inside].sum())
            assert rate[i] / error[i] >= snr


# --- constancy ---


@given(
    st.integers(0, 40),
    st.integers(0, 60),
    st.floats(0.3, 3),
    st.floats(0, 0.3),
    st.floats(2, 30),
    st.floats(0, 60),
)
@settings(max_examples=80, deadline=None)
def test_background_is_profiled_exactly(n, m, f, g, r, s) -> None:
    def minus(b: float) -> float:
        x, y = f * s + b, g * s + r * b
        value = n - x + m - y
        value += n * np.log(max(x, 1e-300) / n) if n else 0
        return -(value + (m * np.log(max(y, 1e-300) / m) if m else 0))

    best = min(optimize.minimize_scalar(minus, bounds=(0, 200), method="bounded").fun, minus(1e-12))
    found = log_likelihood(s, n, m, f, g, r)
    assert found >= -best - 1e-6
    assert found <= 1e-9
    if np.isfinite(found):
        assert found == pytest.approx(-best, abs=1e-4 * (1 + abs(best)))


def test_constancy_is_calibrated() -> None:
    rng = np.random.default_rng(9)
    f, r = np.array([1.0, 0.5, 2.0]), np.full(3, 20.0)
    for flux, background in ((4.0, 0.2), (20.0, 2.0), (300.0, 2.0)):
        n, m = rng.poisson(f * flux * 0.9 + background, (600, 3)), rng.poisson(20 * background, (600, 3))
        found = [constancy(a, b, 0.9 * f, 0 * f, r) for a, b in zip(n, m, strict=True)]
        for limit in (0.1, 0.01):
            for name in ("log10_pvalue", "chi2_log10_pvalue"):
                share = np.mean([getattr(item, name) < np.log10(limit) for item in found])
                assert share < 1.35 * limit + 0.01, (flux, name, limit)
                assert share > 0.3 * limit - 0.005, (flux, name, limit)


def test_a_flare_of_one_observation_is_found_and_a_spectrum_is_not() -> None:
    bright = constancy([100, 30, 1500], [20, 20, 20], [1, 1, 1], [0, 0, 0], [20, 20, 20])
    assert bright.index == 10
    assert bright.log10_pvalue < -100
    # Areas that differ by 30 % for another spectrum explain counts that differ as much.
    arrays = ([1000, 700], [0, 0], [1, 1], [0, 0], [20, 20])
    assert constancy(*arrays).index >= 8
    assert constancy(*arrays, shapes=[[1, 1], [1, 0.7]]).index < 3


def test_index_and_tails() -> None:
    assert [inter_index(x) for x in (0.0, -0.31, -1.01, -2.01, -3.01, -4.01, -6.1, -11)] == [
        0, 1, 4, 6, 7, 8, 9, 10,
    ]  # fmt: skip
    for value, freedom in ((3.0, 1), (50.0, 2), (900.0, 3)):
        assert log10_chi2_sf(value, freedom) == pytest.approx(stats.chi2.logsf(value, freedom) / np.log(10))
    # Beyond doubles: two degrees of freedom are an exponential.
    assert log10_chi2_sf(5000.0, 2) == pytest.approx(-2500 / np.log(10))
    with pytest.raises(ValueError, match="two observations"):
        constancy([1], [1], [1], [0], [1])
    assert constancy([0, 0], [0, 0], [1, 1], [0, 0], [10, 10]).index == 0
