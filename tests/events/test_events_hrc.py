"""Event lists of the HRC: what is read, where the plates lie, dead time, bad pixels on large plates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hrc_event_file import ACTIVE, LIVE_SHARE, ON_TIME, START, write_hrc_events

from catalog.errors import InputFileError, UnsupportedDataError
from catalog.events.bad_pixels import read_bad_pixels
from catalog.events.chip_geometry import focal_plane
from catalog.events.dead_time import read_dead_time
from catalog.events.detector import ACIS, DETECTORS, HRC_I, HRC_S
from catalog.events.event_list import read_event_list
from catalog.events.header import parse_header
from catalog.events.mask import read_mask
from catalog.measure.observed_field import load_observed_field


@pytest.fixture(scope="module", params=["HRC-I", "HRC-S"])
def listed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hrc") / "hrcf80030_evt2.fits"
    return write_hrc_events(path, detector=request.param, sources=((150.02, 20.02, 400),))


def table_file(path: Path, columns: dict[str, tuple[str, object]], keywords: dict[str, object]) -> Path:
    hdu = fits.BinTableHDU.from_columns(
        [fits.Column(name, form, array=values) for name, (form, values) in columns.items()]
    )
    hdu.header.update(keywords)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
    return path


def test_reading(listed: Path) -> None:
    events = read_event_list(listed)
    detector = events.header.imager
    assert events.header.frame_time is None
    assert events.chips == detector.chip_ids
    assert len(events) == 30400
    assert set(events.energy.tolist()) == {1.5}
    assert events.energy_range is None
    assert events.live_time(detector.chip_ids[0]) == pytest.approx(ON_TIME * LIVE_SHARE)
    assert events.pointing.det_axis == detector.det_axis


def test_status_bits_of_level_two(tmp_path: Path) -> None:
    """Bits that the filter of hrc_process_events leaves alone do not cost an event, the others do."""
    path = write_hrc_events(tmp_path / "hrcf80030_evt2.fits", background=2000)
    with fits.open(path, mode="update") as hdus:
        bits = np.zeros((2000, 32), dtype=bool)
        bits[:100, 0] = bits[100:200, 8] = bits[200:300, 31] = True  # not looked at
        bits[300:350, 6] = bits[350:400, 26] = bits[400:420, 12] = True  # must be 0
        hdus["EVENTS"].data["status"] = bits
    events = read_event_list(path)
    assert events.dropped == {"status set": 120}
    assert events.row[0] == 0


def test_without_detector_name(tmp_path: Path) -> None:
    path = write_hrc_events(tmp_path / "a_evt2.fits", background=500)
    fits.setval(path, "DETNAM", value="HRC-X", ext=1)
    with pytest.raises(UnsupportedDataError, match="HRC-X"):
        read_event_list(path)


def test_plates_are_where_the_simulation_has_them(data_dir: Path) -> None:
    """MARX's detector coordinates of 90030; it shifts chip pixels by 0.4 before computing them."""
    events = read_event_list(data_dir / "simulated/hrc/hrcf90030_evt2.fits.gz")
    x, y = focal_plane(events.header).chip_to_det(events.ccd_id, events.chipx, events.chipy)
    away = np.hypot(np.median(events.detx - x), np.median(events.dety - y))
    assert away < 1.0
    assert max((events.detx - x).std(), (events.dety - y).std()) < 0.35
    # By hand (README of the data): the axis is chip pixel (7530, 7745), the chip is turned by 45 degrees.
    expected = 16384.5 + 0.70676 * ((events.chipx - 7530.0) - (events.chipy - 7745.0))
    assert np.abs(x - expected).max() < 1.5


