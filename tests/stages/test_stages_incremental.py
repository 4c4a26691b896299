"""Only what changed is computed again, and the result is that of doing all at once."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import func, select

import catalog.stages.apertures as apertures_stage
import catalog.stages.extract as extract_stage
from catalog.errors import InputFileError, MissingFileError, SettingsError
from catalog.events.event_list import read_event_list
from catalog.flags import Flag
from catalog.recipes.recipe import Recipe
from catalog.recipes.shipped import shipped_recipes
from catalog.schema.tables import Run
from catalog.stages.add_observations import add_observations
from catalog.stages.add_sources import add_sources
from catalog.stages.field_cache import observed_field
from catalog.stages.manage_sources import find_source, history, move_source, remove_source
from catalog.stages.recipe_store import add_recipe
from catalog.stages.run import run
from catalog.store.runs import begin_run, finish

PER_SOURCE = ("extraction", "region", "measurement", "work_unit", "merge", "merge_member", "merged_measurement")


def source_of(table, key, row):
    """Natural key of the source that a row of a dump belongs to."""
    if table in ("extraction", "merge"):
        return key[0]
    if table == "work_unit":
        return row["source_id"]
    return key[0][0]


def rows_about(content, sources, *, inside):
    """Rows of a dump that belong to some sources, or to the others."""
    return {
        table: {
            key: row for key, row in content[table].items() if (source_of(table, key, row) in sources) == inside
        }
        for table in PER_SOURCE
    }


def keys_of(content, *labels):
    found = {key for key, row in content["source"].items() if row["label"] in labels}
    assert len(found) == len(labels)
    return found


def without(content, *tables):
    return {table: rows for table, rows in content.items() if table not in tables}


def stale_units(report, stage):
    return sum(count.stale for count in report.counts if count.stage == stage)


def test_adding_an_observation(finished_project, small_field, copy_of, dump, differences):
    with copy_of(finished_project) as project:
        before = dump(project, surrogate=True)
        add_observations(project, [small_field.observation(2)])
        report = run(project, workers=1)
        after = dump(project, surrogate=True)
    third = ("700115", 0, "P", "FAINT")
    # A source degrees away has its one row in the observation nearest to it.
    alone = keys_of(before, "src17", "src18")
    for table in ("extraction", "region", "measurement"):
        own, new = (
            {
                key: row
                for key, row in content[table].items()
                if source_of(table, key, row) not in alone and third not in str_free(key)
            }
            for content in (before, after)
        )
        assert own and own == new
    assert {key for key in after["extraction"] if key[0] in alone} == {
        (key, (third, "photometry"), ("default",)) for key in alone
    }
    near = {key[0] for key in after["extraction"] if key[1][0] == third}
    assert {count.stale for count in report.counts if count.stage == "merge"} == {len(near)}
    for table in ("merge", "merged_measurement"):
        for key, row in after[table].items():
            if source_of(table, key, row) not in near:
                assert row == before[table][key]
    # Where it does not see a source, the merged values are the old ones.
    blind = {key[0] for key, row in after["extraction"].items() if key[1][0] == third and not row["in_fov"]}
    assert blind
    for key, row in after["merged_measurement"].items():
        changed = {name for name in row if row[name] != before["merged_measurement"][key][name]}
        if key[0][0] in blind:
            assert changed <= {"run_id"}
        elif key[0][0] in near and row["cnts_aper"] != before["merged_measurement"][key]["cnts_aper"]:
            assert {"src_rate_aper_hilim", "photflux_aper_mean"} <= changed


def str_free(key):
    """Observations named anywhere in a natural key."""
    found = []
    for part in key:
        if isinstance(part, tuple):
            found += [part, *str_free(part)]
    return found


def test_moving_a_source_and_back(finished_project, small_field, copy_of, dump, differences):
    with copy_of(finished_project) as project:
        before, plain = dump(project, surrogate=True), dump(project)
        moved = keys_of(before, "src3")
        ra, dec = float(small_field.ra[3]), float(small_field.dec[3])
        row = move_source(project, "src3", ra + 2 / 3600, dec - 1 / 3600, "a test")
        assert row.origin_hpx29 == next(iter(moved))[0]
        assert row.name != before["source"][next(iter(moved))]["name"]
        report = run(project, workers=1)
        assert stale_units(report, "extract") == 2
        after = dump(project, surrogate=True)
        # No other source is near enough to be touched, not even by a run number.
        assert not differences(
            rows_about(before, moved, inside=False), rows_about(after, moved, inside=False)
        )
        assert differences(rows_about(before, moved, inside=True), rows_about(after, moved, inside=True))
        move_source(project, "src3", ra, dec)
        run(project, workers=1)
        assert not differences(without(plain, "source_event"), without(dump(project), "source_event"))
        assert run(project, workers=1).computed == 0
        with project.store.read() as connection:
            assert [line.action for line in history(connection, "src3")] == ["added", "moved", "moved"]


def test_moving_a_source_out_of_all_fields_and_back(
    finished_project, small_field, copy_of, dump, differences
):
    with copy_of(finished_project) as project:
        plain = dump(project)
        ra, dec = float(small_field.ra[2]), float(small_field.dec[2])
        move_source(project, "src2", ra + 2.0, dec)
        run(project, workers=1)
        away = dump(project)
        (key,) = keys_of(plain, "src2")
        rows = [row for place, row in away["extraction"].items() if place[0] == key]
        assert len(rows) == 1
        assert rows[0]["flags"] == Flag.OUTSIDE_FOV
        merge = away["merge"][key, ("default",), "photometry"]
        assert (merge["n_obs"], merge["flags"]) == (0, Flag.OUTSIDE_FOV)
        assert run(project, workers=1).computed == 0
        move_source(project, "src2", ra, dec)
        run(project, workers=1)
        assert not differences(without(plain, "source_event"), without(dump(project), "source_event"))


def test_moving_onto_another_source_is_refused(finished_project, small_field, copy_of, dump, differences):
    with copy_of(finished_project) as project:
        before = dump(project, surrogate=True)
        with pytest.raises(SettingsError):
            move_source(project, "src3", float(small_field.ra[4]), float(small_field.dec[4]))
        assert not differences(before, dump(project, surrogate=True))


def test_removing_a_source(
    empty_project, finished_project, small_field, copy_of, dump, differences, tmp_path
):
    """The neighbour gets back the part of its aperture that was cut out."""
    rows = small_field.sources.read_text().splitlines()
    path = tmp_path / "fewer.csv"
    path.write_text("\n".join(row for row in rows if not row.endswith(",src14")) + "\n")
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(0), small_field.observation(1)])
        add_sources(project, path)
        run(project, workers=1)
        wanted = dump(project)
    with copy_of(finished_project) as project:
        before = dump(project, surrogate=True)
        remove_source(project, "src14", "a test")
        report = run(project, workers=1)
        after = dump(project, surrogate=True)
        # What had a circle cut out around it.
        gone = keys_of(before, "src14")
        touched = {
            key[0]
            for key, row in before["region"].items()
            if key[0][0] not in gone and row["shape"] != after["region"][key]["shape"]
        }
        assert stale_units(report, "extract") == len(touched)
        touched = {key[0] for key in touched}
        assert keys_of(before, "src0") < touched
        assert len(touched) < 4
        assert not differences(
            without(wanted, "source", "source_event"), without(dump(project), "source", "source_event")
        )
        touched |= gone
        assert not differences(
            rows_about(before, touched, inside=False), rows_about(after, touched, inside=False)
        )
        with project.store.read() as connection:
            name = next(row["name"] for row in before["source"].values() if row["label"] == "src14")
            assert [line.action for line in history(connection, name)] == ["added", "removed"]
    first = next(iter(keys_of(before, "src0")))
    flags = {row["flags"] for key, row in after["extraction"].items() if key[0] == first}
    assert not any(value & Flag.NEIGHBOUR_EXCLUDED for value in flags)


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
            assert other and other.items() <= later[table].items()


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


def change_recipe(project, **changes):
    recipe = shipped_recipes()["default"]
    content = recipe.model_dump(mode="json")
    for section, values in changes.items():
        content[section] = {**content[section], **values} if isinstance(values, dict) else values
    with project.store.write() as writer:
        run_id = begin_run(writer, "recipe add", {}, [])
        add_recipe(writer, run_id, Recipe.model_validate(content))
        finish(writer, run_id, "done", {})


def test_what_is_computed_again_with_the_same_result_keeps_all_its_values(
    finished_project, copy_of, dump, differences
):
    """A choice that changes no region here: flags of later stages survive in rows that the first one owns."""
    with copy_of(finished_project) as project:
        before = dump(project)
        change_recipe(project, background={"cross_chip_kinds": True})
        report = run(project, workers=1)
        assert stale_units(report, "apertures") == len(before["extraction"])
        assert stale_units(report, "extract") == 0
        after = dump(project)
    left_out = ("recipe", "band", "work_unit")
    assert not differences(without(before, *left_out), without(after, *left_out))
    assert any(row["flags"] & Flag.PILEUP for row in after["extraction"].values())
    assert any(row["flags"] & Flag.FLUX_FROM_MODEL for row in after["measurement"].values())


@pytest.mark.parametrize("stage", [apertures_stage, extract_stage])
def test_new_version_of_a_stage(stage, finished_project, copy_of, dump, differences, monkeypatch):
    with copy_of(finished_project) as project:
        before = dump(project)
        monkeypatch.setattr(stage, "VERSION", stage.VERSION + 1)
        report = run(project, workers=1)
        assert stale_units(report, stage.STAGE) > 30
        assert stale_units(report, "merge") == 0
        assert not differences(without(before, "work_unit"), without(dump(project), "work_unit"))


def test_new_bands(finished_project, copy_of, dump):
    with copy_of(finished_project) as project:
        before = dump(project)
        change_recipe(project, bands=["broad", "iron=6:7:6.5"])
        # The last stage alone finds a band that nothing was measured in.
        run(project, ["merge"], workers=1)
        run(project, ["photometry"], workers=1)
        run(project, workers=1)
        assert run(project, workers=1).computed == 0
        after = dump(project)
    assert {key[1] for key in after["measurement"]} == {("broad",), ("iron",)}
    for key, row in after["merged_measurement"].items():
        if key[1] == ("broad",):
            assert row == before["merged_measurement"][key]
    assert any(row["cnts_aper"] for key, row in after["merged_measurement"].items() if key[1] == ("iron",))


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
def test_replaced_file_is_noticed(pattern, empty_project, own_files, small_field, copy_of, dump, differences, reopen):
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
            with pytest.raises(InputFileError) as caught:
                run(changed, workers=1)
            assert caught.value.code == "FILE_CHANGED"
            assert not differences(before, dump(changed, surrogate=True))
            add_observations(changed, [own_files / "70012"], replace=True)
            assert run(changed, workers=1).computed > 0


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
        with pytest.raises(InputFileError) as caught:
            run(project, workers=1)
        assert caught.value.code == "FILE_CHANGED"
        assert {row["state"] for row in dump(project)["work_unit"].values()} == {"done"}
        next((own_files / "70011").glob("*evt2*")).unlink()
        with pytest.raises(MissingFileError):
            run(project, workers=1)


def test_good_time_file_of_other_content(
    finished_project, small_field, copy_of, reopen, tmp_path, settings_text
):
    """Named in the settings, a file counts with its content, not with its name."""
    original = settings_text["good time file"].split('"')[-2]
    path = tmp_path / "mine.fits"
    shutil.copy(original, path)
    with copy_of(finished_project) as project, reopen(project, settings_text["good time file"].replace(original, str(path))) as own:
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


def test_finding_sources(finished_project, copy_of):
    with copy_of(finished_project) as project, project.store.read() as connection:
        row = find_source(connection, "src5")
        assert find_source(connection, row.name) == row
        assert find_source(connection, row.name.removeprefix("CXOU ")) == row
        assert find_source(connection, str(row.id)) == row
