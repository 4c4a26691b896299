"""Scatter of events in an aperture: against drawn photons, and limits that are known."""

from __future__ import annotations

import numpy as np
import pytest

from catalog.measure.position_spread import flat_variance, psf_variance


@pytest.mark.parametrize(("theta", "radius"), [(0.5, 2.0), (4.0, 4.0), (8.0, 10.0)])
def test_variance_of_the_psf_is_that_of_drawn_photons(psf, theta, radius):
    rng = np.random.default_rng(3)
    edge = float(psf.fraction_in_radius(theta, 30.0, 1.5, radius))
    distance = np.array([float(psf.radius(theta, 30.0, 1.5, p)) for p in edge * (np.arange(800) + 0.5) / 800])
    angle = 2 * np.pi * rng.random((800, 50))
    x = distance[:, None] * np.cos(angle)
    assert psf_variance(psf, theta, 30.0, 1.5, radius) == pytest.approx(x.var(), rel=0.03)


def test_variance_grows_with_the_radius_and_stays_below_flat(psf):
    radii = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
    found = np.array([psf_variance(psf, 3.0, 0.0, 1.5, radius) for radius in radii])
    assert (np.diff(found) > 0).all()
    assert (found <= flat_variance(np.pi * radii**2) * 1.001).all()
    # A circle far inside the core is filled evenly.
    tiny = psf_variance(psf, 8.0, 0.0, 1.5, 0.05)
    assert tiny == pytest.approx(float(flat_variance(np.pi * 0.05**2)), rel=0.01)


def test_flat_variance_by_drawing():
    rng = np.random.default_rng(4)
    radius = 3.0 * np.sqrt(rng.random(200_000))
    x = radius * np.cos(2 * np.pi * rng.random(200_000))
    assert float(flat_variance(np.pi * 9.0)) == pytest.approx(x.var(), rel=0.01)
