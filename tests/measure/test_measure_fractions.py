"""Shares of the PSF in a region, and of the time on good pixels, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.apertures.region import Region
from catalog.apertures.shape import Annulus, Circle, Polygon
from catalog.measure.exposure_fraction import GoodMap, area_mean, good_map, psf_mean
from catalog.measure.psf_fraction import psf_fraction

SCALE = 0.492
X, Y = 4000.0, 4200.0

REGIONS = {
    "circle": Region(Circle(X, Y, 8.0)),
    "neighbours cut out": Region(Circle(X, Y, 8.0), (Circle(X + 6, Y + 2, 5.0), Circle(X - 3, Y - 8, 4.0))),
    "off centre": Region(Circle(X + 3.5, Y - 2.0, 6.0)),
    "annulus": Region(Annulus(X, Y, 10.0, 30.0)),
    "annulus, neighbours cut": Region(
        Annulus(X, Y, 10.0, 30.0), (Circle(X + 20, Y, 12.0), Circle(X, Y - 9, 4.0))
    ),
    "clipped at an edge": Region(
        Circle(X, Y, 8.0),
        (Circle(X - 7, Y, 3.0),),
        (Polygon(((X - 50, Y - 50), (X + 1, Y - 50), (X + 4, Y + 50), (X - 50, Y + 50))),),
    ),
    "a gap between two chips": Region(
        Annulus(X, Y, 5.0, 40.0),
        (),
        (
            Polygon(((X - 60, Y - 60), (X - 2, Y - 60), (X - 2, Y + 60), (X - 60, Y + 60))),
            Polygon(((X + 9, Y - 60), (X + 60, Y - 60), (X + 60, Y + 60), (X + 9, Y + 60))),
        ),
    ),
    "polygon": Region(Polygon(((X - 9, Y - 7), (X + 12, Y - 4), (X + 3, Y + 9))), (Circle(X, Y, 2.0),)),
    "far outside": Region(Circle(X + 400.0, Y, 60.0)),
    "polygon cut by a polygon": Region(
        Circle(X, Y, 9.0), (Polygon(((X, Y), (X + 20, Y + 1), (X + 20, Y + 20))), Circle(X - 5, Y, 3.0))
    ),
}


@pytest.mark.parametrize("name", list(REGIONS))
@pytest.mark.parametrize(
    ("theta", "phi", "roll"), [(0.3, 20.0, 0.0), (5.2, 130.0, 77.0), (9.5, 300.0, 251.0)]
)
def test_psf_fraction_against_photons(name, theta, phi, roll, psf):
    """Photons are drawn from the same PSF, but counted one by one."""
    region = REGIONS[name]
    stamp = psf.stamp(theta, phi, 1.5, roll)
    number = 400_000
    dx, dy = stamp.sample(number, np.random.default_rng(4))
    near = np.isfinite(dx)
    inside = region.contains(X + dx[near] / SCALE, Y + dy[near] / SCALE).sum() / number
    found = psf_fraction(region, X, Y, stamp, SCALE)
    error = np.sqrt(max(inside, 1e-6) * (1 - inside) / number)
    # Pixels of the stamp are taken as uniform rows: what a boundary cuts has an error of its own.
    assert found == pytest.approx(inside, abs=4.5 * error + 8e-4)


def test_psf_fractions_add_up(psf):
    stamp = psf.stamp(4.0, 200.0, 2.3, 30.0)
    circle, ring = Region(Circle(X, Y, 10.0)), Region(Annulus(X, Y, 10.0, 25.0))
    whole = Region(Circle(X, Y, 25.0))
    parts = [psf_fraction(region, X, Y, stamp, SCALE) for region in (circle, ring, whole)]
    assert parts[0] + parts[1] == pytest.approx(parts[2], abs=2e-6)
    assert psf_fraction(Region(Circle(X, Y, 5.0), (Circle(X, Y, 6.0),)), X, Y, stamp, SCALE) == 0.0
    assert psf_fraction(Region(Circle(X, Y, 5.0), (), ()), X, Y, stamp, SCALE) == 0.0


def test_aperture_of_the_recipe_holds_what_it_should(psf):
    """A circle of 90 % at 1 keV holds 90 % at 1 keV, of all photons, wings included."""
    for theta in (0.0, 1.0, 3.3, 6.0, 8.8, 11.0):
        radius = float(psf.radius(theta, 100.0, 1.0, 0.9)) / SCALE
        stamp = psf.stamp(theta, 100.0, 1.0, 12.0)
        assert psf_fraction(Region(Circle(X, Y, radius)), X, Y, stamp, SCALE) == pytest.approx(0.9, abs=4e-3)


def brute_area_mean(region, field, number=500):
    x, y, reach = region.shape.reach
    axis = (np.arange(number) + 0.5) / number * 2 * reach - reach
    u, v = (grid.ravel() for grid in np.meshgrid(x + axis, y + axis))
    inside = region.contains(u, v)
    return float(field.good_fraction(u[inside], v[inside]).mean())


PLACES = {
    "outer edge": (0, 3.0, 400.0),
    "near an edge": (3, 25.0, 700.0),
    "corner": (0, 5.0, 1018.0),
    "gap": (1, 500.0, 1026.0),
    "centre of the array": (3, 1020.0, 1020.0),
}


@pytest.mark.parametrize("place", list(PLACES))
def test_area_mean_against_a_dense_grid(place, field, chip_position):
    x, y = chip_position(field, *PLACES[place])
    for region, tolerance in (
        (Region(Circle(x, y, 12.0)), 5e-3),
        (Region(Annulus(x, y, 20.0, 60.0), (Circle(x + 35.0, y, 20.0),)), 6e-3),
        (Region(Annulus(x, y, 70.0, 205.0)), 8e-3),
    ):
        good = good_map(x, y, region.shape.reach[2], field.good_fraction)
        assert area_mean(region, good) == pytest.approx(brute_area_mean(region, field), abs=tolerance)


@pytest.mark.parametrize("place", list(PLACES))
@pytest.mark.parametrize("shape", ["circle", "annulus"])
def test_psf_mean_against_photons(place, shape, field, chip_position, psf):
    x, y = chip_position(field, *PLACES[place])
    theta, phi = (float(value) for value in field.events.pointing.off_axis(x, y))
    radius = float(psf.radius(theta, phi, 1.0, 0.9)) / SCALE
    region = Region(
        Circle(x, y, radius) if shape == "circle" else Annulus(x, y, 1.7 * radius, 5 * radius),
        (Circle(x + 1.2 * radius, y, 0.8 * radius),),
    )
    stamp = psf.stamp(theta, phi, 2.3, field.field_of_view.pointing.roll)
    dx, dy = stamp.sample(200_000, np.random.default_rng(9))
    u, v = x + dx / SCALE, y + dy / SCALE
    inside = np.isfinite(u) & region.contains(u, v)
    shares = field.good_fraction(u[inside], v[inside])
    error = shares.std() / np.sqrt(inside.sum())
    good = good_map(x, y, region.shape.reach[2], field.good_fraction)
    assert psf_mean(region, good, stamp, SCALE) == pytest.approx(float(shares.mean()), abs=4 * error + 6e-3)


def test_weights_matter():
    """All photons on the good half: the PSF-weighted mean is 1 where the area's is 1/2."""
    from catalog.calibration.psf_stamp import PsfStamp

    image = np.zeros((21, 21))
    image[:, 12:] = 1.0
    stamp = PsfStamp(image / image.sum(), SCALE, np.array([100.0, 200.0]), np.array([0.0]))
    good = good_map(X, Y, 8.0, lambda x, y: (x > X).astype(float))
    region = Region(Circle(X, Y, 8.0))
    assert area_mean(region, good) == pytest.approx(0.5, abs=0.02)
    assert psf_mean(region, good, stamp, SCALE) == pytest.approx(1.0, abs=0.03)


