"""The joint posterior against the single one, closed forms and quadrature over every background."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import simpson
from scipy.stats import gamma

from catalog.errors import SettingsError
from catalog.stats import likelihood
from catalog.stats.aperture_posterior import AperturePosterior, summarise
from catalog.stats.joint_posterior import JointPosterior, summarise_joint, summarise_joint_many

# n, m, f, g, r: one tuple per observation
THREE = ([3, 0, 15], [10, 4, 0], [0.9, 1.0, 1.2], [0.05, 0.0, 0.1], [5.0, 20.0, 3.0])


def log_marginal(n, m, f, g, r, points):
    """Logarithm of the integral over b of both Poisson laws at each point, Gauss-Legendre in sqrt(b)."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    top = (n + m / r) + 12 * math.sqrt(n + m / r**2 + 1) + 40 / (1 + r)
    root = 0.5 * math.sqrt(top) * (nodes + 1)
    b = root**2
    source, background = f * points[:, None] + b, g * points[:, None] + r * b
    logs = n * np.log(source) - source + m * np.log(background) - background
    shift = logs.max()
    return shift + np.log(np.sum(np.exp(logs - shift) * weights * root, axis=1))


def joint_log_marginal(observations, points):
    return sum(log_marginal(*row, points) for row in zip(*observations, strict=True))


def observation_lists(size=st.integers(2, 4)):
    one = st.tuples(
        st.integers(0, 40), st.integers(0, 60), st.floats(0.2, 2.0), st.sampled_from([0.0, 0.02, 0.15]),
        st.floats(1.0, 40.0),
    )  # fmt: skip
    return size.flatmap(lambda k: st.lists(one, min_size=k, max_size=k)).map(
        lambda rows: list(zip(*rows, strict=True))
    )


@settings(max_examples=15, deadline=None, derandomize=True)
@given(observations=observation_lists(), confidence=st.sampled_from([0.68, 0.9]))
def test_against_quadrature(observations, confidence):
    posterior = JointPosterior(*observations)
    low, high = posterior.interval(confidence)
    points = np.linspace(0, float(posterior.quantile(1 - 1e-13)), 801)
    logs = joint_log_marginal(observations, points)
    area = simpson(np.exp(logs - logs.max()), x=points)
    density = np.exp(logs - logs.max()) / area
    np.testing.assert_allclose(posterior.pdf(points[::50]), density[::50], atol=1e-7 * density.max())
    assert posterior.mean == pytest.approx(simpson(points * density, x=points), rel=1e-7)
    inside = np.linspace(low, high, 301)
    shape = np.exp(joint_log_marginal(observations, inside) - logs.max()) / area
    assert simpson(shape, x=inside) == pytest.approx(confidence, rel=1e-7)
    if low > 0:
        assert shape[0] == pytest.approx(shape[-1], rel=1e-7)
    else:
        assert shape[0] >= shape[-1]
    step = 1e-3 * (high - low)
    if posterior.mode > step:
        around = joint_log_marginal(observations, posterior.mode + step * np.array([-1.0, 0.0, 1.0]))
        shift = 0.5 * step * (around[0] - around[2]) / (around[0] - 2 * around[1] + around[2])
        assert shift == pytest.approx(0, abs=2e-3 * step)
    else:
        near_zero = joint_log_marginal(observations, np.array([0.0, step]))
        assert posterior.mode > 0 or near_zero[1] < near_zero[0]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    n=st.integers(0, 500), m=st.integers(0, 500), f=st.floats(0.1, 1e8), leak=st.sampled_from([0.0, 0.2]),
    r=st.floats(0.05, 1e4), confidence=st.floats(0.1, 0.99),
)  # fmt: skip
def test_one_observation_is_the_single_posterior(n, m, f, leak, r, confidence):
    single = summarise(n, m, f, leak * f, r, confidence)
    joint = summarise_joint([n], [m], [f], [leak * f], [r], confidence)
    assert joint.mode.shape == ()
    # A second observation with nearly no exposure and no counts adds nothing, but takes the general path.
    padded = summarise_joint([n, 0], [m, 3], [f, f * 1e-11], [leak * f, 0.0], [r, 10.0], confidence)
    for one, two, three in zip(single[:4], joint[:4], padded[:4], strict=True):
        assert two == pytest.approx(one, rel=1e-12)
        assert three == pytest.approx(one, rel=1e-6, abs=1e-8 * float(single.mean))


