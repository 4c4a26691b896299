from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import InputFileError
from catalog.events.aspect import AspectHistogram, aspect_histogram
from catalog.events.chip_geometry import chip_to_det, det_to_chip, focal_plane
from catalog.events.dithered_chips import DitheredChips, fold_dither
from catalog.events.event_list import EventList, read_event_list
from catalog.events.field_of_view import FieldOfView, field_of_view
from catalog.events.good_pixels import good_pixels
from catalog.events.good_times import GoodTimes
from catalog.events.header import ObservationHeader, parse_header
from catalog.events.observation_aspect import observation_aspect

FULL = "90040"
SUBARRAY = "90041"


def header(**changes: object) -> ObservationHeader:
    cards: dict[str, object] = {
        "OBS_ID": "1",
        "TELESCOP": "CHANDRA",
        "INSTRUME": "ACIS",
        "TSTART": 2e8,
        "TSTOP": 2.1e8,
    }
    cards |= {"LIVETIME": 1.0, "RA_PNT": 10.0, "DEC_PNT": 10.0, "ROLL_PNT": 0.0, "DETNAM": "ACIS-0123"}
    cards |= {"SIM_X": -0.78, "SIM_Y": 0.0, "SIM_Z": -233.59, "DY_AVG": 0.3, "DZ_AVG": 0.5, "DTH_AVG": -0.003}
    return parse_header({**cards, **changes}, "header")


@pytest.fixture(scope="module")
def lists(request: pytest.FixtureRequest) -> dict[str, tuple[EventList, AspectHistogram, FieldOfView]]:
    folder: Path = request.getfixturevalue("data_dir")
    result = {}
    for obs_id in (FULL, SUBARRAY):
        events = read_event_list(folder / f"simulated/aciss/acisf{obs_id}_evt2.fits.gz")
        aspect = observation_aspect(events, [folder / f"simulated/aciss/pcadf{obs_id}_asol1.fits.gz"])
        histogram = aspect_histogram(aspect, events.all_good_times())
        result[obs_id] = (events, histogram, field_of_view(events.header, events.sky_frame, histogram))
    return result


def folded(events: EventList, view: FieldOfView, path: Path, times: GoodTimes | None = None) -> DitheredChips:
    aspect = observation_aspect(events, [path])
    good = dict.fromkeys(view.chips, times) if times is not None else events.good_times
    return fold_dither(view, good_pixels(view), aspect, good, dict.fromkeys(view.chips, 1.0))


def solution(data_dir: Path, obs_id: str) -> Path:
    return data_dir / f"simulated/aciss/pcadf{obs_id}_asol1.fits.gz"


@given(st.integers(0, 9), st.floats(-50, 1100), st.floats(-50, 1100))
def test_chip_and_det_are_inverse(chip: int, chipx: float, chipy: float) -> None:
    detx, dety = chip_to_det(chip, chipx, chipy, header())
    back = det_to_chip(chip, detx, dety, header())
    assert (float(back[0]), float(back[1])) == (
        pytest.approx(chipx, abs=1e-6),
        pytest.approx(chipy, abs=1e-6),
    )


def test_homography_is_the_projection_of_corners(data_dir: Path) -> None:
    """Each corner of the calibration file projected through the node of the mirror, one by one."""
    plane = focal_plane(header(DTH_AVG=0.0))
    path = data_dir / "calibration/sources/telD1999-07-23geomN0006.fits"
    with fits.open(path) as hdus:
        origin = hdus[1].data["ORIGIN"][list(hdus[1].data["INSTRUMENT"]).index("ACIS")]
        table = hdus[2].data
    for row in table:
        for corner, chip_pixel in (("LL", (0.5, 0.5)), ("LR", (1024.5, 0.5)), ("UR", (1024.5, 1024.5))):
            x, y, z = np.asarray(row[corner]) + origin + [-0.78, 0.3, -233.59 + 0.5]
            pixel = np.radians(0.492 / 3600)
            expected = 4096.5 + y / (10070 - x) / pixel, 4096.5 - z / (10070 - x) / pixel
            found = plane.chip_to_det(int(row["CHIP_ID"]), *chip_pixel)
            # Upper right is not used in building it; the chips are flat and square to 0.001 mm.
            assert (float(found[0]), float(found[1])) == (
                pytest.approx(expected[0], abs=0.06),
                pytest.approx(expected[1], abs=0.06),
            )


