"""Bad pixels, masks, and their images folded with the dither, against following single positions in time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import InputFileError
from catalog.events.aspect import Aspect, aspect_histogram
from catalog.events.bad_pixels import BadPixels, read_bad_pixels
from catalog.events.dithered_chips import fold_dither
from catalog.events.field_of_view import FieldOfView, field_of_view
from catalog.events.good_pixels import good_pixels
from catalog.events.good_times import GoodTimes
from catalog.events.header import parse_header
from catalog.events.mask import Mask, read_mask
from catalog.events.pulse_height_limits import energy_limits
from catalog.events.sky_frame import SkyFrame

START = 1000.0
TIME = np.linspace(START, START + 8000.0, 8001)
Table = dict[int, list[tuple[Any, ...]]]
WriteTable = Callable[..., Path]

BADPIX = ("SHAPE:16A", "COMPONENT:I", "CHIPX:2I", "CHIPY:2I", "TIME:D", "TIME_STOP:D", "STATUS:32X")
MASK = ("SHAPE:16A", "COMPONENT:I", "CHIPX:2I", "CHIPY:2I", "SAMP_CYC:I", "PHAMIN:I", "PHAMAX:I")
BIT = np.zeros(32, dtype=bool)


@pytest.fixture
def write_table(tmp_path: Path) -> WriteTable:
    """Write a table per chip; columns as in the files of ObsID 732."""

    def write(columns: tuple[str, ...], tables: Table, name: str = "table.fits", obs_id: str = "777") -> Path:
        hdus: list[Any] = [fits.PrimaryHDU()]
        for chip, rows in tables.items():
            made = []
            for i, column in enumerate(columns):
                title, form = column.split(":")
                made.append(fits.Column(title, form, array=np.array([row[i] for row in rows])))
            hdu = fits.BinTableHDU.from_columns(made, name="BADPIX" if columns is BADPIX else "MASK")
            hdu.header["CCD_ID"], hdu.header["OBS_ID"] = chip, obs_id
            hdus.append(hdu)
        fits.HDUList(hdus).writeto(tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture(scope="module")
def aspect() -> Aspect:
    return Aspect(TIME, 16.3 * np.sin(TIME / 159.0), 14.0 * np.cos(TIME / 112.0), 0.0, "asol")


@pytest.fixture(scope="module")
def view(aspect: Aspect) -> FieldOfView:
    cards = {"OBS_ID": "777", "TELESCOP": "CHANDRA", "INSTRUME": "ACIS", "TSTART": START, "TSTOP": TIME[-1]}
    cards |= {"LIVETIME": 1.0, "RA_PNT": 10.0, "DEC_PNT": 10.0, "ROLL_PNT": 33.0, "DETNAM": "ACIS-0123"}
    cards |= {"SIM_X": -0.78, "SIM_Y": 0.0, "SIM_Z": -233.59}
    frame = SkyFrame(10.0, 10.0, 4096.5, 4096.5, -0.492 / 3600, 0.492 / 3600)
    whole = GoodTimes.of([(START, TIME[-1])])
    return field_of_view(parse_header(cards, "header"), frame, aspect_histogram(aspect, whole))


def followed(
    view: FieldOfView,
    aspect: Aspect,
    x: float,
    y: float,
    good: Callable[..., Any],
    times: dict[int, GoodTimes],
) -> float:
    """Share of the time on good pixels, position by position and second by second."""
    dx, dy = aspect.at(TIME)
    detx, dety = view.pointing.sky_to_det(x - dx + view.mean_offset[0], y - dy + view.mean_offset[1])
    seen = np.zeros(TIME.size)
    for chip in view.chips:
        column, row = (np.rint(value).astype(int) for value in view.plane.det_to_chip(chip, detx, dety))
        on = (column >= 1) & (column <= 1024) & (row >= 1) & (row <= 1024) & times[chip].contains(TIME)
        seen[on] += good(chip, column[on], row[on], TIME[on])
    return float(seen.mean())


def sky_of(view: FieldOfView, chip: int, chipx: float, chipy: float) -> tuple[float, float]:
    x, y = view.pointing.det_to_sky(*view.plane.chip_to_det(chip, chipx, chipy))
    return float(x), float(y)


def patch_mean(view: FieldOfView, x: float, y: float, value: Callable[[float, float], float]) -> float:
    """Mean over a patch of 2 pixels: single pixels are sharp in time and smooth in the images."""
    shifts = np.linspace(-0.8, 0.8, 5)
    return float(np.mean([value(x + u, y + v) for u in shifts for v in shifts]))


def test_columns_passing_pixels_windows_and_unequal_times(view: FieldOfView, aspect: Aspect) -> None:
    """All at once: columns, a block, a block that is bad for a third of the time, a sampled window."""
    third = (START + 2000.0, START + 2000.0 + 8000.0 / 3)
    bad = BadPixels(
        np.array([0, 1, 1], dtype=np.int16),
        np.array([[500, 503], [300, 310], [600, 607]], dtype=np.int16),
        np.array([[1, 1024], [300, 310], [700, 707]], dtype=np.int16),
        np.array([-np.inf, -np.inf, third[0]]),
        np.array([np.inf, np.inf, third[1]]),
    )
    window = np.zeros((1024, 1024), dtype=np.float32)
    window[200:600, 100:900] = 0.25
    pixels = good_pixels(view, bad, Mask({2: window}))
    times = {chip: GoodTimes.of([(START, TIME[-1])]) for chip in view.chips}
    times[3] = GoodTimes.of([(START, START + 3000.0)])
    share = {chip: times[chip].total() / 8000.0 for chip in view.chips}
    chips = fold_dither(view, pixels, aspect, times, share)

    def good(chip: int, column: Any, row: Any, time: Any) -> Any:
        value = ((column > 1) & (column < 1024) & (row > 1) & (row < 1024)).astype(float)
        value[(chip == 0) & (column >= 500) & (column <= 503)] = 0
        value[(chip == 1) & (abs(column - 305) <= 5) & (abs(row - 305) <= 5)] = 0
        passing = (chip == 1) & (abs(column - 603.5) < 4) & (abs(row - 703.5) < 4)
        value[passing & (time >= third[0]) & (time <= third[1])] = 0
        if chip == 2:
            value *= 0.25 * ((column >= 101) & (column <= 900) & (row >= 201) & (row <= 600))
        return value

    rng = np.random.default_rng(3)
    places = [(0, 502, 300), (0, 515, 800), (1, 305, 305), (1, 315, 297), (1, 604, 704), (1, 594, 710)]
    places += [
        (2, 500, 400),
        (2, 101, 400),
        (2, 500, 601),
        (3, 500, 500),
        (3, 2, 400),
        (0, 1023, 5),
        (1, 9, 9),
    ]
    places += [(int(rng.integers(4)), *rng.uniform(-15, 1040, 2)) for _ in range(12)]
    partial = 0
    for place in places:
        x, y = sky_of(view, *place)
        expected = patch_mean(view, x, y, lambda u, v: followed(view, aspect, u, v, good, times))
        found = patch_mean(view, x, y, lambda u, v: float(chips.good_fraction(u, v)[0]))
        assert found == pytest.approx(expected, abs=0.006), place
        partial += 0.02 < expected < 0.98
    assert partial >= 10


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 3), st.floats(60, 960), st.floats(60, 960), st.integers(2, 1020), st.integers(2, 1020))
def test_one_bad_pixel_takes_its_share_of_the_sky(
    view: FieldOfView, aspect: Aspect, chip: int, chipx: float, chipy: float, column: int, row: int
) -> None:
    """Summed over the sky the loss is one pixel, wherever it lies; none is lost where it does not reach."""
    bad = BadPixels(
        np.array([chip], dtype=np.int16),
        np.array([[column, column]], dtype=np.int16),
        np.array([[row, row]], dtype=np.int16),
        np.array([-np.inf]),
        np.array([np.inf]),
    )
    times = {n: GoodTimes.of([(START, TIME[-1])]) for n in view.chips}
    whole = dict.fromkeys(view.chips, 1.0)
    chips = fold_dither(view, pixels := good_pixels(view, bad), aspect, times, whole)
    clean = fold_dither(view, good_pixels(view), aspect, times, whole)
    assert float((clean.image.astype(float) - chips.image).sum()) == pytest.approx(1.0, abs=1e-2)
    assert (chips.image >= 0).all()
    assert (chips.image <= 1).all()
    reach = 30.0
    expected = max(abs(chipx - column), abs(chipy - row)) > reach + 1
    if abs(max(abs(chipx - column), abs(chipy - row)) - reach) > 1:
        assert pixels.all_good(chip, chipx, chipy, reach) == expected
    if pixels.all_good(chip, chipx, chipy, reach):
        assert chips.good_fraction(*sky_of(view, chip, chipx, chipy))[0] == 1.0


def test_reading_bad_pixels(write_table: WriteTable) -> None:
    rows = {
        2: [("point", 0, (7, 0), (9, 0), 0.0, 0.0, BIT), ("rectangle", 1, (4, 3), (1, 1024), 0.0, 0.0, BIT)],
        7: [("rectangle", 0, (1, 2000), (5, 6), 5.0e7, 6.0e7, BIT)],
    }
    found = read_bad_pixels(write_table(BADPIX, rows), "777")
    assert found.ccd_id.tolist() == [2, 2, 7]
    assert found.chipx.tolist() == [[7, 7], [3, 4], [1, 1024]]
    assert found.chipy.tolist() == [[9, 9], [1, 1024], [5, 6]]
    assert found.start.tolist() == [-np.inf, -np.inf, 5.0e7]
    assert found.stop.tolist() == [np.inf, np.inf, 6.0e7]


def test_reading_a_mask(write_table: WriteTable) -> None:
    """A window sampled every fourth event, the rest of the chip whole, a hole; a chip switched off."""
    rows = {
        3: [
            ("rectangle", 1, (1, 1024), (1, 1024), 1, 0, 4095),
            ("!rectangle", 1, (101, 200), (301, 400), 1, 0, 4095),
            ("!rectangle", 1, (1, 10), (1, 10), 1, 0, 4095),
            ("rectangle", 2, (101, 200), (301, 400), 4, 0, 4095),
        ],
        0: [("rectangle", 1, (1, 1024), (1, 1024), 0, 0, 4095)],
    }
    share = read_mask(write_table(MASK, rows), "777").share
    assert sorted(share) == [0, 3]
    assert share[0].max() == 0.0
    assert share[3][350, 150] == 0.25
    assert share[3][5, 5] == 0.0
    assert share[3].sum() == pytest.approx(1024**2 - 100 - 100**2 * 0.75)


def test_limits_of_pulse_height_cut_the_energies_of_a_chip(write_table: WriteTable, tmp_path: Path) -> None:
    """The gain at the limit is that of the chip's own events; limits beyond all bands count for nothing."""
    rows = {
        3: [
            ("rectangle", 1, (1, 1024), (1, 512), 1, 100, 2000),
            ("rectangle", 2, (1, 1024), (513, 1024), 1, 250, 3000),
            ("!rectangle", 2, (1, 10), (513, 600), 1, 900, 950),
        ],
        2: [("rectangle", 1, (1, 1024), (1, 1024), 1, 20, 4095)],
        1: [("rectangle", 1, (1, 1024), (1, 1024), 1, 300, 4095)],
        0: [("rectangle", 1, (1, 1024), (1, 1024), 0, 500, 600)],
    }
    mask = read_mask(write_table(MASK, rows), "777")
    assert mask.pulse_heights == {3: (250, 2000), 2: (20, 4095), 1: (300, 4095)}
    rng = np.random.default_rng(8)
    pha = rng.integers(30, 3500, 3000)
    chip = rng.choice([2, 3], 3000)
    # Chip 3 has 4 eV a step at low pulse heights, 5 at high ones; chip 1 has no events.
    energy = pha * np.where(chip == 3, 4.0 + (pha > 1000), 6.0)
    columns = [
        fits.Column("pha", "J", array=pha),
        fits.Column("energy", "E", array=energy),
        fits.Column("ccd_id", "I", array=chip),
    ]
    path = tmp_path / "events.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="EVENTS")]).writeto(path)
    found = energy_limits(path, mask.pulse_heights)
    assert found == {3: (pytest.approx(1.0), pytest.approx(10.0)), 1: (pytest.approx(1.32), np.inf)}
    assert energy_limits(path, {2: (20, 4095)}) == {}


