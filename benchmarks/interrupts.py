"""How soon a run ends after Ctrl-C: at random moments, with worker processes, alone and with Dask.

Run: python benchmarks/interrupts.py PROJECT [--moments 10] [--span 20] [--scheduler tcp://...]
PROJECT has observations and sources; copies of it are run. Prints one line per moment.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEED = 5
LAST_LINE = "interrupted: what was finished is stored; the same command goes on from there"


def interrupt(project: Path, arguments: list[str], moment: float) -> tuple[float, float, str]:
    """Start a run, press Ctrl-C after so many seconds; return seconds until it and its workers are gone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "project"
        shutil.copytree(project, folder)
        command = [sys.executable, "-m", "cli.main", "run", "--project", str(folder), *arguments]
        # A terminal sends the signal to all processes of the foreground group.
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            process.wait(moment)
            return 0.0, 0.0, f"ended before, exit {process.returncode}"
        except subprocess.TimeoutExpired:
            pass
        begin = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
        own = time.monotonic() - begin
        _, errors = process.communicate()
        while _group_lives(process.pid):
            time.sleep(0.02)
        whole = time.monotonic() - begin
    lines = errors.splitlines() or [""]
    clean = lines[-1] == LAST_LINE and process.returncode == 130 and "Traceback" not in errors
    return own, whole, "clean" if clean else f"exit {process.returncode}: {lines[-1]}"


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Interrupt runs and print how long each took to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("--moments", type=int, default=10)
    parser.add_argument("--span", type=float, default=20.0, help="the latest moment, s")
    parser.add_argument("--scheduler", help="a Dask scheduler to try too")
    chosen = parser.parse_args()
    # What is started in the background ignores the signal, and would pass that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ways = {"processes": ["--workers", "2"], "serial": ["--workers", "1"]}
    if chosen.scheduler:
        ways["dask"] = ["--scheduler", chosen.scheduler]
    for way, arguments in ways.items():
        generator = random.Random(SEED)
        for _ in range(chosen.moments):
            moment = generator.uniform(0.5, chosen.span)
            own, whole, end = interrupt(chosen.project, arguments, moment)
            print(
                f"{way:10} after {moment:5.1f} s: ended in {own:4.2f} s, workers in {whole:4.2f} s, {end}",
                flush=True,
            )


if __name__ == "__main__":
    main()
