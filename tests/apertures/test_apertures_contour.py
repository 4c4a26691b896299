"""Contours of the point spread function: fractions, vertices, shapes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import shapely
from scipy.special import gammaincc

from catalog.apertures.contour import MOST_VERTICES, ContourFinder, reduced
from catalog.calibration.psf import open_psf_library
from catalog.calibration.psf_stamp import PsfStamp
from catalog.errors import SettingsError


def gaussian(sigma_x: float, sigma_y: float, size: int = 129) -> PsfStamp:
    axis = np.arange(size) - 0.5 * (size - 1)
    u, v = np.meshgrid(axis, axis)
    image = np.exp(-0.5 * (u / sigma_x) ** 2 - 0.5 * (v / sigma_y) ** 2)
    half = size / 2
    return PsfStamp(image / image.sum(), 1.0, np.array([half, 2 * half]), np.zeros(1))


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.9, 0.95])
def test_a_gaussian_gives_the_ellipse(fraction: float) -> None:
    contour = ContourFinder(gaussian(12.0, 8.0)).at(fraction)
    assert contour.fraction == pytest.approx(fraction, abs=0.003)
    # Inside k sigma lie 1 - exp(-k^2 / 2): the upper incomplete gamma function of shape 1.
    k = np.sqrt(-2 * np.log(1 - fraction))
    assert gammaincc(1.0, k**2 / 2) == pytest.approx(1 - fraction)
    # Smoothing makes an ellipse slightly rounder, its area stays that of the fraction.
    assert shapely.Polygon(contour.vertices).area == pytest.approx(np.pi * 12 * 8 * k**2, rel=0.02)
    reach = np.abs(contour.vertices).max(axis=0)
    assert reach[0] / reach[1] == pytest.approx(1.5, rel=0.06)


@pytest.mark.parametrize("energy", [1.0, 1.4967])
@pytest.mark.parametrize("theta", [0.0, 0.7, 3.0, 6.5, 11.0, 16.0])
def test_fraction_holds_at_any_off_axis_angle(theta: float, energy: float) -> None:
    psf = open_psf_library(0.2)
    finder = ContourFinder(psf.stamp(theta, 33.0, energy, 120.0))
    previous = 0.0
    for fraction in (0.40, 0.58, 0.74, 0.90):
        contour = finder.at(fraction)
        polygon = shapely.Polygon(contour.vertices)
        assert abs(contour.fraction - fraction) < 0.01
        # Kept is what the polygon as stored encloses, by a sum over small squares.
        member = partial(shapely.contains_xy, polygon)
        assert finder.stamp.fraction_in_region(member) == pytest.approx(contour.fraction, abs=0.004)
        assert len(contour.vertices) <= MOST_VERTICES
        assert polygon.is_valid
        assert polygon.contains(shapely.Point(0, 0))
        assert polygon.area > previous
        previous = polygon.area


def test_a_contour_is_smaller_than_the_circle_of_its_fraction() -> None:
    psf = open_psf_library(0.2)
    contour = ContourFinder(psf.stamp(9.0, 200.0, 1.4967, 0.0)).at(0.9)
    circle = np.pi * float(psf.radius(9.0, 200.0, 1.4967, 0.9)) ** 2
    assert 0.5 * circle < shapely.Polygon(contour.vertices).area < 0.97 * circle


def test_the_mask_radius_encloses_the_aperture() -> None:
    psf = open_psf_library(0.2)
    for theta in (0.0, 2.0, 5.0, 9.0, 14.0):
        contour = ContourFinder(psf.stamp(theta, 70.0, 1.4967, 0.0)).at(0.9)
        assert contour.reach < float(psf.radius(theta, 70.0, 1.4967, 0.98))


def test_the_same_again() -> None:
    stamp = open_psf_library(0.2).stamp(4.0, 10.0, 1.4967, 30.0)
    first, second = ContourFinder(stamp).at(0.9), ContourFinder(stamp)
    second.at(0.4)
    assert np.array_equal(first.vertices, second.at(0.9).vertices)


@pytest.mark.parametrize("fraction", [0.02, 0.993, 0.998])
def test_extreme_fractions_are_reached_by_scaling(fraction: float) -> None:
    contour = ContourFinder(open_psf_library(0.2).stamp(2.0, 10.0, 1.4967, 0.0)).at(fraction)
    assert contour.fraction == pytest.approx(fraction, abs=0.01)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_no_such_fraction(fraction: float) -> None:
    with pytest.raises(SettingsError, match="between 0 and 1"):
        ContourFinder(gaussian(5, 5)).at(fraction)


def test_vertices_are_averaged_in_pairs() -> None:
    points = np.arange(14.0).reshape(7, 2)
    assert np.array_equal(reduced(points, 7), points)
    assert np.array_equal(reduced(points, 4), [[1, 2], [5, 6], [9, 10], [12, 13]])
    assert len(reduced(np.zeros((1001, 2)))) <= MOST_VERTICES


def test_in_sky_pixels() -> None:
    contour = ContourFinder(gaussian(6.0, 6.0)).at(0.5)
    polygon = contour.polygon(100.0, 200.0, 0.5)
    x, y, reach = polygon.reach
    assert (x, y) == pytest.approx((100, 200), abs=0.1)
    assert reach == pytest.approx(contour.reach / 0.5, rel=0.02)
    assert polygon.area == pytest.approx(shapely.Polygon(contour.vertices).area / 0.25)