@pytest.mark.parametrize("obs_id", ["04600", "05341", "09078", "10711", "11831", "11832", "15363", "15365"])
def test_chip_to_det_of_archive_events(data_dir: Path, obs_id: str) -> None:
    events = read_event_list(data_dir / f"real/acis/acisf{obs_id}_repro_evt2.fits.gz")
    assert events.detx is not None
    x, y = focal_plane(events.header).chip_to_det(events.ccd_id, events.chipx, events.chipy)
    for chip in range(4):
        on = events.ccd_id == chip
        # The mean offsets of the header are of the whole solution, not of the good times.
        assert abs(np.mean(events.detx[on] - x[on])) < 0.08
        assert abs(np.mean(events.dety[on] - y[on])) < 0.08


def test_chip_to_det_of_simulated_events(
    lists: dict[str, tuple[EventList, AspectHistogram, FieldOfView]],
) -> None:
    for events, _, view in lists.values():
        assert events.detx is not None
        x, y = view.plane.chip_to_det(events.ccd_id, events.chipx, events.chipy)
        for chip in events.chips:
            on = events.ccd_id == chip
            # MARX places the I chips with corners rounded by some microns.
            assert abs(np.mean(events.detx[on] - x[on])) < (0.3 if chip < 4 else 0.1)
            assert np.std(events.detx[on] - x[on]) < 0.35
            assert np.std(events.dety[on] - y[on]) < 0.35


def test_geometry_needs_the_module_position() -> None:
    with pytest.raises(InputFileError) as caught:
        focal_plane(header(SIM_Z=None))
    assert caught.value.code == "MISSING_KEYWORD"
    assert "SIM_Z" in caught.value.what