def test_hrc_s_plates_follow_each_other_along_dety() -> None:
    header = parse_header(_hrc_s_header(), "header")
    plane = focal_plane(header)
    middle_x, middle_y = 0.5 * (HRC_S.columns + 1), 0.5 * (HRC_S.rows + 1)
    centres = np.array([plane.chip_to_det(chip, middle_x, middle_y) for chip in (1, 2, 3)])
    length = HRC_S.rows * 0.0064294 / 10070.0 / HRC_S.det_pixel_rad
    gaps = np.hypot(*np.diff(centres, axis=0).T)
    assert gaps == pytest.approx(length, rel=0.01)
    # The optical axis falls on the middle plate.
    x, y = plane.det_to_chip(2, HRC_S.det_axis, HRC_S.det_axis)
    assert 1 < x < HRC_S.columns
    assert 1 < y < HRC_S.rows
    back = plane.chip_to_det([1, 2, 3], *plane.det_to_chip([1, 2, 3], centres[:, 0], centres[:, 1]))
    assert np.allclose(back, centres.T)


def _hrc_s_header() -> dict[str, object]:
    from hrc_event_file import _keywords

    return _keywords("80031", "HRC-S", (150.0, 20.0, 0.0))


def test_active_area_from_the_events(listed: Path) -> None:
    field = load_observed_field(listed)
    for limits in field.field_of_view.active.values():
        # 10 000 or 30 000 events over a plate: the outermost lies within some pixels of the edge.
        assert np.allclose(limits, ACTIVE[field.events.header.imager.name], atol=12.0)


def test_good_fraction_against_following_the_dither(listed: Path) -> None:
    """Positions along a plate's edge, each followed over the plate in time."""
    field = load_observed_field(listed)
    view = field.field_of_view
    chip = view.chips[0]
    low_x, high_x, low_y, high_y = view.active[chip]
    inward = np.linspace(-80.0, 80.0, 21)
    x, y = view.pointing.det_to_sky(
        *view.plane.chip_to_det(chip, low_x + inward, np.full(21, 0.6 * low_y + 0.4 * high_y))
    )
    time = START + np.linspace(0.0, ON_TIME, 4001)
    dx, dy = field.aspect.at(time)
    followed = []
    for a, b in zip(x, y, strict=True):
        here = view.pointing.sky_to_det(a - dx + view.mean_offset[0], b - dy + view.mean_offset[1])
        cx, cy = view.plane.det_to_chip(chip, *here)
        followed.append(np.mean((cx > low_x) & (cx < high_x) & (cy > low_y) & (cy < high_y)))
    np.testing.assert_allclose(field.good_fraction(x, y), followed, atol=0.04)
    assert min(followed) < 0.2
    assert max(followed) > 0.9


def test_bad_pixels_and_masks_of_a_large_plate(tmp_path: Path) -> None:
    """Exposure outside a plate's active area, as the archive's bad-pixel files describe it."""
    events = write_hrc_events(tmp_path / "hrcf80030_evt2.fits", background=5000)
    ranges = {"chipx": ("2I", [[1, 16384]]), "chipy": ("2I", [[9001, 16384]])}
    shape = {"shape": ("9A", ["Rectangle"])}
    bad = table_file(tmp_path / "bpix1.fits", {**shape, **ranges}, {"OBS_ID": "80030"})
    mask = table_file(tmp_path / "msk1.fits", {**shape, **ranges, "samp_cyc": ("I", [1])}, {})
    assert read_bad_pixels(bad, "80030", HRC_I).chipy.tolist() == [[9001, 16384]]
    half = load_observed_field(events, bad_pixel_file=bad)
    rest = load_observed_field(events, mask_file=mask)
    view = half.field_of_view
    place = [view.plane.chip_to_det(0, 6000.0, chipy) for chipy in (7000.0, 9000.5, 11000.0)]
    x, y = np.array([view.pointing.det_to_sky(*each) for each in place]).T
    dx, dy = half.aspect.at(START + np.linspace(0.0, ON_TIME, 8001))
    below = []
    for a, b in zip(x, y, strict=True):
        here = view.pointing.sky_to_det(a - dx + view.mean_offset[0], b - dy + view.mean_offset[1])
        below.append(np.mean(view.plane.det_to_chip(0, *here)[1] < 9000.5))
    assert np.allclose(half.good_fraction(x, y), below, atol=0.001)
    assert np.allclose(rest.good_fraction(x, y), 1.0 - np.array(below), atol=0.001)
    assert 0.4 < below[1] < 0.6
    assert read_mask(mask, "80030", HRC_I).share[0].shape == (2048, 2048)
    assert half.is_interior(float(x[0]), float(y[0]), 300.0)
    assert not half.is_interior(float(x[0]), float(y[0]), 2100.0)


