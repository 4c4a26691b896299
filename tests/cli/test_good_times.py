"""Good times that are missing, out of order, overlapping, too short or far apart: from file to table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from command_line import Done, Srccat, check_error, rows_of

from catalog.flags import Flag

RA, DEC, PAUSE = 161.0, -30.0, (1200.0, 1500.0)
TESTS = "v.gl_log10_odds, v.ks_log10_pvalue, v.kp_log10_pvalue, v.cnts_timing, v.ontime_timing, v.flags"
Change = Callable[[fits.HDUList], None]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An observation of 3200 s with a pause, of two sources."""
    from catalog.calibration.factory import open_calibration
    from catalog.simulate.demo_field import write_observation
    from catalog.simulate.photons import simulate_field
    from catalog.simulate.pointing_plan import PointingPlan
    from catalog.simulate.source_model import SimulatedSource

    plan = PointingPlan("70111", RA, DEC, 30.0, 3200.0, "2009-06-01T12:00:00", pauses=(PAUSE,))
    sources = [
        SimulatedSource("a", RA + 0.05, DEC + 0.04, 6e-4),
        SimulatedSource("b", RA - 0.02, DEC + 0.02, 2e-4),
    ]
    events = simulate_field(sources, plan, open_calibration(), 4)
    return write_observation(tmp_path_factory.mktemp("original"), events, plan)


def good_time_tables(hdus: fits.HDUList) -> list[fits.BinTableHDU]:
    return [hdu for hdu in hdus if hdu.name.startswith("GTI")]


def replace_rows(hdus: fits.HDUList, rows: Callable[[list[tuple[float, float]]], Any]) -> None:
    """Change the intervals of every GTI table."""
    for hdu in good_time_tables(hdus):
        old = list(zip(hdu.data["START"].tolist(), hdu.data["STOP"].tolist(), strict=True))
        start, stop = np.transpose(rows(old)) if len(rows(old)) else (np.empty(0), np.empty(0))
        columns = [fits.Column("START", "D", "s", array=start), fits.Column("STOP", "D", "s", array=stop)]
        hdus[hdus.index(hdu)] = fits.BinTableHDU.from_columns(columns, header=_plain(hdu.header))


def _plain(header: fits.Header) -> fits.Header:
    kept = ("EXTNAME", "HDUNAME", "HDUCLAS1", "CCD_ID")
    return fits.Header([card for card in header.cards if card.keyword in kept])


def out_of_order(hdus: fits.HDUList) -> None:
    replace_rows(hdus, lambda old: old[::-1])


def overlapping(hdus: fits.HDUList) -> None:
    replace_rows(
        hdus, lambda old: [pair for a, b in old for pair in ((a, b - 300), (b - 700, b), (a, a + 9))]
    )


def with_reversed_and_empty(hdus: fits.HDUList) -> None:
    replace_rows(hdus, lambda old: [*old, (old[0][1], old[0][0]), (old[0][0], old[0][0]), (np.nan, np.nan)])


def no_table(hdus: fits.HDUList) -> None:
    for hdu in good_time_tables(hdus):
        hdus.remove(hdu)
    header = hdus["EVENTS"].header
    for key in [key for key in header if key.startswith(("DSREF", "DSTYP", "DSVAL", "DSUNI"))] + [
        key for key in header if key[:1].isdigit() and key[1:].startswith(("DSREF", "DSTYP", "DSVAL"))
    ]:
        del header[key]


def only_the_beginning(hdus: fits.HDUList) -> None:
    """GTI tables end before the pause, and ONTIME says so; the events after it are still there."""
    replace_rows(hdus, lambda old: [(old[0][0], old[0][0] + 1000.0)])
    hdus["EVENTS"].header["ONTIME"] = 1000.0
    hdus["EVENTS"].header["LIVETIME"] = hdus["EVENTS"].header["EXPOSURE"] = 987.0