@pytest.mark.parametrize("obs_id", [FULL, SUBARRAY])
def test_events_lie_inside(
    lists: dict[str, tuple[EventList, AspectHistogram, FieldOfView]], data_dir: Path, obs_id: str
) -> None:
    events, _, view = lists[obs_id]
    chips = folded(events, view, solution(data_dir, obs_id))
    inside = view.in_fov(events.x, events.y)
    assert inside.mean() > 0.9999
    some = slice(None, None, max(1, len(events) // 3000))
    fraction = chips.good_fraction(events.x[some], events.y[some])
    assert np.all(fraction[inside[some]] > 0)
    assert view.region.area == pytest.approx({FULL: 6.30, SUBARRAY: 0.86}[obs_id] * 1024**2, rel=0.01)
    far = np.array([0.0, 8000.0])
    assert not view.in_fov(far, far).any()
    assert chips.good_fraction(far, far).tolist() == [0.0, 0.0]
    assert chips.good_fraction([np.nan], [100.0]).tolist() == [0.0]


@pytest.mark.parametrize("obs_id", [FULL, SUBARRAY])
def test_true_chips_and_edges(
    lists: dict[str, tuple[EventList, AspectHistogram, FieldOfView]], data_dir: Path, obs_id: str
) -> None:
    events, _, view = lists[obs_id]
    truth = Table.read(data_dir / "simulated/aciss/truth.ecsv")
    x, y = events.sky_frame.to_sky(truth["ra"], truth["dec"])
    place = view.chip_at(x, y)
    distance = np.asarray(truth[f"edge_pix_{obs_id}"], dtype=float)
    on = distance > 2
    assert on.sum() > 15
    np.testing.assert_array_equal(place.ccd_id[on], np.asarray(truth[f"ccd_{obs_id}"])[on])
    assert place.on_chip[on].all()
    assert not place.on_chip[distance < 0].any()
    low_x, high_x, low_y, high_y = next(iter(view.active.values()))
    own = np.minimum(
        np.minimum(place.chipx - low_x, high_x - place.chipx),
        np.minimum(place.chipy - low_y, high_y - place.chipy),
    )
    np.testing.assert_allclose(own[on], distance[on], atol=0.3)
    fraction = folded(events, view, solution(data_dir, obs_id)).good_fraction(x, y)
    assert np.all(fraction[distance > 25] > 0.9999)
    assert np.all(fraction[distance < -25] < 0.75)
    assert np.all(fraction[distance < -200] == 0)
    near = view.near_edge(x, y)
    assert np.all(near[distance < 30])
    assert not near[distance > 34].any()


def test_near_edge_in_a_subarray_counts_from_its_rows(
    lists: dict[str, tuple[EventList, AspectHistogram, FieldOfView]],
) -> None:
    """srcflux compares CHIPY with NROWS alone, so every source of this subarray would be near an edge."""
    _, _, view = lists[SUBARRAY]
    rows = np.array([385 + 31, 385 + 34, 512, 640 - 34, 640 - 31])
    sky = view.pointing.det_to_sky(*view.plane.chip_to_det(7, np.full(5, 512.0), rows))
    assert view.near_edge(*sky).tolist() == [True, False, False, False, True]


def test_good_fraction_against_brute_force(
    lists: dict[str, tuple[EventList, AspectHistogram, FieldOfView]], data_dir: Path
) -> None:
    """Positions carried through the aspect solution sample by sample, without any histogram."""
    events, _, view = lists[SUBARRAY]
    aspect = observation_aspect(events, [solution(data_dir, SUBARRAY)])
    # A part of the dither that is not symmetric about its mean.
    part = GoodTimes.of([(events.header.tstart + 50.0, events.header.tstart + 450.0)])
    chips = folded(events, view, solution(data_dir, SUBARRAY), part)
    times = np.linspace(part.start[0], part.stop[0], 4001)
    dx, dy = aspect.at(times)
    rng = np.random.default_rng(3)
    detx, dety = view.plane.chip_to_det(
        7, rng.uniform(-20, 1045, 60), rng.choice([380, 388, 395, 620, 642], 60)
    )
    x, y = view.pointing.det_to_sky(detx, dety)
    low_x, high_x, low_y, high_y = next(iter(view.active.values()))
    expected = []
    for one_x, one_y in zip(x, y, strict=True):
        u, v = events.pointing.sky_to_det(one_x - dx, one_y - dy)
        good = np.zeros(times.size, dtype=bool)
        for chip in view.chips:
            cx, cy = view.plane.det_to_chip(chip, u, v)
            good |= (cx > low_x) & (cx < high_x) & (cy > low_y) & (cy < high_y)
        expected.append(good.mean())
    found = chips.good_fraction(x, y)
    assert np.count_nonzero((np.array(expected) > 0.05) & (np.array(expected) < 0.95)) > 10
    # Within a pixel of an edge the images are smooth where the edge is sharp; 400 s of dither is a thin line.
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert abs(np.mean(found - expected)) < 0.002


def test_very_faint_mode_loses_two_rows(
    lists: dict[str, tuple[EventList, AspectHistogram, FieldOfView]], data_dir: Path
) -> None:
    events, histogram, _ = lists[FULL]
    faint = replace(events.header, datamode="VFAINT")
    assert field_of_view(faint, events.sky_frame, histogram).active[7] == (1.5, 1023.5, 2.5, 1022.5)
    real = read_event_list(data_dir / "real/acis/acisf11831_repro_evt2.fits.gz")
    assert real.chipx is not None
    assert real.chipy is not None
    assert (real.chipx.min(), real.chipx.max(), real.chipy.min(), real.chipy.max()) == (2, 1023, 3, 1022)


def test_pickles(lists: dict[str, tuple[EventList, AspectHistogram, FieldOfView]]) -> None:
    events, histogram, view = lists[SUBARRAY]
    copy = pickle.loads(pickle.dumps(view))
    assert np.array_equal(copy.in_fov(events.x, events.y), view.in_fov(events.x, events.y))
    assert pickle.loads(pickle.dumps(histogram)).mean == histogram.mean
