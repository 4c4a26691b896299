"""Only what changed is computed again, and the result is that of doing all at once."""

from __future__ import annotations

import pytest

import catalog.stages.steps.apertures as apertures_stage
import catalog.stages.steps.extract as extract_stage
from catalog.errors import SettingsError
from catalog.flags import Flag
from catalog.recipes.recipe import Recipe
from catalog.recipes.shipped import shipped_recipes
from catalog.stages.base.recipe_store import add_recipe
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.contents.manage_sources import find_source, history, move_source, remove_source
from catalog.stages.engine.run import run
from catalog.store.runs import begin_run, finish

PER_SOURCE = (
    "extraction",
    "region",
    "measurement",
    "work_unit",
    "variability",
    "light_curve",
    "merge",
    "merge_member",
    "merged_measurement",
    "merged_variability",
)


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
            key: row
            for key, row in content[table].items()
            if (source_of(table, key, row) in sources) == inside
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
        assert own
        assert own == new
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
        if "photometry" not in key[0]:
            continue
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


def test_finding_sources(finished_project, copy_of):
    with copy_of(finished_project) as project, project.store.read() as connection:
        row = find_source(connection, "src5")
        assert find_source(connection, row.name) == row
        assert find_source(connection, row.name.removeprefix("CXOU ")) == row
        assert find_source(connection, str(row.id)) == row
