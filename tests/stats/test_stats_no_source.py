"""PROB_NO_SOURCE against printed values and binomial sums at 60 digits."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.stats.no_source import log10_prob_no_source

TABLE = [
    (0, 10, 20, 1.0),
    (1, 10, 20, 4.15320711e-01),
    (2, 10, 20, 1.09060131e-01),
    (3, 0, 25, 5.68957670e-05),
    (3, 40, 20, 3.36475951e-01),
    (5, 10, 20, 4.91565520e-04),
    (6, 6, 1.7, 2.59673976e-01),
    (10, 200, 25, 2.90659303e-01),
    (20, 100, 20, 1.05164357e-06),
    (100, 100, 20, 4.34559200e-76),
]


@pytest.mark.parametrize(("n", "m", "ratio", "logarithm"), [
    (3, 5, 10, -1.527760784), (20, 100, 50, -12.498948553), (200, 50, 80, -328.835780070),
])  # fmt: skip
def test_check_values(n, m, ratio, logarithm):
    assert log10_prob_no_source(n, m, ratio) == pytest.approx(logarithm, abs=5e-10)


@pytest.mark.parametrize(("n", "m", "ratio", "probability"), TABLE)
def test_table_of_acis_extract(n, m, ratio, probability):
    assert 10 ** log10_prob_no_source(n, m, ratio) == pytest.approx(probability, rel=5e-9, abs=0)


def exact(n, m, ratio):
    """Sum of the binomial terms from n on, downwards in size, at 60 digits."""
    with mpmath.workdps(60):
        p = 1 / (1 + mpmath.mpf(ratio))
        term = mpmath.exp(
            mpmath.loggamma(n + m + 1) - mpmath.loggamma(n + 1) - mpmath.loggamma(m + 1)
            + n * mpmath.log(p) + m * mpmath.log1p(-p)
        )  # fmt: skip
        total = term
        for k in range(m):
            term *= mpmath.mpf(m - k) / (n + k + 1) * p / (1 - p)
            total += term
            if term < total * mpmath.mpf(10) ** -45:
                break
        return float(mpmath.log10(total))


@settings(max_examples=120, deadline=None, derandomize=True)
@given(n=st.integers(1, 400), m=st.integers(0, 2000), log_ratio=st.floats(-1, 4))
def test_against_sum(n, m, log_ratio):
    ratio = 10**log_ratio
    expected = exact(n, m, ratio)
    assert log10_prob_no_source(n, m, ratio) == pytest.approx(expected, abs=5e-10, rel=1e-12)


@pytest.mark.parametrize(
    ("n", "m", "ratio"),
    [
        (500, 0, 100.0),
        (180, 100, 40.0),
        (40_000, 300, 300.0),
        (10**6, 10**4, 50.0),
        (10**6, 10**6, 1.2),
        (3 * 10**6, 10**6, 0.5),
        (10**5, 3 * 10**6, 100.0),
        (150, 1, 1e4),
    ],
)
def test_far_underflow(n, m, ratio):
    expected = exact(n, m, ratio)
    assert expected < -200
    assert log10_prob_no_source(n, m, ratio) == pytest.approx(expected, abs=1e-6)


def test_no_step_where_the_method_changes():
    n = np.arange(60, 260)
    logarithm = log10_prob_no_source(n, 40, 60.0)
    assert logarithm[0] > -250 > -308 > logarithm[-1]
    assert (np.diff(logarithm) < 0).all()
    # Smooth: the third difference of the closed form is tiny, a step of 1e-6 would stand out.
    assert np.abs(np.diff(logarithm, 3)).max() < 1e-3
    assert np.abs(np.diff(logarithm, 5)[100:]).max() < 1e-7


def test_plain_poisson_is_smaller():
    expected = 10.0 / 20.0
    poisson_tail = 1 - sum(math.exp(-expected) * expected**k / math.factorial(k) for k in range(5))
    assert poisson_tail == pytest.approx(1.721e-4, rel=1e-3)
    assert 10 ** log10_prob_no_source(5, 10, 20) > 2.5 * poisson_tail


def test_shapes_and_missing_values():
    assert log10_prob_no_source(np.arange(3)[:, None], [0, 5], 10.0).shape == (3, 2)
    assert (log10_prob_no_source(0, [0, 10, 10**6], [1, 1e-3, 1e4]) == 0).all()
    assert np.isnan(
        log10_prob_no_source([np.nan, 1, 1, -1, 1], [0, np.nan, 0, 0, 0], [1, 1, 0, 1, np.inf])
    ).all()
    assert log10_prob_no_source([], [], []).shape == (0,)


def test_falls_with_counts_and_grows_with_background():
    n = np.arange(0, 300)
    assert (np.diff(log10_prob_no_source(n, 30, 20.0)) < 0).all()
    assert (np.diff(log10_prob_no_source(40, n, 20.0)) > 0).all()
