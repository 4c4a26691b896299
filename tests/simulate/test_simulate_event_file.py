"""Event lists and aspect solutions as the reader of real observations sees them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from catalog.calibration.provider import Calibration
from catalog.events.aspect_events import aspect_from_events
from catalog.events.chip_geometry import focal_plane
from catalog.events.event_list import read_event_list
from catalog.simulate.demo_field import write_observation
from catalog.simulate.dither import dither_offsets
from catalog.simulate.event_file import write_event_list
from catalog.simulate.photons import simulate_field
from catalog.simulate.pointing_plan import PointingPlan


def test_reader_keeps_every_event(bright: object) -> None:
    assert bright.read.dropped == {}
    assert len(bright.read) == len(bright.events)
    assert bright.read.energy_range is None
    np.testing.assert_array_equal(bright.read.expno, bright.events.frame)
    np.testing.assert_array_equal(bright.read.ccd_id, bright.events.ccd_id)
    np.testing.assert_allclose(bright.read.energy, bright.events.energy, rtol=1e-6)


def test_good_times_and_live_times(bright: object) -> None:
    plan, read = bright.plan, bright.read
    assert read.chips == plan.chips
    for chip in plan.chips:
        assert read.good_times[chip].intervals == plan.good_times(chip).intervals
        assert read.live_time(chip) == pytest.approx(read.good_times[chip].total() * plan.dtcor)
    assert len(read.good_times[1]) == 3
    assert read.live_time(1) < read.live_time(0) - 1900
    paused = (read.time > plan.tstart + 5001) & (read.time < plan.tstart + 5999)
    assert not paused.any()
    assert not ((read.ccd_id == 1) & (np.abs(read.time - plan.tstart - 16000) < 999)).any()


def test_sky_is_detector_plus_aspect(bright: object) -> None:
    read = bright.read
    dx, dy = bright.aspect.at(read.time)
    x, y = read.pointing.det_to_sky(read.detx, read.dety)
    assert bright.aspect.source == "asol"
    assert np.abs(read.x - x - dx).max() < 0.01
    assert np.abs(read.y - y - dy).max() < 0.01
    assert np.ptp(dx) > 20, "the telescope dithers"


def test_chip_pixels_agree_with_the_geometry(bright: object) -> None:
    read = bright.read
    chipx, chipy = focal_plane(read.header).det_to_chip(read.ccd_id, read.detx, read.dety)
    assert np.abs(chipx - read.chipx).max() < 0.5
    assert np.abs(chipy - read.chipy).max() < 0.5
    # Positions inside a pixel are known, not rounded to its centre.
    assert np.std(chipx - read.chipx) > 0.2
    assert set(np.unique(read.grade)) == {0, 2, 3, 4, 6}


def test_aspect_can_be_rebuilt_from_the_events(bright: object) -> None:
    rebuilt = aspect_from_events(bright.read)
    time = bright.read.time[::50]
    for found, true in zip(
        rebuilt.at(time), dither_offsets(bright.plan, time - bright.plan.tstart), strict=True
    ):
        assert np.sqrt(np.mean((found - true) ** 2)) < 0.3


def test_positions_on_the_sky(bright: object) -> None:
    """Bright sources near the axis lie where astropy's projection of the header puts them."""
    with fits.open(bright.read.path) as hdus:
        header = hdus["EVENTS"].header
        columns = [name.lower() for name in hdus["EVENTS"].columns.names]
    numbers = [columns.index(name) + 1 for name in ("x", "y")]
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [header[f"TCTYP{number}"] for number in numbers]
    wcs.wcs.crval = [header[f"TCRVL{number}"] for number in numbers]
    wcs.wcs.crpix = [header[f"TCRPX{number}"] for number in numbers]
    wcs.wcs.cdelt = [header[f"TCDLT{number}"] for number in numbers]
    source = bright.sources[0]
    x, y = wcs.wcs_world2pix(source.ra, source.dec, 1)
    near = np.hypot(bright.read.x - x, bright.read.y - y) < 4
    assert near.sum() > 5000
    assert np.mean(bright.read.x[near]) == pytest.approx(float(x), abs=0.15)
    assert np.mean(bright.read.y[near]) == pytest.approx(float(y), abs=0.15)


def test_columns_are_legal(bright: object) -> None:
    with fits.open(bright.read.path) as hdus:
        table = hdus["EVENTS"]
        values = {name: table.data[name] for name in table.columns.names}
        for number, name in enumerate(table.columns.names, start=1):
            if f"TLMIN{number}" in table.header:
                assert values[name].min() >= table.header[f"TLMIN{number}"], name
                assert values[name].max() <= table.header[f"TLMAX{number}"], name
    np.testing.assert_array_equal(values["pi"], np.floor(values["energy"].astype(float) / 14.6) + 1)
    assert (np.diff(values["time"]) >= 0).all()
    assert not values["status"].any()
    np.testing.assert_array_equal(values["node_id"], (values["chipx"] - 1) // 256)
    assert set(np.unique(values["fltgrade"])) == {0, 8, 16, 64, 72}


def test_tiled_coordinates_agree_with_an_archival_list(bright: object, data_dir: Path) -> None:
    """TDET minus its chip axis has the same offset on every chip as in a real observation."""

    def offsets(path: Path) -> dict[int, tuple[set[int], set[int]]]:
        with fits.open(path) as hdus:
            data = hdus["EVENTS"].data
            found = {}
            for chip in range(4):
                own = data["ccd_id"] == chip
                cx, cy, tx, ty = (
                    data[name][own].astype(int) for name in ("chipx", "chipy", "tdetx", "tdety")
                )
                sign = 1 if chip in (0, 2) else -1
                found[chip] = (set((tx - sign * cy).tolist()), set((ty + sign * cx).tolist()))
        return found

    real = offsets(data_dir / "real" / "acis" / "acisf11831_repro_evt2.fits.gz")
    assert all(len(pair[0]) == len(pair[1]) == 1 for pair in real.values())
    assert offsets(bright.read.path) == real


def test_same_events_same_bytes(short_plan: PointingPlan, calibration: Calibration, folder: Path) -> None:
    written = []
    for name in ("a", "b"):
        events = simulate_field([], short_plan, calibration, 6)
        paths = write_observation(folder / name, events, short_plan)
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1]
    assert written[0][0][4:8] == bytes(4), "a time in the gzip header"


def test_list_without_events(short_plan: PointingPlan, calibration: Calibration, folder: Path) -> None:
    plan = replace(short_plan, chips=(3,))
    path = folder / "empty_evt2.fits"
    write_event_list(path, simulate_field([], plan, calibration, 1, background_rate=0.0), plan)
    read = read_event_list(path)
    assert len(read) == 0
    assert read.live_time(3) == pytest.approx(plan.live_time(3))