@pytest.mark.parametrize("detector", DETECTORS.values(), ids=list(DETECTORS))
def test_cells_cover_ranges_of_pixels(detector) -> None:
    rng = np.random.default_rng(1)
    number = detector.image_shape[1]
    for first, last in np.sort(rng.integers(1, detector.columns + 1, (20, 2)), axis=1).tolist():
        cells, share = detector.cover(first - 0.5, last + 0.5, number)
        pixels = np.arange(detector.columns) + 1
        inside = ((pixels >= first) & (pixels <= last)).reshape(-1, detector.cell).mean(axis=1)
        by_hand = inside[cells]
        assert np.allclose(share, by_hand)
        assert share.sum() * detector.cell == pytest.approx(last - first + 1)
    assert ACIS.cover(5.5, 5.5, 1024)[1].size == 0


def test_dead_time(tmp_path: Path) -> None:
    events = write_hrc_events(tmp_path / "hrcf80030_evt2.fits", background=5000)
    time = START + np.arange(-100.0, ON_TIME + 100.0, 2.0)
    factor = np.where(time < START + 1000.0, 0.5, 0.9)
    columns = {"time": ("D", time), "DTF": ("D", factor)}
    path = table_file(tmp_path / "hrcf80030_dtf1.fits", columns, {"OBS_ID": "80030"})
    field = load_observed_field(events, dead_time_file=path)
    assert field.live_time == pytest.approx(ON_TIME * (0.25 * 0.5 + 0.75 * 0.9), rel=1e-3)
    late = load_observed_field(events, dead_time_file=path, exclude_times=[(START, START + 1000.0)])
    assert late.live_time == pytest.approx(0.9 * 3000.0, rel=1e-3)
    assert load_observed_field(events).live_time == pytest.approx(ON_TIME * LIVE_SHARE)


@pytest.mark.parametrize(
    ("columns", "keywords", "code"),
    [
        ({"time": ("D", [1.0]), "x": ("D", [1.0])}, {}, "NO_DEAD_TIME"),
        ({"time": ("D", [1.0]), "dtf": ("D", [1.2])}, {}, "NO_DEAD_TIME"),
        ({"time": ("D", [1.0]), "dtf": ("D", [0.9])}, {"OBS_ID": "1"}, "OTHER_OBSERVATION"),
        ({"time": ("D", [1.0]), "dtf": ("D", [0.9])}, {}, "DEAD_TIME_NOT_COVERING"),
    ],
)
def test_bad_dead_time(tmp_path: Path, columns, keywords, code: str) -> None:
    events = write_hrc_events(tmp_path / "hrcf80030_evt2.fits", background=500)
    path = table_file(tmp_path / "dtf1.fits", columns, keywords)
    with pytest.raises(InputFileError) as caught:
        load_observed_field(events, dead_time_file=path)
    assert caught.value.code == code
    assert str(path) in str(caught.value)


def test_mean_dead_time_outside_the_samples(tmp_path: Path) -> None:
    columns = {"time": ("D", [1.0, 2.0]), "dtf": ("D", [0.9, 0.8])}
    found = read_dead_time(table_file(tmp_path / "d.fits", columns, {}), "80030")
    from catalog.events.good_times import GoodTimes

    assert found.mean(GoodTimes.of([(0.0, 3.0)])) == pytest.approx(0.85)
    assert np.isnan(found.mean(GoodTimes.of([(10.0, 30.0)])))
