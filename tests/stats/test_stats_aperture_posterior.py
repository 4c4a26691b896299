"""The single posterior against published values, 50-digit arithmetic and two-dimensional quadrature."""

from __future__ import annotations

import math
import pickle
from functools import partial

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln

from catalog.errors import SettingsError
from catalog.stats.aperture_posterior import AperturePosterior, summarise

ONE_SIGMA = math.erf(math.sqrt(0.5))

PUBLISHED = [
    # n, m, f, g, r, mode, mean, 68.27 %, 90 %
    (0, 0, 1, 0, 10, 0, 1, (0, 1.147874), (0, 2.302585)),
    (1, 0, 1, 0, 10, 0.909091, 1.916667, (0.179671, 2.399174), (0, 3.803710)),
    (12, 10, 0.9, 0.05, 5, 11.057315, 12.135038, (7.423240, 15.425168), (5.430819, 18.661810)),
    (200, 150, 0.85, 0.08, 9, 217.845738, 219.022457, (201.337021, 235.139634), (191.100537, 246.715007)),
]

SRCFLUX = [
    (0, 3, 1, 0, 24, 0.68, 0, 0, 1.1394),
    (0, 3, 1, 0, 24, 0.90, 0, 0, 2.3026),
    (1, 0, 1, 0, 24, 0.90, 0.961, 0.046, 3.887),
    (1, 30, 1, 0, 15, 0.90, 0, 0, 3.008),
    (3, 50, 1, 0, 10, 0.68, 0, 0, 1.983),
    (5, 3, 0.9, 0.03, 20, 0.68, 5.345, 3.189, 8.256),
    (5, 3, 0.9, 0.03, 20, 0.90, 5.345, 2.143, 10.603),
    (10, 20, 0.9, 0.05, 10, 0.90, 8.852, 3.883, 15.827),
    (25, 48, 0.87, 0.11, 24, 0.90, 26.534, 17.997, 37.158),
]


@pytest.mark.parametrize("row", PUBLISHED)
def test_check_values(row):
    n, m, f, g, r, mode, mean, one_sigma, ninety = row
    result = summarise(n, m, f, g, r, ONE_SIGMA)
    assert result.mode == pytest.approx(mode, abs=5e-7)
    assert result.mean == pytest.approx(mean, abs=5e-7)
    assert (result.lolim, result.hilim) == pytest.approx(one_sigma, abs=5e-7)
    result = summarise(n, m, f, g, r, 0.9)
    assert (result.lolim, result.hilim) == pytest.approx(ninety, abs=5e-7)
    assert bool(result.bound_only) == (ninety[0] == 0)


@pytest.mark.parametrize("row", SRCFLUX)
def test_srcflux_values(row):
    n, m, f, g, r, confidence, mode, low, high = row
    result = summarise(n, m, f, g, r, confidence)
    # These come from a grid: (1, 0, 1, 0, 24) has the mode 1 - 1/25 exactly, and is printed as 0.961.
    assert result.mode == pytest.approx(mode, abs=4e-3)
    assert result.lolim == pytest.approx(low, abs=4e-3)
    assert result.hilim == pytest.approx(high, abs=4e-3)
    check_against_brute_force(n, m, f, g, r, confidence)


def brute_force_weights(n, m, f, g, r):
    """Normalised weights of Gamma(s + 1, rate f + g) by the double sum, 50 digits."""
    f, g, r = mpmath.mpf(f), mpmath.mpf(g), mpmath.mpf(r)
    weights = [mpmath.mpf(0)] * (n + m + 1)
    for k in range(n + 1):
        for j in range(m + 1 if g > 0 else 1):
            weights[k + j] += (
                mpmath.binomial(n, k) * mpmath.binomial(m, j) * f**k * g**j * r ** (m - j)
                * mpmath.factorial(k + j) / (f + g) ** (k + j + 1)
                * mpmath.factorial(n - k + m - j) / (1 + r) ** (n - k + m - j + 1)
            )  # fmt: skip
    total = mpmath.fsum(weights)
    return [w / total for w in weights]


