"""Hardness ratios: the published case, direct integration, exact beta laws and invariants."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy.optimize import brentq
from scipy.stats import beta

from catalog.errors import SettingsError
from catalog.stats.aperture_posterior import AperturePosterior
from catalog.stats.hardness import hardness_many, hardness_ratio
from catalog.stats.joint_posterior import JointPosterior

ONE_SIGMA = 0.6826894921


def test_case_of_the_definitions():
    """(S H bS bH rS rH eS eH) = (10 3 20 25 20 20 1 1) of statistics.md."""
    found = hardness_ratio((3, 25, 1, 0, 20), (10, 20, 1, 0, 20), ONE_SIGMA)
    assert found.mode == pytest.approx(-0.658543, abs=6e-7)
    assert found.mean == pytest.approx(-0.560476, abs=6e-7)
    assert found.lolim == pytest.approx(-0.88769, abs=6e-6)
    assert found.hilim == pytest.approx(-0.37951, abs=6e-6)


@pytest.mark.parametrize(("hard", "soft"), [(0, 0), (0, 7), (4, 0), (3, 12), (40, 25), (900, 20)])
def test_without_background_it_is_a_beta_law(hard, soft):
    """n counts on no background give Gamma(n + 1); x / (x + y) is then Beta(n_x + 1, n_y + 1)."""
    found = hardness_ratio((hard, 0, 1, 0, 1e6), (soft, 0, 1, 0, 1e6), 0.9)
    law = beta(hard + 1, soft + 1)
    assert found.mean == pytest.approx(2 * law.mean() - 1, abs=2e-6)
    if hard + soft > 0:
        assert found.mode == pytest.approx(2 * hard / (hard + soft) - 1, abs=5e-6)
        low, high = (found.lolim + 1) / 2, (found.hilim + 1) / 2
        assert law.cdf(high) - law.cdf(low) == pytest.approx(0.9, abs=2e-4)
        if found.lolim > -1 and found.hilim < 1:
            assert law.pdf(low) == pytest.approx(law.pdf(high), rel=3e-3)
        else:
            assert (found.lolim == -1) == (hard == 0)
            assert (found.hilim == 1) == (soft == 0)


def test_against_direct_integration_with_response_and_several_observations():
    hard = ([3, 10], [25, 4], [1e6, 2e6], [2e4, 0], [20, 10])
    soft = ([10, 2], [20, 3], [8e5, 1e6], [1e4, 0], [20, 10])
    x, y = JointPosterior(*hard), JointPosterior(*soft)

    def density(value):
        u, v = (1 + value) / 2, (1 - value) / 2
        grid = np.linspace(0, 1.2e-4, 4001)
        return integrate.simpson(x.pdf(grid * u) * y.pdf(grid * v) * grid / 2, x=grid)

    points = np.linspace(-0.999, 0.999, 400)
    values = np.array([density(point) for point in points])
    total = integrate.simpson(values, x=points)
    assert total == pytest.approx(1, abs=2e-3)
    found = hardness_ratio(hard, soft, 0.68)
    assert found.mode == pytest.approx(points[np.argmax(values)], abs=0.004)
    assert found.mean == pytest.approx(integrate.simpson(values * points, x=points), abs=2e-3)
    inside = np.linspace(found.lolim, found.hilim, 101)
    assert integrate.simpson([density(p) for p in inside], x=inside) == pytest.approx(0.68, abs=1e-3)
    assert density(float(found.lolim)) == pytest.approx(density(float(found.hilim)), rel=2e-3)


def test_against_random_numbers():
    rng = np.random.default_rng(30)
    hard, soft = (12, 40, 0.8, 0.03, 15), (25, 10, 0.9, 0.02, 12)
    x, y = (AperturePosterior(*band).sample(400_000, rng) for band in (hard, soft))
    drawn = (x - y) / (x + y)
    found = hardness_ratio(hard, soft, 0.68)
    assert found.mean == pytest.approx(drawn.mean(), abs=2e-3)
    assert np.mean((drawn > found.lolim) & (drawn < found.hilim)) == pytest.approx(0.68, abs=3e-3)


counts = st.tuples(
    st.integers(0, 300), st.integers(0, 200), st.floats(0.2, 1), st.floats(0, 0.04), st.floats(2, 40)
)


@settings(max_examples=50, deadline=None)
@given(counts, counts, st.floats(0.3, 0.97))
def test_invariants(hard, soft, confidence):
    found = hardness_ratio(hard, soft, confidence)
    assert -1 <= found.lolim <= found.mode + 1e-9
    assert found.mode - 1e-9 <= found.hilim <= 1
    turned = hardness_ratio(soft, hard, confidence)
    assert turned.mean == pytest.approx(-found.mean, abs=3e-5)
    assert turned.lolim == pytest.approx(-found.hilim, abs=3e-3)
    assert turned.hilim == pytest.approx(-found.lolim, abs=3e-3)
    scaled = [(n, m, f * 1e7, g * 1e7, r) for n, m, f, g, r in (hard, soft)]
    assert hardness_ratio(*scaled, confidence).mean == pytest.approx(found.mean, abs=3e-5)


def test_bright_and_one_sided_sources():
    bright = hardness_ratio((100_000, 2000, 1, 0, 20), (90_000, 100, 1, 0, 20), 0.68)
    width = 2 * np.sqrt(1e5 * 9e4 / 1.9e5) / 1.9e5
    assert bright.hilim - bright.lolim == pytest.approx(2 * 0.99446 * width, rel=0.01)
    soft_only = hardness_ratio((0, 25, 1, 0, 20), (1000, 20, 1, 0, 20), 0.68)
    assert soft_only.mode == -1
    assert soft_only.lolim == -1
    # x < -log(0.32) at 68 %, y near 1000.
    assert soft_only.hilim == pytest.approx(-1 + 2 * 1.1394 / 1000, abs=5e-5)


def test_many_sources_and_pairs_are_each_as_alone():
    rng = np.random.default_rng(31)
    n, m = rng.poisson(8, (3, 5)), rng.poisson(20, (3, 5))
    f, g, r = np.full((3, 5), 0.9), np.full((3, 5), 0.01), np.full((3, 5), 12.0)
    f[1, 4] = np.nan
    many = hardness_many([0, 2, 2, 5], n, m, f, g, r, [(2, 1), (2, 0)], 0.68)
    assert many.mode.shape == (3, 2)
    assert np.isnan(many.mode[1]).all()
    assert np.isnan(many.mode[2, 0])
    alone = hardness_ratio(
        (n[2, 2:], m[2, 2:], f[2, 2:], g[2, 2:], r[2, 2:]), (n[0, 2:], m[0, 2:], f[0, 2:], g[0, 2:], r[0, 2:])
    )
    assert many.mode[2, 1] == alone.mode
    assert many.hilim[2, 1] == alone.hilim


def test_refusals():
    with pytest.raises(SettingsError):
        hardness_ratio((1, 1, 1, 0, 1), (1, 1, 1, 0, 1), 1.0)
    with pytest.raises(ValueError, match="whole"):
        hardness_ratio((1.5, 1, 1, 0, 1), (1, 1, 1, 0, 1))
    with pytest.raises(ValueError, match="offsets"):
        hardness_many([0, 2], [[1]], [[1]], [[1]], [[0]], [[1]], [(0, 0)])


def test_interval_end_is_where_the_probability_is_reached():
    """One end at -1: the other is the quantile of the hardness itself, from the beta law."""
    found = hardness_ratio((0, 0, 1, 0, 1e6), (5, 0, 1, 0, 1e6), 0.68)
    end = brentq(lambda value: beta(1, 6).cdf((value + 1) / 2) - 0.68, -1, 1)
    assert found.hilim == pytest.approx(end, abs=1e-5)