def test_empty_and_tiny_regions():
    good = good_map(X, Y, 10.0, lambda x, y: np.clip((x - X + 10) / 20, 0, 1))
    assert area_mean(Region(Circle(X, Y, 5.0), (), ()), good) == 0.0
    # Smaller than the steps of the sampling.
    tiny = Region(Circle(X + 5.03, Y + 0.02, 0.01))
    assert area_mean(tiny, good) == pytest.approx(0.7515, abs=1e-3)


def share_of_time(field, chip):
    """Live time of a chip over that of the chip with the most."""
    return field.events.live_time(chip) / max(field.events.live_time(other) for other in field.events.chips)


def test_regions_in_the_interior_are_exactly_good(field, chip_position, psf, make_aperture):
    from catalog.band import CSC_BANDS
    from catalog.measure.extract import extract

    exactly = []
    for chip in field.events.chips:
        x, y = chip_position(field, chip, 512.0, 512.0)
        found = extract(field, make_aperture(field, x, y), [CSC_BANDS["broad"]], psf)
        band = found.bands[0]
        shares = {found.good_frac_area_aper, found.good_frac_area_aperbkg}
        shares |= {band.psf_good_frac_aper, band.psf_good_frac_aperbkg}
        assert shares == {share_of_time(field, chip)}
        exactly.append(share_of_time(field, chip) == 1.0)
    assert exactly.count(True) >= 1


