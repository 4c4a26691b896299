"""Point spread functions: radii, stamps, fractions and samples."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Point, Polygon, box

from catalog.calibration.psf import open_psf_library
from catalog.calibration.psf_radii import interpolate_radii
from catalog.calibration.psf_stamp import PsfStamp

POSITIONS = {"theta": st.floats(0, 15), "phi": st.floats(-360, 720), "energy": st.floats(0.3, 7.0)}


@pytest.fixture(scope="module")
def library():
    return open_psf_library()


@pytest.fixture(scope="module")
def eef(data_dir):
    table = Table.read(data_dir / "calibration" / "psf" / "psf_eef.ecsv")
    return {name: np.array(table[name], dtype=float) for name in table.colnames}


def test_radii_at_the_nodes(library, eef):
    fraction = eef["fraction"] * (1 - eef["frac_beyond_120arcsec"])
    radius = library.radius(eef["theta_arcmin"], eef["phi_deg"], eef["energy_keV"], fraction)
    assert np.abs(radius / eef["radius_truepos_arcsec"] - 1).max() < 0.01
    # What the rays saw within 120 arcsec.
    far = library.fraction_in_radius(eef["theta_arcmin"], eef["phi_deg"], eef["energy_keV"], 120.0)
    assert np.abs(far - (1 - eef["frac_beyond_120arcsec"])).max() < 5e-4


def test_radii_of_left_out_angles(eef):
    """Within 3 % or 0.05 arcsec, but for a few: the goal set for the library."""
    theta, fractions = np.unique(eef["theta_arcmin"]), np.unique(eef["fraction"])
    energies = np.unique(eef["energy_keV"])
    order = np.lexsort(
        [np.asarray(eef[name]) for name in ("fraction", "energy_keV", "phi_deg", "theta_arcmin")]
    )
    values = np.asarray(eef["radius_truepos_arcsec"])[order]
    on_axis = energies.size * fractions.size
    table = np.empty((theta.size, 8, energies.size, fractions.size))
    table[0] = values[:on_axis].reshape(energies.size, fractions.size)
    table[1:] = values[on_axis:].reshape(theta.size - 1, 8, energies.size, fractions.size)
    misses = []
    for i in range(1, theta.size - 1):
        keep = np.arange(theta.size) != i
        error = np.abs(interpolate_radii(theta[keep], table[keep], theta[[i]])[0] - table[i])
        misses.append(error > np.maximum(0.05, 0.03 * table[i]))
        assert (error < np.maximum(0.075, 0.045 * table[i])).all(), theta[i]
    assert np.mean(misses) < 0.005


@given(**POSITIONS, fraction=st.floats(0.005, 0.9999))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_radius_and_fraction_are_inverse(theta, phi, energy, fraction):
    library = open_psf_library()
    radius = float(library.radius(theta, phi, energy, fraction))
    assert float(library.fraction_in_radius(theta, phi, energy, radius)) == pytest.approx(fraction, abs=1e-4)
    assert float(library.radius(theta, phi, energy, fraction * 0.9)) < radius
    assert float(library.radius(theta, phi + 360, energy, fraction)) == pytest.approx(radius, rel=1e-9)


def test_radius_broadcasts_and_refuses_impossible_fractions(library):
    radius = library.radius(np.array([0.0, 5.0, 10.0])[:, None], 30.0, np.array([1.0, 4.0]), 0.9)
    assert radius.shape == (3, 2)
    assert (np.diff(radius, axis=0) > 0).all()
    assert np.isnan(library.radius(1.0, 0.0, 1.0, [0.0, 1.0, -0.1, 1.1])).all()
    assert library.extrapolated([3.0, 15.0, 15.1]).tolist() == [False, False, True]
    assert float(library.radius(25.0, 0.0, 1.0, 0.5)) == float(library.radius(15.0, 0.0, 1.0, 0.5))


@given(**POSITIONS, roll=st.floats(0, 360))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_stamp_agrees_with_the_radii(theta, phi, energy, roll):
    library = open_psf_library()
    stamp = library.stamp(theta, phi, energy, roll)
    assert stamp.image.min() >= 0
    assert 0.9 < stamp.fraction_inside <= 1.0
    for radius in (1.0, 3.0, 10.0, 40.0, 100.0, 500.0):
        expected = float(library.fraction_in_radius(theta, phi, energy, radius))
        tolerance = 0.015 if radius < 10 else 0.004
        assert stamp.fraction_in_circle(0, 0, radius) == pytest.approx(expected, abs=tolerance)


def test_small_circle_on_axis(library, eef):
    """R about 0.7 arcsec within 0.3 %: radii of the rays themselves are the truth."""
    pick = (eef["theta_arcmin"] == 0) & (eef["radius_truepos_arcsec"] > 0.45)
    pick &= eef["radius_truepos_arcsec"] < 1.2
    assert pick.sum() > 10
    for i in np.flatnonzero(pick):
        stamp = library.stamp(0.0, 0.0, eef["energy_keV"][i])
        expected = eef["fraction"][i] * (1 - eef["frac_beyond_120arcsec"][i])
        found = stamp.fraction_in_circle(0, 0, eef["radius_truepos_arcsec"][i])
        assert found == pytest.approx(expected, rel=3e-3)


def test_centroid_turns_with_the_roll(library, eef):
    for theta, phi in ((8.0, 45.0), (10.0, 180.0)):
        pick = (eef["theta_arcmin"] == theta) & (eef["phi_deg"] == phi) & (eef["energy_keV"] == 6.4)
        dx, dy = eef["centroid_dx_arcsec"][pick][0], eef["centroid_dy_arcsec"][pick][0]
        assert np.hypot(dx, dy) > 0.3
        for roll in (0.0, 40.2, 225.7):
            stamp = library.stamp(theta, phi, 6.4, roll)
            reach = float(library.radius(theta, phi, 6.4, 0.9))
            found = np.zeros(2)
            for _ in range(10):
                x, y = np.meshgrid(stamp.dx, stamp.dy)
                inside = stamp.image * (np.hypot(x - found[0], y - found[1]) < reach)
                found = np.array([(inside * x).sum(), (inside * y).sum()]) / inside.sum()
            c, s = np.cos(np.deg2rad(roll)), np.sin(np.deg2rad(roll))
            assert found == pytest.approx([c * dx + s * dy, -s * dx + c * dy], abs=0.1)


def test_left_out_images_are_predicted(library):
    """Without the node at 8 arcmin its stamp is made of 6 and 10; fractions off the centre stay."""
    keep = np.flatnonzero(library.theta != 8.0)
    reduced = dataclasses.replace(
        library, theta=library.theta[keep], plane=library.plane[keep], pixel=library.pixel[keep]
    )
    errors = []
    for phi in (0.0, 45.0, 135.0, 270.0):
        truth, guess = library.stamp(8.0, phi, 1.49), reduced.stamp(8.0, phi, 1.49)
        for dx, dy in ((2.0, 0.0), (-2.0, 1.0), (0.0, 3.0), (0.0, -2.0)):
            errors.append(guess.fraction_in_circle(dx, dy, 3.0) - truth.fraction_in_circle(dx, dy, 3.0))
    assert np.sqrt(np.mean(np.square(errors))) < 0.02
    assert np.abs(errors).max() < 0.05


def test_left_out_azimuths_are_predicted(library):
    """From every second azimuth: images are turned the right way about (the wrong way gives 0.06 rms)."""
    reduced = dataclasses.replace(
        library,
        phi=library.phi[::2],
        plane=library.plane[:, ::2],
        sharp_table=library.sharp_table[:, ::2],
    )
    for theta in (5.0, 8.0, 10.0):
        errors = []
        for phi in (45.0, 135.0, 225.0, 315.0):
            truth, guess = library.stamp(theta, phi, 1.49), reduced.stamp(theta, phi, 1.49)
            half = float(library.radius(theta, phi, 1.49, 0.5))
            for angle in np.arange(8) * np.pi / 4:
                place = (1.2 * half * np.cos(angle), 1.2 * half * np.sin(angle), 0.8 * half)
                errors.append(guess.fraction_in_circle(*place) - truth.fraction_in_circle(*place))
        assert np.sqrt(np.mean(np.square(errors))) < 0.025


def brute_fraction(stamp: PsfStamp, member, cut: int = 40) -> float:
    """Sum over pixels cut very finely; regions inside the stamp only."""
    shift = ((np.arange(cut) + 0.5) / cut - 0.5) * stamp.pixel
    total = 0.0
    for a in shift:
        x = stamp.dx + a
        for b in shift:
            total += stamp.image[member(x[None, :], (stamp.dy + b)[:, None])].sum()
    return total / cut**2


def test_circles_and_polygons_against_brute_force(library):
    stamp = library.stamp(6.3, 100.0, 2.3, 77.0)
    holes = [(1.0, 0.5, 1.2), (1.5, 1.0, 1.0), (-4.0, 0.0, 2.0), (30.0, 0.0, 1.0)]

    def member(x, y):
        inside = (x - 0.3) ** 2 + (y + 0.2) ** 2 < 3.0**2
        for hole in holes:
            inside = inside & ((x - hole[0]) ** 2 + (y - hole[1]) ** 2 >= hole[2] ** 2)
        return inside

    expected = brute_fraction(stamp, member)
    assert stamp.fraction_in_circle(0.3, -0.2, 3.0, holes) == pytest.approx(expected, abs=4e-4)
    assert stamp.fraction_in_region(member) == pytest.approx(expected, abs=3e-3)
    shape = Point(0.3, -0.2).buffer(3.0, 256)
    for hole in holes:
        shape = shape.difference(Point(hole[0], hole[1]).buffer(hole[2], 256))
    assert stamp.fraction_in_polygon(shape) == pytest.approx(expected, abs=4e-4)
    parts = MultiPolygon([box(-3, -3, -1, -1), box(1, -2, 2.05, 2)])

    def in_boxes(x, y):
        return ((x > -3) & (x < -1) & (y > -3) & (y < -1)) | ((x > 1) & (x < 2.05) & (y > -2) & (y < 2))

    assert stamp.fraction_in_polygon(parts) == pytest.approx(brute_fraction(stamp, in_boxes), abs=1.5e-3)
    assert stamp.fraction_in_polygon(Polygon()) == 0.0


@given(
    dx=st.floats(-60, 60), dy=st.floats(-60, 60), radius=st.floats(0.2, 60), share=st.floats(0.05, 0.95),
    theta=st.floats(0, 14),
)  # fmt: skip
@settings(max_examples=40, deadline=None, derandomize=True)
def test_fractions_add_up(dx, dy, radius, share, theta):
    stamp = open_psf_library().stamp(theta, 200.0, 1.6, 12.0)
    whole = stamp.fraction_in_circle(dx, dy, radius)
    inner = stamp.fraction_in_circle(dx, dy, radius * share)
    ring = stamp.fraction_in_circle(dx, dy, radius, [(dx, dy, radius * share)])
    assert -1e-12 <= inner <= whole <= 1 + 1e-9
    assert ring + inner == pytest.approx(whole, abs=1e-3)
    assert stamp.fraction_in_circle(dx, dy, radius, [(dx, dy, radius)]) == pytest.approx(0, abs=1e-12)


def test_annulus_beyond_the_stamp(library):
    stamp = library.stamp(0.5, 0.0, 4.51)
    assert stamp.half_side < 10
    expected = float(np.diff(library.fraction_in_radius(0.5, 0.0, 4.51, [30.0, 100.0]))[0])
    assert stamp.fraction_in_circle(0, 0, 100.0, [(0, 0, 30.0)]) == pytest.approx(expected, rel=0.1)
    square = box(-100, -100, 100, 100).difference(box(-30, -30, 30, 30))
    assert expected < stamp.fraction_in_polygon(square) + 0.005
    assert stamp.fraction_in_polygon(square) == pytest.approx(expected, rel=0.4)
    assert stamp.fraction_in_circle(0, 0, 1e5) == pytest.approx(
        stamp.fraction_inside + stamp.wing_fraction.sum(), abs=1e-9
    )


def test_samples_follow_the_stamp(library):
    rng = np.random.default_rng(11)
    number = 200_000
    stamp = library.stamp(2.0, 30.0, 4.51, 50.0)
    x, y = library.sample(2.0, 30.0, 4.51, 50.0, number, rng)
    for dx, dy, radius in ((0, 0, 0.5), (0, 0, 2), (0.5, 0.3, 1.0), (0, 0, 9), (0, 0, 60), (5, 5, 20)):
        expected = stamp.fraction_in_circle(dx, dy, radius)
        found = np.mean(np.hypot(x - dx, y - dy) < radius)
        assert found == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / number) + 4e-4)
    assert np.isfinite(x).mean() > 0.99
    again = library.sample(2.0, 30.0, 4.51, 50.0, 10, np.random.default_rng(3))
    same = library.sample(2.0, 30.0, 4.51, 50.0, 10, np.random.default_rng(3))
    assert np.array_equal(again, same)


def test_pickle_and_identity(library):
    stamp = library.stamp(3.3, 10.0, 1.0)
    assert np.array_equal(pickle.loads(pickle.dumps(stamp)).image, stamp.image)
    assert pickle.loads(pickle.dumps(library)).identity == library.identity
    assert open_psf_library() is library
