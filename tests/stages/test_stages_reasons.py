"""Why units are stale; what one bad unit does to the others; rows that follow the settings."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import text

import catalog.stages.engine.stage_list as stage_list
import catalog.stages.steps.apertures as apertures_stage
import catalog.stages.steps.photometry as photometry_stage
from catalog.flags import Flag
from catalog.stages.base.fingerprint import Inputs, fingerprint
from catalog.stages.base.project import open_project
from catalog.stages.base.stale_reasons import INPUTS, NEVER, NEW_SOURCE, OLDER, count_reasons
from catalog.stages.base.work import UnitState
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.contents.manage_sources import move_source, remove_source
from catalog.stages.engine.run import run
from catalog.stages.engine.run_log import json_lines
from catalog.stages.engine.stage_list import CORE_STAGES


def why(project, stage, **options):
    """Reasons of a dry run by observation."""
    report = run(project, [stage], dry_run=True, **options)
    return {count.scope.split("/")[0]: count.why for count in report.counts if count.stale}


@pytest.fixture(scope="module")
def core_project(tmp_path_factory, empty_project, small_field):
    """Folder of a project with two observations, up to the merges."""
    import shutil

    folder = tmp_path_factory.mktemp("core") / "project"
    shutil.copytree(empty_project, folder)
    with open_project(folder) as project:
        add_observations(project, [small_field.observation(0), small_field.observation(1)])
        add_sources(project, small_field.sources)
        assert set(why(project, "apertures")["70011"]) == {NEVER}
        run(project, CORE_STAGES, workers=1)
    return folder


def test_each_change_has_its_reason(core_project, small_field, copy_of, reopen, monkeypatch):
    with copy_of(core_project) as project:
        assert why(project, "apertures") == {}
        ra, dec = float(small_field.ra[14]), float(small_field.dec[14])
        # The neighbour of the first source goes a little farther away.
        move_source(project, "src14", ra, dec + 0.5 / 3600)
        reasons = why(project, "apertures")["70011"]
        assert reasons[INPUTS["source"]] == 1
        assert reasons[INPUTS["neighbours"]] >= 1
        add_sources(project, f"{ra + 0.01!r} {dec!r}")
        assert why(project, "apertures")["70011"][NEW_SOURCE] == 1
    with copy_of(core_project) as project:
        add_observations(project, [small_field.observation(2)])
        found = why(project, "apertures")
        assert set(found["700115"]) == {NEVER}
        assert "70012" not in found
        run(project, ["apertures", "extract", "photometry"], workers=1)
        assert INPUTS["observations"] in why(project, "merge")["all"]
    with copy_of(core_project) as project:
        with reopen(project, '[observation."70012"]\nshift = [0.5, 0.0]\n') as changed:
            assert set(why(changed, "apertures")) == {"70012"}
            assert set(why(changed, "apertures")["70012"]) == {INPUTS["settings"]}
        with reopen(project, "[spectrum]\nphoton_index = 1.9\n") as changed:
            assert set(why(changed, "photometry")["70012"]) == {INPUTS["spectrum"]}
        monkeypatch.setattr(photometry_stage, "VERSION", photometry_stage.VERSION + 1)
        assert set(why(project, "photometry")["70012"]) == {INPUTS["code"]}
    with copy_of(core_project) as project:
        with project.store.write() as writer:
            writer.connection.execute(text("UPDATE work_unit SET inputs = NULL, fingerprint = 'old'"))
        assert set(why(project, "extract")["70012"]) == {OLDER}


def test_inputs():
    one = Inputs.of(code=1, source=[1.0, 2.0])
    assert one.fingerprint == Inputs.of(source=(np.float64(1.0), 2.0), code=1).fingerprint
    assert one.fingerprint != one.plus(source=[1.0, np.nextafter(2.0, 3.0)]).fingerprint
    assert one.fingerprint != Inputs.of(code=1.0, source=[1.0, 2.0]).fingerprint
    assert set(one.short()) == {"code", "source"}
    assert fingerprint(np.arange(3), b"x") != fingerprint(np.arange(3.0), b"x")
    with pytest.raises(TypeError):
        fingerprint(object())


def test_names_of_inputs_have_sentences(core_project, copy_of):
    """Every input that a stage names can be explained."""
    with copy_of(core_project) as project, project.store.read() as connection:
        rows = connection.execute(text("SELECT DISTINCT inputs FROM work_unit")).scalars().all()
        assert {name for row in rows for name in json.loads(row)} <= set(INPUTS)
        assert count_reasons(connection, ("merge", 1, "all"), {}, {1: UnitState("", None, True)}) == {}


@pytest.mark.parametrize("name", ["apertures", "photometry", "merge"])
@pytest.mark.parametrize("fault", ["raises", "impossible value"])
def test_one_bad_unit_of_any_stage(
    name, fault, core_project, empty_project, small_field, copy_of, dump, monkeypatch
):
    """Whether it cannot be computed or not be stored: the others are as they would be."""
    (stage,) = (stage for stage in stage_list.ALL if stage.name == name)
    original = stage.work.compute

    def compute(job):
        results = original(job)
        for i, result in enumerate(results):
            if result.source_id == 4 and fault == "raises":
                raise FloatingPointError("four")
            if result.source_id == 4:
                results[i] = replace(result, value=poisoned(result.value))
        return results

    monkeypatch.setattr(stage.work, "compute", compute)
    with open_project(core_project) as project:
        wanted = dump(project)
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(0), small_field.observation(1)])
        add_sources(project, small_field.sources)
        report = run(project, CORE_STAGES, workers=1)
        found = dump(project)
    bad = next(key for key, row in found["source"].items() if row["label"] == "src3")
    assert report.failed == (1 if name == "merge" else 2)
    assert {item.stage for item in report.failures} == {name}
    failed = [key for key, row in found["work_unit"].items() if row["state"] == "failed"]
    assert len(failed) == report.failed
    assert {key[2] for key in failed} == {bad}
    for table in ("extraction", "measurement", "merged_measurement"):
        for key, row in wanted[table].items():
            if repr(bad) not in repr(key):
                assert found[table][key] == row
    merge = found["merge"][bad, ("default",), "photometry"]
    assert merge["n_obs"] == 0
    if name == "apertures":
        assert {row["flags"] for key, row in found["extraction"].items() if key[0] == bad} == {Flag.FAILED}
    if name == "merge":
        assert merge["flags"] == Flag.FAILED


def poisoned(value):
    """The same result with NaN in it."""
    if isinstance(value, dict):
        return {**value, "x": float("nan")}
    if isinstance(value, photometry_stage.PhotometryRows):
        return photometry_stage.PhotometryRows(
            tuple({**row, "src_rate_aper": float("nan")} for row in value.rows)
        )
    return replace(value, merge={**value.merge, "livetime": float("nan")})


def test_good_times_follow_the_settings(core_project, copy_of, reopen, dump):
    with copy_of(core_project) as project:
        before = dump(project)["good_time"]
        first = min(row["gti_start"] for key, row in before.items() if "70012" in repr(key))
        cut = f'[observation."70012"]\nexclude_times = [[{first + 100.0}, {first + 200.0}]]\n'
        with reopen(project, cut) as changed:
            run(changed, CORE_STAGES, workers=1)
            after = dump(changed)
        own = sum("70012" in repr(key) for key in before)
        assert sum("70012" in repr(key) for key in after["good_time"]) == 2 * own
        for key, row in before.items():
            if "70011" in repr(key):
                assert after["good_time"][key] == row
        live = {row["livetime"] for key, row in after["chip"].items() if "70012" in repr(key)}
        seen = {row["livetime"] for key, row in after["extraction"].items() if "70012" in repr(key)}
        assert live & seen


def test_log(core_project, copy_of, reopen, tmp_path):
    settings = "[spectrum]\nphoton_index = 1.9\n"
    with (
        copy_of(core_project) as project,
        reopen(project, settings) as changed,
        json_lines(tmp_path / "run.jsonl") as log,
    ):
        report = run(changed, CORE_STAGES, workers=1, log=log)
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    stages = [line for line in lines if line["event"] == "stage"]
    assert len(stages) == len(report.counts)
    done = {(line["stage"], line["scope"]): line["units"] for line in lines if line["event"] == "batch"}
    assert done == {(line["stage"], line["scope"]): line["stale"] for line in stages if line["stale"]}
    assert (lines[-1]["event"], lines[-1]["state"], lines[-1]["run"]) == ("end", "done", report.run_id)


def test_neighbours_are_looked_for_only_where_something_changed(core_project, copy_of, monkeypatch):
    looked = []
    original = apertures_stage.find_units
    monkeypatch.setattr(
        apertures_stage, "find_units", lambda *args: looked.append(args[1].scope) or original(*args)
    )
    with copy_of(core_project) as project:
        assert why(project, "apertures") == {}
        assert not looked
        move_source(project, "4", 150.0, 20.0)
        assert why(project, "apertures")
        assert len(looked) == 2


def test_crowds_are_looked_for_only_where_something_changed(core_project, copy_of, monkeypatch):
    looked = []
    original = photometry_stage.load_crowd
    monkeypatch.setattr(
        photometry_stage, "load_crowd", lambda *args: looked.append(args[1].field.scope) or original(*args)
    )
    with copy_of(core_project) as project:
        assert why(project, "photometry") == {}
        assert looked == []
        # The others' own inputs are what they were, but one of them may have lost a neighbour.
        remove_source(project, "src9")
        why(project, "photometry")
        assert len(looked) == 2
