"""Whole path on 500 simulated sources in one 50 ks ACIS-I observation: time per stage, peak memory.

Run: python benchmarks/whole_path.py [--sources 500]; docs/performance.md keeps its figures.
The field has a fixed seed. Compiled code is warmed up first, as in any run after the first on a machine.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog.calibration.factory import open_calibration
from catalog.simulate.demo_field import write_observation
from catalog.simulate.field_model import random_field
from catalog.simulate.photons import simulate_field
from catalog.simulate.pointing_plan import PointingPlan
from catalog.stages.base.project import create_project, open_project
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine.run import run
from catalog.stages.engine.stage_list import CORE_STAGES, STAGES

SEED = 7


def prepare(folder: Path, number: int, exposure: float) -> tuple[Path, Path]:
    """Write the event list and the source list."""
    sources = random_field(160.98, -59.55, number, SEED)
    plan = PointingPlan("91000", 160.98, -59.55, 37.0, exposure, "2016-02-11T03:20:00")
    events = simulate_field(sources, plan, open_calibration(), SEED)
    path, _ = write_observation(folder / "data", events, plan)
    listed = folder / "sources.csv"
    rows = [f"{source.name},{source.ra:.7f},{source.dec:.7f}" for source in sources]
    listed.write_text("\n".join(["name,ra,dec", *rows]) + "\n", encoding="utf-8")
    return path, listed


def measure(folder: Path, events: Path, listed: Path, workers: int | None) -> dict[str, float]:
    """Run the whole path once and return seconds by step."""
    times: dict[str, float] = {}

    @contextmanager
    def track(description: str, _total: int) -> Iterator[Callable[[int], None]]:
        start = time.perf_counter()
        yield lambda _done: None
        stage = description.split()[0]
        times[stage] = times.get(stage, 0.0) + time.perf_counter() - start

    start = time.perf_counter()
    create_project(folder)
    times["init"] = time.perf_counter() - start
    with open_project(folder) as project:
        start = time.perf_counter()
        add_observations(project, [events])
        add_sources(project, listed)
        times["add"] = time.perf_counter() - start
        start = time.perf_counter()
        run(project, CORE_STAGES, workers=workers, track=track)
        times["run"] = time.perf_counter() - start
        start = time.perf_counter()
        run(project, CORE_STAGES, workers=workers)
        times["run again"] = time.perf_counter() - start
        start = time.perf_counter()
        run(project, STAGES, workers=workers, track=track)
        times["all else"] = time.perf_counter() - start
    times["whole path"] = times["init"] + times["add"] + times["run"]
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=500)
    parser.add_argument("--exposure", type=float, default=50_000.0)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        events, listed = prepare(folder, options.sources, options.exposure)
        print(
            f"{options.sources} sources, {options.exposure / 1000:g} ks, {events.stat().st_size / 1e6:.1f} MB"
        )
        measure(folder / "warm", events, listed, options.workers)
        runs = [measure(folder / f"run{i}", events, listed, options.workers) for i in range(options.repeat)]
    for step in runs[0]:
        values = sorted(times[step] for times in runs)
        print(f"{step:12s} median {values[len(values) // 2]:7.2f} s   best {values[0]:7.2f} s")
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"peak memory {own:.0f} MB, largest worker {children:.0f} MB")


if __name__ == "__main__":
    main()
