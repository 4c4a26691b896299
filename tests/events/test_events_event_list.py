from __future__ import annotations

import gzip
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from catalog.errors import InputFileError, MissingFileError, UnsupportedDataError, UserError
from catalog.events.event_list import read_event_list, read_gti_file

START = 2.0e8
Writer = Callable[..., Path]
Columns = Callable[..., dict[str, np.ndarray]]


def refused(path: Path, **options: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        read_event_list(path, **options)
    assert caught.value.where == str(path)
    assert "\n" not in str(caught.value)
    assert caught.value.todo
    return caught.value


@pytest.mark.parametrize("suffix", ["fits", "fits.gz"])
def test_reads_columns_and_header(write_events: Writer, event_columns: Columns, suffix: str) -> None:
    data = event_columns(200)
    events = read_event_list(write_events(f"acisf00777_evt2.{suffix}"))
    assert len(events) == 200
    assert not events.dropped
    np.testing.assert_array_equal(events.time, data["time"])
    np.testing.assert_allclose(events.energy, data["energy"] / 1000, rtol=1e-6)
    np.testing.assert_array_equal(events.ccd_id, data["ccd_id"])
    np.testing.assert_array_equal(events.x, data["x"].astype(np.float32))
    assert events.row.tolist() == list(range(200))
    assert (events.header.obs_id, events.header.obi_num, events.header.cycle) == ("777", 1, "P")
    assert events.header.decimal_year == pytest.approx(2004 + 183 / 366)
    assert events.energy.dtype == np.float64
    assert events.chips == (0, 1, 2, 3)
    assert events.live_time(2) == pytest.approx(9870.0)
    assert events.live_time(7) == 0.0
    copy = pickle.loads(pickle.dumps(events))
    np.testing.assert_array_equal(copy.x, events.x)


def test_upper_case_columns_and_optional_ones(write_events: Writer, event_columns: Columns) -> None:
    data = {name.upper(): values for name, values in event_columns(50).items() if not name.startswith("det")}
    events = read_event_list(write_events(data=data))
    assert len(events) == 50
    assert events.detx is None
    assert events.chipx is not None


def test_drops_and_counts(write_events: Writer, event_columns: Columns) -> None:
    data = event_columns(200)
    data["grade"][:3] = [1, 5, 7]
    data["status"][2:5, 7] = True
    data["time"][10] = START - 5
    data["time"][11] = START + 20000
    data["x"][20] = np.nan
    data["ccd_id"][30:32] = 7
    events = read_event_list(write_events(data=data))
    counts = {"status set": 3, "bad grade": 2, "no position or energy": 1, "outside good time": 4}
    assert dict(events.dropped) == counts
    assert len(events) == 190
    gone = {0, 1, 2, 3, 4, 10, 11, 20, 30, 31}
    assert events.row.tolist() == [row for row in range(200) if row not in gone]
    np.testing.assert_array_equal(events.time, data["time"][events.row])


def test_select_keeps_columns_aligned(write_events: Writer) -> None:
    events = read_event_list(write_events())
    hard = events.select(events.energy > 2.0)
    assert 0 < len(hard) < len(events)
    np.testing.assert_array_equal(hard.energy, events.energy[hard.row])
    assert hard.pi is not None
    np.testing.assert_array_equal(hard.pi, (hard.energy * 1000 / 14.6).astype(int) + 1)
    assert hard.header == events.header


def test_each_chip_has_its_own_good_times(write_events: Writer, event_columns: Columns) -> None:
    whole, part = [(START, START + 10000)], [(START, START + 2000), (START + 6000, START + 10000)]
    data = event_columns(500)
    events = read_event_list(write_events(data=data, gti={0: whole, 1: part, 2: whole, 3: whole}))
    lost = (data["ccd_id"] == 1) & (data["time"] > START + 2000) & (data["time"] < START + 6000)
    assert dict(events.dropped) == {"outside good time": int(lost.sum())}
    assert events.good_times[1].total() == 6000
    assert events.live_time(1) == pytest.approx(0.987 * 6000)
    assert events.all_good_times().total() == 10000


def test_one_table_for_all_chips(write_events: Writer) -> None:
    events = read_event_list(write_events(gti={None: [(START, START + 10000)]}))
    assert events.chips == (0, 1, 2, 3)
    assert len(events) == 200


def test_without_good_time_tables_the_header_counts(write_events: Writer) -> None:
    events = read_event_list(write_events(gti={}))
    assert events.all_good_times().intervals == [(START, START + 10000.0)]


def test_live_time_by_chip_decides(write_events: Writer) -> None:
    keywords = {
        "LIVTIME0": 9000.0,
        "LIVTIME1": 9870.0,
        "LIVTIME2": 9870.0,
        "LIVTIME3": 9870.0,
        "LIVTIME7": 0.0,
    }
    events = read_event_list(write_events(keywords=keywords))
    assert events.live_time(0) == 9000.0
    assert events.header.active_chips == (0, 1, 2, 3)


def test_no_events_is_a_good_list(write_events: Writer, event_columns: Columns) -> None:
    events = read_event_list(write_events(data=event_columns(0)))
    assert len(events) == 0
    assert events.live_time(3) == pytest.approx(9870.0)
    assert events.energy_range is None


def test_no_good_time(write_events: Writer, event_columns: Columns, data_dir: Path) -> None:
    data = event_columns(0)
    zero = {"LIVETIME": 0.0, "EXPOSURE": 0.0, "ONTIME": 0.0}
    assert refused(write_events(data=data, keywords=zero, gti={3: []})).code == "NO_GOOD_TIME"
    assert refused(write_events(data=data, keywords=zero)).code == "NO_GOOD_TIME"
    assert refused(write_events(data=data, gti={0: [], 1: []})).code == "NO_GOOD_TIME"
    assert refused(data_dir / "real/acis/acis_evt2.fits.gz").code == "NO_GOOD_TIME"


def test_exclude_times_and_gti_file(write_events: Writer, event_columns: Columns, tmp_path: Path) -> None:
    data = event_columns(400)
    path = write_events(data=data, keywords={f"LIVTIME{chip}": 9000.0 for chip in range(4)})
    cut = read_event_list(path, exclude_times=[(START + 1000, START + 3000), (START - 10, START + 500)])
    kept = (data["time"] > START + 500) & ~((data["time"] > START + 1000) & (data["time"] < START + 3000))
    assert len(cut) == kept.sum()
    assert dict(cut.dropped) == {"excluded time": int((~kept).sum())}
    assert cut.live_time(0) == pytest.approx(9000 * 0.75)
    assert cut.header.exposure == pytest.approx(9870 * 0.75)
    assert cut.good_times[2].total() == pytest.approx(7500)

    gti = tmp_path / "gti.fits"
    table = fits.BinTableHDU.from_columns(
        [fits.Column("START", "D", array=[START + 5000]), fits.Column("STOP", "D", array=[START + 6000])],
        name="GTI",
    )
    table.writeto(gti)
    assert read_gti_file(gti).total() == 1000
    both = read_event_list(path, gti_file=gti, exclude_times=[(START + 5500, START + 9000)])
    assert both.good_times[0].intervals == [(START + 5000, START + 5500)]
    assert len(both) == np.count_nonzero((data["time"] > START + 5000) & (data["time"] < START + 5500))
    late = write_events("late.fits", data=data, gti={0: [(START, START + 100)], 1: [(START, START + 10000)]})
    assert read_event_list(late, exclude_times=[(START, START + 200)]).header.active_chips == (1,)
    assert refused(path, exclude_times=[(0, 1e12)]).code == "NO_GOOD_TIME"
    with pytest.raises(InputFileError) as caught:
        read_event_list(path, gti_file=write_events("nogti.fits", gti={}))
    assert caught.value.code == "NO_GTI_TABLE"


def test_not_a_file_not_fits(tmp_path: Path) -> None:
    missing = refused(tmp_path / "nothing.fits")
    assert isinstance(missing, MissingFileError)
    assert missing.code == "MISSING_FILE"
    text = tmp_path / "text.fits"
    text.write_text("hello\n" * 1000)
    empty = tmp_path / "empty.fits"
    empty.write_bytes(b"")
    zipped = tmp_path / "zipped.fits.gz"
    zipped.write_bytes(gzip.compress(b"hello" * 1000))
    card = tmp_path / "card.fits"
    card.write_bytes(b"SIMPLE  =                    T" + b" " * 20)
    for path in (text, empty, zipped, tmp_path):
        assert refused(path).code == "NOT_FITS"
    assert refused(card).code in {"NOT_FITS", "TRUNCATED_FITS"}


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.97])
@pytest.mark.parametrize("suffix", ["fits", "fits.gz"])
def test_truncated(
    write_events: Writer, event_columns: Columns, tmp_path: Path, share: float, suffix: str
) -> None:
    content = write_events(f"whole.{suffix}", data=event_columns(500)).read_bytes()
    path = tmp_path / f"cut_evt2.{suffix}"
    path.write_bytes(content[: int(len(content) * share)])
    assert refused(path).code in (
        {"TRUNCATED_FITS"} if share > 0.1 or suffix.endswith("gz") else {"TRUNCATED_FITS", "NOT_FITS"}
    )