def mixture_parts(weights, rate, point):
    """Density, its derivative and the cumulative probability of the mixture at a point."""
    x = rate * point
    terms = [mpmath.exp(-x)]
    for s in range(1, len(weights) + 1):
        terms.append(terms[-1] * x / s)
    below = mpmath.mpf(0)
    density = derivative = cumulative = mpmath.mpf(0)
    reached = mpmath.mpf(0)
    for s, weight in enumerate(weights):
        reached += terms[s]
        density += rate * weight * terms[s]
        derivative += rate**2 * weight * ((terms[s - 1] if s else below) - terms[s])
        cumulative += weight * (1 - reached)
    return density, derivative, cumulative


def check_against_brute_force(n, m, f, g, r, confidence, tolerance=1e-9):
    result = summarise(n, m, f, g, r, confidence)
    with mpmath.workdps(50):
        weights = brute_force_weights(n, m, f, g, r)
        rate = mpmath.mpf(f) + mpmath.mpf(g)
        parts = partial(mixture_parts, weights, rate)
        mean = mpmath.fsum(w * (s + 1) for s, w in enumerate(weights)) / rate
        assert result.mean == pytest.approx(float(mean), rel=tolerance)
        if parts(mpmath.mpf(0))[1] <= 0:
            assert result.mode == 0
        else:
            mode = mpmath.findroot(
                lambda s: parts(s)[1], (result.mode * 0.999, result.mode * 1.001), tol=1e-40
            )
            assert result.mode == pytest.approx(float(mode), rel=tolerance, abs=1e-14 * float(mean))
        if result.bound_only:
            high = mpmath.findroot(lambda s: parts(s)[2] - confidence, result.hilim, tol=1e-30)
            assert result.hilim == pytest.approx(float(high), rel=tolerance)
            assert parts(mpmath.mpf(0))[0] >= parts(high)[0]
        else:

            def conditions(low, high):
                below, above = parts(low), parts(high)
                return [(below[0] - above[0]) / rate, above[2] - below[2] - confidence]

            low, high = mpmath.findroot(conditions, (float(result.lolim), float(result.hilim)), tol=1e-30)
            assert result.lolim == pytest.approx(float(low), rel=tolerance, abs=1e-12 * float(mean))
            assert result.hilim == pytest.approx(float(high), rel=tolerance)
            assert parts(mpmath.mpf(0))[0] <= parts(low)[0] * (1 + mpmath.mpf("1e-12"))


@pytest.mark.parametrize(
    "case",
    [
        (0, 0, 1, 0.2, 10, 0.68),
        (0, 7, 0.9, 0.3, 3, 0.9),
        (1, 1, 0.5, 0.5, 0.01, 0.68),
        (30, 0, 0.9, 0, 100, 0.95),
        (3, 60, 0.9, 0.02, 1e4, 0.68),
        (40, 50, 0.9, 0.05, 0.01, 0.68),
        (20, 20, 0.9, 0.3, 0.2, 0.9),  # r f < g
        (10, 40, 1e-3, 1.0, 2.0, 0.68),  # nearly all of the source in the background aperture
        (35, 45, 3.1e7, 2.2e6, 17.5, 0.68),
        (50, 30, 0.9, 1e-9, 5.0, 0.999),
        (9, 9, 0.9, 1e-40, 5.0, 0.68),
        (15, 3, 0.9, 0.05, 5.0, 1e-3),
    ],
)
def test_against_double_sum(case):
    check_against_brute_force(*case)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    n=st.integers(0, 30),
    m=st.integers(0, 30),
    f=st.floats(1e-2, 1e2),
    g=st.one_of(st.just(0.0), st.floats(1e-4, 10.0)),
    log_r=st.floats(-2, 4),
    confidence=st.sampled_from([0.3, 0.68, 0.9, 0.99]),
)
def test_against_double_sum_anywhere(n, m, f, g, log_r, confidence):
    check_against_brute_force(n, m, f, g, 10**log_r, confidence)


