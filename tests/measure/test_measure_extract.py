"""Counts, areas and flags of an extraction, against loops over single events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import KDTree

from catalog.apertures.region import Region
from catalog.apertures.shape import Annulus, Circle
from catalog.band import CSC_BANDS, Band
from catalog.flags import Flag
from catalog.measure.extract import brightest_square, extract

BANDS = [CSC_BANDS[name] for name in ("soft", "medium", "hard", "broad", "ultrasoft", "wide")]


def with_events(field, x, y, energy):
    """The field with other events."""
    template = np.zeros(len(x), dtype=int)
    events = field.events.select(template) if len(field.events) else field.events
    values = {"x": np.asarray(x, float), "y": np.asarray(y, float), "energy": np.asarray(energy, float)}
    return replace(field, events=replace(events, **values), index=KDTree(np.column_stack([x, y])))


def polygon_of(content):
    """A region's stored form as a fine shapely polygon, built here."""

    def shape(item):
        if item["shape"] == "circle":
            return shapely.Point(item["x"], item["y"]).buffer(item["radius"], quad_segs=720)
        if item["shape"] == "annulus":
            centre = shapely.Point(item["x"], item["y"])
            outer = centre.buffer(item["outer"], quad_segs=720)
            return outer.difference(centre.buffer(item["inner"], quad_segs=720))
        return shapely.Polygon(item["vertices"])

    found = shape(content["include"])
    for item in content.get("exclude", ()):
        found = found.difference(shape(item))
    if "field" in content:
        found = found.intersection(shapely.union_all([shape(item) for item in content["field"]]))
    return found


def loop(field, region, bands):
    """Counts by band, one event after the other; events too near a boundary to tell are counted apart."""
    outline = polygon_of(region.to_dict())
    shapely.prepare(outline)
    near = outline.buffer(2.0)
    counts, doubtful = np.zeros(len(bands), int), 0
    for x, y, energy in zip(field.events.x, field.events.y, field.events.energy, strict=True):
        point = shapely.Point(x, y)
        if not near.contains(point):
            continue
        if outline.boundary.distance(point) < 1e-3:
            doubtful += 1
        if outline.contains(point):
            counts += [band.lo <= energy < band.hi for band in bands]
    return counts, doubtful


CASES = {
    "interior": (2, 500.0, 480.0, ()),
    "close pair": (3, 600.0, 300.0, ((4.0, 3.0), (-6.0, 1.0))),
    "outer edge": (0, 6.0, 300.0, ((30.0, 0.0),)),
    "gap": (1, 300.0, 1022.0, ()),
}


@pytest.mark.parametrize("case", list(CASES))
def test_counts_against_a_loop(case, field, chip_position, make_aperture, psf):
    chip, chipx, chipy, offsets = CASES[case]
    x, y = chip_position(field, chip, chipx, chipy)
    aperture = make_aperture(field, x, y, tuple((x + dx, y + dy) for dx, dy in offsets))
    found = extract(field, aperture, BANDS, psf)
    for region, name in ((aperture.source, "n"), (aperture.background, "m")):
        wanted, doubtful = loop(field, region, BANDS)
        counts = np.array([getattr(band, name) for band in found.bands])
        assert np.abs(counts - wanted).max() <= doubtful
        assert region.area == pytest.approx(polygon_of(region.to_dict()).area, rel=2e-5)
    scale = field.events.sky_frame.pixel_scale_arcsec
    assert found.area_aper == pytest.approx(aperture.source.area * scale**2, rel=1e-12)
    assert found.area_aperbkg == pytest.approx(aperture.background.area * scale**2, rel=1e-12)
    # Soft, medium and hard make up the broad band.
    assert sum(band.m for band in found.bands[:3]) == found.bands[3].m
    assert found.bands[3].m > 0 or case == "gap"


def test_bright_source_is_counted(simulated, make_aperture, psf):
    x, y = 4096.5 + 0.3 * 60 / 0.492, 4096.5 + 0.2 * 60 / 0.492
    found = extract(simulated, make_aperture(simulated, x, y), BANDS, psf)
    assert found.bands[3].n > 100
    assert len(found.energy_aper) >= found.bands[3].n
    assert found.flags & Flag.PILEUP


