"""Who computes makes no difference; a worker that dies gives one clear error."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from sqlalchemy import select

from catalog.errors import ProjectError
from catalog.schema.tables import Run
from catalog.stages.base.project import open_project
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine import computing
from catalog.stages.engine.executor import AHEAD, PoolExecutor, SerialExecutor, is_running, open_executor
from catalog.stages.engine.run import run
from catalog.stages.engine.stage_list import CORE_STAGES
from catalog.stages.engine.unit_batches import split

ROOT = Path(__file__).resolve().parents[2]


def double(number):
    time.sleep(0.02 if number % 3 else 0.1)
    return 2 * number


def die(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def deaf(_number):
    """Whether this worker and the server that it was forked from are not reached by Ctrl-C."""
    masks = []
    for process in (os.getpid(), os.getppid()):
        (line,) = (
            line for line in Path(f"/proc/{process}/status").read_text().splitlines() if "SigBlk" in line
        )
        masks.append(int(line.split()[1], 16))
    return all(mask >> (signal.SIGINT - 1) & 1 for mask in masks)


def counted(numbers, taken):
    for number in numbers:
        taken.append(number)
        yield number


def test_results_come_in_order_and_jobs_only_as_they_are_needed():
    for workers, kind in ((1, SerialExecutor), (2, PoolExecutor)):
        taken = []
        with open_executor(workers) as executor:
            assert isinstance(executor, kind)
            results = executor.map(double, counted(range(20), taken))
            found = []
            for result in results:
                found.append(result)
                assert len(taken) <= len(found) + AHEAD * workers
        assert found == [2 * number for number in range(20)]


def test_killed_worker():
    with pytest.raises(ProjectError) as caught, open_executor(2) as executor:
        list(executor.map(die, range(8)))
    assert caught.value.code == "WORKER_LOST"
    assert "run again" in str(caught.value)


ORPHANS = """
import os, signal, time
from catalog.stages.engine.executor import open_executor

def note(number):
    # In one piece: both write into the same pipe.
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(60)

if __name__ == "__main__":
    with open_executor(2) as executor:
        list(executor.map(note, range(2)))
"""


def test_workers_end_with_a_killed_parent(tmp_path):
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    with subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        workers = [int(parent.stdout.readline()) for _ in range(2)]
        assert all(is_running(worker) for worker in workers)
        parent.kill()
    deadline = time.monotonic() + 30
    while any(is_running(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_batches_hold_together_what_is_measured_together():
    together = {2: (9, 4), 4: (2, 9), 9: (2, 4), 7: (30,)}
    parts = list(split(range(1, 12), together, 3))
    assert sorted(number for part in parts for number in part) == list(range(1, 12))
    assert [part for part in parts if {2, 4, 9} & set(part)] == [[1, 2, 4, 9]]
    assert all(part == sorted(part) for part in parts)


@pytest.fixture
def dask_address():
    """A scheduler with two worker processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DASK_DISTRIBUTED__WORKER__DAEMON": "False",
    }
    program = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", str(port), "--no-dashboard"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1"]
    commands = [program, *[[*worker, "--no-nanny", "--no-dashboard"]] * 2]
    started = []
    try:
        for command in commands:
            started.append(
                subprocess.Popen(
                    command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            )
        yield address
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


@pytest.mark.filterwarnings("default")
def test_dask_gives_the_same(
    dask_address, empty_project, finished_project, small_field, copy_of, dump, differences, monkeypatch
):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("distributed")
    monkeypatch.setattr(computing, "BATCH", 7)
    with open_project(finished_project) as project:
        wanted = dump(project)
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(0), small_field.observation(1)])
        add_sources(project, small_field.sources)
        report = run(project, CORE_STAGES, scheduler=dask_address)
        assert not report.failed
        found = dump(project)
    tables = ("extraction", "region", "measurement")
    assert not differences(*({name: content[name] for name in tables} for content in (wanted, found)))