def test_chip_with_a_pause_of_its_own(simulated, chip_position):
    x, y = chip_position(simulated, 1, 512.0, 512.0)
    # 500 s of frames less than the 3000 s of the others.
    assert simulated.good_fraction(np.array([x]), np.array([y]))[0] == pytest.approx(
        2502.4 / 3001.6, abs=2e-4
    )


@given(
    chip=st.integers(0, 3),
    chipx=st.floats(-20, 1045),
    chipy=st.floats(-20, 1045),
    reach=st.floats(0.5, 250),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fast_path_never_disagrees(field, chip_position, chip, chipx, chipy, reach):
    """Where a region is called interior, everything in reach is good at all times."""
    x, y = chip_position(field, chip, chipx, chipy)
    if field.is_interior(x, y, reach):
        angle = np.linspace(0, 2 * np.pi, 73)
        radius = reach * np.array([[0.0], [0.5], [0.9], [1.0]])
        shares = field.good_fraction(
            (x + radius * np.cos(angle)).ravel(), (y + radius * np.sin(angle)).ravel()
        )
        place = int(field.field_of_view.chip_at(x, y).ccd_id[0])
        assert shares == pytest.approx(np.full(shares.shape, share_of_time(field, place)), abs=1e-6)
        assert field.interior_fraction(x, y) == share_of_time(field, place)


@given(chipx=st.floats(60, 965), chipy=st.floats(60, 965), reach=st.floats(1, 15))
@settings(max_examples=50, deadline=None)
def test_fast_path_is_taken(simulated, chip_position, chipx, chipy, reach):
    """The dither is 16 arcsec wide: 60 pixels from any edge a small region needs no closer look."""
    assert simulated.is_interior(*chip_position(simulated, 2, chipx, chipy), reach)


@given(
    chipx=st.floats(-10, 80),
    chipy=st.floats(-10, 1034),
    radius=st.floats(0.5, 40),
    cut=st.floats(0, 50),
)
@settings(max_examples=80, deadline=None)
def test_fractions_stay_fractions(simulated, psf, chip_position, chipx, chipy, radius, cut):
    """Near edges too, rounding included: the database refuses 1.0000000000000002."""
    x, y = chip_position(simulated, 0, chipx, chipy)
    region = Region(Circle(x, y, radius), (Circle(x + cut, y, 0.8 * radius),))
    good = good_map(x, y, radius, simulated.good_fraction)
    stamp = psf.stamp(6.0, 10.0, 1.5, 63.0)
    for value in (area_mean(region, good), psf_mean(region, good, stamp, SCALE)):
        assert 0.0 <= value <= 1.0
    assert 0.0 <= psf_fraction(region, x, y, stamp, SCALE) <= 1.0


def test_good_map_of_ones_gives_ones():
    good = good_map(X, Y, 7.3, lambda x, y: np.ones_like(x))
    rng = np.random.default_rng(2)
    du, dv = rng.uniform(-7, 7, (2, 5000))
    assert good.at(X + du, Y + dv).max() == 1.0
    assert GoodMap(X, Y, 7.3, None).at(np.zeros(3), np.zeros(3)).tolist() == [1.0, 1.0, 1.0]
