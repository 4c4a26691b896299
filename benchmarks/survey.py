"""A synthetic survey of the size of CSC 2.1: loaded, queried and exported; speed of each.

Run: python benchmarks/survey.py [--sources 400000] [--database URL]; docs/performance.md keeps its
figures. 3.25 detections a source, 5 bands; fixed seed. The rows are drawn at random, with each column filled
as a run would fill it, and pass the one write door. Rates are of the door alone: what it takes to draw the
numbers is not counted. Without --database a SQLite file in a temporary folder is used and removed.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Integer, text

from catalog.band import CSC_BANDS
from catalog.export.query import cone, query
from catalog.export.selection import select_rows
from catalog.export.writers import export_table
from catalog.schema.base import Base, FiniteDouble
from catalog.schema.tables import (
    METADATA,
    BandRow,
    EventSet,
    Extraction,
    InputFile,
    Measurement,
    Merge,
    MergedMeasurement,
    MergedVariability,
    MergeMember,
    Observation,
    Source,
)
from catalog.stages.base.project import create_project, open_project
from catalog.store.cone import cell
from catalog.store.door import Store, Writer
from catalog.store.runs import begin_run

SEED = 20
PER_SOURCE = 3.25
PER_OBSERVATION = 100
BANDS = ("broad", "soft", "medium", "hard", "ultrasoft")
MOST = 8
BATCH = 4000
FILLED = {
    "flux_method": "events",
    "in_fov": True,
    "near_edge": False,
    "flags": 0,
    "all_flags": 0,
    "calibration": "builtin",
}
LARGEST_INDEX = 10

Rows = list[dict[str, Any]]


class Stopwatch:
    """Seconds, seconds of processor time (ours and the server's) and rows by table."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.processor: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()
        self.server: int | None = None

    def _processor(self) -> float:
        own = time.process_time()
        if self.server is None:
            return own
        fields = Path(f"/proc/{self.server}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return own + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @contextmanager
    def over(self, name: str, rows: int = 0) -> Iterator[None]:
        """Add what the block takes."""
        start, used = time.perf_counter(), self._processor()
        yield
        self.seconds[name] += time.perf_counter() - start
        self.processor[name] += self._processor() - used
        self.rows[name] += rows


def draw(rng: np.random.Generator, model: type[Base], number: int, given: dict[str, Any]) -> Rows:
    """Draw rows of a table: numbers within the CHECKs, intervals in order; `given` as arrays or constants."""
    size = 10 ** rng.normal(0, 1, number)
    columns: dict[str, Any] = {}
    present = METADATA.tables[model.__tablename__].columns
    for column in present:
        name = column.name
        if name == "id" or name in given:
            continue
        if name in FILLED:
            columns[name] = [FILLED[name]] * number
        elif name.endswith("_lolim"):
            columns[name] = (0.8 * size).tolist()
        elif name.endswith(("_hilim", "src_significance")):
            columns[name] = (1.25 * size).tolist()
        elif f"{name}_lolim" in present:
            columns[name] = size.tolist()
        elif name == "log10_prob_no_source":
            columns[name] = (-size).tolist()
        elif isinstance(column.type, FiniteDouble):
            columns[name] = rng.random(number).tolist()
        elif isinstance(column.type, Integer):
            columns[name] = rng.integers(0, LARGEST_INDEX, number).tolist()
        elif column.nullable:
            columns[name] = [None] * number
    for name, value in given.items():
        columns[name] = listed(value, number)
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def listed(value: Any, number: int) -> list[Any]:
    return value.tolist() if isinstance(value, np.ndarray) else [value] * number


class Drawer:
    """Rows of tables, drawn once and used again with other keys: what is measured is the database."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.drawn: dict[str, Rows] = {}

    def rows(self, model: type[Base], number: int, given: dict[str, Any]) -> Rows:
        """Return rows with the given keys."""
        name = model.__tablename__
        rows = self.drawn.get(name, [])
        if len(rows) < number:
            one = {key: listed(value, number)[0] for key, value in given.items()}
            rows = self.drawn[name] = draw(self.rng, model, int(1.1 * number), one)
        rows = rows[:number]
        for key, value in given.items():
            for row, item in zip(rows, listed(value, number), strict=True):
                row[key] = item
        return rows


def load_frame(store: Store, observations: int) -> tuple[int, list[int], int, list[int]]:
    """Write a run, bands, the recipe's number and observations; return what the rest refers to."""
    rng = np.random.default_rng(SEED)
    with store.write() as writer:
        run_id = begin_run(writer, "benchmark", {}, [])
        known = dict(writer.connection.execute(text("SELECT band, id FROM band")).all())
        missing = [CSC_BANDS[name] for name in BANDS if name not in known]
        rows = [{"band": band.name, "lo": band.lo, "hi": band.hi, "eff": band.eff} for band in missing]
        known |= dict(zip((band.name for band in missing), writer.insert(BandRow, rows), strict=True))
        recipe_id = int(writer.connection.scalar(text("SELECT min(id) FROM recipe")) or 0)
        numbers = np.arange(observations).astype(str)
        fixed = {"run_id": run_id, "cycle": "P", "datamode": "FAINT", "instrument": "ACIS"}
        fixed |= {"detector": "ACIS-0123", "grating": "NONE", "date_obs": "2010-01-01T00:00:00"}
        given = {**fixed, "obs_id": numbers, "hpx29": rng.integers(0, 12 * 4**29, observations)}
        seen = writer.insert(Observation, draw(rng, Observation, observations, given))
        paths = np.char.add("obs", numbers)
        given = {"run_id": run_id, "path": paths, "sha256": paths, "file_kind": "evt2"}
        files = writer.insert(InputFile, draw(rng, InputFile, observations, given))
        given = {"run_id": run_id, "observation_id": np.array(seen), "input_file_id": np.array(files)}
        given |= {"role": "photometry", "position_kind": "dither", "ancillary": {}, "dropped": {}}
        sets = writer.insert(EventSet, draw(rng, EventSet, observations, given))
    return run_id, [known[name] for name in BANDS], recipe_id, sets


def load(store: Store, sources: int, watch: Stopwatch) -> None:
    """Write sources, detections and merges, a batch of sources to a transaction, as a run does."""
    rng = np.random.default_rng(SEED + 1)
    drawer = Drawer(rng)
    observations = max(2 * MOST, int(sources * PER_SOURCE / PER_OBSERVATION))
    run_id, bands, recipe_id, sets = load_frame(store, observations)
    for start in range(0, sources, BATCH):
        number = min(BATCH, sources - start)
        with store.write() as writer:
            if store.engine.dialect.name == "postgresql":
                watch.server = int(writer.connection.scalar(text("SELECT pg_backend_pid()")) or 0)
            load_batch(writer, drawer, watch, (run_id, recipe_id), bands, np.array(sets), start, number)


def load_batch(
    writer: Writer,
    drawer: Drawer,
    watch: Stopwatch,
    made_by: tuple[int, int],
    bands: Sequence[int],
    sets: np.ndarray,
    start: int,
    number: int,
) -> None:
    run_id, recipe_id = made_by
    rng = drawer.rng

    def put(model: type[Base], count: int, values: dict[str, Any]) -> np.ndarray:
        rows = drawer.rows(model, count, values)
        with watch.over(model.__tablename__, count):
            return np.array(writer.insert(model, rows))

    ra, dec = rng.uniform(0, 360, number), np.degrees(np.arcsin(rng.uniform(-1, 1, number)))
    cells = cell(ra, dec)
    names = np.array([f"CXOU J{start + i:07d}" for i in range(number)])
    given = {"origin_hpx29": cells, "hpx29": cells, "ra": ra, "dec": dec, "origin": "drawn", "name": names}
    ids = put(Source, number, {"run_id": run_id, **given})
    own = np.minimum(1 + rng.poisson(PER_SOURCE - 1, number), MOST)
    first = rng.integers(0, len(sets) - MOST, number)
    which = np.repeat(first, own) + np.concatenate([np.arange(n) for n in own])
    keys = {"source_id": np.repeat(ids, own), "event_set_id": sets[which], "recipe_id": recipe_id}
    parts = put(Extraction, len(which), {"run_id": run_id, **keys})
    count = len(parts) * len(bands)
    keys = {"extraction_id": np.repeat(parts, len(bands)), "band_id": np.tile(bands, len(parts))}
    put(Measurement, count, {"run_id": run_id, **keys})
    keys = {"source_id": ids, "recipe_id": recipe_id, "purpose": "photometry"}
    merges = put(Merge, number, {"run_id": run_id, **keys})
    put(MergeMember, len(parts), {"merge_id": np.repeat(merges, own), "extraction_id": parts, "used": True})
    keys = {"merge_id": np.repeat(merges, len(bands)), "band_id": np.tile(bands, number)}
    put(MergedMeasurement, number * len(bands), {"run_id": run_id, **keys})
    put(MergedVariability, number * len(bands), {"run_id": run_id, **keys})


QUERIES = (
    "SELECT name, ra, dec, flux_aper_b FROM catalog WHERE src_significance_b > 100 ORDER BY ra",
    "SELECT count(*), avg(flux_aper_h) FROM catalog WHERE flux_aper_h > 1 AND src_significance_s < 0.1",
    "SELECT name, flux_aper_b FROM catalog ORDER BY flux_aper_b DESC LIMIT 20",
    "SELECT name FROM catalog WHERE var_inter_prob_b > 0.999 AND hard_hm > 0.9",
    "SELECT count(*) FROM catalog WHERE flags = 0 AND n_obs > 3",
)


def timed(action: Callable[[], Any]) -> tuple[float, float]:
    """Seconds, and seconds of this process's processor time, that a call takes."""
    start, used = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - start, time.process_time() - used


def ask(store: Store) -> None:
    """Cones at random sources, and questions on properties."""
    rng = np.random.default_rng(SEED + 2)
    with store.read() as connection:
        places = connection.execute(text("SELECT ra, dec FROM source WHERE id % 997 = 0")).all()
        chosen = [places[i] for i in rng.integers(0, len(places), 200)]
        times = np.array([timed(lambda: cone(connection, *place, 30 / 3600)) for place in chosen])  # noqa: B023
        middle, late = 1e3 * np.median(times, axis=0), 1e3 * np.quantile(times, 0.99, axis=0)
        rest = f"(processor {middle[1]:.1f} ms), 99 % {late[0]:.1f} ms"
        print(f"cone of 30 arcsec: median {middle[0]:.1f} ms {rest}")
        for statement in QUERIES:
            seconds, used = min(timed(lambda: query(connection, statement)) for _ in range(3))  # noqa: B023
            print(f"{seconds:7.2f} s (processor {used:.2f} s)  {statement}")


def export(store: Store, folder: Path) -> None:
    """Export the whole catalog to FITS."""
    start, used = time.perf_counter(), time.process_time()
    with store.read() as connection:
        table = select_rows(connection, "catalog")
    selected = time.perf_counter() - start
    path = export_table(table, folder / "survey.fits")
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    what = f"{len(table)} rows, {len(table.definitions)} columns, {path.stat().st_size / 2**20:.0f} MB"
    print(
        f"FITS of {what}: {seconds:.1f} s (selected {selected:.1f} s; processor {cpu:.1f} s), {peak:.2f} GB"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Load, ask and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=400_000)
    parser.add_argument("--database", help="an empty database; SQLite in a temporary folder unless given")
    parser.add_argument("--load", metavar="DIR", help="load into a project that stays there, and stop")
    parser.add_argument("--ask", metavar="DIR", help="ask and export the project that --load made")
    options = parser.parse_args(arguments)
    folder = Path(options.ask or options.load or tempfile.mkdtemp(prefix="srccat-survey-"))
    try:
        if not options.ask:
            create_project(folder, options.database)
            with open_project(folder) as project:
                report_load(project.store, options.sources)
        if not options.load:
            with open_project(folder, read_only=True) as project:
                ask(project.store)
                export(project.store, folder)
    finally:
        if not options.load and not options.ask:
            shutil.rmtree(folder)


def report_load(store: Store, sources: int) -> None:
    """Load, and print the rate of each table."""
    watch = Stopwatch()
    start = time.perf_counter()
    load(store, sources, watch)
    for name, seconds in watch.seconds.items():
        rows, used = watch.rows[name], watch.processor[name]
        rate = f"{rows / seconds:9.0f} rows/s, {rows / used:9.0f} per s of processor time"
        print(f"{name:20s} {rows:9d} rows {seconds:8.1f} s {used:8.1f} s {rate}")
    with store.write() as writer:
        writer.connection.execute(text("ANALYZE"))
    print(f"loaded in {time.perf_counter() - start:.0f} s, with commits, drawing the numbers and ANALYZE")


if __name__ == "__main__":
    main()
