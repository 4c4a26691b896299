"""One run at a time; what a killed one left behind is recognised."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from catalog.errors import ProjectError, UnknownNameError
from catalog.schema.tables import InputFile, Run
from catalog.stages.base.project import create_project, open_project
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.contents.manage_observations import list_observations, remove_observation
from catalog.stages.contents.manage_sources import remove_source
from catalog.stages.engine.run import run
from catalog.stages.engine.run_lock import SILENT, begin_exclusive

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys, time
from pathlib import Path
from catalog.stages.base.project import open_project
from catalog.stages.engine.run_lock import begin_exclusive

with open_project(Path(sys.argv[1])) as project:
    print(begin_exclusive(project, "run", ["extract"]), flush=True)
    time.sleep(100)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def project_folder(request, tmp_path):
    folder = tmp_path / "project"
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    create_project(folder, url)
    return folder


def last_runs(project):
    with project.store.read() as connection:
        return connection.execute(select(Run.id, Run.state, Run.reasons).order_by(Run.id)).all()


def test_second_run_is_refused_until_the_first_is_gone(project_folder, small_field):
    with open_project(project_folder) as project:
        add_observations(project, [small_field.observation(0)])
        add_sources(project, small_field.sources)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(project_folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        number = int(holder.stdout.readline())
        with open_project(project_folder) as project:
            for attempt in (
                lambda: run(project, ["apertures"], workers=1),
                lambda: remove_source(project, "1"),
                lambda: remove_observation(project, "70011"),
            ):
                with pytest.raises(ProjectError) as caught:
                    attempt()
                assert caught.value.code == "RUN_GOING_ON"
                assert f"run {number} of" in str(caught.value)
                assert f"process {holder.pid} on" in str(caught.value)
            # Looking is allowed.
            assert run(project, dry_run=True).computed > 0
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            report = run(project, ["apertures"], workers=1)
            assert report.run_id is not None
            assert report.run_id > number
            runs = {row.id: row for row in last_runs(project)}
            assert (runs[number].state, runs[number].reasons) == ("failed", {"killed": 1})
            assert runs[report.run_id].state == "done"
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_run_of_another_machine_counts_as_long_as_it_gives_signs_of_life(empty_project, copy_of):
    with copy_of(empty_project) as project:
        number = begin_exclusive(project, "run", [])
        for silent, refused in ((SILENT / 2, True), (SILENT + timedelta(seconds=5), False)):
            with project.store.write() as writer:
                values = {
                    "host": "elsewhere",
                    "process": "1 1",
                    "heartbeat_at": datetime.now(UTC) - silent,
                    "state": "running",
                }
                writer.update(Run, number, values)
            if refused:
                with pytest.raises(ProjectError) as caught:
                    begin_exclusive(project, "run", [])
                assert "elsewhere" in str(caught.value)
            else:
                assert begin_exclusive(project, "run", []) > number
        assert last_runs(project)[-2].state == "failed"


def test_number_of_a_process_that_now_belongs_to_another(empty_project, copy_of):
    with copy_of(empty_project) as project:
        number = begin_exclusive(project, "run", [])
        with project.store.write() as writer:
            writer.update(Run, number, {"process": f"{os.getppid()} 12"})
        assert begin_exclusive(project, "run", []) > number


def test_a_run_without_work_records_the_end_of_a_killed_one(empty_project, copy_of):
    with copy_of(empty_project) as project:
        number = begin_exclusive(project, "run", [])
        alive = f"{os.getppid()} {start_of(os.getppid())}"
        for process, state in ((alive, "running"), (f"{os.getppid()} 12", "failed")):
            with project.store.write() as writer:
                writer.update(Run, number, {"process": process})
            run(project, workers=1, dry_run=True)
            assert last_runs(project)[-1].state == "running"
            assert run(project, workers=1).run_id is None
            assert last_runs(project)[-1].state == state
        assert last_runs(project)[-1].reasons == {"killed": 1}


def start_of(process):
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]


def test_run_that_ended_with_an_error_does_not_hold_the_catalog(
    empty_project, small_field, copy_of, monkeypatch
):
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(0)])
        add_sources(project, small_field.sources)
        with monkeypatch.context() as patch:
            patch.setattr("catalog.stages.engine.run.store_batch", failing)
            with pytest.raises(RuntimeError):
                run(project, ["apertures"], workers=1)
        assert last_runs(project)[-1][1:] == ("failed", {"RuntimeError": 1})
        assert run(project, ["apertures"], workers=1).computed > 0


def failing(*_):
    raise RuntimeError("a defect")


def test_removing_an_observation_equals_never_having_added_it(
    empty_project, finished_project, small_field, copy_of, dump, differences
):
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(1)])
        add_sources(project, small_field.sources)
        run(project, workers=1)
        wanted = dump(project)
    with copy_of(finished_project) as project:
        before = dump(project, surrogate=True)
        (gone,) = remove_observation(project, "070011", "a test")
        assert gone.n_extractions == sum("70011" in repr(key) for key in before["extraction"])
        between = dump(project, surrogate=True)
        for table in ("extraction", "measurement", "variability"):
            kept = {key: row for key, row in before[table].items() if "70011" not in repr(key)}
            assert between[table] == kept
        # No merged value that rests on it is left, and what hung on it is gone.
        assert not [
            key for key, row in between["merge"].items() if key[-1] == "photometry" and row["n_obs"] > 1
        ]
        assert not [key for key in between["merge_member"] if "70011" in repr(key)]
        run(project, workers=1)
        after = dump(project)
        assert run(project, workers=1).computed == 0
        with project.store.read() as connection:
            commands = connection.scalars(select(Run.command)).all()
            files = connection.scalars(select(InputFile.path)).all()
            assert [row.obs_id for row in list_observations(connection)] == ["70012"]
        assert "observations remove 70011/0/P/FAINT/photometry: a test" in commands
        assert any("70011" in path for path in files)
        with pytest.raises(UnknownNameError):
            remove_observation(project, "70011")
    for content in (wanted, after):
        content.pop("input_file")
    assert not differences(wanted, after)
