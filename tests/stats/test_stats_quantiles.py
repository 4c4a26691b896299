"""Net quantiles against numpy's, a simulation, and the vector of the acis-extract specification."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.stats.quantiles import crossing_quantiles, net_quantiles


def test_vector_of_acis_extract():
    net = [2, 1, 0, 3, -1, 2, 1]
    np.testing.assert_allclose(crossing_quantiles(net, np.arange(7.0), [0.25, 0.5, 0.75]), [0.5, 3.0, 4.0])
    np.testing.assert_allclose(crossing_quantiles(net, 1 + 0.5 * np.arange(7.0), 0.5), 2.5)


def test_crossing_rule_ends():
    assert np.isnan(crossing_quantiles([5, 5, 5, 5], np.arange(4.0), 0.5))
    assert np.isnan(crossing_quantiles([1, -1, 0, 0, 0], np.arange(5.0), [0.5])).all()
    assert np.isnan(crossing_quantiles(np.ones(5), np.arange(5.0), [-0.1, 1.1])).all()
    # First channel holds all: first crossing +1/2, none at or below, so -1/2: its own energy.
    assert crossing_quantiles([9, 0, 0, 0, 0], np.arange(5.0) + 2, 0.5) == 2.0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    energies=st.lists(st.floats(0.5, 8.0), min_size=1, max_size=60),
    fractions=st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=4),
)
def test_without_background_as_numpy(energies, fractions):
    found = net_quantiles(energies, [], 0.1, fractions)
    expected = np.quantile(energies, fractions, method="averaged_inverted_cdf")
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    source=st.lists(st.floats(0.5, 8.0), min_size=5, max_size=60),
    background=st.lists(st.floats(0.5, 8.0), max_size=60),
    weight=st.floats(0.0, 0.08),
    seed=st.integers(0, 100),
)
def test_brute_force_crossings(source, background, weight, seed):
    """First energy that reaches the level and last one up to which it is not exceeded, by counting."""
    fraction = 0.05 + 0.9 * np.random.default_rng(seed).random()
    source_, background_ = np.array(source), np.array(background)
    places = np.unique(np.concatenate([source_, background_]))
    net = [np.sum(source_ <= e) - weight * np.sum(background_ <= e) for e in places]
    level = fraction * net[-1]
    if net[-1] <= 1e-6 or min(abs(value - level) for value in net) < 1e-9:
        return
    first = next(e for e, value in zip(places, net, strict=True) if value >= level)
    last = places[0]
    for index, value in enumerate(net):
        if value <= level:
            last = places[min(index + 1, len(places) - 1)]
    assert net_quantiles(source, background, weight, fraction) == pytest.approx(
        0.5 * (first + last), rel=1e-14
    )


def test_background_is_subtracted():
    rng = np.random.default_rng(2)
    own = rng.normal(1.5, 0.3, 20_000)
    sky = rng.uniform(0.5, 8.0, 30_000)
    elsewhere = rng.uniform(0.5, 8.0, 300_000)
    raw = np.median(np.concatenate([own, sky]))
    median, lower, upper = net_quantiles(np.concatenate([own, sky]), elsewhere, 0.1, [0.5, 0.25, 0.75])
    assert raw > 1.9
    assert median == pytest.approx(1.5, abs=0.05)
    assert upper - lower == pytest.approx(2 * 0.6745 * 0.3, abs=0.1)
    each = net_quantiles(np.concatenate([own, sky]), elsewhere, np.full(300_000, 0.1), 0.5)
    assert each == pytest.approx(median)


def test_nothing_left():
    assert np.isnan(net_quantiles([], [], 0.1, [0.5, 0.9])).all()
    assert np.isnan(net_quantiles([1.0], [1.0, 2.0], 0.5, 0.5))
    assert np.isnan(net_quantiles([1.0, 2.0], [], 0.5, [-0.1, 1.5, np.nan])).all()
    assert net_quantiles([1.0, 2.0], [], 0.5, 0.5) == 1.5