def test_edges_of_a_band_and_of_an_aperture(simulated, chip_position, make_aperture, psf):
    """An event belongs to a band when lo <= E < hi; an event on the circle belongs to the aperture."""
    x, y = (round(value) for value in chip_position(simulated, 2, 512, 512))
    aperture = replace(
        make_aperture(simulated, x, y),
        source=Region(Circle(x, y, 5.0)),
        background=Region(Annulus(x, y, 10.0, 25.0)),
    )
    below = [float(np.nextafter(np.float32(edge), np.float32(0))) for edge in (0.5, 7.0)]
    energy = [0.5, below[0], 7.0, below[1], 1.2, 2.0, 3.0, 3.0, 3.0]
    places = [(0, 0)] * 6 + [(3, 4), (6, 8), (7, 24)]
    dx, dy = np.array(places).T
    field = with_events(simulated, x + dx, y + dy, energy)
    found = extract(field, aperture, BANDS, psf)
    soft, medium, hard, broad, ultrasoft, wide = found.bands
    assert (soft.n, medium.n, hard.n, broad.n, ultrasoft.n) == (1, 1, 3, 5, 1)
    # The circle's edge is inside; so is the annulus's outer edge, but not its inner.
    assert (hard.m, broad.m) == (1, 1)
    assert wide.flags == Flag(0)


def test_single_precision_of_the_file_does_not_move_events_between_bands(
    simulated, chip_position, make_aperture, psf
):
    """Energies are kept in single precision; 2 keV minus rounding must not become 2 keV."""
    x, y = chip_position(simulated, 2, 512, 512)
    rng = np.random.default_rng(6)
    ev = rng.uniform(400, 8000, 3000).astype(np.float32)
    edges = np.array([200, 500, 1200, 2000, 7000, 10000], dtype=np.float32)
    for i, other in enumerate(
        (edges, np.nextafter(edges, np.float32(0)), np.nextafter(edges, np.float32(1e9)))
    ):
        ev[6 * i : 6 * i + 6] = other
    energy = ev.astype(float) / 1000.0
    field = with_events(simulated, np.full(3000, x), np.full(3000, y), energy)
    found = extract(field, make_aperture(simulated, x, y), BANDS, psf)
    for band, counted in zip(BANDS, found.bands, strict=True):
        assert counted.n == np.count_nonzero((energy >= band.lo) & (energy < band.hi))


def test_bands_beyond_a_cut_list(real, simulated, chip_position, make_aperture, psf):
    """The real list is cut to 0.5-8 keV."""
    bands = [*BANDS, Band("custom", 7.5, 8.5, 8.0)]
    outside = {}
    for field in (real, simulated):
        aperture = make_aperture(field, *chip_position(field, 2, 512, 512))
        found = extract(field, aperture, bands, psf)
        outside[field.events.header.obs_id] = [
            band.name
            for band, own in zip(bands, found.bands, strict=True)
            if own.flags & Flag.BAND_OUTSIDE_DATA
        ]
    assert real.events.energy_range is not None
    assert outside["4600"] == ["ultrasoft", "wide", "custom"]
    assert outside["70021"] == []


def test_bands_beyond_what_the_windows_of_a_chip_keep(real, chip_position, make_aperture, psf):
    """The list is cut to 0.5-8 keV, and chip 2 beyond that to 1-4 keV."""
    field = replace(real, limits={2: (1.0, 4.0)})
    flagged = []
    for chip in (2, 3):
        found = extract(field, make_aperture(field, *chip_position(field, chip, 512, 512)), BANDS, psf)
        pairs = zip(BANDS, found.bands, strict=True)
        flagged.append({band.name for band, own in pairs if own.flags & Flag.BAND_OUTSIDE_DATA})
    assert flagged[1] == {"ultrasoft", "wide"}
    assert flagged[0] - flagged[1] == {"broad", "soft", "hard"}


def test_no_events_at_all(simulated, chip_position, make_aperture, psf):
    field = with_events(simulated, np.empty(0), np.empty(0), np.empty(0))
    found = extract(field, make_aperture(field, *chip_position(field, 2, 512, 512)), BANDS, psf)
    assert [(band.n, band.m) for band in found.bands] == [(0, 0)] * len(BANDS)
    assert found.cnts_per_frame == 0.0
    assert found.energy_aper.size == found.energy_aperbkg.size == 0
    assert found.area_aper > 0
    assert found.bands[3].psf_frac_aper == pytest.approx(0.88, abs=0.03)


def test_background_that_neighbours_leave_empty(simulated, chip_position, make_aperture, psf):
    x, y = chip_position(simulated, 2, 512, 512)
    aperture = make_aperture(simulated, x, y)
    covered = Region(aperture.background.shape, (Circle(x, y, 1e3),))
    found = extract(simulated, replace(aperture, background=covered), BANDS, psf)
    assert found.area_aperbkg == 0.0
    assert found.flags & Flag.NO_BACKGROUND
    assert np.isnan(found.theta_aperbkg)
    assert found.good_frac_area_aperbkg == 0.0
    assert {band.m for band in found.bands} == {0}
    assert {band.psf_frac_aperbkg for band in found.bands} == {0.0}