def test_truncated_at_a_block_loses_its_good_times(write_events: Writer) -> None:
    keywords = {"DSTYP1": "time", "DSVAL1": "TABLE", "DSREF1": ":GTI0"}
    path = write_events(keywords=keywords, gti={})
    assert refused(path).code == "TRUNCATED_FITS"


def test_wrong_tables_and_columns(write_events: Writer, event_columns: Columns, data_dir: Path) -> None:
    assert refused(write_events(extname="STUFF")).code == "NO_EVENTS_TABLE"
    for name in ("time", "x", "y", "ccd_id"):
        data = event_columns(20)
        del data[name]
        error = refused(write_events(data=data))
        assert error.code == "MISSING_COLUMN"
        assert name.upper() in error.what
    data = event_columns(20)
    data["energy"][:] = 0
    assert refused(write_events(data=data)).code == "NO_ENERGY"
    del data["energy"]
    assert refused(write_events(data=data)).code == "NO_ENERGY"
    assert refused(data_dir / "real/acis/chandra_noener_test.fits.gz").code == "NO_ENERGY"
    assert refused(write_events(wcs=False)).code == "MISSING_WCS"


@pytest.mark.parametrize("name", ["OBS_ID", "TSTART", "TSTOP", "ROLL_PNT", "RA_PNT"])
def test_missing_keyword_is_named(write_events: Writer, name: str) -> None:
    error = refused(write_events(keywords={name: None}))
    assert error.code == "MISSING_KEYWORD"
    assert name in error.what


