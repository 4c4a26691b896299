"""Merged values of the two systems, selections by purpose, and the Gaussian interval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.measure.merge_selection import (
    merged_log10_prob_no_source,
    position_error,
    prune_overlap,
    select_for_position,
    select_for_validity,
)
from catalog.measure.merged_variants import MergedCounts, net_photon_flux, srcflux_merged
from catalog.stats.aperture_posterior import summarise
from catalog.stats.aprates import aprates_interval


def merged(n, m, alpha, beta, ratio, time, area, area_background=None):
    arrays = [np.asarray(values, dtype=float) for values in (alpha, beta, ratio, time, area)]
    other = arrays[4] if area_background is None else np.asarray(area_background, dtype=float)
    return MergedCounts(np.array([0, len(n)]), np.array(n), np.array(m), *arrays, other)


def test_merge_against_the_formulas_written_out():
    n, m, alpha, beta = [12, 30, 7], [20, 44, 15], [0.9, 0.87, 0.92], [0.04, 0.06, 0.05]
    ratio, time, area, other = (
        [22.0, 18.0, 24.0],
        [3e4, 1e4, 2e4],
        [300.0, 280.0, 310.0],
        [290.0, 285.0, 300.0],
    )
    found = srcflux_merged(merged(n, m, alpha, beta, ratio, time, area, other), 0.9)
    for name, own, back in (
        ("rate", time, time),
        (
            "flux",
            [t * a for t, a in zip(time, area, strict=True)],
            [t * a for t, a in zip(time, other, strict=True)],
        ),
    ):
        r = [a * b / s for a, b, s in zip(ratio, back, own, strict=True)]
        f = [a * s for a, s in zip(alpha, own, strict=True)]
        g = [b * s for b, s in zip(beta, back, strict=True)]
        inside = [(f[i] * m[i] - g[i] * n[i]) / (f[i] * r[i] - g[i]) for i in range(3)]
        common = sum(x * y for x, y in zip(inside, r, strict=True)) / sum(inside)
        expected = summarise(sum(n), sum(m), sum(f), sum(g), common, 0.9)
        key = "merged_net_rate_aper" if name == "rate" else "merged_aprates_photflux_aper"
        assert found[key][0] == pytest.approx(float(expected.mode), rel=1e-9)
        assert found[f"{key}_lolim"][0] == pytest.approx(float(expected.lolim), rel=1e-9)
        assert found[f"{key}_hilim"][0] == pytest.approx(float(expected.hilim), rel=1e-9)
    flux = [
        (ratio[i] * n[i] / (time[i] * area[i]) - m[i] / (time[i] * other[i]))
        / (ratio[i] * alpha[i] - beta[i])
        for i in range(3)
    ]
    mean = sum(t * p for t, p in zip(time, flux, strict=True)) / sum(time)
    assert found["merged_net_photflux_aper"][0] == pytest.approx(mean, rel=1e-12)
    assert found["psf_weighted_exposure_time"][0] == pytest.approx(
        sum(a * t for a, t in zip(alpha, time, strict=True))
    )
    assert found["merged_net_photflux_guide"][0] == pytest.approx(
        (common * sum(n) - sum(m)) / (common * sum(f) - sum(g)), rel=1e-12
    )


def test_region_53_of_the_guide():
    """Exposure-weighted mean of its three printed fluxes is 2.02e-5."""
    time, flux = np.array([34.62e3, 11.0e3, 24.94e3]), np.array([3.36e-6, 9.04e-7, 5.22e-5])
    area = np.full(3, 400.0)
    n = np.rint(flux * time * area * 0.9 * 1000).astype(
        int
    )  # a thousand times the exposure, for exact counts
    found = srcflux_merged(merged(n, [0, 0, 0], [0.9] * 3, [0.0] * 3, [22.0] * 3, time * 1000, area), 0.68)
    assert found["merged_net_photflux_aper"][0] == pytest.approx(2.02e-5, abs=5e-8)


def test_no_background_count_still_has_a_value():
    found = srcflux_merged(merged([50, 40], [0, 0], [1, 1], [0, 0], [22, 22], [1e4, 1e4], [300, 300]), 0.9)
    assert found["merged_net_rate_aper"][0] == pytest.approx(90 / 2e4, rel=1e-3)


def test_negative_flux_of_one_observation_makes_the_mean_nan_and_not_the_joint_value():
    counts = merged([0, 40], [50, 5], [1, 1], [0, 0], [22, 22], [1e4, 1e4], [300, 300])
    assert np.isnan(net_photon_flux(counts)).tolist() == [True, False]
    found = srcflux_merged(counts, 0.9)
    assert np.isnan(found["merged_net_photflux_aper"][0])
    assert found["merged_aprates_photflux_aper"][0] > 0


rows = st.lists(
    st.tuples(
        st.integers(0, 300), st.integers(0, 300), st.floats(0.5, 1), st.floats(0, 0.05), st.floats(5, 40)
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(rows, st.randoms(use_true_random=False))
def test_order_does_not_matter_and_one_observation_is_itself(rows, shuffler):
    def value(rows):
        n, m, alpha, beta, ratio = (list(column) for column in zip(*rows, strict=True))
        time = [1e4 + 10 * x for x in n]
        return srcflux_merged(merged(n, m, alpha, beta, ratio, time, [300.0] * len(n)), 0.68)

    base = value(rows)
    mixed = list(rows)
    shuffler.shuffle(mixed)
    other = value(mixed)
    for name in ("merged_net_rate_aper", "merged_aprates_photflux_aper", "merged_net_rate_aper_hilim"):
        assert other[name] == pytest.approx(base[name], rel=1e-6, abs=1e-12, nan_ok=True)
    n, m, alpha, beta, ratio = rows[0]
    single = summarise(n, m, alpha, beta, ratio, 0.68)
    alone = value(rows[:1])
    assert alone["merged_net_rate_aper"][0] * (1e4 + 10 * n) == pytest.approx(
        float(single.mode), rel=1e-6, abs=1e-9
    )


def test_unequal_scalings_of_the_page():
    """BKG 10 at 20 and 30 at 10 with SRC 12: net 8.5, P_B 7.1736e-4 (acis-extract.md 2.12)."""
    found = merged_log10_prob_no_source([7, 5], [10, 30], [20, 10])
    assert 10**found == pytest.approx(7.1736e-4, rel=5e-5)
    scaled = 10 / 20 + 30 / 10
    assert [40 / scaled, 12 - scaled] == pytest.approx([11.42857, 8.5], abs=5e-6)


def test_greedy_merge_for_validity_of_the_page():
    n, m, ratio = [5, 1, 3], [10, 40, 10], [20, 20, 20]
    single = [merged_log10_prob_no_source(n[i : i + 1], m[i : i + 1], ratio[i : i + 1]) for i in range(3)]
    assert 10 ** np.array(single) == pytest.approx([4.9157e-4, 0.86472, 2.1557e-2], rel=3e-5)
    assert 10 ** merged_log10_prob_no_source([5, 3], [10, 10], [20, 20]) == pytest.approx(3.4768e-5, rel=3e-5)
    assert 10 ** merged_log10_prob_no_source(n, m, ratio) == pytest.approx(5.3675e-3, rel=3e-5)
    assert select_for_validity(n, m, ratio, 8).tolist() == [True, False, True]
    # With more counts asked for, the third is taken too.
    assert select_for_validity(n, m, ratio, 9).tolist() == [True, True, True]


def test_overlap_pruning():
    assert prune_overlap([0.0, 0.1, 0.05]).tolist() == [True, False, True]
    assert prune_overlap([0.5, 0.59, 0.6, 0.9]).tolist() == [True, True, False, False]
    assert prune_overlap([]).tolist() == []


def test_position_error_and_selection():
    psf, flat = [[0.36, 0.25], [1.44, 1.0]], [[0.64, 0.64], [2.25, 1.96]]
    assert position_error([20, 8], [18, 5], psf, flat) == pytest.approx(0.10884, abs=5e-6)
    assert np.isnan(position_error([0], [0], [[1, 1]], [[1, 1]]))
    chosen = select_for_position(
        [20, 8, 0, 2], [18, 5, 0, 1], [*psf, [1, 1], [400, 400]], [*flat, [1, 1], [900, 900]]
    )
    # The first alone has 0.0905 arcsec; the wider second one would raise it, the third has no error.
    assert chosen.tolist() == [True, False, False, False]
    alike = select_for_position([20, 18], [18, 16], [psf[0], psf[0]], [flat[0], flat[0]])
    assert alike.tolist() == [True, True]


def test_gaussian_interval_of_aprates():
    n, m, f, g, r = 200, 150, 0.85, 0.08, 9.0
    posterior = summarise(n, m, f, g, r, 0.9)
    found = aprates_interval(posterior, n, m, f, g, r, 0.9)
    likely = (r * n - m) / (r * f - g)
    sigma = np.sqrt(r**2 * n + m) / (r * f - g)
    assert found.gaussian
    assert float(found.value) == pytest.approx(likely)
    assert float(found.hilim - found.value) == pytest.approx(1.6448536 * sigma)
    assert float(found.value - found.lolim) == pytest.approx(1.6448536 * sigma)
    # 5, 3, .9, .03, 20 of srcflux.md 6.9: below 50, the posterior itself.
    few = aprates_interval(summarise(5, 3, 0.9, 0.03, 20, 0.9), 5, 3, 0.9, 0.03, 20, 0.9)
    assert (float(few.lolim), float(few.hilim)) == pytest.approx((2.143, 10.603), abs=1e-3)
    none = aprates_interval(summarise(0, 3, 1, 0, 24, 0.9), 0, 3, 1, 0, 24, 0.9)
    assert np.isnan(none.lolim)
    assert float(none.hilim) == pytest.approx(2.3026, abs=5e-5)


@pytest.mark.parametrize(
    ("n", "m", "triple", "confidence"),
    [
        (9, 50, (6.72e-5, 4.02e-5, 0.000101), 0.68),
        (23, 12, (0.000222, 0.000177, 0.000273), 0.68),
        (23, 53, (0.000202, 0.000157, 0.000253), 0.68),
        (58, 219, (0.000467, 0.000394, 0.000546), 0.68),
        (43, 217, (0.000319, 0.000219, 0.000436), 0.9),
        (34, 59, (0.000308, 0.000221, 0.000413), 0.9),
        (49, 188, (0.000393, 0.000286, 0.000517), 0.9),
    ],
)
def test_printed_triples_of_srcflux(n, m, triple, confidence):
    """ObsID 635, live time 100.8 ks, from the counts inferred (srcflux.md 6.2 at 90 %, 6.3 at 68 %)."""
    best = min(
        max(abs(np.array([float(v) for v in (s.mode, s.lolim, s.hilim)]) / 100.8e3 / np.array(triple) - 1))
        for r in np.linspace(20, 24, 9)
        for counted in range(max(m - 12, 0), m + 13)
        for s in [summarise(n, counted, 1, 0, r, confidence)]
    )
    assert best < 0.005