def test_little_of_the_psf(simulated, chip_position, make_aperture, psf):
    x, y = chip_position(simulated, 2, 512, 512)
    aperture = make_aperture(simulated, x, y)
    radius = aperture.source.shape.radius
    cut = replace(aperture, source=Region(aperture.source.shape, (Circle(x + 0.5 * radius, y, radius),)))
    for item, expected in ((aperture, False), (cut, True)):
        found = extract(simulated, item, BANDS, psf)
        assert all(bool(band.flags & Flag.LOW_PSF_FRACTION) == expected for band in found.bands)


def test_ideal_psf(simulated, chip_position, make_aperture, psf):
    aperture = replace(make_aperture(simulated, *chip_position(simulated, 2, 300, 700)), model_psf=False)
    found = extract(simulated, aperture, BANDS, psf)
    assert {(band.psf_frac_aper, band.psf_frac_aperbkg) for band in found.bands} == {(1.0, 0.0)}


def test_counts_per_frame_and_pile_up(simulated, chip_position, make_aperture, psf):
    """Several good time intervals: frames are counted in good time only, that of the chip."""
    x, y = (round(value) for value in chip_position(simulated, 1, 512, 512))
    good = sum(stop - start for start, stop in simulated.events.good_times[1].intervals)
    frames = good / simulated.events.header.frame_time
    assert len(simulated.events.good_times[1].intervals) == 3
    for number in (int(0.05 * frames) - 1, int(0.05 * frames) + 2):
        field = with_events(simulated, np.full(number, x + 0.2), np.full(number, y), np.full(number, 1.5))
        found = extract(field, make_aperture(field, x, y), BANDS, psf)
        assert found.cnts_per_frame == pytest.approx(number / frames, rel=1e-9)
        assert bool(found.flags & Flag.PILEUP) == (number > 0.05 * frames)


def test_detector_without_frames(simulated, chip_position, make_aperture, psf):
    header = replace(simulated.events.header, frame_time=None)
    field = replace(simulated, events=replace(simulated.events, header=header))
    found = extract(field, make_aperture(field, *chip_position(field, 2, 512, 512)), BANDS, psf)
    assert np.isnan(found.cnts_per_frame)
    assert not found.flags & Flag.PILEUP


def test_chip_that_saw_nothing(simulated, chip_position, make_aperture, psf):
    """No event on the source's chip: counts of zero, areas and exposures as ever."""
    keep = simulated.events.ccd_id != 2
    events = simulated.events.select(keep)
    field = replace(simulated, events=events, index=KDTree(np.column_stack([events.x, events.y])))
    found = extract(field, make_aperture(field, *chip_position(field, 2, 512, 512)), BANDS, psf)
    assert [(band.n, band.m) for band in found.bands] == [(0, 0)] * len(BANDS)
    assert found.good_frac_area_aper == 1.0


@given(st.lists(st.tuples(st.floats(-8, 8, width=32), st.floats(-8, 8, width=32)), min_size=0, max_size=60))
@settings(max_examples=150, deadline=None)
def test_brightest_square_against_all_squares(points):
    array = np.array(points, dtype=float).reshape(-1, 2)
    best = 0
    cells = [(int(np.rint(x)), int(np.rint(y))) for x, y in array]
    for i in range(-10, 11):
        for j in range(-10, 11):
            best = max(best, sum(abs(x - i) <= 1 and abs(y - j) <= 1 for x, y in cells))
    assert brightest_square(array) == best


def test_brightest_square_of_far_points():
    """Rows must not run into each other."""
    points = np.array([(0.0, 0.0), (1.0, 40.0), (1.0, 41.0), (2.0, 0.0), (5.0, 20.0)])
    assert brightest_square(points) == 2
    assert brightest_square(np.array([(0.0, 5.0), (1.0, 0.0)])) == 1


def test_mean_angle_of_the_background(simulated, chip_position, make_aperture, psf):
    x, y = chip_position(simulated, 0, 60.0, 60.0)
    aperture = make_aperture(simulated, x, y)
    found = extract(simulated, aperture, BANDS, psf)
    rng = np.random.default_rng(1)
    centre_x, centre_y, reach = aperture.background.shape.reach
    du, dv = rng.uniform(-reach, reach, (2, 40000))
    u, v = centre_x + du, centre_y + dv
    inside = aperture.background.contains(u, v)
    weight = simulated.good_fraction(u[inside], v[inside])
    theta = simulated.events.pointing.off_axis(u[inside], v[inside])[0]
    assert found.theta_aperbkg == pytest.approx(np.average(theta, weights=weight), abs=0.02)
