"""Photometry by channel: ACIS Extract's formulas on 9774 by hand, invariants, the vectors of its page."""

import numpy as np
import pytest
from astropy.io import fits

from catalog.band import Band
from catalog.measure.channel_photometry import (
    ChannelSpectra,
    area_with_psf,
    channel_columns,
    channel_histogram,
    energy_flux,
)
from catalog.stats.gehrels import gehrels_lower, gehrels_upper, net_counts_sigma, snr_gehrels
from catalog.stats.no_source import log10_prob_no_source

AE_BANDS = [
    Band("t", 0.5, 8.0, 2.3),
    Band("s", 0.5, 2.0, 1.5),
    Band("h", 2.0, 8.0, 4.0),
    Band("narrow", 1.0, 1.05, 1.02),
]

PHOTOMETRY = """
0 10 20 1 -0.5 1.878249 nan -0.266205
1 10 20 4.15320711e-01 0.5 2.332707 0.842944 0.214343
2 10 20 1.09060131e-01 1.5 2.666907 1.297293 0.562449
3 10 20 2.15571081e-02 2.5 2.944274 1.635046 0.849106
3 0 25 5.68957670e-05 3.0 2.937440 nan 1.021297
3 40 20 3.36475951e-01 1.0 2.959607 1.657819 0.337883
4 10 10 3.25209717e-02 3.0 3.208111 1.934108 0.935130
5 10 20 4.91565520e-04 4.5 3.404644 2.159993 1.321724
5 100 50 5.62790614e-02 3.0 3.405079 2.163639 0.881037
6 6 1.7 2.59673976e-01 2.470588 4.174421 2.755160 0.591840
7 100 40 1.61533535e-02 4.5 3.793930 2.588509 1.186105
10 50 10 4.31195669e-02 5.0 4.355160 3.183061 1.148064
10 200 25 2.90659303e-01 2.0 4.321525 3.155151 0.462800
20 150 12.5 2.73240105e-02 8.0 5.655864 4.537646 1.414461
20 100 20 1.05164357e-06 15.0 5.582562 4.458887 2.686938
100 100 20 4.34559200e-76 95.0 11.051218 9.993963 8.596337
"""
GEHRELS = """
0 1.866025 1.866025 nan nan
1 3.322876 2.322876 0.171468 0.828532
2 4.658312 2.658312 0.712024 1.287976
3 5.936492 2.936492 1.372338 1.627662
4 7.179449 3.179449 2.090964 1.909036
5 8.397916 3.397916 2.845590 2.154410
7 10.783882 3.783882 4.423548 2.576452
10 14.278719 4.278719 6.895879 3.104121
20 25.555217 5.555217 15.569131 4.430869
50 58.123903 8.123903 42.955086 7.044914
100 111.037430 11.037430 90.018506 9.981494
1000 1032.634633 32.634633 968.383079 31.616921
"""


def table(text):
    return np.array([[float(word) for word in line.split()] for line in text.strip().splitlines()]).T


def test_table_of_gehrels_limits():
    n, up, sigma_up, low, sigma_low = table(GEHRELS)
    assert gehrels_upper(n) == pytest.approx(up, abs=5e-7)
    assert gehrels_lower(n) == pytest.approx(low, abs=5e-7, nan_ok=True)
    assert gehrels_upper(n) - n == pytest.approx(sigma_up, abs=5e-7)
    assert n - gehrels_lower(n) == pytest.approx(sigma_low, abs=5e-7, nan_ok=True)


def test_table_of_photometry():
    n, m, ratio, prob, net, up, low, signif = table(PHOTOMETRY)
    assert 10 ** log10_prob_no_source(n, m, ratio) == pytest.approx(prob, rel=4e-9)
    assert n - m / ratio == pytest.approx(net, abs=5e-7)
    sigma = net_counts_sigma(n, m, ratio)
    assert sigma.up == pytest.approx(up, abs=5e-7)
    assert sigma.low == pytest.approx(low, abs=5e-7, nan_ok=True)
    assert snr_gehrels(n, m, ratio) == pytest.approx(signif, abs=5e-7)


