"""Timing of sources: apertures over edges, backgrounds that flare, light curves that add up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from catalog.apertures.region import Region
from catalog.apertures.shape import Annulus, Circle, Polygon, Union
from catalog.apertures.turned import Box, Ellipse, Sector
from catalog.band import CSC_BANDS
from catalog.flags import Flag
from catalog.measure.aperture_clock import ApertureClock, aperture_clock, photon_points
from catalog.measure.extract import Aperture
from catalog.measure.light_curves import net_rate
from catalog.measure.timing import COLUMNS, TEST_COLUMNS, TimingChoices, events_in, time_band, timing
from catalog.stats.exposure_clock import exposure_clock

BROAD = CSC_BANDS["broad"]
CHOICES = TimingChoices()
T0 = 4.0e8


def apertures(field, x, y, radius):
    theta, phi = (float(np.ravel(v)[0]) for v in field.events.pointing.off_axis(x, y))
    chip = int(field.field_of_view.chip_at(x, y).ccd_id[0])
    source, background = Region(Circle(x, y, radius)), Region(Annulus(x, y, 2 * radius, 6 * radius))
    return Aperture(x, y, theta, phi, chip, source, background)


def flat_clock(seconds=40000.0, ratio=20.0) -> ApertureClock:
    clock = exposure_clock([T0], [T0 + seconds])
    return ApertureClock(clock, np.ones(1), np.ones(1), ratio)


def steady(rng, n, seconds=40000.0):
    return np.sort(T0 + seconds * rng.random(n))


def run(time, background, clock=None, **kwargs):
    energy = np.full(time.size, 1.5)
    return time_band(time, energy, background, clock or flat_clock(), CHOICES, **kwargs)


# --- background ---


def test_a_background_flare_is_not_a_source() -> None:
    rng = np.random.default_rng(1)
    burst = np.sort(T0 + 20000 + 2500 * rng.random(60))
    time = np.sort(np.concatenate([steady(rng, 60), burst]))
    around = np.sort(np.concatenate([steady(rng, 400), T0 + 20000 + 2500 * rng.random(1200)]))
    columns = run(time, around).columns
    assert columns["var_index"] >= 8
    assert columns["ks_log10_pvalue"] < -4
    assert columns["var_index_net"] <= 2
    assert columns["ks_log10_pvalue_net"] > -2
    assert columns["kp_log10_pvalue_net"] > -2
    assert columns["bkg_var_index"] >= 8
    assert columns["flags"] & Flag.BACKGROUND_VARIABLE


def test_a_source_flare_on_a_steady_background_stays() -> None:
    rng = np.random.default_rng(2)
    time = np.sort(np.concatenate([steady(rng, 60), T0 + 20000 + 2500 * rng.random(60)]))
    columns = run(time, steady(rng, 800)).columns
    assert columns["var_index"] >= 8
    assert not columns["flags"]
    # With a steady background and no edge both tests are the same test.
    for name in TEST_COLUMNS:
        assert columns[f"{name}_net"] == columns[name]


def test_a_source_flare_during_a_background_flare_is_found() -> None:
    rng = np.random.default_rng(3)
    time = np.sort(np.concatenate([steady(rng, 80), T0 + 5000 + 900 * rng.random(50)]))
    around = np.sort(np.concatenate([steady(rng, 300), T0 + 20000 + 2500 * rng.random(500)]))
    columns = run(time, around).columns
    assert columns["flags"] & Flag.BACKGROUND_VARIABLE
    assert columns["var_index_net"] >= 8


# --- few events, bad times ---


@pytest.mark.parametrize("n", [0, 1, 3])
def test_few_events(n: int) -> None:
    found = run(steady(np.random.default_rng(n), n), np.empty(0))
    assert set(found.columns) == set(COLUMNS)
    assert found.columns["ks_prob"] is None
    assert found.columns["kp_log10_pvalue"] is None
    assert (found.columns["var_index"] is None) == (n == 0)
    assert found.columns["cnts_timing"] == n
    assert found.curves["binned"]["counts"].sum() == n
    assert found.curves["blocks"]["counts"].tolist() == [n]


def test_events_outside_the_good_time_are_left_out_and_flagged() -> None:
    rng = np.random.default_rng(4)
    clock = flat_clock(20000.0)
    columns = run(steady(rng, 100, 40000.0), np.empty(0), clock).columns
    assert columns["cnts_timing"] < 65
    assert columns["flags"] & Flag.TIMING_DOUBTFUL
    assert columns["var_index"] <= 2


def test_no_good_time_at_all() -> None:
    nothing = exposure_clock([], [])
    clock = ApertureClock(nothing, np.empty(0), np.empty(0), 0.0)
    found = run(np.array([T0]), np.array([T0]), clock)
    assert found.columns["var_index"] is None
    assert found.columns["ks_prob"] is None
    assert not found.curves


# --- light curves ---


def test_light_curves_add_up() -> None:
    rng = np.random.default_rng(5)
    clock = exposure_clock([T0, T0 + 15000], [T0 + 9000, T0 + 40000])
    n = 300
    time = np.sort(clock.time_at(rng.random(n) * clock.total_time))
    around = np.sort(clock.time_at(rng.random(800) * clock.total_time))
    ones = np.ones(2)
    found = time_band(time, rng.uniform(0.5, 7, n), around, ApertureClock(clock, ones, ones, 20.0), CHOICES)
    binned = found.curves["binned"]
    assert binned["counts"].sum() == n
    assert binned["counts_bkg"].sum() == 800
    assert binned["exposure"].sum() == pytest.approx(34000)
    assert binned["time_max"] - binned["time_min"] == pytest.approx(100.0)
    gap = (binned["time_min"] >= T0 + 9000) & (binned["time_max"] <= T0 + 15000)
    assert binned["exposure"][gap].sum() == 0
    rate, error, behind = net_rate(binned)
    assert np.isnan(rate[gap]).all()
    assert (error[~gap] > 0).all()
    assert np.nanmean(rate) == pytest.approx((n - 40) / 34000, rel=0.15)
    assert np.nanmean(behind) == pytest.approx(40 / 34000, rel=0.1)
    grouped = found.curves["grouped"]
    assert grouped["counts"].sum() == n
    assert grouped["exposure"].sum() == pytest.approx(34000, rel=1e-3)
    assert ((grouped["median_energy"] > 2) & (grouped["median_energy"] < 5.5)).all()
    curve = found.curves["gregory_loredo"]
    width = curve["time_max"] - curve["time_min"]
    assert (width > 0).all()
    assert (curve["rate_lo"] <= curve["rate"]).all()
    assert np.median(curve["rate"]) == pytest.approx(n / 34000, rel=0.2)
    smoothed = found.curves["smoothed"]
    assert np.nanmedian(smoothed["rate"]) == pytest.approx(n / 34000, rel=0.3)
    arrivals = found.curves["arrivals"]
    assert arrivals["phase"] == pytest.approx(clock.elapsed_at(time) / 34000)


# --- a simulated field ---


def test_a_source_in_the_field(simulated, psf) -> None:
    x, y = 4096.5 + 0.3 * 60 / 0.492, 4096.5 + 0.2 * 60 / 0.492
    aperture = apertures(simulated, x, y, 4.0)
    bands = [BROAD, CSC_BANDS["hard"]]
    broad, hard = timing(simulated, aperture, bands, psf)
    inside = events_in(simulated, aperture.source)
    energy = simulated.events.energy[inside]
    assert broad.columns["cnts_timing"] == ((energy >= 0.5) & (energy < 7)).sum()
    assert broad.columns["cnts_timing"] > 100
    assert broad.columns["var_index"] <= 2
    assert "binned" in broad.curves
    assert set(hard.curves) <= {"arrivals", "gregory_loredo"}
    both = timing(simulated, aperture, bands, psf, curves_of=None)
    assert all("binned" in item.curves for item in both)


@pytest.fixture(scope="module")
def edge_place(simulated) -> tuple[float, float]:
    """Walk to the outer edge of a chip until half of the exposure is lost."""
    view = simulated.field_of_view
    middle_x, middle_y = view.pointing.x, view.pointing.y
    outline = view.region.convex_hull.exterior
    corner = np.array(outline.interpolate(0.13, normalized=True).coords[0])
    for share in np.linspace(0.9, 1.0, 60):
        x, y = (1 - share) * middle_x + share * corner[0], (1 - share) * middle_y + share * corner[1]
        if simulated.good_fraction(np.array([x]), np.array([y]))[0] < 0.6:
            break
    return float(x), float(y)


def test_at_an_edge_the_clock_follows_the_dither(simulated, psf, edge_place) -> None:
    x, y = edge_place
    clock = aperture_clock(simulated, apertures(simulated, x, y, 6.0), psf)
    assert clock.source.fraction.min() < 0.5
    assert clock.source.fraction.max() > 0.9
    assert 0.1 < clock.source.total_time / simulated.good_time.total() < 1.0
    assert 0 < clock.ratio() < 40
    # PSF-weighted, the centre of the aperture counts more: the fraction changes faster than that of the area.
    assert np.abs(clock.source.fraction - clock.area).max() > 0.02


DRAWN = {
    "ellipse": lambda x, y: Region(Ellipse(x, y, 40.0, 5.0, 100.0)),
    "box": lambda x, y: Region(Box(x, y, 8.0, 70.0, 20.0)),
    "sector": lambda x, y: Region(Sector(x, y, 2.0, 35.0, 200.0, 290.0)),
    "ring": lambda x, y: Region(Annulus(x, y, 10.0, 25.0)),
    "union": lambda x, y: Region(Union((Box(x, y, 6.0, 60.0, 70.0), Circle(x + 15, y, 8.0)))),
    "with a hole": lambda x, y: Region(Ellipse(x, y, 40.0, 9.0, 60.0), (Circle(x + 8, y + 12, 9.0),)),
    "beside the source": lambda x, y: Region(Polygon(((x, y - 30), (x + 30, y - 30), (x + 25, y + 9)))),
    "clipped": lambda x, y: Region(
        Ellipse(x, y, 40.0, 9.0, 60.0), (), (Polygon(((x - 50, y - 50), (x + 50, y - 50), (x, y + 12))),)
    ),
}


@pytest.mark.parametrize("shape", DRAWN)
def test_the_clock_is_that_of_the_region_as_drawn(simulated, psf, edge_place, shape) -> None:
    """Against photons of the PSF, those in the region moved over the chips."""
    x, y = edge_place
    aperture = replace(apertures(simulated, x, y, 6.0), source=DRAWN[shape](x, y))
    clock = aperture_clock(simulated, aperture, psf).source
    rng = np.random.default_rng(8)
    radius = psf.radius(aperture.theta, aperture.phi, 1.5, rng.uniform(0, 0.99, 40_000)) / 0.492
    angle = rng.uniform(0, 2 * np.pi, radius.size)
    u, v = x + radius * np.cos(angle), y + radius * np.sin(angle)
    inside = aperture.source.contains(u, v)
    u, v = u[inside][:1500], v[inside][:1500]
    assert u.size > 300
    mean_x, mean_y = simulated.field_of_view.mean_offset
    found, expected = [], []
    for time, fraction in zip(clock.middle[::9], clock.fraction[::9], strict=True):
        dx, dy = (float(np.ravel(value)[0]) for value in simulated.aspect.at(np.array([time])))
        good = simulated.good_now(u - (dx - mean_x), v - (dy - mean_y)).sum(axis=1)
        expected.append(good.mean())
        found.append(fraction)
    difference = np.array(found) - expected
    assert np.ptp(expected) > 0.1
    assert np.abs(difference.mean()) < 0.04
    assert np.abs(difference).max() < 0.12


def test_photons_of_an_aperture_beside_its_source(simulated, psf) -> None:
    """Only wings of the PSF reach it: the points are in it, and more of them where it is nearer."""
    x, y = 4096.5, 4096.5
    region = Region(Ellipse(x + 30.0, y, 20.0, 8.0, 0.0))
    points = photon_points(replace(apertures(simulated, x, y, 6.0), source=region), psf, 0.492)
    assert len(points) >= 16
    assert region.contains(*points.T).all()
    assert (points[:, 0] < x + 30.0).mean() > 0.6
    assert np.hypot(points[:, 0] - x, points[:, 1] - y).max() > 38.0


def test_a_chip_with_a_shorter_good_time(simulated, psf) -> None:
    """Chip 1 pauses for 500 s: no exposure there, and no event is missed."""
    view = simulated.field_of_view
    points = np.random.default_rng(1).uniform(3000, 5200, (4000, 2))
    place = view.chip_at(points[:, 0], points[:, 1])
    inner = (place.ccd_id == 1) & (np.abs(place.chipx - 512) < 200) & (np.abs(place.chipy - 512) < 200)
    x, y = (float(v) for v in points[np.flatnonzero(inner)[0]])
    found = timing(simulated, apertures(simulated, x, y, 25.0), [BROAD], psf)[0]
    own = simulated.events.good_times[1].total()
    assert own < simulated.good_time.total() - 400
    assert found.columns["ontime_timing"] == pytest.approx(own, abs=40)
    assert not found.columns["flags"] & Flag.TIMING_DOUBTFUL


def test_an_empty_background_region(simulated, psf) -> None:
    aperture = apertures(simulated, 4100.0, 4100.0, 6.0)
    aperture = replace(
        aperture, background=Region(aperture.background.shape, (Circle(4100.0, 4100.0, 99.0),))
    )
    columns = timing(simulated, aperture, [BROAD], psf)[0].columns
    assert columns["bkg_var_index"] is None
    assert columns["var_index_net"] == columns["var_index"]
