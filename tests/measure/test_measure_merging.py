"""Merged values against the likelihood itself, and against single measurements."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from catalog.band import CSC_BANDS
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.flags import Flag
from catalog.measure.band_response import BandResponse
from catalog.measure.merging import Members, MergeChoices, merge_band
from catalog.measure.photometry import Counted, PhotometryChoices, photometry

SPECTRUM = ReferenceSpectrum()
BAND = CSC_BANDS["broad"]
CHOICES = MergeChoices(0.68, 0.0027, 0.5, SPECTRUM.energy_conversion(BAND.lo, BAND.hi))
QUANTITIES = ("src_cnts_aper", "src_rate_aper", "photflux_aper", "flux_aper")


def members_of(groups):
    """Members of sources, each a list of observations given by changes to one like this."""
    usual = {
        "n": 20,
        "m": 60,
        "psf_frac_aper": 0.88,
        "psf_frac_aperbkg": 0.03,
        "psf_good_frac_aper": 0.9,
        "psf_good_frac_aperbkg": 0.8,
        "bkg_ratio": 25.0,
        "livetime": 2.0e4,
        "area_band": 400.0,
        "fluence_aper": 20 * 8e-12,
        "fluence_aperbkg": 60 * 8e-12,
        "fluence_max": 2e-11,
        "response_ratio": 0.9,
        "response_index1": 1.1,
        "response_index3": 0.85,
        "flags": 0,
    }
    rows = [usual | change for group in groups for change in group]
    columns = {
        name: np.array([row[name] for row in rows], dtype=np.int64 if name in ("n", "m", "flags") else float)
        for name in usual
    }
    # What belongs to sources measured together with neighbours has no value here.
    rest = {item.name: np.full(len(rows), np.nan) for item in fields(Members) if item.name != "offsets"}
    return Members(offsets=np.cumsum([0, *map(len, groups)]), **(rest | columns))


OBSERVATIONS = (
    {"n": 14, "m": 31, "bkg_ratio": 18.0, "livetime": 1.1e4, "area_band": 450.0},
    {"n": 3, "m": 0, "bkg_ratio": 40.0, "livetime": 4e3, "area_band": 300.0, "psf_frac_aper": 0.7},
    {"n": 25, "m": 90, "psf_good_frac_aper": 0.5, "psf_good_frac_aperbkg": 0.95, "area_band": 380.0},
)


def exposures(row):
    """f and g of an observation, photons of S = 1 cm-2 s-1."""
    usual = members_of([[row]])
    time = float(usual.livetime[0])
    f = usual.psf_frac_aper[0] * time * usual.psf_good_frac_aper[0] * usual.area_band[0]
    g = usual.psf_frac_aperbkg[0] * time * usual.psf_good_frac_aperbkg[0] * usual.area_band[0]
    return float(f), float(g), float(usual.bkg_ratio[0]), int(usual.n[0]), int(usual.m[0])


def brute_force(rows, confidence):
    """Mode, mean and interval from the likelihood on a grid, each background integrated numerically."""
    flux = np.linspace(0, 2.0e-5, 2001)
    log_likelihood = np.zeros(flux.size)
    for row in rows:
        f, g, r, n, m = exposures(row)
        b = np.linspace(0, (m + n + 12 * np.sqrt(m + n + 1) + 12) / 10, 1501)
        values = np.zeros(flux.size)
        for start in range(0, flux.size, 500):
            s = flux[start : start + 500, None]
            part = stats.poisson.pmf(n, f * s + b) * stats.poisson.pmf(m, g * s + r * b)
            values[start : start + 500] = np.trapezoid(part, b, axis=1)
        log_likelihood += np.log(values)
    density = np.exp(log_likelihood - log_likelihood.max())
    density /= np.trapezoid(density, flux)
    order = np.argsort(density)[::-1]
    step = flux[1] - flux[0]
    inside = order[: np.searchsorted(np.cumsum(density[order]) * step, confidence) + 1]
    mean = np.trapezoid(density * flux, flux)
    return flux[density.argmax()], mean, flux[inside.min()], flux[inside.max()]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_joint_value_against_the_likelihood(number):
    rows = OBSERVATIONS[:number]
    found = merge_band(members_of([rows]), CHOICES)
    wanted = brute_force(rows, 0.68)
    own = [found[f"photflux_aper{end}"][0] for end in ("", "_mean", "_lolim", "_hilim")]
    assert own == pytest.approx(wanted, rel=3e-3)


def test_units_of_a_merged_value():
    found = {name: values[0] for name, values in merge_band(members_of([OBSERVATIONS]), CHOICES).items()}
    usual = members_of([OBSERVATIONS])
    time = usual.livetime * usual.psf_good_frac_aper
    exposure = float((time * usual.area_band).sum())
    assert found["cnts_aper"] == 42
    assert found["cnts_aperbkg"] == 121
    for end in ("", "_lolim", "_hilim", "_mean"):
        flux = found[f"photflux_aper{end}"]
        # What the source would give in all observations together.
        assert found[f"src_cnts_aper{end}"] == pytest.approx(flux * exposure, rel=1e-12)
        assert found[f"src_rate_aper{end}"] == pytest.approx(flux * exposure / time.sum(), rel=1e-12)
    net = usual.n - usual.m / usual.bkg_ratio
    fluence = (usual.fluence_aper - usual.fluence_aperbkg / usual.bkg_ratio).sum()
    energy = fluence / (net / usual.area_band).sum()
    assert found["flux_method"] == "events"
    assert found["flux_aper_mean"] == pytest.approx(found["photflux_aper_mean"] * energy, rel=1e-12, abs=0)
    assert found["flux_aper"] == pytest.approx(
        found["src_rate_aper"] * found["flux_conversion"], rel=1e-12, abs=0
    )


def test_merged_ratio_and_what_follows():
    usual = members_of([OBSERVATIONS])
    found = {name: values[0] for name, values in merge_band(usual, CHOICES).items()}
    expected = sum(m / r for m, r in zip(usual.m, usual.bkg_ratio, strict=True))
    ratio = 121 / expected
    assert found["bkg_ratio"] == pytest.approx(ratio, rel=1e-12)
    chance = stats.binom.logsf(41, 42 + 121, 1 / (1 + ratio)) / np.log(10)
    assert found["log10_prob_no_source"] == pytest.approx(chance, abs=1e-8)


def test_merged_ratio_without_background_counts():
    rows = [{"m": 0, "bkg_ratio": 10.0, "livetime": 1e4}, {"m": 0, "bkg_ratio": 30.0, "livetime": 3e4}]
    found = merge_band(members_of([rows]), CHOICES)
    assert found["bkg_ratio"][0] == pytest.approx((10 * 1 + 30 * 3) / 4, rel=1e-12)
    assert np.isfinite(found["photflux_limit"][0])


@given(
    n=st.integers(0, 200),
    m=st.integers(0, 300),
    good=st.floats(0.05, 1.0),
    other=st.floats(0.0, 1.0),
    share=st.floats(0.1, 0.95),
    leak=st.floats(0.0, 0.05),
    area=st.floats(10.0, 600.0),
    livetime=st.floats(1e3, 2e5),
)
@settings(max_examples=80, deadline=None)
def test_one_observation_is_single_photometry(n, m, good, other, share, leak, area, livetime):
    rng = np.random.default_rng(n + 1000 * m)
    energies = [rng.uniform(0.5, 6.9, count).astype(np.float32) for count in (n, m)]

    def table(value):
        return np.array([[value]])

    counted = Counted(
        n=table(n),
        m=table(m),
        psf_frac_aper=table(share),
        psf_frac_aperbkg=table(leak),
        psf_good_frac_aper=table(good),
        psf_good_frac_aperbkg=table(other),
        area_aper=np.array([10.0]),
        area_aperbkg=np.array([250.0]),
        good_frac_area_aper=np.array([0.9]),
        good_frac_area_aperbkg=np.array([0.7]),
        livetime=np.array([livetime]),
        background_vignetting=table(1.0),
        energy_aper=[energies[0]],
        energy_aperbkg=[energies[1]],
    )
    lo = np.arange(0.0, 15.0, 0.0146)
    response = BandResponse(table(area), table(0.9), table(1.1), table(0.8), area * np.ones((1, lo.size)), lo)
    single = photometry(counted, response, [BAND], SPECTRUM, PhotometryChoices("time", 0.68, 0.0027, 0.5))
    columns = {
        item.name: single[item.name].ravel()
        for item in fields(Members)
        if item.name in single and item.name != "flags"
    }
    merged = merge_band(
        Members(
            offsets=np.array([0, 1]),
            n=np.array([n]),
            m=np.array([m]),
            psf_good_frac_aper=np.array([good]),
            psf_good_frac_aperbkg=np.array([other]),
            livetime=np.array([livetime]),
            flags=single["flags"].ravel(),
            **columns,
        ),
        CHOICES,
    )
    same = [f"{name}{end}" for name in QUANTITIES for end in ("", "_lolim", "_hilim", "_mean")]
    same += ["flux_conversion", "bkg_ratio", "src_significance", "flux_significance", "snr_gehrels"]
    same += ["log10_prob_no_source", "photflux_limit", "confidence"]
    for name in same:
        assert merged[name][0] == pytest.approx(single[name][0, 0], rel=1e-6, abs=1e-300), name
    assert merged["flux_method"][0] == single["flux_method"][0, 0]
    assert merged["response_ratio_min"][0] == merged["response_ratio_max"][0] == 0.9
    assert merged["flags"][0] == single["flags"][0, 0]


@pytest.mark.parametrize("order", [(0, 2, 1), (1, 0, 2), (2, 1, 0)])
def test_order_of_observations(order):
    first = merge_band(members_of([OBSERVATIONS]), CHOICES)
    other = merge_band(members_of([[OBSERVATIONS[i] for i in order]]), CHOICES)
    for name, values in first.items():
        if values.dtype.kind == "f":
            assert other[name] == pytest.approx(values, rel=1e-9, abs=0), name
        else:
            assert other[name].tolist() == values.tolist()


def test_sources_do_not_mix():
    """Many sources at once give what each gives alone, to the last bit."""
    groups = [[OBSERVATIONS[1]], list(OBSERVATIONS), [OBSERVATIONS[2], OBSERVATIONS[0]], [{"n": 0, "m": 0}]]
    together = merge_band(members_of(groups), CHOICES)
    for k, group in enumerate(groups):
        alone = merge_band(members_of([group]), CHOICES)
        for name, values in alone.items():
            assert np.array_equal(values, together[name][k : k + 1], equal_nan=values.dtype.kind == "f"), name


def test_two_halves_are_the_whole():
    """An observation cut in two: the same flux, errors that are not worse than by sharing the background."""
    whole = merge_band(members_of([[{"n": 40, "m": 120, "livetime": 4e4}]]), CHOICES)
    halves = merge_band(members_of([[{}, {}]]), CHOICES)
    for name in ("photflux_aper", "photflux_aper_mean", "photflux_aper_hilim"):
        assert halves[name][0] == pytest.approx(whole[name][0], rel=0.03)
    assert halves["src_cnts_aper"][0] == pytest.approx(whole["src_cnts_aper"][0], rel=0.03)


def test_no_counts_anywhere():
    found = merge_band(members_of([[{"n": 0, "m": 0}, {"n": 0, "m": 0}]]), CHOICES)
    f = 2 * 0.88 * 0.9 * 2e4 * 400 + 2 * 0.03 * 0.8 * 2e4 * 400
    # Each background integrates to a constant: the posterior is an exponential.
    assert found["photflux_aper_hilim"][0] == pytest.approx(-np.log(1 - 0.68) / f, rel=1e-6, abs=0)
    assert found["photflux_aper_mean"][0] == pytest.approx(1 / f, rel=1e-6, abs=0)
    assert found["photflux_aper"][0] == found["photflux_aper_lolim"][0] == 0.0
    assert found["flags"][0] == Flag.BOUND_ONLY | Flag.FLUX_FROM_MODEL
    assert found["flux_method"][0] == "model"


def test_model_decides_for_the_sum():
    """Ten net counts in all are enough, though no single observation has them."""
    row = {"n": 6, "m": 0, "fluence_aper": 6e-11, "fluence_aperbkg": 0.0, "fluence_max": 1e-11}
    assert merge_band(members_of([[row, row]]), CHOICES)["flux_method"][0] == "events"
    assert merge_band(members_of([[row]]), CHOICES)["flux_method"][0] == "model"
    large = row | {"fluence_max": 4e-11}
    assert merge_band(members_of([[row, large]]), CHOICES)["flux_method"][0] == "model"
    negative = row | {"fluence_aper": -7e-11}
    assert merge_band(members_of([[row, negative]]), CHOICES)["flux_method"][0] == "model"


def test_observation_without_response():
    without = {"area_band": np.nan, "response_ratio": np.nan, "fluence_aper": np.nan}
    rows = [without, without]
    found = {name: values[0] for name, values in merge_band(members_of([rows]), CHOICES).items()}
    assert found["flags"] & Flag.NO_RESPONSE
    assert not found["flags"] & Flag.PARTIAL_RESPONSE
    for name in ("photflux_aper", "flux_aper", "photflux_limit", "flux_significance"):
        assert np.isnan(found[name])
    assert found["flux_method"] is None
    # The rate is still joint: two equal observations.
    plain = merge_band(members_of([[{}, {}]]), CHOICES)
    assert found["src_rate_aper"] == pytest.approx(plain["src_rate_aper"][0], rel=1e-9)
    assert found["src_cnts_aper"] == pytest.approx(plain["src_cnts_aper"][0], rel=1e-9)


def test_one_observation_without_response_among_others():
    """A grating in one: its counts are merged, the fluxes are those of the others."""
    no_flux = int(Flag.NO_RESPONSE)
    without = {
        "n": 90,
        "area_band": np.nan,
        "response_ratio": np.nan,
        "fluence_aper": np.nan,
        "flags": no_flux,
    }
    groups = [[{}], [{}, without, {"n": 8, "area_band": 300.0}], [without, without], [without, {"n": 3}]]
    found = merge_band(members_of(groups), CHOICES)
    imaging = merge_band(members_of([[{}], [{}, {"n": 8, "area_band": 300.0}], [{}], [{"n": 3}]]), CHOICES)
    for name, values in found.items():
        if name.startswith(("photflux_", "flux_", "response_ratio_")):
            np.testing.assert_array_equal(values[[0, 1, 3]], imaging[name][[0, 1, 3]])
    assert found["cnts_aper"].tolist() == [20, 118, 180, 93]
    plain = merge_band(members_of([[{}, {"n": 90}, {"n": 8}]]), CHOICES)
    assert found["src_rate_aper"][1] == pytest.approx(plain["src_rate_aper"][0], rel=1e-9)
    assert found["log10_prob_no_source"][1] == plain["log10_prob_no_source"][0]
    flags = found["flags"] & int(Flag.NO_RESPONSE | Flag.PARTIAL_RESPONSE)
    assert flags.tolist() == [0, Flag.PARTIAL_RESPONSE, Flag.NO_RESPONSE, Flag.PARTIAL_RESPONSE]
    assert found["flux_method"].tolist() == ["events", "events", None, "model"]


def test_response_that_differs_between_epochs():
    """Set where another photon index would shift the merged flux by more than its error."""
    bright = {"n": 4000, "m": 600, "fluence_aper": 4000 * 8e-12}
    early = bright | {"response_index1": 1.05, "response_index3": 0.95}
    late = bright | {"response_index1": 1.30, "response_index3": 0.60}
    faint = {"response_index1": 1.30, "response_index3": 0.60}

    def flag(*rows):
        flags = merge_band(members_of([list(rows)]), CHOICES)["flags"][0]
        return bool(flags & Flag.EPOCH_RESPONSE_DIFFERS)

    assert flag(early, late)
    assert not flag(early, early)
    assert not flag(late, late)
    assert not flag(late)
    # Its error is larger than any shift.
    assert not flag({"response_index1": 1.12, "response_index3": 0.84}, {})
    assert flag(early, faint) == flag(faint, early)


def test_range_of_the_response_ratio():
    rows = [{"response_ratio": 0.8}, {"response_ratio": 1.3}, {"response_ratio": 1.0}]
    found = merge_band(members_of([rows]), CHOICES)
    assert (found["response_ratio_min"][0], found["response_ratio_max"][0]) == (0.8, 1.3)


def test_flags_of_the_members():
    own = int(Flag.PILEUP | Flag.NEAR_EDGE)
    left_out = int(Flag.BOUND_ONLY | Flag.FLUX_FROM_MODEL)
    found = merge_band(members_of([[{"flags": own | left_out}, {"flags": int(Flag.CONFUSED)}]]), CHOICES)
    assert found["flags"][0] == own | Flag.CONFUSED


def test_confidence_and_limit_are_kept():
    choices = replace(CHOICES, confidence=0.9, alpha=0.01, power=0.9)
    wide, usual = (merge_band(members_of([OBSERVATIONS]), item) for item in (choices, CHOICES))
    assert wide["confidence"][0] == 0.9
    assert (wide["limit_alpha"][0], wide["limit_power"][0]) == (0.01, 0.9)
    assert wide["photflux_aper_hilim"][0] > usual["photflux_aper_hilim"][0]
    assert wide["photflux_aper"][0] == pytest.approx(usual["photflux_aper"][0], rel=1e-9)
    assert wide["flux_significance"][0] == usual["flux_significance"][0]
    assert wide["photflux_limit"][0] != usual["photflux_limit"][0]
