"""How often the interval of a single posterior holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import poisson

from catalog.stats.aperture_posterior import summarise

ONE_SIGMA = math.erf(math.sqrt(0.5))


def coverage(source, background, f, g, r, confidence):
    """Exact probability that the interval holds the truth, summed over all likely counts."""
    mean_n, mean_m = f * source + background, g * source + r * background
    n = np.arange(int(mean_n + 9 * math.sqrt(mean_n) + 12))
    m = np.arange(max(int(mean_m - 6 * math.sqrt(mean_m)), 0), int(mean_m + 6 * math.sqrt(mean_m) + 12))
    result = summarise(n[:, None], m, f, g, r, confidence)
    inside = (result.lolim <= source) & (source <= result.hilim)
    return float(np.sum(inside * poisson.pmf(n, mean_n)[:, None] * poisson.pmf(m, mean_m)))


@pytest.mark.parametrize("source", [3.0, 4.1, 7.0, 12.3, 40.0])
@pytest.mark.parametrize("background", [0.1, 1.0, 5.0])
def test_coverage_at_fixed_truth(source, background):
    assert 0.60 <= coverage(source, background, 1.0, 0.0, 10.0, ONE_SIGMA) <= 0.75
    assert 0.60 <= coverage(source, background, 0.9, 0.03, 20.0, ONE_SIGMA) <= 0.75


def test_coverage_of_the_faintest():
    assert coverage(1.2, 0.1, 1.0, 0.0, 10.0, ONE_SIGMA) == pytest.approx(0.585, abs=0.03)
    assert coverage(0.3, 1.0, 1.0, 0.0, 10.0, ONE_SIGMA) > 0.75


@pytest.mark.parametrize("confidence", [0.68, 0.9])
def test_coverage_averaged_over_the_prior_is_exact(confidence):
    rng = np.random.default_rng(20)
    f, g, r = 0.9, 0.05, 4.0
    source, background = rng.uniform(0, 60, 300_000), rng.uniform(0, 30, 300_000)
    n, m = rng.poisson(f * source + background), rng.poisson(g * source + r * background)
    # Chosen by the data alone, and where the posterior ends well before the edges of the prior.
    chosen = (n < 20) & (m < 50)
    result = summarise(n[chosen], m[chosen], f, g, r, confidence)
    inside = (result.lolim <= source[chosen]) & (source[chosen] <= result.hilim)
    assert chosen.sum() > 20_000
    assert inside.mean() == pytest.approx(
        confidence, abs=4 * math.sqrt(confidence * (1 - confidence) / chosen.sum())
    )
    assert result.bound_only.any()