@pytest.mark.filterwarnings("default")
def test_no_scheduler(empty_project, small_field, copy_of, monkeypatch):
    monkeypatch.setattr("catalog.stages.engine.dask_executor.CONNECT_SECONDS", 0.5)
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(0)])
        add_sources(project, small_field.sources)
        with pytest.raises(ProjectError) as caught:
            run(project, scheduler="tcp://127.0.0.1:9")
        assert caught.value.code == "NO_SCHEDULER"
        with project.store.read() as connection:
            states = connection.scalars(select(Run.state)).all()
    assert "running" not in states


INTERRUPTED = """
import signal, sys, time
from catalog.stages.engine import computing
import catalog.stages.engine.run as run_module
import catalog.stages.engine.unit_batches as unit_batches
from cli.main import main

computing.WORTH_A_POOL = int(sys.argv[2])
computing.BATCH = 3
original = unit_batches.store_batch

def slow(*args):
    print("stored", flush=True)
    time.sleep(0.3)
    return original(*args)

run_module.store_batch = slow
# Whatever started the tests may have chosen to ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
if __name__ == "__main__":
    sys.exit(main(["run", "--project", sys.argv[1]]))
"""
LOST = """
import ctypes, os, signal, sys
from catalog.stages.engine import computing
import catalog.stages.engine.run as run_module
import catalog.stages.engine.unit_batches as unit_batches
from cli.main import main

computing.BATCH = 3
original = unit_batches.store_batch
call_back = ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGINT))
stored = 0

def losing(*args):
    global stored
    stored += 1
    if stored == 4:
        call_back()
        print("lost", flush=True)
    print("stored", flush=True)
    return original(*args)

run_module.store_batch = losing
signal.signal(signal.SIGINT, signal.default_int_handler)
if __name__ == "__main__":
    sys.exit(main(["run", "--project", sys.argv[1]]))
"""
ENDS_WITHIN = 2.0 if os.getloadavg()[0] < 2 * (os.cpu_count() or 1) else 15.0
"""Seconds from the signal to the end of the process; a machine that is busy otherwise takes longer."""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_workers_leave_the_interruption_to_the_parent():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with open_executor(2) as executor:
        assert list(executor.map(deaf, range(4))) == [True] * 4
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


@pytest.mark.parametrize(
    ("worth", "signal_number"), [(10_000, signal.SIGINT), (0, signal.SIGINT), (0, signal.SIGTERM)]
)
def test_interrupted_run_ends_soon_and_goes_on(
    worth, signal_number, empty_project, finished_project, small_field, copy_of, dump, differences, tmp_path
):
    script = tmp_path / "interrupted.py"
    script.write_text(INTERRUPTED)
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(0), small_field.observation(1)])
        add_sources(project, small_field.sources)
        folder = project.folder
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder), str(worth)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for _ in range(5):
        assert process.stdout is not None
        assert process.stdout.readline() == "stored\n"
    begin = time.monotonic()
    # A terminal sends the signal to all processes of the foreground group, a batch system to the first.
    if signal_number == signal.SIGINT:
        os.killpg(process.pid, signal_number)
    else:
        process.send_signal(signal_number)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - begin < ENDS_WITHIN
    assert process.returncode == 130
    assert errors.splitlines()[-1] == (
        "interrupted: what was finished is stored; the same command goes on from there"
    )
    assert "Traceback" not in errors
    with open_project(folder) as project:
        with project.store.read() as connection:
            last = connection.execute(select(Run.state, Run.reasons).order_by(Run.id.desc()).limit(1)).one()
        assert (last.state, last.reasons) == ("failed", {"interrupted": 1})
        run(project, workers=1)
        with open_project(finished_project) as finished:
            assert not differences(dump(finished), dump(project))


def test_an_interruption_that_is_lost_ends_the_run_after_its_batch(
    empty_project, small_field, copy_of, tmp_path
):
    script = tmp_path / "lost.py"
    script.write_text(LOST)
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(0)])
        add_sources(project, small_field.sources)
        folder = project.folder
    found = subprocess.run(
        [sys.executable, str(script), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.stdout.split() == ["stored", "stored", "stored", "lost", "stored"]
    assert found.returncode == 130
    assert found.stderr.splitlines()[-1].startswith("interrupted")
    assert "Traceback" not in found.stderr
