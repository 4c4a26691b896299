"""One bad source never stops a run; a killed run is continued by the next."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

import catalog.stages.steps.extract as extract_stage
import catalog.stages.steps.variability as variability_stage
from catalog.flags import Flag
from catalog.schema.tables import Run
from catalog.stages.base.project import open_project
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine import computing
from catalog.stages.engine.run import run
from catalog.stages.engine.status import status

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def reference(finished_project, dump):
    with open_project(finished_project) as project:
        return dump(project)


def key_of(content, label):
    return next(key for key, row in content["source"].items() if row["label"] == label)


def spoil_one(monkeypatch, x, y):
    """Extraction fails for the source at these sky pixels."""
    original = extract_stage.measure.extract

    def failing(field, aperture, bands, psf):
        if (aperture.x, aperture.y) == (x, y):
            raise ZeroDivisionError("a  region\nof measure zero")
        return original(field, aperture, bands, psf)

    monkeypatch.setattr(extract_stage.measure, "extract", failing)


def last_run(project):
    with project.store.read() as connection:
        return connection.execute(select(Run.state, Run.reasons).order_by(Run.id.desc()).limit(1)).one()


def test_one_source_that_raises(
    empty_project, small_field, copy_of, dump, differences, reference, monkeypatch
):
    bad = key_of(reference, "src1")
    extraction = (bad, (("70012", 0, "P", "VFAINT"), "photometry"), ("default",))
    where = reference["extraction"][extraction]
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(0), small_field.observation(1)])
        add_sources(project, small_field.sources)
        with monkeypatch.context() as patch:
            spoil_one(patch, where["x"], where["y"])
            report = run(project, workers=1)
            assert report.reasons == {"ZeroDivisionError": 1}
            assert report.failed == 1
            assert last_run(project) == ("partial", {"ZeroDivisionError": 1})
            content = dump(project)
            unit = content["work_unit"]["extract", ("default",), bad, "70012/0/P/VFAINT/photometry"]
            assert (unit["state"], unit["reason"]) == ("failed", "ZeroDivisionError")
            assert unit["result_hash"] is None
            assert unit["message"] == "a region of measure zero"
            row = content["extraction"][extraction]
            assert row["flags"] == where["flags"] | Flag.FAILED
            assert row["area_aper"] is None
            assert row["events_aper"] is None
            (failure,) = status(project).failures
            assert (failure.stage, failure.reason, failure.count) == ("extract", "ZeroDivisionError", 1)
            merge = content["merge"][bad, ("default",), "photometry"]
            assert merge["n_obs"] == 1
            assert merge["flags"] & Flag.EXCLUDED_FROM_MERGE
            member = content["merge_member"][(bad, ("default",), "photometry"), extraction]
            assert (member["used"], member["reason"]) == (False, "failed")
            # All others are as they would be.
            for table in ("extraction", "measurement", "merged_measurement"):
                good = {key: row for key, row in reference[table].items() if bad not in names_in(key)}
                assert good.items() <= content[table].items()
            # As long as it fails it is tried again, and nothing else is done.
            again = run(project, workers=1)
            assert {c.stale for c in again.counts if c.stage != "extract"} == {0}
            assert sum(c.stale for c in again.counts) == 1
            assert not differences(content, dump(project))
        run(project, workers=1)
        assert last_run(project) == ("done", {})
        assert not differences(reference, dump(project))


def names_in(key):
    """A natural key and all that are part of it."""
    found = [key]
    for part in key:
        if isinstance(part, tuple):
            found += names_in(part)
    return found


def test_failure_after_a_success(finished_project, copy_of, dump, reopen, reference, monkeypatch):
    """What an earlier run measured must not stay beside the flag that says that nothing was."""
    bad = key_of(reference, "src1")
    shift = '[observation."70012"]\nshift = [0.5, 0.0]\n'
    place = (bad, (("70012", 0, "P", "VFAINT"), "photometry"), ("default",))
    with copy_of(finished_project) as project, reopen(project, shift) as shifted:
        with monkeypatch.context() as patch:
            patch.setattr(extract_stage.measure, "extract", always_failing)
            run(shifted, workers=1)
        content = dump(shifted)
        rows = [row for key, row in content["measurement"].items() if key[0] == place]
        assert len(rows) == 4
        for row in rows:
            assert {row[name] for name in row if name not in ("extraction_id", "band_id")} == {None, 0}
        assert content["merge"][bad, ("default",), "photometry"]["n_obs"] == 1
        assert last_run(shifted).state == "partial"
        run(shifted, workers=1)
        assert all(row["src_rate_aper_hilim"] > 0 for row in measured(dump(shifted), place))


def always_failing(field, aperture, bands, psf):
    raise ValueError("no")


def measured(content, place):
    return [row for key, row in content["measurement"].items() if key[0] == place]


def test_failure_in_a_worker_process(
    empty_project, small_field, copy_of, dump, differences, reference, monkeypatch
):
    """An aperture without any pixel of a stamp: made to fail where a patch cannot reach, by its own data."""
    monkeypatch.setattr(computing, "WORTH_A_POOL", 0.0)
    original = extract_stage._aperture
    spoilt = []

    def aperture(row, *rest):
        found = original(row, *rest)
        if found is not None and not spoilt:
            spoilt.append(row.source_id)
        return "no aperture" if found is not None and row.source_id in spoilt else found

    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(0), small_field.observation(1)])
        add_sources(project, small_field.sources)
        with monkeypatch.context() as patch:
            patch.setattr(extract_stage, "_aperture", aperture)
            report = run(project, workers=2)
        assert set(report.reasons) == {"AttributeError"}
        run(project, workers=2)
        assert not differences(reference, dump(project))


CRASH = """
import os, signal, sys
from contextlib import contextmanager
from pathlib import Path
from catalog.stages.engine import computing
import catalog.stages.engine.run as run_module
import catalog.stages.steps.variability as variability_stage
import catalog.store.door as door
from catalog.stages.base.project import open_project

