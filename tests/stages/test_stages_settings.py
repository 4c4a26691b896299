"""Settings and files that change: what depends on them is computed again, and only that."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import func, select

from catalog.errors import MissingFileError
from catalog.events.event_list import read_event_list
from catalog.flags import Flag
from catalog.schema.tables import Run
from catalog.stages.base.field_cache import observed_field
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine.run import run


def without(content, *tables):
    return {table: rows for table, rows in content.items() if table not in tables}


def stale_units(report, stage):
    return sum(count.stale for count in report.counts if count.stage == stage)


SETTINGS = {
    "excluded times": '[observation."70011"]\nexclude_times = [[{0}, {1}]]\n',
    "good time file": '[observation."70011"]\ngti = "{gti}"\n',
    "shift": '[observation."70012"]\nshift = [1.5, -2.5]\n',
    "spectrum": "[spectrum]\nphoton_index = 2.2\nnh = 0.4\n",
}


@pytest.fixture(scope="module")
def settings_text(small_field, tmp_path_factory):
    events = read_event_list(next(small_field.observation(0).glob("*evt2*")))
    start = events.header.tstart
    path = tmp_path_factory.mktemp("gti") / "good.fits"
    columns = [
        fits.Column("START", "D", array=[start + 100.0]),
        fits.Column("STOP", "D", array=[start + 2100.0]),
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="GTI")]).writeto(path)
    return {name: text.format(start + 2000.0, start + 2600.0, gti=path) for name, text in SETTINGS.items()}


@pytest.mark.parametrize("name", list(SETTINGS))
def test_settings_later_equal_settings_at_first(
    name, empty_project, finished_project, small_field, copy_of, dump, differences, reopen, settings_text
):
    text = settings_text[name]
    with copy_of(empty_project, text) as project:
        add_observations(project, [small_field.observation(0), small_field.observation(1)])
        add_sources(project, small_field.sources)
        run(project, workers=1)
        at_first = dump(project)
    with copy_of(finished_project) as project:
        before = dump(project)
        with reopen(project, text) as changed:
            report = run(changed, workers=1)
            assert run(changed, workers=1).computed == 0
            later = dump(changed)
    # What an event list held when it was added is recorded then.
    facts = ("event_set", "chip", "good_time", "observation", "input_file")
    assert not differences(without(at_first, *facts), without(later, *facts))
    assert differences(before["measurement"] and without(before, *facts), without(later, *facts))
    touched = {"excluded times": "70011", "good time file": "70011", "shift": "70012"}.get(name)
    if touched is None:
        assert stale_units(report, "extract") == 0
    else:
        for table in ("extraction", "region", "measurement"):
            other = {key: row for key, row in before[table].items() if touched not in repr(key)}
            assert other
            assert other.items() <= later[table].items()


def test_excluded_times_shorten_the_live_time(finished_project, copy_of, dump, reopen, settings_text):
    """Also that of a source without a single event, none of whose counts change."""
    with copy_of(finished_project) as project:
        before = dump(project)
        with reopen(project, settings_text["excluded times"]) as changed:
            run(changed, workers=1)
            after = dump(changed)
    # 600 s of good time less, of the 3000 s of live time that were simulated.
    factor = 1 - 600 * 3.2 / 3.24104 / 3000
    shortened = 0
    for key, row in before["extraction"].items():
        if key[1][0][0] == "70011" and row["in_fov"]:
            assert after["extraction"][key]["livetime"] == pytest.approx(factor * row["livetime"], rel=2e-3)
            shortened += 1
    assert shortened > 10
    unchanged = 0
    for key, row in before["measurement"].items():
        new = after["measurement"][key]
        counts = ("cnts_aper", "cnts_aperbkg")
        if row["psf_good_frac_aper"] != 1.0 or row["psf_good_frac_aperbkg"] != 1.0:
            continue
        if key[0][1][0][0] == "70011" and all(row[name] == new[name] for name in counts):
            ratio = new["photflux_aper_hilim"] / row["photflux_aper_hilim"]
            assert ratio == pytest.approx(1 / factor, rel=5e-3)
            unchanged += 1
    assert unchanged > 0


def test_shift_moves_the_positions(finished_project, copy_of, dump, reopen, settings_text):
    with copy_of(finished_project) as project:
        before = dump(project)["extraction"]
        with reopen(project, settings_text["shift"]) as changed:
            run(changed, workers=1)
            after = dump(changed)["extraction"]
    moved = 0
    for key, row in before.items():
        if row["x"] is not None and key[1][0][0] == "70012":
            assert after[key]["x"] - row["x"] == pytest.approx(1.5 / 0.492, abs=1e-6)
            assert after[key]["y"] - row["y"] == pytest.approx(-2.5 / 0.492, abs=1e-6)
            moved += 1
        else:
            assert after[key] == row
    assert moved > 10


@pytest.fixture
def own_files(small_field, tmp_path):
    """Copies of two observations that a test may spoil."""
    for number in (0, 1):
        folder = small_field.observation(number)
        shutil.copytree(folder, tmp_path / "data" / folder.name)
    return tmp_path / "data"


def spoil(path):
    path.write_bytes(path.read_bytes() + b"\0" * 2880)


@pytest.mark.parametrize("pattern", ["*evt2*", "*asol1*"])
def test_replaced_file_is_noticed(
    pattern, empty_project, own_files, small_field, copy_of, dump, differences, reopen
):
    with copy_of(empty_project) as project:
        add_observations(project, [own_files])
        add_sources(project, small_field.sources)
        run(project, workers=1)
        before = dump(project, surrogate=True)
        spoil(next((own_files / "70012").glob(pattern)))
        # As in another process.
        observed_field.cache_clear()
        # Nothing asks for the file: nothing to complain about.
        assert run(project, workers=1).computed == 0
        with reopen(project, "[observation.70012]\nshift = [1.0, 0.0]\n") as changed:
            report = run(changed, workers=1)
            assert set(report.reasons) == {"FILE_CHANGED"}
            assert {item.scope.split("/")[0] for item in report.failures} == {"70012"}
            after = dump(changed, surrogate=True)
            for table in ("extraction", "region", "measurement", "variability"):
                own, same = (
                    {k: v for k, v in part[table].items() if "70011" in repr(k)} for part in (before, after)
                )
                assert own == same
            # Nothing of the other remains beside the flag that says so.
            lost = [row for key, row in after["extraction"].items() if "70012" in repr(key)]
            assert lost
            assert {row["flags"] for row in lost} == {Flag.FAILED}
            assert {row["area_aper"] for row in lost} == {None}
            assert {row["n_obs"] for key, row in after["merge"].items() if key[-1] == "photometry"} == {0, 1}
            add_observations(changed, [own_files / "70012"], replace=True)
            report = run(changed, workers=1)
            assert report.computed > 0
            assert not report.failed


def test_replaced_file_is_noticed_by_a_later_stage(
    empty_project, own_files, small_field, copy_of, dump, differences
):
    """A file that is not what it was is no failure of each single source."""
    with copy_of(empty_project) as project:
        add_observations(project, [own_files])
        add_sources(project, small_field.sources)
        run(project, ["apertures"], workers=1)
        spoil(next((own_files / "70011").glob("*evt2*")))
        observed_field.cache_clear()
        (failure,) = run(project, workers=1).failures
        assert (failure.stage, failure.reason) == ("extract", "FILE_CHANGED")
        assert failure.scope.startswith("70011/")
        assert str(own_files / "70011") in failure.message
        content = dump(project)
        assert {key[-1].split("/")[0] for key, row in content["work_unit"].items() if row["reason"]} == {
            "70011"
        }
        next((own_files / "70011").glob("*evt2*")).unlink()
        assert set(run(project, workers=1).reasons) == {"MISSING_FILE"}


def test_good_time_file_of_other_content(
    finished_project, small_field, copy_of, reopen, tmp_path, settings_text
):
    """Named in the settings, a file counts with its content, not with its name."""
    original = settings_text["good time file"].split('"')[-2]
    path = tmp_path / "mine.fits"
    shutil.copy(original, path)
    with (
        copy_of(finished_project) as project,
        reopen(project, settings_text["good time file"].replace(original, str(path))) as own,
    ):
        run(own, workers=1)
        assert run(own, workers=1).computed == 0
        with fits.open(path, mode="update") as hdus:
            hdus[1].data["STOP"] -= 300.0
        assert run(own, workers=1).computed > 0
        path.unlink()
        with pytest.raises(MissingFileError):
            run(own, workers=1)


def test_replacing_an_event_list(empty_project, own_files, small_field, copy_of, dump, differences, tmp_path):
    """The same observation from another file: as if it had always been that one."""
    folder = tmp_path / "fewer"
    shutil.copytree(own_files / "70011", folder)
    path = next(folder.glob("*evt2*"))
    with fits.open(path) as hdus:
        hdus["EVENTS"].data = hdus["EVENTS"].data[::2].copy()
        hdus.writeto(path, overwrite=True)
    with copy_of(empty_project) as project:
        add_observations(project, [folder, own_files / "70012"])
        add_sources(project, small_field.sources)
        run(project, workers=1)
        wanted = dump(project)
    with copy_of(empty_project) as project:
        add_observations(project, [own_files])
        add_sources(project, small_field.sources)
        run(project, workers=1)
        add_observations(project, [folder], replace=True)
        run(project, workers=1)
        found = dump(project)
        with project.store.read() as connection:
            assert connection.scalar(select(func.count()).select_from(Run)) == 6
    assert not differences(without(wanted, "input_file"), without(found, "input_file"))
    assert np.isclose(
        sum(row["n_events"] for row in found["event_set"].values()),
        len(read_event_list(path)) + len(read_event_list(next((own_files / "70012").glob("*evt2*")))),
    )