@pytest.mark.parametrize(
    "case", [(12, 10, 0.9, 0.05, 5.0), (10**5, 10**4, 0.9, 0.05, 5.0), (2, 10**5, 0.9, 0.05, 1e3)]
)
def test_quadrature_equals_the_exact_mixture(case):
    single = AperturePosterior(*case)
    group = single._group
    for q in (0.01, 0.3, 0.9, 0.9999):
        s = float(single.quantile(q))
        whole = likelihood.integral(group.table, 0.0, group.mode, group.peak, 1e-11 * group.area)
        whole += likelihood.integral(group.table, group.mode, s, group.peak, 1e-11 * group.area)
        assert whole / group.area == pytest.approx(q, rel=1e-9)


def test_all_zero_counts():
    f = np.array([1.0, 2.5, 0.7])
    result = summarise_joint([0, 0, 0], [5, 0, 100], f, 0.0, [10.0, 3.0, 30.0], 0.9)
    assert result.mode == 0
    assert result.mean == pytest.approx(1 / f.sum(), rel=1e-9)
    assert result.hilim == pytest.approx(-math.log(0.1) / f.sum(), rel=1e-9)
    assert result.bound_only


def test_without_background_the_counts_add():
    n, f = np.array([5, 0, 17]), np.array([1.0, 0.4, 3.0])
    posterior = JointPosterior(n, 0, f, 0.0, 1e9)
    law = gamma(n.sum() + 1, scale=1 / f.sum())
    assert posterior.mode == pytest.approx(n.sum() / f.sum(), rel=1e-6)
    assert posterior.mean == pytest.approx(law.mean(), rel=1e-6)
    np.testing.assert_allclose(posterior.cdf([2, 5, 7]), law.cdf([2, 5, 7]), rtol=1e-6)
    np.testing.assert_allclose(posterior.quantile([0.1, 0.9]), law.ppf([0.1, 0.9]), rtol=1e-6)
    assert posterior.cdf(-1) == 0
    assert posterior.cdf(1e9) == 1


def test_contradicting_observations():
    # A source seen bright once and not at all the second time: both likelihoods are in their far tails.
    observations = ([2000, 0], [100, 100], [1.0, 1.0], [0.05, 0.0], [20.0, 20.0])
    posterior = JointPosterior(*observations)
    low, high = posterior.interval(0.68)
    points = np.linspace(850, 1150, 601)
    logs = joint_log_marginal(observations, points)
    density = np.exp(logs - logs.max())
    area = simpson(density, x=points)
    assert posterior.mode == pytest.approx(points[density.argmax()], abs=0.51)
    assert posterior.mean == pytest.approx(simpson(points * density, x=points) / area, rel=1e-8)
    inside = np.linspace(low, high, 301)
    shape = np.exp(joint_log_marginal(observations, inside) - logs.max())
    assert simpson(shape, x=inside) / area == pytest.approx(0.68, rel=1e-7)
    assert shape[0] == pytest.approx(shape[-1], rel=1e-6)


def test_bright_observations():
    n, m, f, r = np.full(6, 10**5), np.full(6, 10**5), np.full(6, 0.9), np.full(6, 10.0)
    result = summarise_joint(n, m, f, 0.0, r, 0.68)
    # Gaussian to a part in sqrt(n): the mean of six.
    single = summarise(n[0], m[0], f[0], 0.0, r[0], 0.68)
    assert result.mode == pytest.approx(float(single.mode), rel=1e-6)
    ratio = (result.hilim - result.lolim) / (single.hilim - single.lolim)
    assert ratio == pytest.approx(1 / math.sqrt(6), rel=1e-4)


def test_order_of_observations_does_not_matter():
    forward = summarise_joint(*THREE, 0.68)
    backward = summarise_joint(*(column[::-1] for column in THREE), 0.68)
    np.testing.assert_allclose(forward[:4], backward[:4], rtol=1e-9)


