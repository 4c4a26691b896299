"""Detection limits against published values and quadrature over the background."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammainc
from scipy.stats import gamma, nbinom, poisson

from catalog.errors import SettingsError
from catalog.stats.detection_limit import detection_limit, detection_limit_known


@pytest.mark.parametrize(
    ("alpha", "power", "background", "threshold", "limit", "digits"),
    [
        (0.05, 0.5, 1.23, 3, 2.442061, 5e-7),
        (0.0027, 0.9, 1.0, 5, 8.274674, 5e-7),
        (0.05, 0.5, 0.34, 1, 1.338348, 2e-6),  # printed by aplimits, which stops a little early
    ],
)
def test_known_background_check_values(alpha, power, background, threshold, limit, digits):
    result = detection_limit_known(background, alpha, power)
    assert result.threshold == threshold
    assert result.limit == pytest.approx(limit, abs=digits)


def test_unknown_background_check_value():
    result = detection_limit(5, 4.065, 0.1, 0.5)
    assert result.threshold == 3
    assert result.limit == pytest.approx(2.2316, abs=5e-5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(b=st.floats(0, 300), alpha=st.floats(1e-8, 0.4), power=st.floats(0.05, 0.99))
def test_known_background_definition(b, alpha, power):
    limit, threshold = detection_limit_known(b, alpha, power)
    assert poisson.sf(threshold, b) <= alpha * (1 + 1e-9)
    assert threshold == 0 or poisson.sf(threshold - 1, b) > alpha * (1 - 1e-9)
    if limit > 0:
        assert poisson.sf(threshold, b + limit) == pytest.approx(power, rel=1e-8)
    else:
        assert poisson.sf(threshold, b) >= power * (1 - 1e-9)


def averaged_detection(source, threshold, m, r):
    """P(N > threshold) averaged over Gamma(m + 1, rate r) by Gauss-Legendre in the quantile range."""
    law = gamma(m + 1, scale=1 / r)
    nodes, weights = np.polynomial.legendre.leggauss(300)
    edges = [law.ppf(1e-15), law.ppf(0.5), law.isf(1e-15)]
    total = 0.0
    for a, b in pairwise(edges):
        points = 0.5 * (a + b) + 0.5 * (b - a) * nodes
        total += 0.5 * (b - a) * np.sum(weights * law.pdf(points) * gammainc(threshold + 1, points + source))
    return total


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    m=st.integers(0, 400), log_r=st.floats(-1, 3), alpha=st.sampled_from([1e-6, 0.0027, 0.05, 0.2]),
    power=st.sampled_from([0.3, 0.5, 0.9]),
)  # fmt: skip
def test_unknown_background_definition(m, log_r, alpha, power):
    r = 10**log_r
    limit, threshold = detection_limit(m, r, alpha, power)
    law = nbinom(m + 1, r / (1 + r))
    assert law.sf(threshold) <= alpha * (1 + 1e-9)
    assert threshold == 0 or law.sf(threshold - 1) > alpha * (1 - 1e-9)
    assert limit > 0
    assert averaged_detection(limit, threshold, m, r) == pytest.approx(power, rel=1e-7)


def test_well_measured_background_is_a_known_one():
    known = detection_limit_known(2.5)
    unknown = detection_limit(2_500_000, 1e6)
    assert unknown.threshold == known.threshold
    assert unknown.limit == pytest.approx(float(known.limit), rel=1e-5)


def test_large_counts():
    m, r = 10**6, 2.0
    result = detection_limit(m, r, 0.05, 0.5)
    sigma = np.sqrt(m / r + m / r**2)
    # Gaussian: a threshold 1.645 sigma above the background, reached with even odds at that excess.
    assert result.limit == pytest.approx(1.6448536 * sigma, rel=3e-3)
    assert averaged_detection(float(result.limit), float(result.threshold), m, r) == pytest.approx(
        0.5, rel=1e-6
    )


def test_monotone():
    m = np.arange(200)
    result = detection_limit(m, 10.0)
    assert (np.diff(result.threshold) >= 0).all()
    assert result.threshold[-1] > result.threshold[0]
    power = [float(detection_limit(20, 10.0, power=p).limit) for p in (0.2, 0.5, 0.8, 0.95)]
    assert power == sorted(power)
    alpha = [float(detection_limit(20, 10.0, alpha=a).limit) for a in (0.1, 0.01, 1e-3, 1e-5)]
    assert alpha == sorted(alpha)


def test_zero_background():
    result = detection_limit_known(0.0, 0.0027, 0.5)
    assert result.threshold == 0
    assert result.limit == pytest.approx(np.log(2), rel=1e-12)
    # Zero counts in a background aperture do not mean that there is none.
    assert detection_limit(0, 3.0).limit > result.limit


def test_background_that_alone_is_a_detection():
    # With alpha above power the threshold itself is exceeded often enough.
    assert detection_limit_known(5.0, 0.6, 0.3).limit == 0
    assert detection_limit(50, 10.0, 0.6, 0.3).limit == 0


def test_shapes_and_missing_values():
    result = detection_limit(np.arange(3)[:, None], [1.0, 10.0])
    assert result.limit.shape == result.threshold.shape == (3, 2)
    bad = detection_limit([np.nan, -1, 1, 1], [1, 1, 0, np.nan])
    assert np.isnan(bad.limit).all()
    assert np.isnan(bad.threshold).all()
    assert np.isnan(detection_limit_known([np.nan, -1.0]).limit).all()
    assert detection_limit([], []).limit.shape == (0,)
    for alpha, power in ((0.0, 0.5), (0.01, 1.0), (np.nan, 0.5)):
        with pytest.raises(SettingsError):
            detection_limit(1, 1.0, alpha, power)
        with pytest.raises(SettingsError):
            detection_limit_known(1.0, alpha, power)
