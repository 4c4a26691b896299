"""The time-resolved good fraction against points of a region followed in time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from catalog.apertures.region import Region
from catalog.apertures.shape import Annulus, Circle
from catalog.events.bad_pixels import BadPixels
from catalog.events.good_pixels import good_pixels
from catalog.events.good_times import GoodTimes
from catalog.measure.exposure_fraction import area_mean, good_map
from catalog.measure.good_fraction_series import good_fraction_series, sample_points
from catalog.measure.observed_field import ObservedField, load_observed_field

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def field(request: pytest.FixtureRequest) -> ObservedField:
    data: Path = request.getfixturevalue("data_dir")
    folder = data / "simulated/aciss"
    return load_observed_field(
        folder / "acisf90041_evt2.fits.gz", aspect_files=[folder / "pcadf90041_asol1.fits.gz"]
    )


def at_chip(field: ObservedField, chip: int, chipx: float, chipy: float) -> tuple[float, float]:
    view = field.field_of_view
    x, y = view.pointing.det_to_sky(*view.plane.chip_to_det(chip, chipx, chipy))
    return float(x), float(y)


def followed(field: ObservedField, region: Region, times: Array) -> Array:
    """Share of a dense grid of the region's points inside the active rows of its chip, at each time."""
    x, y, reach = region.shape.reach
    axis = np.linspace(-reach, reach, 41)
    u, v = (grid.ravel() for grid in np.meshgrid(x + axis, y + axis))
    inside = region.contains(u, v)
    u, v = u[inside], v[inside]
    view = field.field_of_view
    low_x, high_x, low_y, high_y = next(iter(view.active.values()))
    share = []
    for dx, dy in np.column_stack(field.aspect.at(times)):
        detx, dety = view.pointing.sky_to_det(u - dx + view.mean_offset[0], v - dy + view.mean_offset[1])
        good = np.zeros(u.size, dtype=bool)
        for chip in view.chips:
            column, row = view.plane.det_to_chip(chip, detx, dety)
            good |= (column > low_x) & (column < high_x) & (row > low_y) & (row < high_y)
        share.append(good.mean())
    return np.array(share)


@pytest.mark.parametrize("place", [(7, 500, 389), (7, 300, 640), (6, 1010, 500)])
def test_against_following_the_region(field: ObservedField, place: tuple[int, float, float]) -> None:
    region = Region(Circle(*at_chip(field, *place), 7.0))
    start = float(field.good_time.start[0])
    edges = start + np.arange(0.0, 1400.0, 20.0)
    found = good_fraction_series(field, region, edges, samples=400)
    middle = edges[:-1][:, None] + np.linspace(0.5, 19.5, 20)
    expected = followed(field, region, middle.ravel()).reshape(middle.shape).mean(axis=1)
    assert found.min() < 0.3
    assert found.max() > 0.9
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert abs(np.mean(found - expected)) < 0.01


def test_its_mean_is_the_good_fraction(field: ObservedField) -> None:
    x, y = at_chip(field, 7, 500, 392)
    region = Region(Annulus(x, y, 4.0, 12.0))
    whole = np.array([field.good_time.start[0], field.good_time.stop[-1]])
    mean = good_fraction_series(field, region, whole, samples=500)
    expected = area_mean(region, good_map(x, y, 12.0, field.good_fraction))
    assert mean[0] == pytest.approx(expected, abs=0.005)
    # Any division of the time has the same mean.
    edges = np.linspace(*whole, 777)
    assert good_fraction_series(field, region, edges, samples=500).mean() == pytest.approx(mean[0], abs=2e-3)


def test_interior_outside_and_bins_without_good_time(field: ObservedField) -> None:
    edges = np.linspace(field.good_time.start[0] - 500.0, field.good_time.stop[-1] + 500.0, 50)
    inner = Region(Circle(*at_chip(field, 7, 500, 512), 5.0))
    assert good_fraction_series(field, inner, edges).tolist() == [1.0] * 49
    outer = Region(Circle(*at_chip(field, 7, 500, 900), 5.0))
    assert good_fraction_series(field, outer, edges).tolist() == [0.0] * 49
    edge = Region(Circle(*at_chip(field, 7, 500, 388), 5.0))
    found = good_fraction_series(field, edge, edges)
    assert np.isfinite(found).all()
    assert found.min() >= 0.0
    assert found.max() <= 1.0


def test_bad_columns_and_unequal_times(field: ObservedField) -> None:
    """Half of the columns of a region are bad; the chip is off in the second half of the time."""
    x, y = at_chip(field, 7, 500, 512)
    bad = BadPixels(
        np.array([7], dtype=np.int16),
        np.array([[1, 499]], dtype=np.int16),
        np.array([[1, 1024]], dtype=np.int16),
        np.array([-np.inf]),
        np.array([np.inf]),
    )
    start, stop = float(field.good_time.start[0]), float(field.good_time.stop[-1])
    half = 0.5 * (start + stop)
    times = {**field.events.good_times, 7: GoodTimes.of([(start, half)])}
    spoilt = replace(
        field,
        pixels=good_pixels(field.field_of_view, bad),
        events=replace(field.events, good_times=times),
    )
    region = Region(Circle(x, y, 3.0))
    found = good_fraction_series(spoilt, region, np.array([start, half, stop]))
    assert found[0] == pytest.approx(0.5, abs=0.05)
    assert found[1] == 0.0


def test_columns_that_are_bad_for_a_time(field: ObservedField) -> None:
    """Half of the region's columns are bad in the second half of the time: the series and the mean agree."""
    x, y = at_chip(field, 7, 500, 512)
    start, stop = float(field.good_time.start[0]), float(field.good_time.stop[-1])
    half = 0.5 * (start + stop)
    bad = BadPixels(
        np.array([7], dtype=np.int16),
        np.array([[470, 499]], dtype=np.int16),
        np.array([[480, 545]], dtype=np.int16),
        np.array([half]),
        np.array([np.inf]),
    )
    spoilt = replace(field, pixels=good_pixels(field.field_of_view, bad))
    assert len(spoilt.pixels.passing) == 30 * 66
    region = Region(Circle(x, y, 4.0))
    found = good_fraction_series(spoilt, region, np.array([start, half, stop]), samples=300)
    assert found[0] == pytest.approx(1.0, abs=1e-6)
    assert found[1] == pytest.approx(0.5, abs=0.06)
    mean = good_fraction_series(spoilt, region, np.array([start, stop]), samples=300)
    expected = area_mean(region, good_map(x, y, 4.0, spoilt.good_fraction))
    assert mean[0] == pytest.approx(expected, abs=0.01)
    # Always bad from the beginning is what a bad pixel is.
    always = replace(bad, start=np.array([-np.inf]))
    whole = replace(field, pixels=good_pixels(field.field_of_view, always))
    from_start = replace(
        field, pixels=good_pixels(field.field_of_view, replace(bad, start=np.array([start])))
    )
    edges = np.linspace(start, stop, 40)
    np.testing.assert_allclose(
        good_fraction_series(from_start, region, edges, samples=300),
        good_fraction_series(whole, region, edges, samples=300),
        atol=0.03,
    )


def test_sample_points_fill_the_region() -> None:
    ring = Region(Annulus(10.0, 20.0, 9.5, 10.0), (Circle(20.0, 20.0, 5.0),))
    points = sample_points(ring, 64)
    assert len(points) >= 64
    assert ring.contains(points[:, 0], points[:, 1]).all()
    nothing = Region(Circle(0.0, 0.0, 1.0), (Circle(0.0, 0.0, 2.0),))
    assert sample_points(nothing, 64).shape == (0, 2)