def test_spectrum_of_9774_by_hand(data_dir):
    folder = data_dir / "spectra"
    counts = fits.getdata(folder / "9774.pi", 1)["COUNTS"].astype(float)
    background = fits.getdata(folder / "9774_bg.pi", 1)["COUNTS"].astype(float)
    bounds = fits.getdata(folder / "9774.rmf", "EBOUNDS")
    arf = fits.getdata(folder / "9774.arf", "SPECRESP")
    lo, hi = bounds["E_MIN"].astype(float), bounds["E_MAX"].astype(float)
    mid = 0.5 * (lo + hi)
    area = np.interp(mid, 0.5 * (arf["ENERG_LO"] + arf["ENERG_HI"]), arf["SPECRESP"])
    time, ratio = 75141.228, 22.194
    spectra = ChannelSpectra(counts[None], background[None] / ratio, area[None], np.array([time]))
    found = channel_columns(spectra, lo, hi, AE_BANDS)
    for j, band in enumerate(AE_BANDS[:3]):
        inside = [k for k in range(len(mid)) if band.lo <= mid[k] <= band.hi]
        net = [counts[k] - background[k] / ratio for k in inside]
        mean_area = sum(area[k] * (hi[k] - lo[k]) for k in inside) / sum(hi[k] - lo[k] for k in inside)
        flux1 = sum(value / area[k] for value, k in zip(net, inside, strict=True)) / time
        assert found["mean_arf"][0, j] == pytest.approx(mean_area, rel=1e-9)
        assert found["flux2_aper"][0, j] == pytest.approx(sum(net) / (mean_area * time), rel=1e-9)
        assert found["flux1_aper"][0, j] == pytest.approx(flux1, rel=1e-9)
        mean = sum(value * mid[k] for value, k in zip(net, inside, strict=True)) / sum(net)
        assert found["energ_mean_observed"][0, j] == pytest.approx(mean, rel=1e-6)
        weighted = [value / area[k] for value, k in zip(net, inside, strict=True)]
        mean = sum(value * mid[k] for value, k in zip(weighted, inside, strict=True)) / sum(weighted)
        assert found["energ_mean_incident"][0, j] == pytest.approx(mean, rel=1e-6)
        cumulative = np.cumsum(net) / sum(net)
        first = next(i for i, c in enumerate(cumulative) if c >= 0.5) + 0.5
        last = max((i for i, c in enumerate(cumulative) if c <= 0.5), default=-1) + 0.5
        median = np.interp((first + last) / 2, range(len(inside)), mid[inside])
        assert found["energ_pct50_observed"][0, j] == pytest.approx(median, rel=1e-9)
        assert found["energyflux_aper"][0, j] == pytest.approx(
            found["flux2_aper"][0, j] * median * 1.602176634e-9, rel=1e-9, abs=0
        )
    assert sum(counts[(mid >= 0.5) & (mid <= 7)]) == 4037
    # Bands share no channel at 2 keV and miss none: the edge is no mid-energy.
    exposure = found["flux2_aper"][0] * found["mean_arf"][0]
    assert exposure[0] == pytest.approx(exposure[1] + exposure[2], rel=1e-12)


def test_quartiles_of_the_page_and_energy_flux():
    net = np.array([2.0, 1, 0, 3, -1, 2, 1])
    lo = np.arange(7) + 0.5
    spectra = ChannelSpectra(
        np.maximum(net, 0)[None], np.maximum(-net, 0)[None], np.full((1, 7), 10.0), np.array([1.0])
    )
    found = channel_columns(spectra, lo, lo + 1, [Band("all", 0.4, 8.0, 2.0)])
    assert [found[f"energ_pct{p}_observed"][0, 0] for p in (25, 50, 75)] == pytest.approx([1.5, 4.0, 5.0])
    assert energy_flux(9.5 / (400 * 50000), 1.5) == pytest.approx(1.1416e-15, rel=5e-5)


def test_what_has_no_value_is_nan():
    lo = np.linspace(0.5, 7.9, 50)
    hi = lo + (lo[1] - lo[0])
    spectra = ChannelSpectra(
        np.zeros((1, 50)), np.full((1, 50), 0.1), np.full((1, 50), 100.0), np.array([10.0])
    )
    found = channel_columns(spectra, lo, hi, AE_BANDS)
    assert found["flux2_aper"][0, 0] < 0
    assert np.isnan(found["energ_mean_observed"]).all()
    assert np.isnan(found["energ_pct50_incident"]).all()
    counted = ChannelSpectra(np.ones((1, 50)), np.zeros((1, 50)), np.full((1, 50), 100.0), np.array([0.0]))
    assert np.isnan(channel_columns(counted, lo, hi, AE_BANDS)["flux1_aper"]).all()


def test_histogram_and_psf_fraction():
    lo = np.array([0.0, 1.0, 2.0])
    found = channel_histogram(
        [np.array([0.5, 1.0, 1.99, 2.5], dtype=np.float32), np.empty(0, np.float32)], lo
    )
    assert found.tolist() == [[1, 2, 1], [0, 0, 0]]
    area = area_with_psf(
        np.full((1, 4), 100.0), np.array([0.5, 1.5, 2.5, 9.0]), np.array([2.0, 1.0]), np.array([[0.8, 0.9]])
    )
    assert area[0] == pytest.approx([90, 85, 80, 80])
