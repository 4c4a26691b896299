"""Extracted spectra: counts against the raw table, responses against the PSF and the photometry."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import shapely
from astropy.io import fits

from catalog.apertures.region import Region, clip_to_field
from catalog.apertures.shape import Annulus, Circle, Polygon
from catalog.band import Band
from catalog.measure.arf import SkyPlace, psf_fraction_curve, source_fractions
from catalog.measure.exposure_fraction import GoodMap
from catalog.measure.extract import extract
from catalog.measure.spectra import SpectrumChoices, extract_spectrum, pi_histogram, region_events

CHOICES = SpectrumChoices(decimal_year=2012.4, livetime=2500.0, bkg_ratio=20.0)


def raw_columns(field):
    """x, y, PI of the events that reading kept, straight from the file."""
    with fits.open(field.events.path) as hdus:
        table = hdus["EVENTS"].data
        return [np.asarray(table[name])[field.events.row] for name in ("X", "Y", "PI")]


def brute_force(field, region):
    """Histogram by a loop over events, the region as shapely geometry or by distances."""
    x, y, pi = raw_columns(field)
    shape = region.shape
    inside = np.ones(x.size, dtype=bool)
    if isinstance(shape, Circle):
        inside &= (x - shape.x) ** 2 + (y - shape.y) ** 2 < shape.radius**2
    elif isinstance(shape, Annulus):
        distance = (x - shape.x) ** 2 + (y - shape.y) ** 2
        inside &= (distance >= shape.inner**2) & (distance < shape.outer**2)
    else:
        inside &= shapely.contains_xy(shapely.Polygon(shape.vertices), x, y)
    for hole in region.exclude:
        inside &= (x - hole.x) ** 2 + (y - hole.y) ** 2 >= hole.radius**2
    if region.field is not None:
        union = shapely.union_all([shapely.Polygon(item.vertices) for item in region.field])
        inside &= shapely.contains_xy(union, x, y)
    table = np.zeros(1024)
    for value in pi[inside].tolist():
        if value >= 1:
            table[min(value, 1024) - 1] += 1
    return table


def some_regions(field):
    x, y = np.median(field.events.x), np.median(field.events.y)
    polygon = Polygon(((x - 90, y - 40), (x + 120, y - 70), (x + 60, y + 130), (x - 30, y + 20)))
    left = shapely.box(x - 500, y - 500, x + 17.3, y + 500)
    return {
        "circle": Region(Circle(x, y, 60.0)),
        "ring less circles": Region(Annulus(x, y, 60.0, 200.0), (Circle(x + 100, y, 50.0),)),
        "polygon": Region(polygon),
        "polygon less circle": Region(polygon, (Circle(x, y, 30.0),)),
        "clipped circle": clip_to_field(Region(Circle(x, y, 80.0)), left),
        "clipped polygon": clip_to_field(Region(polygon), left),
    }


@pytest.mark.parametrize(
    "kind",
    ["circle", "ring less circles", "polygon", "polygon less circle", "clipped circle", "clipped polygon"],
)
def test_counts_equal_a_brute_force_selection(field, kind):
    region = some_regions(field)[kind]
    found = pi_histogram(field, region_events(field, region))
    expected = brute_force(field, region)
    assert expected.sum() > 3
    assert np.array_equal(found, expected)


def test_every_event_is_in_one_channel(field):
    everything = np.arange(len(field.events))
    assert pi_histogram(field, everything).sum() == len(field.events)


def test_the_first_and_the_last_channel(simulated):
    pi = np.zeros(len(simulated.events), dtype=np.int32)
    pi[:7] = [1, 1, 2, 1023, 1024, 1024, 1500]
    events = dataclasses.replace(simulated.events, pi=pi)
    found = pi_histogram(dataclasses.replace(simulated, events=events), np.arange(9))
    assert found[[0, 1, 1022, 1023]].tolist() == [2, 1, 1, 3]
    assert found.sum() == 7


def test_without_pi_the_channel_comes_from_the_energy(simulated):
    bare = dataclasses.replace(simulated, events=dataclasses.replace(simulated.events, pi=None))
    everything = np.arange(len(bare.events))
    found, known = pi_histogram(bare, everything), pi_histogram(simulated, everything)
    assert found.sum() == known.sum()
    # PI and the rounded energy of the table disagree at the edge of a channel only.
    assert np.abs(np.cumsum(found) - np.cumsum(known)).max() <= 3


@pytest.fixture(scope="session")
def aperture(simulated, make_aperture, chip_position):
    return make_aperture(simulated, *chip_position(simulated, 2, 400.0, 600.0))


def test_source_and_background(simulated, aperture, calibration, psf):
    found = extract_spectrum(simulated, aperture, calibration, psf, CHOICES)
    assert np.array_equal(found.counts, brute_force(simulated, aperture.source))
    assert np.array_equal(found.background, brute_force(simulated, aperture.background))
    assert found.livetime == 2500.0
    assert np.allclose(found.net, found.counts - found.background / 20.0)
    assert found.background_response is None
    curve = calibration.area(aperture.chip_id, 2012.4, aperture.theta, aperture.phi, calibration.energy_grid)
    assert np.allclose(found.response.area, curve * found.response.good_frac, rtol=1e-12)
    assert found.response.redistribution is calibration.redistribution(aperture.chip_id)


def test_fractions_are_those_of_the_photometry(simulated, calibration, psf, make_aperture, chip_position):
    bands = [Band(f"b{i}", 0.5, 7.0, eff) for i, eff in enumerate((0.6, 1.5, 3.0, 6.0))]
    # In the middle of a chip, and where the dither takes it over the edge.
    for chipx in (400.0, 1015.0):
        place = make_aperture(simulated, *chip_position(simulated, 2, chipx, 300.0))
        found = extract_spectrum(simulated, place, calibration, psf, CHOICES).response
        measured = extract(simulated, place, bands, psf).bands
        energy = found.redistribution.energy
        area = calibration.area(place.chip_id, 2012.4, place.theta, place.phi, energy)
        for band, item in zip(bands, measured, strict=True):
            i = int(np.searchsorted(energy, band.eff))
            assert found.psf_frac[i] == pytest.approx(item.psf_frac_aper, abs=0.01)
            assert found.area[i] / area[i] == pytest.approx(item.psf_good_frac_aper, abs=0.01)
    assert found.good_frac < 0.9


@pytest.mark.parametrize("theta", [0.5, 4.0, 9.0])
@pytest.mark.parametrize("kind", ["circle", "off centre", "cut", "polygon"])
def test_the_psf_fraction_of_any_aperture_at_any_energy(psf, theta, kind):
    radius = 2.0 + 0.3 * theta**2
    shapes = {
        "circle": Region(Circle(4000.0, 4000.0, radius)),
        "off centre": Region(Circle(4000.0 + 0.4 * radius, 4000.0, radius)),
        "cut": Region(Circle(4000.0, 4000.0, radius), (Circle(4000.0 + radius, 4000.0, 0.8 * radius),)),
        "polygon": Region(
            Polygon(
                tuple(
                    (4000.0 + radius * f * np.cos(a), 4000.0 + radius * np.sin(a))
                    for a, f in zip(np.linspace(0, 6.0, 9), np.tile([1.0, 0.6], 5)[:9], strict=True)
                )
            )
        ),
    }
    place = SkyPlace(4000.0, 4000.0, theta, 77.0, 20.0, 0.492)
    energy = np.array([0.3, 0.5, 1.0, 1.6, 2.5, 4.0, 6.0, 8.0])
    good = GoodMap(4000.0, 4000.0, radius, None, 0.87)
    inside, seen = source_fractions(shapes[kind], place, psf, good, energy)
    assert np.allclose(seen, 0.87)
    assert np.allclose(inside, psf_fraction_curve(shapes[kind], place, psf, energy), atol=0.012)


def test_the_field_cuts_exposure_and_not_the_psf_fraction(psf):
    whole = Region(Circle(4000.0, 4000.0, 8.0))
    cut = clip_to_field(whole, shapely.box(0, 0, 4001.0, 9000.0))
    assert cut.field is not None
    place = SkyPlace(4000.0, 4000.0, 4.0, 77.0, 20.0, 0.492)
    good = GoodMap(4000.0, 4000.0, 8.0, None, 0.5)
    energy = np.array([1.0, 5.0])
    found = [source_fractions(region, place, psf, good, energy)[0] for region in (cut, whole)]
    assert np.array_equal(*found)


def test_folding_counts_photons(simulated, aperture, calibration, psf):
    response = extract_spectrum(simulated, aperture, calibration, psf, CHOICES).response
    flux = np.zeros(response.redistribution.energy.size)
    flux[300] = 1e-3
    counts = response.fold(flux, 1000.0)
    assert counts.sum() == pytest.approx(1.0 * response.psf_area[300], rel=1e-3)
    assert response.fold(flux, 1000.0, psf_corrected=False).sum() == pytest.approx(
        1.0 * response.area[300], rel=1e-3
    )
    assert np.array_equal(response.arf().area, response.area * response.psf_frac)
    assert response.arf(psf_corrected=False).keywords["PSFCORR"] is False


def test_the_background_gets_a_response_of_its_events(simulated, aperture, calibration, psf):
    choices = dataclasses.replace(CHOICES, bkg_response=True)
    found = extract_spectrum(simulated, aperture, calibration, psf, choices).background_response
    events = simulated.events
    chosen = aperture.background.contains(events.x, events.y) & (events.energy >= 0.3) & (events.energy < 7)
    theta, phi = events.pointing.off_axis(events.x[chosen], events.y[chosen])
    energy = found.redistribution.energy
    mean = np.mean(
        [
            calibration.area(int(chip), 2012.4, t, p, energy)
            for chip, t, p in zip(events.ccd_id[chosen], theta, phi, strict=True)
        ],
        axis=0,
    )
    assert np.allclose(found.area, mean * found.good_frac, rtol=1e-9)
    assert (found.psf_frac == 1.0).all()


def test_a_large_drawn_region_is_that_of_an_extended_source(simulated, aperture, calibration, psf):
    wide = dataclasses.replace(aperture, source=Region(Circle(aperture.x + 30, aperture.y, 160.0)))
    drawn = dataclasses.replace(CHOICES, drawn=True)
    mean = extract_spectrum(simulated, wide, calibration, psf, drawn).response
    point = extract_spectrum(simulated, wide, calibration, psf, CHOICES).response
    assert (mean.psf_frac == 1.0).all()
    assert (point.psf_frac < 1.0).all()
    assert not np.allclose(mean.area, point.area, rtol=1e-4)
    # A drawn aperture about as large as the PSF is still that of a point source.
    small = extract_spectrum(simulated, aperture, calibration, psf, drawn).response
    assert (small.psf_frac < 0.97).any()


def test_no_area_and_no_background(simulated, aperture, calibration, psf):
    choices = dataclasses.replace(CHOICES, with_area=False, bkg_ratio=None)
    found = extract_spectrum(simulated, aperture, calibration, psf, choices)
    assert found.response is None
    assert found.background is None
    assert np.array_equal(found.net, found.counts)
    with pytest.raises(ValueError, match="ratio"):
        dataclasses.replace(found, bkg_ratio=3.0)
