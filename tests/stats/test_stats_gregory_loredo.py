"""Gregory-Loredo: printed answers, hand checks, gaps, dither, and rates of false alarm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln

from catalog.stats.exposure_clock import ExposureClock, exposure_clock
from catalog.stats.gregory_loredo import GregoryLoredo, gregory_loredo, variability_index

T0 = 1.0e8


def whole(seconds: float) -> ExposureClock:
    return exposure_clock([T0], [T0 + seconds])


def in_bins(counts: tuple[int, ...]) -> GregoryLoredo:
    """Test of events in the middle of equal bins, 50 s each."""
    m = len(counts)
    times = [T0 + 50.0 * (j + 0.5) for j, n in enumerate(counts) for _ in range(n)]
    found = gregory_loredo(times, whole(50.0 * m))
    assert found is not None
    return found


PRINTED = [
    ("const200", 5e4, False, 0.5, 200, 1000, 1000, -0.9129, 0.108908, 482, 740.310, 1.0, 1.0, 0),
    ("const200", 5e4, False, 2.0, 200, 1000, 1000, -0.9129, 0.108908, 482, 740.310, 1.0, 1.0, 0),
    ("flare", 4e4, False, 0.5, 210, 800, 65, 22.2157, 1.0, 40, 39.722, 0.9538, 0.9692, 9),
    ("flare", 4e4, False, 2.0, 210, 800, 290, 21.5611, 1.0, 40, 39.738, 0.9483, 0.9759, 9),
    ("dither", 3e4, True, 0.5, 466, 600, 2, -1.1645, 0.064082, 2, 2.0, 1.0, 1.0, 0),
    ("dither", 3e4, True, 2.0, 466, 600, 9, -2.0264, 0.009323, 2, 2.119, 1.0, 1.0, 0),
    ("dither", 3e4, False, 0.5, 466, 600, 237, 3.3283, 0.999531, 141, 141.686, 0.9747, 1.0, 7),
    ("dither", 3e4, False, 2.0, 466, 600, 600, 2.9240, 0.998810, 141, 141.724, 0.9667, 1.0, 7),
]


@pytest.mark.parametrize("row", PRINTED, ids=lambda row: f"{row[0]}-{row[2]}-{row[3]}")
def test_printed_lists(data_dir, row) -> None:
    name, seconds, corrected, threshold, n, first, last, odds, p, peak, mean, f3, f5, index = row
    times = np.load(data_dir / "variability" / f"gl_{name}.npy")
    clock = whole(seconds)
    if corrected:
        sample, fraction = np.load(data_dir / "variability" / "gl_dither_frac.npy")
        clock = exposure_clock([T0], [T0 + seconds], sample, 0.5 * (fraction[1:] + fraction[:-1]))
    found = gregory_loredo(times, clock, threshold=threshold)
    assert found is not None
    assert (times.size, found.n_bins_first, found.n_bins, found.n_bins_peak) == (n, first, last, peak)
    assert found.log10_odds == pytest.approx(odds, abs=5e-5)
    assert found.probability == pytest.approx(p, abs=5e-7)
    assert found.n_bins_mean == pytest.approx(mean, abs=5e-4)
    assert (found.f3, found.f5) == (pytest.approx(f3, abs=5e-5), pytest.approx(f5, abs=5e-5))
    assert found.index == index


@pytest.mark.parametrize(
    ("counts", "odds"),
    [((3, 0), 2.0), ((10, 0), 1024 / 11), ((5, 5), 0.369408), ((10, 0, 0), 894.682), ((4, 3, 3), 0.213019),
     ((20, 5), 24.2905)],
)  # fmt: skip
def test_hand_checks(counts: tuple[int, ...], odds: float) -> None:
    assert math.exp(in_bins(counts).log_odds[len(counts) - 2]) == pytest.approx(odds, rel=5e-6)


@given(st.lists(st.integers(0, 12), min_size=2, max_size=30).filter(any))
@settings(max_examples=40, deadline=None)
def test_against_a_plain_sum(counts: list[int]) -> None:
    found = in_bins(tuple(counts))
    n, m = sum(counts), len(counts)
    expected = gammaln(np.array(counts) + 1.0).sum() + n * math.log(m) + gammaln(m) - gammaln(n + m)
    assert found.log_odds[m - 2] == pytest.approx(expected, abs=1e-9)


def brute_force(times, clock, m):
    edges = np.linspace(0, clock.total_time, m + 1)
    n = np.histogram(clock.elapsed_at(times), edges)[0]
    share = np.diff(clock.exposure_at_elapsed(edges)) / clock.total_exposure
    return gammaln(n + 1.0).sum() + gammaln(m) - gammaln(n.sum() + m) - (n * np.log(share)).sum()


def dithered(seconds: float = 30000.0, gap: bool = True) -> ExposureClock:
    """Two good time intervals and a source that a dither of 1000 s carries over an edge."""
    edges = T0 + np.arange(0.0, seconds + 1, 25.0)
    fraction = np.clip(0.5 + 0.9 * np.sin(2 * np.pi * (edges[:-1] - T0) / 1000.0), 0.0, 1.0)
    stops = ([T0, T0 + 0.55 * seconds], [T0 + 0.4 * seconds, T0 + seconds]) if gap else ([T0], [T0 + seconds])
    return exposure_clock(*stops, edges, fraction, minimum=0.1)


def draw(clock: ExposureClock, n: int, rng: np.random.Generator) -> np.ndarray:
    """Arrivals of a constant source, drawn from the stretches themselves."""
    weight = (clock.stop - clock.start) * clock.fraction
    which = rng.choice(weight.size, n, p=weight / weight.sum())
    return np.sort(clock.start[which] + (clock.stop - clock.start)[which] * rng.random(n))


def test_odds_with_gaps_and_dither_against_brute_force() -> None:
    clock = dithered(20000.0)
    times = draw(clock, 60, np.random.default_rng(5))
    found = gregory_loredo(times, clock)
    assert found is not None
    for m in (2, 3, 10, 57, 200):
        assert found.log_odds[m - 2] == pytest.approx(brute_force(times, clock, m), abs=2e-2)


def test_light_curve_of_brute_force() -> None:
    clock = dithered(6000.0)
    times = draw(clock, 40, np.random.default_rng(3))
    times = np.sort(np.append(times, clock.time_at(np.linspace(0.5, 0.52, 30) * clock.total_time)))
    found = gregory_loredo(times, clock)
    assert found is not None
    assert found.probability > 0.9
    last, total, n = found.n_bins, clock.total_time, times.size
    weight = np.exp(found.log_odds[: last - 1])
    first, second = np.zeros(last), np.zeros(last)
    middle = (np.arange(last) + 0.5) / last
    for m in range(2, last + 1):
        edges = np.linspace(0, total, m + 1)
        counts = np.histogram(clock.elapsed_at(times), edges)[0]
        a = np.diff(clock.exposure_at_elapsed(edges)) * m / total
        j = np.minimum((middle * m).astype(int), m - 1)
        w = weight[m - 2] / weight.sum()
        first += w * (m * (counts + 1) / ((n + m) * a) * n / total)[j]
        square = m * m * (counts + 1) * (counts + 2) / ((n + m) * (n + m + 1) * a**2) * (n / total) ** 2
        second += w * square[j]
    assert found.rate == pytest.approx(first, rel=2e-2)
    assert found.rate_error == pytest.approx(np.sqrt(second - first**2), rel=5e-2)


def test_fast_and_plain_light_curves_agree() -> None:
    from catalog.stats.gregory_loredo_kernels import rate_moments, rate_moments_exposed

    rng = np.random.default_rng(6)
    phase, weight = np.sort(rng.random(37)), rng.random(120)
    uniform = np.linspace(0.0, 1.0, 5001)
    for points in (121, 64, 500):
        one = rate_moments(phase, weight / weight.sum(), points)
        two = rate_moments_exposed(phase, uniform, weight / weight.sum(), points)
        np.testing.assert_allclose(one[0], two[0], rtol=1e-6)
        np.testing.assert_allclose(one[1], two[1], rtol=1e-6)


def test_models_that_stand_for_four_change_nothing_that_matters() -> None:
    from catalog.stats.gregory_loredo_kernels import exposure_share, rate_moments_exposed

    rng = np.random.default_rng(7)
    clock = dithered(80000.0)
    table = clock.exposure_at_elapsed(np.linspace(0, clock.total_time, 8001)) / clock.total_exposure
    phase, weight = np.sort(rng.random(12)), np.full(899, 1 / 899)
    first, second = rate_moments_exposed(phase, table, weight, 300)
    k = (np.arange(300) + 0.5) / 300
    one, two = np.zeros(300), np.zeros(300)
    for m in range(2, 901):
        edges = np.array([exposure_share(table, j / m) for j in range(m + 1)])
        counts = np.bincount((phase * m).astype(int), minlength=m)
        j = (k * m).astype(int)
        one += ((counts + 1) / (12 + m) / np.diff(edges))[j] / 899
        two += ((counts + 1) * (counts + 2) / (12 + m) / (13 + m) / np.diff(edges) ** 2)[j] / 899
    error, exact = np.sqrt(second - first**2), np.sqrt(two - one**2)
    # The shares within 3 and 5 errors compare the rate with the mean error: a part of it is nothing to them.
    assert np.abs(first - one).max() < 0.1 * exact.mean()
    assert error.mean() == pytest.approx(exact.mean(), rel=2e-3)
    assert np.mean(np.abs(first / one - 1)) < 2e-3
    assert np.mean(np.abs(error / exact - 1)) < 5e-3


@pytest.mark.parametrize(
    ("p", "odds", "f3", "f5", "index"),
    [(0.5, 0, 1, 1, 0), (0.6, 0, 1, 1, 1), (0.7, 0, 1, 1, 2), (0.55, 0, 0.9, 1, 3), (0.62, 0, 0.9, 1, 4),
     (0.8, 0, 0.9, 1, 5), (0.8, 0, 1, 0.999, 5), (0.9, 1, 1, 1, 6), (0.99, 2, 1, 1, 7), (1, 4, 1, 1, 8),
     (1, 10, 1, 1, 9), (1, 30, 1, 1, 10), (2 / 3, 0, 1, 1, 2), (2 / 3, 0, 0.9, 1, 5), (0.6, 0, 0.99, 1, 4)],
)  # fmt: skip
def test_index(p: float, odds: float, f3: float, f5: float, index: int) -> None:
    assert variability_index(p, odds, f3, f5) == index


def test_a_gap_does_not_change_the_odds_of_a_flare() -> None:
    """The same arrivals, a gap of 60 % of the good time put into a quiet part."""
    rng = np.random.default_rng(4)
    steady = rng.random(150) * 40000
    flare = 17000 + rng.exponential(900, 60)
    elapsed = np.sort(np.append(steady, flare[flare < 40000]))
    plain = gregory_loredo(T0 + elapsed, whole(40000))
    gapped = exposure_clock([T0, T0 + 30000 + 24000], [T0 + 30000, T0 + 40000 + 24000])
    times = T0 + elapsed + np.where(elapsed > 30000, 24000, 0)
    found = gregory_loredo(times, gapped)
    naive = gregory_loredo(times, exposure_clock([T0], [T0 + 64000]))
    assert plain is not None
    assert found is not None
    assert naive is not None
    assert found.log10_odds == pytest.approx(plain.log10_odds, abs=0.3)
    assert abs(naive.log10_odds - plain.log10_odds) > 1


def test_constant_sources_are_rarely_called_variable() -> None:
    """A small version of benchmarks/variability.py; uncorrected, the same lists fail."""
    rng = np.random.default_rng(11)
    clock = dithered()
    blind = exposure_clock([clock.start[0]], [clock.stop[-1]])
    wrong, uncorrected = 0, 0
    for _ in range(400):
        times = draw(clock, int(10 ** rng.uniform(1, 2.6)), rng)
        corrected, plain = gregory_loredo(times, clock), gregory_loredo(times, blind)
        assert corrected is not None
        assert plain is not None
        wrong += corrected.index >= 6
        uncorrected += plain.index >= 6
    assert wrong / 400 < 0.03
    assert uncorrected / 400 > 0.3


def test_few_or_no_events() -> None:
    assert gregory_loredo([], whole(1000)) is None
    assert gregory_loredo([T0 + 10], whole(99)) is None
    one = gregory_loredo([T0 + 10], whole(1000))
    assert one is not None
    assert (one.index, one.probability) == (0, pytest.approx(0.5))
    with pytest.raises(ValueError, match="outside the good time"):
        gregory_loredo([T0 - 1], whole(1000))