def quadrature_moments(n, m, f, g, r, points):
    """Marginal density over b (up to a constant) and its derivative at `points`.

    Trapezium rule in b around the largest integrand: exact to rounding where it vanishes at both ends.
    """
    shift = None
    density, slope = np.empty(points.size), np.empty(points.size)
    for index, s in enumerate(points):

        def log_likelihood(b, s=s):
            return poisson_log(n, f * s + b) + poisson_log(m, g * s + r * b)

        centre = max((n - f * s), 0.0) / 2 + max(m - g * s, 0.0) / r / 2 + 1.0
        for _ in range(200):  # Newton for the largest integrand
            one = n / (f * s + centre) - 1 + m * r / (g * s + r * centre) - r
            two = -n / (f * s + centre) ** 2 - m * r**2 / (g * s + r * centre) ** 2
            centre = max(centre - one / two, centre / 3)
        width = 1 / math.sqrt(n / (f * s + centre) ** 2 + m * r**2 / (g * s + r * centre) ** 2)
        b = np.linspace(max(centre - 11 * width, 0.0), centre + 11 * width, 2001)
        logs = log_likelihood(b)
        if shift is None:
            shift = logs.max()
        values = np.exp(logs - shift)
        density[index] = np.trapezoid(values, b)
        score = n * f / (f * s + b) - f + m * g / (g * s + r * b) - g
        slope[index] = np.trapezoid(values * score, b)
    return density, slope


def poisson_log(count, expected):
    return count * np.log(expected / count) - expected + count - 0.5 * np.log(count)


@pytest.mark.parametrize(
    "case",
    [
        (10**5, 10**4, 0.9, 0.05, 5.0),
        (10**6, 10**6, 0.9, 0.1, 5.0),
        (10**5, 10**6, 0.9, 0.01, 20.0),
        (10**5, 10**5, 2e7, 0.0, 2.0),
        (20_000, 10**6, 0.9, 0.02, 80.0),
        (10**6, 300_000, 0.9, 0.1, 0.5),
        (3000, 10**6, 0.9, 0.3, 1000.0),
    ],
)
def test_bright_against_two_dimensional_quadrature(case):
    posterior = AperturePosterior(*case)
    sigma = math.sqrt(posterior.variance)
    low, high = posterior.interval(0.68)
    assert low > 0
    start = max(posterior.mean - 10 * sigma, 1e-3 * sigma)
    points = np.linspace(start, posterior.mean + 10 * sigma, 801)
    density, _ = quadrature_moments(*case, points)
    total = np.trapezoid(density, points)
    assert posterior.mean == pytest.approx(np.trapezoid(density * points, points) / total, rel=1e-8)
    np.testing.assert_allclose(
        posterior.pdf(points), density / total, rtol=1e-6, atol=1e-9 * density.max() / total
    )
    at_mode, slope = quadrature_moments(*case, np.array([posterior.mode]))
    # One Newton step from the mode found would move it by slope / density x sigma^2.
    assert abs(slope[0] / at_mode[0]) * sigma**2 < 1e-7 * posterior.mode
    inside = np.linspace(low, high, 401)
    values, _ = quadrature_moments(*case, inside)
    scale = posterior.pdf(low) / values[0]
    assert values[0] == pytest.approx(values[-1], rel=1e-7)
    weights = np.ones(401)
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    simpson = (weights * values).sum() * (inside[1] - inside[0]) / 3
    assert simpson * scale == pytest.approx(0.68, rel=1e-7)


