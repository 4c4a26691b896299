"""The blur: radii and stamps against photons moved by hand, kinds of data, limits."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from catalog.calibration.psf import open_psf_library
from catalog.calibration.psf_blur import BLUR, position_kind, with_core
from catalog.calibration.psf_radii import blurred_radii, spline_weights

FRACTIONS = np.array([0.1, 0.3, 0.5, 0.7, 0.9, 0.95])


@given(st.integers(0, 2**31), st.integers(4, 30))
@settings(max_examples=40, deadline=None)
def test_spline_against_scipy(seed, number):
    rng = np.random.default_rng(seed)
    nodes = np.cumsum(0.2 + rng.random(number))
    values = rng.normal(size=(number, 3))
    places = np.linspace(nodes[0], nodes[-1], 101)
    ours = spline_weights(nodes, places) @ values
    assert np.allclose(ours, CubicSpline(nodes, values, axis=0)(places), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("theta", [0.0, 2.0, 5.0])
@pytest.mark.parametrize("sigma", [0.08, 0.3])
def test_blurred_radii_against_moved_photons(theta, sigma):
    library = open_psf_library()
    rng = np.random.default_rng(11)
    x, y = library.stamp(theta, 30.0, 1.49).sample(400_000, rng)
    dx, dy = rng.normal(0.0, sigma, (2, x.size))
    moved = np.quantile(np.hypot(x + dx, y + dy), FRACTIONS)
    # What interpolation between stamps and radii leaves is divided out.
    still = np.quantile(np.hypot(x, y), FRACTIONS) / library.radius(theta, 30.0, 1.49, FRACTIONS)
    ours = library.with_blur(sigma).radius(theta, 30.0, 1.49, FRACTIONS)
    assert np.allclose(ours, moved / still**0.5, rtol=0.015, atol=0.004)


def test_a_point_becomes_a_gaussian():
    fraction = np.linspace(0.01, 0.99, 99)
    curve = np.full((1, 99), 1e-4, dtype=np.float32) * np.arange(1, 100)
    ours = blurred_radii(curve, fraction, 0.5)[0]
    # The last percent has no place in the curve and comes nowhere.
    assert np.allclose(ours[:-8], 0.5 * np.sqrt(-2 * np.log1p(-fraction[:-8] / 0.99)), rtol=6e-3)


@given(
    theta=st.floats(0, 15),
    phi=st.floats(0, 360),
    energy=st.floats(0.3, 6),
    sigma=st.sampled_from([0.1, 0.25]),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_blur_widens_and_far_out_does_nothing(theta, phi, energy, sigma):
    library = open_psf_library()
    wide = library.with_blur(sigma)
    sharp, blurred = (psf.radius(theta, phi, energy, FRACTIONS) for psf in (library, wide))
    assert (blurred >= sharp * 0.998).all()
    assert (blurred <= 1.002 * np.hypot(sharp, 3 * sigma)).all()
    assert float(wide.fraction_in_radius(theta, phi, energy, 60.0)) == pytest.approx(
        float(library.fraction_in_radius(theta, phi, energy, 60.0)), abs=1e-3
    )


def test_stamps_have_the_blur_of_the_radii():
    wide = open_psf_library(0.25)
    for theta in (0.0, 1.5, 6.0):
        stamp = wide.stamp(theta, 75.0, 2.3, 40.0)
        for fraction in (0.3, 0.5, 0.8, 0.9):
            radius = float(wide.radius(theta, 75.0, 2.3, fraction))
            assert stamp.fraction_in_circle(0.0, 0.0, radius) == pytest.approx(fraction, abs=0.01)
    assert wide.stamp(6.0, 75.0, 2.3, 40.0) is wide.stamp(6.0, 75.0, 2.3, 40.0)


def test_libraries_are_shared_and_named():
    library = open_psf_library()
    assert library.with_blur(0.0) is library
    assert library.with_blur(0.2) is open_psf_library(0.2)
    assert library.identity != open_psf_library(0.2).identity
    back = open_psf_library(0.2).with_blur(0.0)
    assert np.array_equal(back.radius_table, library.radius_table)


@pytest.mark.parametrize(
    ("instrument", "pix_adj", "rand_sky", "data_class", "kind"),
    [
        ("ACIS", "EDSER", 0.0, "OBSERVED", "edser"), ("ACIS", "RANDOMIZE", 0.5, "OBSERVED", "randomize"),
        ("ACIS", None, 0.5, "OBSERVED", "randomize"), ("ACIS", None, 0.0, "OBSERVED", "none"),
        ("ACIS", "NONE", 0.0, None, "none"), ("ACIS", "EDSER", 0.0, "SIMULATED", "simulated"),
        ("HRC", None, None, "OBSERVED", "hrc"),
    ],
)  # fmt: skip
def test_kinds_of_positions(instrument, pix_adj, rand_sky, data_class, kind):
    header = SimpleNamespace(instrument=instrument, pix_adj=pix_adj, rand_sky=rand_sky, data_class=data_class)
    assert position_kind(header) == kind
    assert BLUR["simulated"] < BLUR["edser"] < BLUR["none"] < BLUR["randomize"]


def test_blur_that_grows_off_axis():
    """The HRC's plate leaves the focus: the blur on axis there, off axis wider, in radii and stamps alike."""
    library, wide = open_psf_library(), open_psf_library().with_blur((0.2, 0.066))
    plain = library.with_blur(0.2)
    assert np.allclose(wide.radius(0.0, 0.0, 1.5, 0.5), plain.radius(0.0, 0.0, 1.5, 0.5), rtol=1e-6)
    for theta in (3.0, 6.0, 10.0):
        local = library.with_blur(float(np.hypot(0.2, 0.066 * theta**1.6)))
        for fraction in (0.3, 0.5, 0.9):
            ours = wide.radius(theta, 45.0, 1.5, fraction)
            assert ours > plain.radius(theta, 45.0, 1.5, fraction)
            assert np.allclose(ours, local.radius(theta, 45.0, 1.5, fraction), rtol=0.02)
        radius = float(wide.radius(theta, 45.0, 1.5, 0.8))
        inside = wide.stamp(theta, 45.0, 1.5).fraction_in_circle(0.0, 0.0, radius, np.empty((0, 3)))
        assert inside == pytest.approx(0.8, abs=0.01)
    assert wide.identity != plain.identity
    assert with_core((0.16, 0.066), 0.3) == (0.3, 0.066)
    assert with_core(0.2, None) == 0.2
    assert with_core(0.2, 0.3) == 0.3


@pytest.mark.parametrize("place", [(np.nan, 0.0, 1.5, 0.9), (1.0, np.nan, 1.5, 0.9), (1.0, 0.0, 1.5, np.nan)])
def test_nothing_known_gives_nan_without_a_warning(place):
    library = open_psf_library(0.2)
    assert np.isnan(library.radius(*place))
    assert np.isnan(library.fraction_in_radius(*place))
    both = library.radius(np.array([np.nan, 2.0]), 0.0, 1.5, 0.9)
    assert both[1] == library.radius(2.0, 0.0, 1.5, 0.9)