def far_apart(by: float) -> Change:
    """What comes after the pause comes so much later."""

    def change(hdus: fits.HDUList) -> None:
        events = hdus["EVENTS"] if "EVENTS" in hdus else hdus[1]
        border = events.header["TSTART"] + np.mean(PAUSE)
        events.data["time"] += by * (events.data["time"] > border)
        events.header["TSTOP"] += by
        replace_rows(hdus, lambda old: [(a + by * (a > border), b + by * (b > border)) for a, b in old])

    return change


def changed(files: tuple[Path, Path], folder: Path, change: Change, *, aspect: bool = False) -> Path:
    folder.mkdir()
    for number, path in enumerate(files):
        with fits.open(path) as hdus:
            if number == 0 or aspect:
                change(hdus)
            hdus.writeto(folder / path.name)
    return folder


@pytest.fixture
def measured(done: Done, tmp_path: Path) -> Callable[[Path], tuple[str, list[tuple[Any, ...]]]]:
    """Add an observation by the command line, run, and read the tests of both sources in the broad band."""

    def measure(data: Path) -> tuple[str, list[tuple[Any, ...]]]:
        project = tmp_path / f"project_{data.name}"
        done("init", project)
        said = done("add", "observations", data, "--project", project)
        done("add", "sources", f"{RA + 0.05} {DEC + 0.04}", "--project", project)
        done("add", "sources", f"{RA - 0.02} {DEC + 0.02}", "--project", project)
        done("run", "apertures", "extract", "variability", "--workers", "1", "--project", project)
        chosen = f"SELECT {TESTS} FROM variability v JOIN band b ON b.id = v.band_id WHERE b.band = 'broad'"
        return said, rows_of(project, f"{chosen} ORDER BY v.cnts_timing DESC")

    return measure


@pytest.fixture
def reference(original, measured, tmp_path):
    said, rows = measured(changed(original, tmp_path / "plain", lambda _hdus: None))
    assert "dropped" not in said
    assert "ONTIME" not in said
    assert rows[0][3] > 100
    assert all(row[-1] == 0 for row in rows)
    return rows


def test_the_order_of_good_times_does_not_matter(original, measured, reference, tmp_path):
    for change in (out_of_order, overlapping, with_reversed_and_empty):
        said, rows = measured(changed(original, tmp_path / change.__name__, change))
        assert rows == reference
        assert "dropped" not in said


def test_a_gap_longer_than_the_observation_takes_no_time(original, measured, reference, tmp_path):
    data = changed(original, tmp_path / "apart", far_apart(40_000.0), aspect=True)
    _, rows = measured(data)
    for row, expected in zip(rows, reference, strict=True):
        assert row == pytest.approx(expected, abs=2e-3)


def test_without_a_table_pauses_are_not_taken_for_time_without_events(
    original, measured, reference, tmp_path
):
    said, rows = measured(changed(original, tmp_path / "none", no_table))
    assert "good times of 3542 s, but ONTIME 3241 s: variability tests are flagged timing_doubtful" in said
    assert all(row[-1] & Flag.TIMING_DOUBTFUL for row in rows)
    assert all(row[4] > expected[4] for row, expected in zip(rows, reference, strict=True))


def test_events_outside_are_left_out_and_counted(original, measured, reference, tmp_path):
    said, rows = measured(changed(original, tmp_path / "short", only_the_beginning))
    assert "events dropped: outside good time" in said
    assert "ONTIME" not in said
    for row, whole in zip(rows, reference, strict=True):
        assert row[4] == pytest.approx(1000.0, abs=4.0)
        assert row[3] < 0.6 * whole[3]
        assert row[1] > -3
        assert row[-1] == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (far_apart(200_000.0), "MERGED_EVENTS"),
        (lambda hdus: replace_rows(hdus, lambda _old: []), "NO_GOOD_TIME"),
        (lambda hdus: replace_rows(hdus, lambda old: [(b, a) for a, b in old]), "NO_GOOD_TIME"),
    ],
)
def test_good_times_that_cannot_be(srccat: Srccat, done: Done, original, tmp_path, change, code):
    done("init", tmp_path / "project")
    data = changed(original, tmp_path / "bad", change)
    check_error(srccat("add", "observations", data, "--project", tmp_path / "project"), code)
