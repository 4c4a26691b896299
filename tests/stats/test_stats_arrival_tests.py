"""Kolmogorov-Smirnov and Kuiper against simulation, published values and each other."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from catalog.stats.kolmogorov_smirnov import ks_log10, ks_log10_pvalue, ks_statistic
from catalog.stats.kuiper import kuiper_log10, kuiper_log10_pvalue, kuiper_statistic
from catalog.stats.staircase_kernels import kolmogorov_cdf, kuiper_cdf

PHASES = [0.05, 0.10, 0.12, 0.15, 0.20, 0.22, 0.90]


def test_published_values() -> None:
    assert ks_statistic(PHASES) == pytest.approx(0.637143, abs=5e-7)
    assert 10 ** ks_log10(PHASES) == pytest.approx(2.7353e-3, abs=5e-8)
    assert 10 ** ks_log10(PHASES, "asymptotic") == pytest.approx(3.3275e-3, abs=5e-8)


@pytest.mark.parametrize("n", [4, 7, 20, 60, 150, 400])
def test_kuiper_against_simulation(n: int) -> None:
    rng = np.random.default_rng(n)
    trials = 250_000
    found = np.empty(trials)
    steps = np.arange(n + 1) / n
    for start in range(0, trials, 12500):
        u = np.sort(rng.random((12500, n)), axis=1)
        found[start : start + 12500] = (steps[1:] - u).max(axis=1) + (u - steps[:-1]).max(axis=1)
    found.sort()
    for share in (0.02, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999):
        v = found[int(share * trials)]
        # 3 standard errors of the simulation, and what is asked for.
        allowed = min(0.002 + 3 * math.sqrt(share * (1 - share) / trials), 0.005)
        assert 1 - 10 ** kuiper_log10_pvalue(v, n) == pytest.approx(share, abs=allowed)


def test_kuiper_of_two_events() -> None:
    # Two events at a distance d on the circle: V = max(d, 1 - d) + ... = 1/2 + |1/2 - d| with d uniform.
    for v in (0.55, 0.7, 0.93):
        assert kuiper_cdf(v, 2) == pytest.approx(2 * (v - 0.5), rel=1e-12)


def test_kuiper_of_three_events_by_quadrature() -> None:
    a, b = np.meshgrid((np.arange(1500) + 0.5) / 1500, (np.arange(1500) + 0.5) / 1500)
    u = np.sort(np.stack([np.zeros_like(a), a, b], axis=-1), axis=-1)
    steps = np.arange(4) / 3
    v = (steps[1:] - u).max(axis=-1) + (u - steps[:-1]).max(axis=-1)
    for value in (0.45, 0.6, 0.8):
        assert kuiper_cdf(value, 3) == pytest.approx(float((v <= value).mean()), abs=2e-3)


@given(st.integers(4, 60), st.floats(0.05, 0.95), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_kuiper_does_not_depend_on_the_origin(n: int, shift: float, seed: int) -> None:
    phase = np.random.default_rng(seed).random(n)
    assert kuiper_log10((phase + shift) % 1.0) == pytest.approx(kuiper_log10(phase), abs=1e-6)


@pytest.mark.parametrize("n", [4, 5, 17, 60, 140])
def test_ks_of_few_events_against_scipy(n: int) -> None:
    for d in np.linspace(0.5 / n, 0.6, 40):
        assert kolmogorov_cdf(d, n) == pytest.approx(stats.kstwo.cdf(d, n), abs=1e-12)
        assert ks_log10_pvalue(d, n) == pytest.approx(stats.kstwo.logsf(d, n) / math.log(10), abs=1e-9)


@pytest.mark.parametrize("n", [141, 200, 1000])
def test_ks_of_many_events_is_near_the_exact_distribution(n: int) -> None:
    for d in np.linspace(0.5, 1.45, 20) / math.sqrt(n):
        exact = 1.0 - kolmogorov_cdf(d, n)
        assert 10 ** ks_log10_pvalue(d, n) == pytest.approx(exact, rel=3e-5)
        assert ks_log10_pvalue(d, n) == pytest.approx(stats.kstwo.logsf(d, n) / math.log(10), abs=1e-9)


@given(st.integers(4, 300), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_ks_against_scipy(n: int, seed: int) -> None:
    phase = np.random.default_rng(seed).random(n) ** 1.3
    expected = stats.kstest(phase, "uniform", method="exact")
    assert ks_statistic(phase) == pytest.approx(expected.statistic, abs=1e-12)
    assert ks_log10(phase) == pytest.approx(math.log10(expected.pvalue), abs=1e-9)


def test_deep_tails_stay_finite_and_ordered() -> None:
    values = [ks_log10_pvalue(d, 5000) for d in (0.3, 0.35, 0.4, 0.45, 0.9)]
    assert values == sorted(values, reverse=True)
    assert all(math.isfinite(value) for value in values)
    assert values[2] == pytest.approx(math.log10(2) - 2 * 5000 * 0.16 / math.log(10), rel=0.02)
    kuiper = [kuiper_log10_pvalue(v, 100) for v in np.linspace(0.05, 1.0, 200)]
    assert all(a >= b - 1e-9 for a, b in pairwise(kuiper))
    assert kuiper_statistic([0.5] * 10) == pytest.approx(1.0)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_too_few_events(n: int) -> None:
    assert ks_log10(np.linspace(0.1, 0.9, n)) is None
    assert kuiper_log10(np.linspace(0.1, 0.9, n)) is None