def test_large_background_faint_source_is_a_bound():
    n, m, r = 10**6, 4 * 10**6, 4.0
    result = summarise(n, m, 1.0, 0.0, r)
    # Half a Gaussian: m / r = n exactly, sigma^2 = n + m / r^2.
    sigma = math.sqrt(n + m / r**2)
    assert result.mode < 5e-3 * sigma
    assert result.bound_only
    assert result.hilim == pytest.approx(0.994457883 * sigma, rel=3e-3)


def test_no_source_counts_no_leak_is_exponential_for_any_background():
    m = np.array([0, 1, 10, 1000, 10**6])
    result = summarise(0, m, 2.5, 0.0, np.array([0.01, 1, 10, 1e3, 1e4]), 0.68)
    np.testing.assert_allclose(result.hilim, -math.log(0.32) / 2.5, rtol=1e-12)
    np.testing.assert_allclose(result.mean, 1 / 2.5, rtol=1e-14)
    assert result.bound_only.all()
    assert not result.mode.any()


def test_strong_background_constraint_gives_the_gamma_distribution():
    # r = 1e12 and m = 0 pin b to 0: S ~ Gamma(n + 1, f).
    posterior = AperturePosterior(7, 0, 2.0, 0.0, 1e12)
    assert posterior.mode == pytest.approx(3.5, rel=1e-9)
    assert posterior.variance == pytest.approx(2.0, rel=1e-9)


physical = {
    "n": st.integers(0, 2000),
    "m": st.integers(0, 3000),
    "f": st.floats(0.05, 1.0),
    "g": st.one_of(st.just(0.0), st.floats(0.0, 0.4)),
    "r": st.floats(0.01, 1e4),
    "confidence": st.floats(0.05, 0.999),
}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(**physical)
def test_interval_invariants(n, m, f, g, r, confidence):
    result = summarise(n, m, f, g, r, confidence)
    assert 0 <= result.lolim <= result.mode <= result.hilim
    assert result.mean > 0
    posterior = AperturePosterior(n, m, f, g, r)
    below, above = posterior.cdf([result.lolim, result.hilim])
    assert above - below == pytest.approx(confidence, abs=1e-10)
    low, high, top = posterior.pdf([result.lolim, result.hilim, result.mode])
    assert top >= max(low, high)
    if result.bound_only:
        assert low >= high * (1 - 1e-9)
    else:
        assert low == pytest.approx(high, rel=1e-8)
    assert (posterior.mode, posterior.mean) == (result.mode, result.mean)
    assert posterior.interval(confidence) == (result.lolim, result.hilim)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(**physical, log_unit=st.integers(-30, 60))
def test_scaling_is_exact(n, m, f, g, r, confidence, log_unit):
    unit = 2.0**log_unit  # a power of two, so that f + g scale without rounding
    one = summarise(n, m, f, g, r, confidence)
    other = summarise(n, m, f * unit, g * unit, r, confidence)
    for a, b in zip(one[:4], other[:4], strict=True):
        np.testing.assert_allclose(b * unit, a, rtol=1e-11)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(**physical)
def test_monotone_in_source_counts(n, m, f, g, r, confidence):
    if r * f <= g:
        return
    fewer, more = summarise(n, m, f, g, r, confidence), summarise(n + 1, m, f, g, r, confidence)
    assert more.mean > fewer.mean
    assert more.mode >= fewer.mode
    assert more.hilim > fewer.hilim


@settings(max_examples=30, deadline=None, derandomize=True)
@given(**physical)
def test_density_and_cumulative_agree(n, m, f, g, r, confidence):
    posterior = AperturePosterior(n, m, f, g, r)
    edges = posterior.quantile([1e-3, 0.1, confidence, 0.9999])
    nodes, weights = np.polynomial.legendre.leggauss(60)
    for a, b in zip(np.sort(edges)[:-1], np.sort(edges)[1:], strict=True):
        points = 0.5 * (a + b) + 0.5 * (b - a) * nodes
        area = 0.5 * (b - a) * np.sum(weights * posterior.pdf(points))
        assert area == pytest.approx(np.diff(posterior.cdf([a, b]))[0], rel=1e-8, abs=1e-12)


