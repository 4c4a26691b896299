"""Gehrels limits against the tables of the acis-extract specification and exact Poisson limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammaincinv, ndtr

from catalog.stats.gehrels import gehrels_lower, gehrels_upper, net_counts_sigma, snr_gehrels

LIMITS = [
    (0, 1.866025, np.nan),
    (1, 3.322876, 0.171468),
    (2, 4.658312, 0.712024),
    (3, 5.936492, 1.372338),
    (5, 8.397916, 2.845590),
    (10, 14.278719, 6.895879),
    (20, 25.555217, 15.569131),
    (100, 111.037430, 90.018506),
    (1000, 1032.634633, 968.383079),
]

NET = [
    (0, 10, 20, 1.878249, np.nan, -0.266205),
    (1, 10, 20, 2.332707, 0.842944, 0.214343),
    (3, 0, 25, 2.937440, np.nan, 1.021297),
    (5, 100, 50, 3.405079, 2.163639, 0.881037),
    (6, 6, 1.7, 4.174421, 2.755160, 0.591840),
    (10, 200, 25, 4.321525, 3.155151, 0.462800),
    (20, 150, 12.5, 5.655864, 4.537646, 1.414461),
    (100, 100, 20, 11.051218, 9.993963, 8.596337),
]


@pytest.mark.parametrize(("n", "upper", "lower"), LIMITS)
def test_limits(n, upper, lower):
    assert gehrels_upper(n) == pytest.approx(upper, abs=5e-7)
    assert gehrels_lower(n) == pytest.approx(lower, abs=5e-7, nan_ok=True)


@pytest.mark.parametrize(("n", "m", "ratio", "up", "low", "snr"), NET)
def test_net_counts(n, m, ratio, up, low, snr):
    sigma = net_counts_sigma(n, m, ratio)
    assert sigma.up == pytest.approx(up, abs=5e-7)
    assert sigma.low == pytest.approx(low, abs=5e-7, nan_ok=True)
    assert snr_gehrels(n, m, ratio) == pytest.approx(snr, abs=5e-7)


def test_close_to_the_exact_poisson_limits():
    n = np.arange(1, 200)
    level = ndtr(1.0)
    np.testing.assert_allclose(gehrels_upper(n), gammaincinv(n + 1, level), rtol=0.015)
    # Eq. 12 misses by a few per cent at N = 1 and is good to 1 % from there on.
    np.testing.assert_allclose(gehrels_lower(n), gammaincinv(n, 1 - level), rtol=0.01, atol=0.005)


def test_missing_values_and_shapes():
    assert np.isnan(gehrels_upper([-1.0, np.nan, np.inf])).all()
    assert np.isnan(net_counts_sigma(1, 1, [0.0, -1.0, np.nan]).up).all()
    assert np.isnan(snr_gehrels(1, 1, [-1.0, np.nan])).all()
    assert net_counts_sigma(np.arange(3)[:, None], [1, 2], 10.0).low.shape == (3, 2)


def test_no_warning_for_a_ratio_of_zero():
    assert np.isnan(snr_gehrels([0, 1], [0, 1], 0.0)).all()
