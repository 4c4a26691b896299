"""Nothing new: a second run, the same files and lists again."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from catalog.errors import InputFileError
from catalog.schema.tables import MergeMember, Run
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine.run import run


def number_of_runs(project):
    with project.store.read() as connection:
        return connection.scalar(select(func.count()).select_from(Run))


def test_second_run_changes_no_row(finished_project, copy_of, dump, differences):
    with copy_of(finished_project) as project:
        before, runs = dump(project, surrogate=True), number_of_runs(project)
        report = run(project, workers=1)
        assert report.computed == 0
        assert report.run_id is None
        assert sum(count.total for count in report.counts) > 100
        assert not differences(before, dump(project, surrogate=True))
        assert number_of_runs(project) == runs


def test_first_run_leaves_nothing_undone(finished_project, copy_of, dump):
    with copy_of(finished_project) as project:
        content = dump(project)
    assert len(content["source"]) == 19
    # Each source has a row where it is near, or one that says that it is nowhere.
    with_rows = {key[0] for key in content["extraction"]}
    assert with_rows == set(content["source"])
    assert len(content["measurement"]) == 4 * len(content["extraction"])
    assert sum(key[-1] == "photometry" for key in content["merge"]) == 19
    assert sum("photometry" in key[0] for key in content["merged_measurement"]) == 4 * 19
    units = content["work_unit"].values()
    assert {unit["state"] for unit in units} == {"done"}
    for stage in ("apertures", "extract", "photometry"):
        assert sum(unit["stage"] == stage for unit in units) == len(content["extraction"])
    assert sum(unit["stage"] == "merge" for unit in units) == 19


def test_dry_run_writes_nothing(empty_project, small_field, copy_of, dump, differences):
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(0)])
        add_sources(project, small_field.sources)
        before, runs = dump(project, surrogate=True), number_of_runs(project)
        report = run(project, dry_run=True)
        assert report.run_id is None
        # What the first stage has not made yet does not ask for the next.
        stale = {count.stage: count.stale for count in report.counts}
        assert [stale[stage] for stage in ("apertures", "extract", "photometry", "merge")] == [19, 0, 0, 19]
        assert not differences(before, dump(project, surrogate=True))
        assert number_of_runs(project) == runs


def test_same_files_and_list_again(finished_project, small_field, copy_of, dump, differences):
    with copy_of(finished_project) as project:
        before, runs = dump(project, surrogate=True), number_of_runs(project)
        found = add_observations(project, [small_field.observation(1), small_field.observation(0)])
        assert [item.outcome for item in found] == ["unchanged", "unchanged"]
        added = add_sources(project, small_field.sources)
        assert (added.n_listed, added.n_added, added.n_known) == (19, 0, 19)
        assert not differences(before, dump(project, surrogate=True))
        assert number_of_runs(project) == runs


def test_replacing_with_the_same_file_leaves_results(
    finished_project, small_field, copy_of, dump, differences
):
    with copy_of(finished_project) as project:
        before = dump(project)
        found = add_observations(project, [small_field.observation(0)], replace=True)
        assert [item.outcome for item in found] == ["replaced"]
        assert run(project, workers=1).computed == 0
        assert not differences(before, dump(project))


def test_another_file_of_an_observation_is_refused(
    finished_project, small_field, copy_of, tmp_path, dump, differences
):
    original = next(small_field.observation(0).glob("*evt2*"))
    other = tmp_path / original.name
    other.write_bytes(original.read_bytes())
    with copy_of(finished_project) as project:
        before = dump(project, surrogate=True)
        with pytest.raises(InputFileError) as caught:
            add_observations(project, [other])
        assert caught.value.code == "OBSERVATION_EXISTS"
        assert not differences(before, dump(project, surrogate=True))


def test_unseen_sources_have_rows_that_say_so(finished_project, copy_of, dump):
    from catalog.flags import Flag

    with copy_of(finished_project) as project:
        content = dump(project)
        label = {key: row["label"] for key, row in content["source"].items()}
    by_label = {}
    for (source, event_set, _), row in content["extraction"].items():
        by_label.setdefault(label[source], {})[event_set[0][0]] = row
    # Beyond the chips of both: a row for each. Degrees away: one row, in the nearest observation.
    assert set(by_label["src16"]) == {"70011", "70012"}
    for name in ("src17", "src18"):
        assert len(by_label[name]) == 1
    for name in ("src16", "src17", "src18"):
        for row in by_label[name].values():
            assert row["in_fov"] is False
            assert row["flags"] == Flag.OUTSIDE_FOV
            assert row["livetime"] is None
            assert row["area_aper"] is None
            assert row["chip_id"] is None
    assert by_label["src17"]["70012"]["theta"] == pytest.approx(60 * 2.98 * 0.9397, rel=2e-3)
    # On the other side of the telescope there is not even an off-axis angle.
    (behind,) = by_label["src18"].values()
    assert behind["theta"] is None
    assert behind["x"] is None
    merges = {label[key[0]]: row for key, row in content["merge"].items()}
    for name in ("src16", "src17", "src18"):
        assert merges[name]["n_obs"] == 0
        assert merges[name]["flags"] == Flag.OUTSIDE_FOV
        assert merges[name]["livetime"] is None
        assert merges[name]["theta_mean"] is None
    for (source, event_set, _), band in content["measurement"]:
        if label[source] in ("src16", "src17", "src18"):
            row = content["measurement"][(source, event_set, ("default",)), band]
            assert {value for key, value in row.items() if key not in ("extraction_id", "band_id")} == {
                None,
                0,
            }
    used = [row["used"] for (merge, _), row in content["merge_member"].items() if label[merge[0]] == "src16"]
    assert used == [False, False]
    assert MergeMember.__tablename__ in content


def test_sources_without_any_observation(empty_project, small_field, copy_of, dump):
    with copy_of(empty_project) as project:
        add_sources(project, small_field.sources)
        run(project, workers=1)
        content = dump(project)
        assert not content["extraction"]
        assert {row["n_obs"] for row in content["merge"].values()} == {0}
        assert run(project, workers=1).computed == 0


def test_observation_without_sources(empty_project, small_field, copy_of, dump):
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(0)])
        assert run(project, workers=1).computed == 0
        assert not dump(project)["extraction"]