def test_scaling():
    n, m, f, g, r = (np.array(column) for column in THREE)
    one, other = summarise_joint(n, m, f, g, r), summarise_joint(n, m, f * 1e7, g * 1e7, r)
    np.testing.assert_allclose(np.array(other[:4]) * 1e7, one[:4], rtol=1e-9)


def test_many_sources_ragged():
    rng = np.random.default_rng(5)
    sizes = np.array([1, 3, 0, 2, 7, 1])
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    total = offsets[-1]
    columns = (rng.integers(0, 30, total), rng.integers(0, 90, total), rng.uniform(0.5, 1, total),
               rng.uniform(0, 0.1, total), rng.uniform(4, 30, total))  # fmt: skip
    together = summarise_joint_many(offsets, *columns, 0.9)
    for k in range(len(sizes)):
        part = slice(offsets[k], offsets[k + 1])
        alone = summarise_joint(*(column[part] for column in columns), 0.9)
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_array_equal(a[k], b)
    assert np.isnan(together.mode[2])
    assert not together.bound_only[2]


def test_posterior_narrows_and_covers():
    rng = np.random.default_rng(11)
    truth, b, f, r = (
        8.0,
        np.array([0.5, 2.0, 4.0, 1.0]),
        np.array([0.9, 0.5, 0.8, 0.7]),
        np.array([10.0, 20, 5, 8]),
    )
    trials = 4000
    n, m = rng.poisson(f * truth + b, (trials, 4)), rng.poisson(r * b, (trials, 4))
    offsets = np.arange(trials + 1) * 4
    result = summarise_joint_many(
        offsets, n.ravel(), m.ravel(), np.tile(f, trials), 0.0, np.tile(r, trials), 0.68
    )
    covered = ((result.lolim <= truth) & (truth <= result.hilim)).mean()
    assert 0.64 <= covered <= 0.72
    first = summarise(n[:, 0], m[:, 0], f[0], 0.0, r[0], 0.68)
    assert (result.hilim - result.lolim).mean() < 0.7 * (first.hilim - first.lolim).mean()


def test_bad_input():
    assert np.isnan(summarise_joint([], [], [], [], []).mode)
    assert np.isnan(summarise_joint([1, 2], [0, 0], [1.0, 0.0], [0, 0], [5, 5]).hilim)
    with pytest.raises(ValueError, match="offsets run"):
        summarise_joint_many([0, 1], [1, 2], [0, 0], [1, 1], [0, 0], [5, 5])
    with pytest.raises(ValueError, match="offsets ascend"):
        summarise_joint_many([0, 2, 1, 2], [1, 2], [0, 0], [1, 1], [0, 0], [5, 5])
    with pytest.raises(ValueError, match="f > 0"):
        JointPosterior([], [], [], [], [])
    with pytest.raises(SettingsError):
        JointPosterior(*THREE).interval(1.5)


@pytest.mark.parametrize("r", [1e3, 1e9, 1e12])
def test_a_background_that_weighs_nothing(r):
    """Without background the posterior is a gamma distribution, however large the ratio is."""
    single = summarise_joint([900], [0], [0.9], [0.0], [r])
    assert float(single.mode) == pytest.approx(900 / 0.9, rel=2 / r + 1e-9)
    several = JointPosterior([900, 100, 0], [0, 3, 2], [0.9, 0.1, 0.2], [0.0, 0.0, 0.0], [r, r, r])
    assert several.mode == pytest.approx(1000 / 1.2, rel=10 / r + 1e-9)
    assert several.mean == pytest.approx(1001 / 1.2, rel=10 / r + 1e-9)
    lower, upper = several.interval(0.6827)
    for q in (0.16, 0.5, 0.84):
        assert several.quantile(q) == pytest.approx(gamma.ppf(q, 1001) / 1.2, rel=10 / r + 1e-9)
    assert several.pdf(lower) == pytest.approx(several.pdf(upper), rel=1e-8)
    assert several.cdf(upper) - several.cdf(lower) == pytest.approx(0.6827, abs=1e-9)