def test_true_files_without_rows(data_dir: Path) -> None:
    assert len(read_bad_pixels(data_dir / "real/acis/structure_only_bpix.fits.gz", "732")) == 0
    assert read_mask(data_dir / "real/acis/structure_only_msk.fits.gz", "732").share == {}


@pytest.mark.parametrize(
    "code", ["OTHER_OBSERVATION", "BAD_VALUE", "NO_BAD_PIXELS", "NO_MASK", "UNSUPPORTED_SHAPE"]
)
def test_bad_files_are_refused(write_table: WriteTable, code: str) -> None:
    bad = [("point", 0, (7, 0), (9, 0), 0.0, 0.0, BIT)]
    mask = [("circle", 0, (7, 0), (9, 0), 1, 0, 4095)]
    if code == "OTHER_OBSERVATION":
        read, path = read_bad_pixels, write_table(BADPIX, {1: bad}, obs_id="00778")
    elif code == "BAD_VALUE":
        read, path = read_bad_pixels, write_table(BADPIX, {11: bad})
    elif code == "NO_BAD_PIXELS":
        read, path = read_bad_pixels, write_table(("TIME:D",), {1: [(0.0,)]})
    elif code == "NO_MASK":
        read, path = read_mask, write_table(BADPIX[1:], {1: [bad[0][1:]]})
    else:
        read, path = read_mask, write_table(MASK, {1: mask})
    with pytest.raises(InputFileError) as caught:
        read(path, "777")
    assert caught.value.code == code
