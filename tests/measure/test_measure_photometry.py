"""Each column of a measurement against a scalar computation from its definition."""

from __future__ import annotations

from dataclasses import replace
from math import comb, factorial

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq
from scipy.special import gammainc, gammaln, xlogy

from catalog.band import CSC_BANDS
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.flags import Flag
from catalog.measure.band_response import BandResponse, band_response
from catalog.measure.photometry import Counted, PhotometryChoices, background_ratio, photometry

BANDS = [CSC_BANDS["broad"], CSC_BANDS["hard"]]
SPECTRUM = ReferenceSpectrum(1.7, 0.1)
CHOICES = PhotometryChoices("time", 0.68, 0.0027, 0.5)
QUANTITIES = ("src_cnts_aper", "src_rate_aper", "photflux_aper", "flux_aper")
KEV = 1.602176634e-9


def response_of(n):
    """Made-up areas: by band falling with energy, by channel falling linearly."""
    lo = np.arange(0.0, 15.0, 0.0146)
    by_channel = np.outer(1 + 0.1 * np.arange(n), np.maximum(500.0 - 40.0 * lo, 1.0))
    area = np.outer(1 + 0.1 * np.arange(n), [420.0, 310.0])
    ones = np.ones((n, 2))
    return BandResponse(area, 0.9 * ones, 1.1 * ones, 0.8 * ones, by_channel, lo)


