"""Backgrounds profiled out of a spectral fit, against general optimisers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar

from catalog.measure.spectral_background_kernels import (
    c_statistic,
    contributions,
    free_background,
    linear_background,
)
from catalog.measure.spectral_statistic import expected_c_statistic


def _hats(n: int, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    left = np.clip(np.searchsorted(places, np.arange(n), side="right") - 1, 0, places.size - 2)
    share = (np.arange(n) - places[left]) / (places[left + 1] - places[left])
    table = np.zeros((n, places.size))
    table[np.arange(n), left] = 1 - share
    table[np.arange(n), left + 1] += share
    return left, share, table


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("strength", [0.0, 0.05, 3.0])
def test_line_is_the_most_likely_one(seed: int, strength: float) -> None:
    rng = np.random.default_rng(seed)
    n, ratio = 300, 2.0 + 8.0 * rng.random()
    places = np.array([0, *np.sort(rng.choice(np.arange(5, n - 5), 5, replace=False)), n - 1.0])
    left, share, table = _hats(n, places)
    true = rng.gamma(0.4, 0.6, places.size)
    # Vertices at zero are the hard case: nothing there, not even one count.
    true[rng.integers(0, places.size)] = 0.0
    source = strength * np.exp(-np.arange(n) / 60.0)
    counts = rng.poisson(source + table @ true / ratio).astype(float)
    back = rng.poisson(table @ true).astype(float)

    def negative(logs: np.ndarray) -> tuple[float, np.ndarray]:
        level = np.maximum(table @ np.exp(logs), 1e-300)
        expected = source + level / ratio
        value = (expected - counts * np.log(expected) + level - back * np.log(level)).sum()
        slope = table.T @ ((1 - counts / expected) / ratio + 1 - back / level)
        return float(value), slope * np.exp(logs)

    options = {"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-10}
    best = min(
        minimize(negative, np.full(places.size, start), jac=True, method="L-BFGS-B", options=options).fun
        for start in (-3.0, 0.0)
    )
    start = np.full(places.size, back.mean() + 1e-3)
    _, found = linear_background(
        source[None], counts, back, ratio, left.astype(np.int64), share, np.ones(n), start
    )
    value, _ = negative(np.log(found[0]))
    assert value <= best + 1e-5
    assert (found >= 0).all()


@settings(max_examples=200, deadline=None)
@given(
    source=st.floats(0, 50),
    counts=st.integers(0, 60),
    back=st.integers(0, 60),
    ratio=st.floats(0.2, 100),
)
def test_free_background_is_the_most_likely_one(source: float, counts: int, back: int, ratio: float) -> None:
    level = free_background(
        np.array([[source]]), np.array([float(counts)]), np.array([float(back)]), np.array([ratio])
    )[0, 0]

    def statistic(value: float) -> float:
        return c_statistic(float(counts), source + value / ratio) + c_statistic(float(back), value)

    found = minimize_scalar(statistic, bounds=(0.0, 500.0), method="bounded", options={"xatol": 1e-10})
    assert level >= 0
    assert statistic(level) <= found.fun + 1e-6


def test_w_statistic_is_that_of_sherpa() -> None:
    import catalog.measure.spectral_sherpa  # noqa: F401, I001  (keeps sherpa silent)
    from sherpa.stats import _statfcts

    rng = np.random.default_rng(4)
    n, ratio = 40, 7.3
    model = rng.gamma(2.0, 3.0, n)
    back = rng.poisson(9.0, n).astype(float)
    counts = rng.poisson(model + back / ratio).astype(float)
    level = free_background(model[None], counts, back, np.full(n, ratio))
    ours = contributions(model[None], level, counts, back, np.full(n, ratio)).sum()
    # Data, model, sizes of data sets, exposures, background, its scale, smallest model value.
    theirs, _ = _statfcts.calc_wstat_stat(
        counts, model, np.array([n]), np.ones(n), np.ones(n), back, np.full(n, ratio), 1e-25
    )
    assert ours == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("mean", [1e-4, 0.3, 2.0, 9.5, 19.0, 21.0, 60.0])
def test_mean_and_variance_of_the_c_statistic(mean: float) -> None:
    rng = np.random.default_rng(1)
    counts = rng.poisson(mean, 400_000).astype(float)
    term = 2 * (mean - counts + counts * np.log(np.maximum(counts, 1) / mean))
    first, second = expected_c_statistic(np.array([mean]))
    assert first[0] == pytest.approx(term.mean(), rel=0.02, abs=3 * term.std() / 630)
    assert second[0] == pytest.approx(term.var(), rel=0.08 if mean > 0.01 else 0.5)