computing.BATCH = 4
left, inside = int(sys.argv[2]), sys.argv[3] == "inside"
original = door.Store.write

def die():
    os.kill(os.getpid(), signal.SIGKILL)

@contextmanager
def write(self):
    global left
    left -= 1
    with original(self) as writer:
        yield writer
        if left == 0 and inside:
            die()
    if left == 0:
        die()

door.Store.write = write
with open_project(Path(sys.argv[1])) as project:
    run_module.run(project, workers=1)
"""


@pytest.mark.parametrize(
    ("transaction", "when"), [(3, "inside"), (9, "after"), (17, "inside"), (24, "after")]
)
def test_killed_run_is_continued(
    transaction, when, empty_project, small_field, tmp_path, dump, differences, reference
):
    folder = tmp_path / "project"
    shutil.copytree(empty_project, folder)
    with open_project(folder) as project:
        add_observations(project, [small_field.observation(0), small_field.observation(1)])
        add_sources(project, small_field.sources)
    command = [sys.executable, "-c", CRASH, str(folder), str(transaction), when]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    died = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    with open_project(folder) as project:
        half = dump(project)
        assert 0 < len(half["work_unit"]) < len(reference["work_unit"])
        report = run(project, workers=1)
        assert report.computed > 0
        assert not differences(reference, dump(project))
        assert run(project, workers=1).computed == 0


def test_one_source_whose_timing_raises(finished_project, copy_of, dump, monkeypatch, reference):
    """Its variability is gone, everything else stays; once the fault is, the next run fills it in again."""
    bad = key_of(reference, "src1")
    where = next(row for key, row in reference["extraction"].items() if key[0] == bad)
    original = variability_stage.timing

    def failing(field, aperture, *rest):
        if (aperture.x, aperture.y) == (where["x"], where["y"]):
            raise FloatingPointError("no\ntime")
        return original(field, aperture, *rest)

    with copy_of(finished_project) as project:
        monkeypatch.setattr(variability_stage, "VERSION", variability_stage.VERSION + 1)
        with monkeypatch.context() as patch:
            patch.setattr(variability_stage, "timing", failing)
            report = run(project, workers=1)
        assert report.reasons == {"FloatingPointError": 1}
        content = dump(project)
        lost = [key for key in reference["variability"] if key not in content["variability"]]
        assert lost
        assert {key[0][0] for key in lost} == {bad}
        assert not [key for key in content["light_curve"] if key[0] == lost[0][0]]
        assert run(project, workers=1).failed == 0
        assert dump(project)["variability"] == reference["variability"]
        assert dump(project)["merged_variability"] == reference["merged_variability"]
