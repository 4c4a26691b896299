"""Joint posteriors of overlapping sources against printed answers and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gamma, nbinom, poisson

from catalog.errors import SettingsError
from catalog.stats.aperture_posterior import AperturePosterior, summarise
from catalog.stats.effective_background import effective_background
from catalog.stats.no_source import log10_prob_no_source
from catalog.stats.overlapping import linear_solution, most_likely, overlap_model, overlap_posterior

# Four sources of ObsID 1575 and their common background, Primini & Kashyap 2014, figure 1: printed by the
# authors' program (repository fprimini/XAP, Example).
RESPONSE = np.array(
    [
        [9.47097792e06, 0, 1.88825435e03, 5.61431210e03, 2.81542818e10],
        [0, 8.43717107e06, 7.49609455e03, 1.30013338e04, 3.40651940e10],
        [0, 3.77625891e03, 9.27489281e06, 9.38946854e03, 3.02678311e10],
        [1.79756938e03, 9.35427532e05, 5.58759992e03, 9.27772159e06, 3.77550753e10],
        [6.86684574e04, 1.26875147e05, 2.78983391e05, 1.24331647e05, 1.25572609e12],
    ]
)
COUNTS = np.array([2395, 759, 90, 273, 1043])
PRINTED_MLE = np.array([2.504735e-04, 8.667643e-05, 7.024156e-06, 1.735807e-05, 8.048614e-10])
PRINTED_ENDS = np.array(
    [
        [2.453049e-04, 2.556421e-04],
        [8.340777e-05, 8.994510e-05],
        [5.997127e-06, 8.051185e-06],
        [1.554383e-05, 1.917232e-05],
        [7.790953e-10, 8.306276e-10],
    ]
)
PRINTED_BAYES = np.array(  # mode, 68.27 % lower and upper, mean, variance
    [
        [2.504663e-04, 2.453738e-04, 2.557455e-04, 2.5058e-04, 2.6725e-11],
        [8.666781e-05, 8.345135e-05, 9.001047e-05, 8.6792e-05, 1.0698e-11],
        [7.016438e-06, 6.038933e-06, 8.099839e-06, 7.1293e-06, 1.0660e-12],
        [1.734288e-05, 1.557834e-05, 1.921893e-05, 1.7451e-05, 3.3029e-12],
        [8.047743e-10, 7.794389e-10, 8.311429e-10, 8.0561e-10, 6.6450e-22],
    ]
)


def test_printed_likelihood_solution() -> None:
    theta, covariance = linear_solution(COUNTS, RESPONSE)
    error = np.sqrt(np.diag(covariance))
    assert theta == pytest.approx(PRINTED_MLE, rel=5e-7)
    assert np.column_stack([theta - error, theta + error]) == pytest.approx(PRINTED_ENDS, rel=5e-7)
    # Where no intensity is negative the constrained answer is the same.
    assert most_likely(overlap_model(COUNTS, RESPONSE)) == pytest.approx(theta, rel=1e-8)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_printed_posterior(seed: int) -> None:
    found = overlap_posterior(overlap_model(COUNTS, RESPONSE), seed)
    summary = found.summary(np.arange(5), 0.6827)
    width = PRINTED_BAYES[:, 2] - PRINTED_BAYES[:, 1]
    for values, column in ((summary.mode, 0), (summary.lolim, 1), (summary.hilim, 2), (summary.mean, 3)):
        assert np.all(np.abs(values - PRINTED_BAYES[:, column]) < 0.03 * width)
    assert found.variance() == pytest.approx(PRINTED_BAYES[:, 4], rel=0.05)
    # Source 1 shines into the aperture of source 3: what one gains, the other loses.
    assert found.correlation([1, 3])[0, 1] == pytest.approx(-0.17, abs=0.05)


def brute_force(counts: list[int], response: np.ndarray, tops: list[float], points: int = 401) -> np.ndarray:
    """Mean of each of two sources on a fine mesh, their backgrounds known."""
    axes = [(np.arange(points) + 0.5) * top / points for top in tops]
    mesh = np.meshgrid(*axes, indexing="ij")
    log = np.zeros(mesh[0].shape)
    for n, row in zip(counts, response, strict=True):
        expected = row[0] * mesh[0] + row[1] * mesh[1] + row[2]
        log += n * np.log(expected) - expected
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    marginals = [weight.sum(axis=1 - k) for k in range(2)]
    return np.array(
        [
            [axes[k] @ marginals[k], axes[k][marginals[k].argmax()], *_interval(axes[k], marginals[k])]
            for k in range(2)
        ]
    )


def _interval(axis: np.ndarray, probability: np.ndarray) -> tuple[float, float]:
    order = np.argsort(probability)[::-1]
    chosen = order[: np.searchsorted(np.cumsum(probability[order]), 0.68) + 1]
    low, high = float(axis[chosen].min()), float(axis[chosen].max())
    return (0.0 if chosen.min() == 0 else low), high


@pytest.mark.parametrize(
    "counts",
    [(0, 0), (1, 0), (3, 2), (8, 1), (40, 6), (25, 30)],
)
def test_close_pair_against_mesh(counts: tuple[int, int]) -> None:
    response = np.array([[0.6, 0.3, 1.2], [0.25, 0.65, 0.8]])
    model = overlap_model(counts, response[:, :2], offset=response[:, 2])
    found = overlap_posterior(model, 5, 20000).summary([0, 1], 0.68)
    top = [3.0 * max(counts) + 25.0] * 2
    expected = brute_force(list(counts), response, top)
    for k in range(2):
        width = expected[k, 3] - expected[k, 2]
        assert found.mean[k] == pytest.approx(expected[k, 0], abs=0.02 * width)
        for value, column in ((found.mode[k], 1), (found.lolim[k], 2), (found.hilim[k], 3)):
            assert value == pytest.approx(expected[k, column], abs=0.03 * width + top[0] / 401)


@given(
    n=st.integers(0, 60),
    m=st.integers(0, 90),
    f=st.floats(0.4, 1.0),
    g=st.floats(0.0, 0.1),
    r=st.floats(2.0, 25.0),
)
@settings(max_examples=25, deadline=None)
def test_one_source_is_the_aperture_posterior(n: int, m: int, f: float, g: float, r: float) -> None:
    exact = summarise(n, m, f, g, r, 0.68)
    model = overlap_model([n, m], [[f, 1.0], [g, r]])
    found = overlap_posterior(model, 3, 12000).summary([0], 0.68)
    width = float(exact.hilim - exact.lolim)
    for name in ("mean", "lolim", "hilim"):
        assert getattr(found, name)[0] == pytest.approx(float(getattr(exact, name)), abs=0.04 * width), name
    # Where the posterior is flat, its mode is a place that samples cannot tell from its neighbours.
    density = AperturePosterior(n, m, f, g, r).pdf(np.array([found.mode[0], float(exact.mode)]))
    assert density[0] >= 0.97 * density[1]
    effective = effective_background(model, most_likely(model), 0, 0)
    assert effective.m == pytest.approx(m, abs=0.02 * m + 0.1)
    assert effective.r == pytest.approx(r, rel=0.05)


def test_equal_seeds_give_equal_answers() -> None:
    model = overlap_model(COUNTS, RESPONSE)
    one, two, other = (overlap_posterior(model, seed, 500) for seed in (7, 7, 8))
    assert np.array_equal(one.samples, two.samples)
    assert not np.array_equal(one.samples, other.samples)


def test_large_group_recovers_the_truth() -> None:
    rng = np.random.default_rng(11)
    size = 400
    response = np.diag(np.full(size, 0.85))
    for step in (1, 2, 7):
        index = np.arange(size - step)
        share = rng.uniform(0, 0.06, size - step)
        response[index, index + step] = response[index + step, index] = share
    truth = 10 ** rng.uniform(0, 3, size)
    counts = rng.poisson(response @ truth + 2.0)
    found = overlap_posterior(overlap_model(counts, response, offset=2.0), 1).summary(np.arange(size), 0.6827)
    covered = (found.lolim <= truth) & (truth <= found.hilim)
    assert 0.60 < covered.mean() < 0.76
    assert found.mean.sum() == pytest.approx(truth.sum(), rel=0.02)


@pytest.mark.parametrize("bright", [200, 3000])
def test_wings_of_a_neighbour_are_no_source(bright: int) -> None:
    """Counts beside a bright source, drawn from its wing and the background: P is what it says."""
    rng = np.random.default_rng(bright)
    response = np.array([[0.9, 0.0005, 1, 0], [0.01, 0.9, 0, 1], [0, 0, 22, 0], [0, 0, 0, 22.0]])
    truth = np.array([bright, 0.0, 1.0, 1.0])
    trials = 1500
    p, local = np.empty(trials), np.empty(trials)
    for k in range(trials):
        counts = rng.poisson(response @ truth)
        model = overlap_model(counts, response)
        found = effective_background(model, most_likely(model), 1, 1)
        p[k] = log10_prob_no_source(counts[1], found.m, found.r)
        local[k] = log10_prob_no_source(counts[1], counts[3], 22.0)
    # Counts are whole: the share that an exact test rejects is below its level.
    mean = response[1] @ truth
    steps = nbinom.sf(np.arange(200), 22, 22 / (22 + mean))
    assert (p < -2).mean() < 0.014
    assert (p < -1).mean() == pytest.approx(poisson.sf(poisson.isf(0.1, mean), mean), abs=0.03)
    assert (local < -2).mean() > 0.12
    assert steps[0] > 0


def test_effective_background_of_a_bright_wing() -> None:
    # Wing w s with s known from n counts: Gamma(n + 1) scaled by w/f, and the local background.
    n, w, f, m, r = 900, 0.02, 0.9, 44, 22.0
    model = overlap_model([n, 30, m], [[f, 0, 0], [w, 0.9, 1], [0, 0, r]])
    found = effective_background(model, most_likely(model), 1, 1)
    mean = w * (n + 1) / f + (m + 1) / r
    variance = (w / f) ** 2 * (n + 1) + (m + 1) / r**2
    assert (found.m + 1) / found.r == pytest.approx(mean, rel=1e-6)
    assert (found.m + 1) / found.r**2 == pytest.approx(variance, rel=1e-6)
    draws = gamma.rvs(n + 1, scale=w / f, size=40000, random_state=1) + gamma.rvs(
        m + 1, scale=1 / r, size=40000, random_state=2
    )
    assert draws.mean() == pytest.approx((found.m + 1) / found.r, rel=0.01)
    assert draws.std() == pytest.approx(np.sqrt(found.m + 1) / found.r, rel=0.02)


@pytest.mark.parametrize(
    ("counts", "response", "word"),
    [
        ([1.5], [[1.0]], "whole"),
        ([-1], [[1.0]], "whole"),
        ([np.nan], [[1.0]], "whole"),
        ([1], [[-1.0]], "negative"),
        ([1], [[np.inf]], "finite"),
        ([1, 1], [[1.0, 0.0], [1.0, 0.0]], "informs"),
    ],
)
def test_bad_input(counts: list[float], response: list[list[float]], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        overlap_model(counts, response)


def test_bad_confidence() -> None:
    with pytest.raises(SettingsError):
        overlap_posterior(overlap_model([1], [[1.0]]), 1, 10).summary([0], 1.0)