def counted_of(n, m, **changes):
    """Extractions with made-up but plausible numbers; energies match the counts of the bands."""
    n, m = (np.column_stack([values, np.asarray(values) // 2]) for values in (n, m))
    size = len(n)
    rng = np.random.default_rng(3)

    def energies(counts):
        found = []
        for total, hard in counts:
            soft = rng.uniform(0.6, 1.9, total - hard)
            found.append(np.concatenate([soft, rng.uniform(2.1, 6.9, hard), [0.3, 9.0]]).astype(np.float32))
        return found

    values = {
        "n": n,
        "m": m,
        "psf_frac_aper": np.tile([0.88, 0.85], (size, 1)),
        "psf_frac_aperbkg": np.tile([0.03, 0.04], (size, 1)),
        "psf_good_frac_aper": np.tile([0.9, 0.92], (size, 1)),
        "psf_good_frac_aperbkg": np.tile([0.7, 0.75], (size, 1)),
        "area_aper": np.full(size, 12.0),
        "area_aperbkg": np.full(size, 300.0),
        "good_frac_area_aper": np.full(size, 0.93),
        "good_frac_area_aperbkg": np.full(size, 0.72),
        "livetime": np.full(size, 3.0e4),
        "background_vignetting": np.tile([1.02, 0.97], (size, 1)),
        "energy_aper": energies(n),
        "energy_aperbkg": energies(m),
    }
    return Counted(**(values | changes))


def density(n, m, f, g, r):
    """The posterior of S as a function: the double sum over which of the counts are background."""
    terms: dict[int, float] = {}
    with mpmath.workdps(40):
        for k in range(n + 1):
            for j in range(m + 1) if g > 0 else (0,):
                b = n - k + m - j
                weight = (
                    comb(n, k)
                    * comb(m, j)
                    * mpmath.mpf(f) ** k
                    * mpmath.mpf(g) ** j
                    * mpmath.mpf(r) ** (m - j)
                    * factorial(k + j)
                    / mpmath.mpf(f + g) ** (k + j + 1)
                    * factorial(b)
                    / mpmath.mpf(1 + r) ** (b + 1)
                )
                terms[k + j] = terms.get(k + j, 0) + weight
        total = sum(terms.values())
        shares = {shape: float(weight / total) for shape, weight in terms.items()}
    rate = f + g
    shape, share = np.array([*shares], dtype=float), np.array([*shares.values()])

    def pdf(s):
        x = rate * np.asarray(s, dtype=float)[..., None]
        return (share * np.exp(xlogy(shape, x) - x - gammaln(shape + 1))).sum(axis=-1) * rate

    def cdf(s):
        return float((share * gammainc(shape + 1, rate * s)).sum())

    return pdf, cdf, float((share * (shape + 1)).sum() / rate)


def summary(n, m, f, g, r, confidence):
    """Mode, mean and interval of highest density, by root finding on the density."""
    pdf, cdf, mean = density(n, m, f, g, r)
    top = mean + 12 * np.sqrt(mean + 1) / f
    grid = np.linspace(0, top, 8001)
    values = pdf(grid)
    best = int(np.argmax(values))
    mode = 0.0 if best == 0 else float(grid[best])
    if best:
        # The maximum of the parabola through three points.
        a, b, c = values[best - 1 : best + 2]
        mode += 0.5 * (grid[1] - grid[0]) * (a - c) / (a - 2 * b + c)
    bound = brentq(lambda s: cdf(s) - confidence, 0, top)
    if best == 0 or pdf(bound) <= values[0]:
        return mode, mean, 0.0, bound

    def ends(level):
        low = brentq(lambda s: pdf(s) - level, 0, mode) if values[0] < level else 0.0
        return low, brentq(lambda s: pdf(s) - level, mode, top)

    def excess(level):
        low, high = ends(level)
        return cdf(high) - cdf(low) - confidence

    level = brentq(excess, values.max() * 1e-4, values.max() * (1 - 1e-7))
    return mode, mean, *ends(level)


CASES = [(0, 0), (1, 0), (0, 5), (3, 10), (12, 60), (40, 24)]


def test_posterior_in_four_units():
    counted = counted_of([n for n, _ in CASES], [m for _, m in CASES])
    response = response_of(len(CASES))
    found = photometry(counted, response, BANDS, SPECTRUM, CHOICES)
    for i in range(len(CASES)):
        for j in range(2):
            n, m = int(counted.n[i, j]), int(counted.m[i, j])
            r = 300.0 * 0.72 / (12.0 * 0.93)
            good, good_background = ((0.9, 0.7), (0.92, 0.75))[j]
            f, g = ((0.88, 0.03), (0.85, 0.04))[j]
            mode, mean, low, high = summary(n, m, f, g * good_background / good, r, 0.68)
            time = 3.0e4 * good
            area = float(response.area[i, j])
            units = (1.0, 1 / time, 1 / (time * area), float(found["flux_conversion"][i, j]) / time)
            for name, unit in zip(QUANTITIES, units, strict=True):
                own = [float(found[name + end][i, j]) / unit for end in ("", "_mean", "_lolim", "_hilim")]
                assert own == pytest.approx([mode, mean, low, high], rel=2e-5, abs=2e-5)
            assert bool(found["flags"][i, j] & Flag.BOUND_ONLY) == (low == 0.0)
            assert found["src_significance"][i, j] == pytest.approx(
                2 * mode / (high - low), rel=1e-4, abs=1e-6
            )
            narrow = summary(n, m, f, g * good_background / good, r, 0.6827)
            wanted = 2 * narrow[0] / (narrow[3] - narrow[2])
            assert found["flux_significance"][i, j] == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_exposures_areas_and_ratio():
    counted = counted_of([20, 30], [60, 70])
    response = response_of(2)
    found = photometry(counted, response, BANDS, SPECTRUM, CHOICES)
    for i in range(2):
        for j, (good, other, vignetting) in enumerate(((0.9, 0.7, 1.02), (0.92, 0.75, 0.97))):
            area = response.area[i, j]
            wanted = {
                "bkg_ratio": 300 * 0.72 / (12 * 0.93),
                "area_band": area,
                "exposure_aper": area * 3e4 * good,
                "exposure_aperbkg": area * 3e4 * other,
                "exposure_area_aper": area * 3e4 * 0.93,
                "exposure_area_aperbkg": area * vignetting * 3e4 * 0.72,
                "response_ratio": 0.9,
                "response_index1": 1.1,
                "response_index3": 0.8,
                "confidence": 0.68,
                "limit_alpha": 0.0027,
                "limit_power": 0.5,
            }
            for name, value in wanted.items():
                assert found[name][i, j] == pytest.approx(value, rel=1e-12), name


def test_background_that_follows_the_exposure():
    counted = counted_of([20], [60])
    time = background_ratio(counted, "time")
    assert background_ratio(counted, "exposure") == pytest.approx(time * [[1.02, 0.97]], rel=1e-14)
    found = photometry(counted, response_of(1), BANDS, SPECTRUM, replace(CHOICES, follows="exposure"))
    assert found["bkg_ratio"] == pytest.approx(time * [[1.02, 0.97]], rel=1e-14)


def test_significances_and_limit():
    counted = counted_of([0, 4, 25, 200], [0, 30, 80, 100])
    response = response_of(4)
    found = photometry(counted, response, BANDS, SPECTRUM, CHOICES)
    r = 300 * 0.72 / (12 * 0.93)
    for i in range(4):
        for j, (f, good) in enumerate(((0.88, 0.9), (0.85, 0.92))):
            n, m = int(counted.n[i, j]), int(counted.m[i, j])
            chance = stats.binom.logsf(n - 1, n + m, 1 / (1 + r)) / np.log(10) if n else 0.0
            assert found["log10_prob_no_source"][i, j] == pytest.approx(chance, abs=1e-8)
            # Gehrels (1986) errors of both counts, in quadrature.
            upper = [1 + np.sqrt(value + 0.75) for value in (n, m)]
            wanted = (n - m / r) / np.hypot(upper[0], upper[1] / r)
            assert found["snr_gehrels"][i, j] == pytest.approx(wanted, rel=1e-9, abs=1e-12)
            limit = kashyap(m, r, 0.0027, 0.5) / (f * 3e4 * good * response.area[i, j])
            assert found["photflux_limit"][i, j] == pytest.approx(limit, rel=1e-4)


def kashyap(m, r, alpha, power):
    """Limit of Kashyap et al. (2010) for a background known from m counts, by sums over its posterior."""
    b = np.linspace(1e-9, (m + 1 + 12 * np.sqrt(m + 1)) / r, 20001)
    weight = stats.gamma.pdf(b, m + 1, scale=1 / r)
    weight /= weight.sum()

    def exceeding(threshold, s):
        return float((stats.poisson.sf(threshold, b + s) * weight).sum())

    threshold = 0
    while exceeding(threshold, 0.0) > alpha:
        threshold += 1
    return brentq(lambda s: exceeding(threshold, s) - power, 0, 100 + 10 * threshold)


def test_energy_flux_from_events():
    """c = background-subtracted sum of E/A(E) over the events, per net count."""
    counted = counted_of([60], [40])
    response = response_of(1)
    found = photometry(counted, response, BANDS, SPECTRUM, CHOICES)
    r = 300 * 0.72 / (12 * 0.93)
    for j, band in enumerate(BANDS):
        sums = []
        for energies in (counted.energy_aper[0], counted.energy_aperbkg[0]):
            total = 0.0
            for energy in energies.astype(float):
                if band.lo <= energy < band.hi:
                    channel = int(np.floor(energy / 0.0146 + 1e-9))
                    total += energy * KEV / response.by_channel[0, channel]
            sums.append(total)
        n, m = counted.n[0, j], counted.m[0, j]
        assert found["fluence_aper"][0, j] == pytest.approx(sums[0], rel=1e-6, abs=0)
        assert found["fluence_aperbkg"][0, j] == pytest.approx(sums[1], rel=1e-6, abs=0)
        wanted = (sums[0] - sums[1] / r) / (n - m / r)
        assert found["flux_conversion"][0, j] == pytest.approx(wanted, rel=1e-6, abs=0)
        assert found["flux_method"][0, j] == "events"
        assert not found["flags"][0, j] & Flag.FLUX_FROM_MODEL
        rate = found["src_rate_aper"][0, j]
        assert found["flux_aper"][0, j] == pytest.approx(rate * wanted, rel=1e-6, abs=0)


def of_energies(energies, background=(), m=0):
    """One source whose events have given energies, all in the broad band."""
    n = len(energies)
    return replace(
        counted_of([n], [m]),
        n=np.array([[n, 0]]),
        m=np.array([[m, 0]]),
        energy_aper=[np.array(energies, dtype=np.float32)],
        energy_aperbkg=[np.array(background, dtype=np.float32)],
    )


R = 300 * 0.72 / (12 * 0.93)
ONE = 1.0 / (500.0 - 40.0 * 1.0)


def test_model_conversion_is_that_of_the_spectrum():
    found = photometry(of_energies([1.0] * 3), response_of(1), BANDS, SPECTRUM, CHOICES)
    energy = np.linspace(0.5, 7.0, 200001)
    shape = SPECTRUM.density(energy)
    mean = np.trapezoid(energy * shape, energy) / np.trapezoid(shape, energy) * KEV
    assert found["flux_method"][0, 0] == "model"
    assert found["flux_conversion"][0, 0] == pytest.approx(mean / 420.0, rel=1e-5, abs=0)
    assert found["flags"][0, 0] & Flag.FLUX_FROM_MODEL


@pytest.mark.parametrize(
    ("energies", "background", "method"),
    [
        # Net counts: ten are enough, nine are not, and background takes away.
        ([1.0] * 10, [], "events"),
        ([1.0] * 9, [], "model"),
        ([1.0] * 10, [1.0], "model"),
        # One event more than a quarter of the sum: 5 keV has 0.0167 against 0.00217 of 1 keV.
        ([1.0] * 22 + [5.0], [], "model"),
        ([1.0] * 24 + [5.0], [], "events"),
        # The sum over the background outweighs that over the source, though the counts do not.
        ([0.6] * 12, [6.9] * 35, "model"),
    ],
)
def test_when_the_model_decides(energies, background, method):
    counted = of_energies(energies, background, len(background))
    found = photometry(counted, response_of(1), BANDS, SPECTRUM, CHOICES)
    net = len(energies) - len(background) / R
    if background == [6.9] * 35:
        assert net >= 10
        assert found["fluence_aper"][0, 0] < found["fluence_aperbkg"][0, 0] / R
    assert found["flux_method"][0, 0] == method
    assert bool(found["flags"][0, 0] & Flag.FLUX_FROM_MODEL) == (method == "model")
    assert found["flux_aper"][0, 0] > 0


def test_quarter_of_the_sum_is_counted_after_subtraction():
    """The largest term against the sum less its background."""
    single, high = ONE, 5.0 / (500 - 40 * 5.0)
    number = 24
    assert high < 0.25 * (number * single + high)
    counted = of_energies([1.0] * number + [5.0], [1.0] * 30, 30)
    assert high > 0.25 * (number * single + high - 30 * single / R)
    found = photometry(counted, response_of(1), BANDS, SPECTRUM, CHOICES)
    assert found["flux_method"][0, 0] == "model"


def test_zero_counts_are_a_measurement():
    found = photometry(counted_of([0], [0]), response_of(1), BANDS, SPECTRUM, CHOICES)
    for name in QUANTITIES:
        assert (found[name] == 0).all()
        assert (found[f"{name}_lolim"] == 0).all()
        assert (found[f"{name}_hilim"] > 0).all()
        assert np.isfinite(found[f"{name}_mean"]).all()
    assert (found["flags"] & Flag.BOUND_ONLY).all()
    assert found["log10_prob_no_source"].tolist() == [[0.0, 0.0]]


@given(n=st.integers(0, 300), m=st.integers(0, 400), confidence=st.floats(0.3, 0.99))
@settings(max_examples=60, deadline=None)
def test_all_quantities_are_one_posterior(n, m, confidence):
    found = photometry(
        counted_of([n], [m]), response_of(1), BANDS, SPECTRUM, replace(CHOICES, confidence=confidence)
    )
    for end in ("", "_lolim", "_hilim"):
        shape = found[f"src_cnts_aper{end}"] / found["src_cnts_aper_mean"]
        for name in QUANTITIES[1:]:
            assert found[name + end] / found[f"{name}_mean"] == pytest.approx(shape, rel=1e-9)
    low, value, high = (found[f"flux_aper{end}"] for end in ("_lolim", "", "_hilim"))
    assert ((low <= value) & (value <= high)).all()


WITHOUT = {
    "no background": {"area_aperbkg": np.zeros(1)},
    "background never good": {"good_frac_area_aperbkg": np.zeros(1)},
    "no exposure": {"psf_good_frac_aper": np.zeros((1, 2)), "good_frac_area_aper": np.zeros(1)},
    "no live time": {"livetime": np.zeros(1)},
    "nothing of the PSF": {"psf_frac_aper": np.zeros((1, 2))},
}


@pytest.mark.parametrize("name", list(WITHOUT))
def test_no_value_where_there_is_none(name):
    counted = counted_of([20], [60], **WITHOUT[name])
    found = photometry(counted, response_of(1), BANDS, SPECTRUM, CHOICES)
    derived = [f"{quantity}{end}" for quantity in QUANTITIES for end in ("", "_lolim", "_hilim", "_mean")]
    derived += ["src_significance", "snr_gehrels", "flux_significance", "log10_prob_no_source"]
    derived += ["photflux_limit", "bkg_ratio", "flux_conversion", "confidence", "limit_alpha"]
    for column in derived:
        assert np.isnan(found[column]).all(), column
    assert set(found["flux_method"].ravel()) == {None}
    flags = found["flags"]
    expected = {"no background": Flag.NO_BACKGROUND, "background never good": Flag.NO_BACKGROUND}
    expected |= {"no exposure": Flag.NO_EXPOSURE, "no live time": Flag.NO_EXPOSURE}
    if name in expected:
        assert (flags & expected[name]).all()
    others = Flag.NO_BACKGROUND | Flag.NO_EXPOSURE
    assert not (flags & int(others & ~expected.get(name, Flag(0)))).any()
    assert not (flags & (Flag.BOUND_ONLY | Flag.FLUX_FROM_MODEL)).any()
    for values in found.values():
        if values.dtype.kind == "f":
            assert not np.isinf(values).any()


def test_grating():
    """Counts and rates of the zeroth order, but no flux."""
    found = photometry(counted_of([20], [60]), None, BANDS, SPECTRUM, CHOICES)
    for name in (
        "photflux_aper",
        "flux_aper",
        "photflux_limit",
        "exposure_aper",
        "flux_conversion",
        "area_band",
    ):
        assert np.isnan(found[name]).all(), name
    assert np.isfinite(found["src_rate_aper_hilim"]).all()
    assert np.isfinite(found["src_significance"]).all()
    assert np.isnan(found["flux_significance"]).all()
    assert (found["flags"] & Flag.NO_RESPONSE).all()
    assert not (found["flags"] & Flag.FLUX_FROM_MODEL).any()
    assert set(found["flux_method"].ravel()) == {None}


def test_background_inside_the_source():
    inside = counted_of([20], [60], area_aperbkg=np.full(1, 0.3))
    found = photometry(inside, response_of(1), BANDS, SPECTRUM, CHOICES)
    assert (found["bkg_ratio"] * 0.88 < 0.03).all()
    assert (found["flags"] & Flag.BACKGROUND_INSIDE_SOURCE).all()
    assert np.isfinite(found["photflux_aper_hilim"]).all()
    found = photometry(counted_of([20], [60]), response_of(1), BANDS, SPECTRUM, CHOICES)
    assert not (found["flags"] & Flag.BACKGROUND_INSIDE_SOURCE).any()


def test_sources_do_not_influence_each_other(calibration):
    """Each alone gives the same as all together, to the last bit."""
    theta, phi = np.array([0.5, 3.3, 6.1, 8.0, 9.9]), np.array([3.0, 80.0, 190.0, 275.0, 333.0])
    counted = counted_of([0, 5, 20, 100, 33], [3, 20, 60, 90, 10])

    def part(rows):
        response = band_response(calibration, 3, 2012.3, theta[rows], phi[rows], BANDS, SPECTRUM, "spectrum")
        values = {}
        for name, value in vars(counted).items():
            if value is None:
                values[name] = None
            else:
                values[name] = [value[i] for i in rows] if isinstance(value, list) else value[rows]
        return photometry(Counted(**values), response, BANDS, SPECTRUM, CHOICES)

    together = part([0, 1, 2, 3, 4])
    for rows in ([0], [4, 1], [3, 2, 0, 4]):
        for name, values in part(rows).items():
            assert np.array_equal(values, together[name][rows], equal_nan=values.dtype.kind == "f"), name


@pytest.mark.parametrize("weighting", ["spectrum", "effective_energy"])
def test_band_response_against_the_definition(calibration, weighting):
    theta, phi = np.array([0.4, 7.0]), np.array([10.0, 200.0])
    found = band_response(calibration, 2, 2009.5, theta, phi, BANDS, SPECTRUM, weighting)
    matrix = calibration.redistribution(2)
    for i in range(2):
        curve = calibration.area_curve(2, 2009.5, theta[i], phi[i])
        for j, band in enumerate(BANDS):
            areas = {}
            for index in (1.0, 1.7, 3.0):
                model = replace(SPECTRUM, photon_index=index)
                photons = model.photons(matrix.energy_lo, matrix.energy_hi)
                middle = 0.5 * (matrix.channel_lo + matrix.channel_hi)
                channels = (middle >= band.lo) & (middle < band.hi)
                counts = sum(
                    curve[k] * photons[k] * matrix.matrix[k, channels].sum(dtype=float)
                    for k in range(len(curve))
                )
                areas[index] = counts / float(model.photons(band.lo, band.hi))
            single = float(calibration.area(2, 2009.5, theta[i], phi[i], band.eff)[..., 0])
            wanted = areas[1.7] if weighting == "spectrum" else single
            assert found.area[i, j] == pytest.approx(wanted, rel=1e-10)
            assert found.ratio[i, j] == pytest.approx(areas[1.7] / single, rel=1e-10)
            assert found.index1[i, j] == pytest.approx(areas[1.0] / areas[1.7], rel=1e-10)
            assert found.index3[i, j] == pytest.approx(areas[3.0] / areas[1.7], rel=1e-10)
        wanted = matrix.folded_area_by_channel(curve, SPECTRUM)
        assert np.allclose(found.by_channel[i], wanted, rtol=1e-10, equal_nan=True)


def test_band_beyond_the_calibration_has_no_infinite_ratio(calibration):
    from catalog.band import Band

    bands = [Band("low", 0.01, 0.05, 0.03), Band("high", 12.0, 14.0, 13.0), Band("usual", 0.5, 7.0, 2.3)]
    found = band_response(
        calibration, 3, 2004.0, np.array([1.0]), np.array([0.0]), bands, SPECTRUM, "spectrum"
    )
    for values in (found.ratio, found.index1, found.index3):
        assert not np.isinf(values).any()
        assert np.isfinite(values[0, 2])
