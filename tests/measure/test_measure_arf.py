"""ARF of an extraction: what is in it, with and without the PSF, and weighted over places."""

from __future__ import annotations

import numpy as np
import pytest

from catalog.apertures.region import Region
from catalog.apertures.shape import Circle
from catalog.calibration.factory import open_calibration
from catalog.calibration.psf import open_psf_library
from catalog.measure.arf import SkyPlace, extraction_arf, psf_fraction_curve, weighted_arf


def test_it_is_area_times_good_fraction_on_the_grid_of_the_matrix():
    calibration = open_calibration()
    arf = extraction_arf(calibration, 3, 2010.0, 4.0, 30.0, 0.8)
    matrix = calibration.redistribution(3)
    assert np.array_equal(arf.energy_lo, matrix.energy_lo)
    assert np.allclose(arf.area, 0.8 * calibration.area(3, 2010.0, 4.0, 30.0, matrix.energy))
    assert arf.fractional_exposure == 0.8
    assert arf.keywords["PSFCORR"] is False


def test_the_psf_fraction_falls_with_energy_as_the_library_says():
    psf = open_psf_library(0.2)
    place = SkyPlace(4000.0, 4100.0, 2.0, 60.0, 20.0, 0.492)
    radius = 4.0
    energy = np.array([0.1, 0.5, 1.0, 2.0, 4.0, 6.0, 9.0])
    ours = psf_fraction_curve(Region(Circle(4000.0, 4100.0, radius)), place, psf, energy)
    clipped = np.clip(energy, 0.277, 6.4)
    assert np.allclose(ours, psf.fraction_in_radius(2.0, 60.0, clipped, radius * 0.492), atol=0.006)
    calibration = open_calibration()
    grid = calibration.redistribution(3).energy
    curve = psf_fraction_curve(Region(Circle(4000.0, 4100.0, radius)), place, psf, grid)
    plain = extraction_arf(calibration, 3, 2010.0, 2.0, 60.0, 1.0)
    corrected = extraction_arf(calibration, 3, 2010.0, 2.0, 60.0, 1.0, curve)
    assert np.allclose(corrected.area, plain.area * curve)
    assert corrected.keywords["PSFCORR"] is True


def test_a_weighted_area_is_the_mean_over_places_and_chips():
    calibration = open_calibration()
    chips, theta, phi = np.array([3, 3, 7]), np.array([1.0, 5.0, 3.0]), np.array([0.0, 90.0, 10.0])
    weights = np.array([2.0, 1.0, 1.0])
    arf = weighted_arf(calibration, 2008.0, chips, theta, phi, weights, 0.9)
    grid = calibration.redistribution(3).energy
    by_hand = sum(
        w * calibration.area(int(c), 2008.0, t, p, grid)
        for w, c, t, p in zip(weights, chips, theta, phi, strict=True)
    )
    assert np.allclose(arf.area, 0.9 * by_hand / 4.0)
    single = weighted_arf(calibration, 2008.0, chips[:1], theta[:1], phi[:1], weights[:1], 1.0)
    assert np.allclose(single.area, extraction_arf(calibration, 3, 2008.0, 1.0, 0.0, 1.0).area)
    with pytest.raises(ValueError, match="weights"):
        weighted_arf(calibration, 2008.0, chips, theta, phi, np.zeros(3), 1.0)