def test_missing_optional_keywords(write_events: Writer) -> None:
    names = ("OBI_NUM", "DATAMODE", "GRATING", "DATE-OBS", "DTCOR", "DY_AVG", "TIMEDEL", "SIM_X")
    header = read_event_list(write_events(keywords=dict.fromkeys(names))).header
    assert (header.obi_num, header.datamode, header.date_obs, header.sim_x) == (None, None, None, None)
    assert header.dtcor == pytest.approx(0.987)
    assert header.decimal_year == pytest.approx(1998 + 2e8 / 86400 / 365.25, abs=0.003)


def test_other_instruments(write_events: Writer, data_dir: Path) -> None:
    for keywords, code, kind in (
        ({"INSTRUME": "HRC"}, "UNSUPPORTED_HRC", UnsupportedDataError),
        ({"READMODE": "CONTINUOUS"}, "UNSUPPORTED_CONTINUOUS", UnsupportedDataError),
        ({"TELESCOP": "XMM"}, "NOT_CHANDRA", InputFileError),
    ):
        error = refused(write_events(keywords=keywords))
        assert (error.code, type(error)) == (code, kind)
    assert refused(data_dir / "real/acis/hrc_evt2.fits.gz").code == "NO_GOOD_TIME"


def test_level_one(write_events: Writer, event_columns: Columns) -> None:
    data = event_columns(500)
    rng = np.random.default_rng(5)
    raw = {name: values.copy() for name, values in data.items()}
    raw["grade"] = rng.choice([0, 1, 2, 3, 4, 5, 6, 7], 500)
    assert refused(write_events("a.fits", raw, {"CONTENT": "EVT1"})).code == "LEVEL1"
    assert refused(write_events("a.fits", raw, {"CONTENT": None})).code == "LEVEL1"
    flagged = {name: values.copy() for name, values in data.items()}
    flagged["status"][rng.random(500) < 0.3, 16] = True
    assert refused(write_events("a.fits", flagged, {"CONTENT": "EVT1"})).code == "LEVEL1"
    assert refused(write_events("acisf00777_000N001_evt1.fits", data)).code == "LEVEL1"