def test_quantiles_and_ends():
    posterior = AperturePosterior(12, 10, 0.9, 0.05, 5)
    q = np.array([1e-6, 0.01, 0.5, 0.99, 1 - 1e-9])
    np.testing.assert_allclose(posterior.cdf(posterior.quantile(q)), q, rtol=1e-9)
    assert posterior.quantile(0.0) == 0
    assert posterior.quantile(1.0) == math.inf
    assert np.isnan(posterior.quantile([-0.1, 1.1, math.nan])).all()
    assert posterior.pdf(-1.0) == 0
    assert posterior.cdf(-1.0) == 0


def test_samples_follow_the_posterior():
    posterior = AperturePosterior(6, 20, 0.9, 0.05, 5)
    drawn = posterior.sample(40_000, np.random.default_rng(7))
    uniform = np.sort(posterior.cdf(drawn[:4000]))
    distance = np.abs(uniform - np.linspace(0, 1, 4000)).max()
    assert distance < 1.95 / math.sqrt(4000)
    assert drawn.mean() == pytest.approx(posterior.mean, abs=4 * math.sqrt(posterior.variance / 40_000))
    assert drawn.var() == pytest.approx(posterior.variance, rel=0.05)


def test_shapes_and_missing_values():
    result = summarise(np.arange(3)[:, None], [0, 5], 0.9, 0.0, 10.0)
    assert all(column.shape == (3, 2) for column in result)
    bad = summarise([5, 5, 5, 5, 5, np.nan, 5], 3, [0, np.nan, 1, 1, 1, 1, np.inf], [0, 0, -1, 0, 0, 0, 0],
                    [5, 5, 5, 0, np.nan, 5, 5])  # fmt: skip
    assert all(np.isnan(column).all() for column in bad[:4])
    assert not bad.bound_only.any()
    assert summarise([], [], [], [], []).mode.shape == (0,)


def test_order_of_rows_does_not_matter():
    rng = np.random.default_rng(3)
    n, m = rng.integers(0, 60, 50), rng.integers(0, 300, 50)
    forward = summarise(n, m, 0.9, 0.02, 12.0)
    backward = summarise(n[::-1], m[::-1], 0.9, 0.02, 12.0)
    for a, b in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(a, b[::-1])


def test_bad_input():
    with pytest.raises(ValueError, match="whole numbers"):
        summarise(-1, 0, 1, 0, 10)
    with pytest.raises(ValueError, match="whole numbers"):
        summarise(1.5, 0, 1, 0, 10)
    with pytest.raises(ValueError, match="f > 0"):
        AperturePosterior(1, 0, 0.0, 0.0, 10)
    for confidence in (0.0, 1.0, 68, math.nan):
        with pytest.raises(SettingsError, match="between 0 and 1"):
            summarise(1, 0, 1, 0, 10, confidence)


def test_objects_and_summaries_can_be_pickled():
    posterior = pickle.loads(pickle.dumps(AperturePosterior(12, 10, 0.9, 0.05, 5)))
    assert posterior.interval(0.9) == pytest.approx((5.430819, 18.661810), abs=5e-7)
    assert pickle.loads(pickle.dumps(summarise(1, 0, 1, 0, 10))).hilim > 0


def test_known_background_limit_of_log_density():
    # With r and m huge, b is known: p(S) is proportional to (S + b)^n exp(-S), a truncated gamma.
    n, b = 9, 4.0
    posterior = AperturePosterior(n, int(b * 1e6), 1.0, 0.0, 1e6)
    s = np.linspace(0.1, 25, 50)
    expected = n * np.log(s + b) - s - gammaln(n + 1)
    found = np.log(posterior.pdf(s))
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=2e-5)