def test_reprocessed_level_two_calls_itself_evt1(write_events: Writer, event_columns: Columns) -> None:
    data = event_columns(500)
    data["grade"][:5] = 7
    events = read_event_list(write_events("a.fits", data, {"CONTENT": "EVT1", "HDUCLAS2": "ALL"}))
    assert dict(events.dropped) == {"bad grade": 5}
    graded = {"DSTYP1": "grade", "DSVAL1": "0:0,2:2,3:3,4:4,6:6", "CONTENT": "EVT1"}
    assert len(read_event_list(write_events("x_evt1.fits", keywords=graded))) == 200


def test_merged(write_events: Writer, event_columns: Columns) -> None:
    none = dict.fromkeys(["RA_PNT", "DEC_PNT", "ROLL_PNT"])
    for keywords in ({"OBS_ID": "Merged"}, {"OBS_ID": "4600,5341"}, {"OBJECT": "Merged"}, none):
        assert refused(write_events(keywords=keywords)).code == "MERGED_EVENTS"
    path = write_events()
    with fits.open(path, mode="update") as hdus:
        hdus[1].header.append(("OBS_ID", "888"))
    assert refused(path).code == "MERGED_EVENTS"
    later = [(START, START + 5000), (START + 3e5, START + 3e5 + 5000)]
    data = event_columns(100)
    assert refused(write_events(data=data, gti=dict.fromkeys(range(4), later))).code == "MERGED_EVENTS"
    data = event_columns(100)
    data["x"][::2] += 600
    assert refused(write_events(data=data)).code == "MERGED_EVENTS"


def test_long_good_time_without_events_is_not_a_merge(write_events: Writer, event_columns: Columns) -> None:
    path = write_events(data=event_columns(0), gti={3: [(START, START + 1.8e5)]})
    assert read_event_list(path).good_times[3].total() == 1.8e5


def test_all_archive_lists_lose_no_event(data_dir: Path) -> None:
    rows = {"04600": 13288, "05341": 21652, "09078": 14255, "10711": 15499, "11831": 17180}
    rows |= {"11832": 14122, "15360": 11540, "15363": 9143, "15365": 12968}
    for obs_id, number in rows.items():
        events = read_event_list(data_dir / f"real/acis/acisf{obs_id}_repro_evt2.fits.gz")
        assert (len(events), dict(events.dropped)) == (number, {})
        assert events.energy_range == (0.5, 8.0)
        assert events.header.obs_id == obs_id.lstrip("0")
        assert events.header.active_chips == (0, 1, 2, 3)
        assert events.chips == (0, 1, 2, 3)


def test_two_archive_lists_joined_are_refused(data_dir: Path, tmp_path: Path) -> None:
    paths = [data_dir / f"real/acis/acisf{obs_id}_repro_evt2.fits.gz" for obs_id in ("15360", "15365")]
    with fits.open(paths[0]) as first, fits.open(paths[1]) as second:
        joined = np.concatenate([first[1].data.view(np.ndarray), second[1].data.view(np.ndarray)])
        header = first[1].header.copy()
        table = fits.BinTableHDU(joined.view(fits.FITS_rec), header)
        # Rebuilding the table loses the coordinates of its columns.
        table.header.update(
            {card.keyword: card.value for card in header.cards if card.keyword.startswith("TC")}
        )
        fits.HDUList([first[0], table, *first[2:]]).writeto(tmp_path / "joined_evt2.fits")
    assert refused(tmp_path / "joined_evt2.fits").code == "MERGED_EVENTS"


def test_reads_a_large_list_fast(data_dir: Path) -> None:
    begin = time.perf_counter()
    events = read_event_list(data_dir / "simulated/orion/acisf90010_evt2.fits.gz")
    assert time.perf_counter() - begin < 6.0
    assert len(events) == 683400
    assert events.energy_range is not None
    assert events.energy_range[0] == pytest.approx(0.3)
