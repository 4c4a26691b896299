"""Counts, areas and net rates in four bands: srccat's counting against the plain script a user would write.

Run: python benchmarks/plain_script.py FOLDER SOURCES [--every 20]; docs/performance.md keeps its figures.
FOLDER has one event list, SOURCES is a list of positions. The plain script goes through the sources one
after another with astropy and regions: a circle and an annulus, events inside, a mask for each band. It is
timed on every n-th source and scaled; srccat counts all, with the neighbours cut out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from regions import CircleAnnulusPixelRegion, CirclePixelRegion, PixCoord
from sqlalchemy import select

from catalog.apertures.region import region_from_dict
from catalog.schema.tables import Extraction, RegionRow
from catalog.stages.base.field_cache import field_key, observed_field
from catalog.stages.base.project import create_project, open_project
from catalog.stages.base.work import field_inputs
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine.run import run

BANDS = ((0.5, 7.0), (0.5, 1.2), (1.2, 2.0), (2.0, 7.0))


def plain(field, places) -> list[tuple]:
    events = field.events
    where = PixCoord(events.x, events.y)
    rows = []
    for x, y, radius in places:
        circle = CirclePixelRegion(PixCoord(x, y), radius)
        ring = CircleAnnulusPixelRegion(PixCoord(x, y), 2 * radius, 5 * radius)
        inside, beside = circle.contains(where), ring.contains(where)
        for lo, hi in BANDS:
            mask = (events.energy >= lo) & (events.energy < hi)
            n, m = (inside & mask).sum(), (beside & mask).sum()
            rows.append((n, m, (n - m * circle.area / ring.area) / field.live_time))
    return rows


def counted(field, regions) -> list[tuple]:
    rows = []
    for source, background in regions:
        energies = []
        for region in (source, background):
            near = field.events_near(*region.shape.reach)
            inside = region.contains(field.events.x[near], field.events.y[near])
            energies.append(np.sort(field.events.energy[near[inside]]))
        areas = source.area, background.area
        for lo, hi in BANDS:
            n, m = (np.diff(np.searchsorted(energy, (lo, hi)))[0] for energy in energies)
            rows.append((n, m, (n - m * areas[0] / areas[1]) / field.live_time))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sources", type=Path)
    parser.add_argument("--every", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        create_project(Path(name))
        with open_project(Path(name)) as project:
            add_observations(project, [options.folder])
            add_sources(project, options.sources)
            run(project, ["apertures"], workers=1)
            with project.store.read() as connection:
                (item,) = field_inputs(connection, project.settings)
                found: dict[int, dict] = {}
                places = {}
                for row in connection.execute(
                    select(Extraction.id, Extraction.x, Extraction.y, RegionRow.role, RegionRow.shape).join(
                        RegionRow, RegionRow.extraction_id == Extraction.id
                    )
                ):
                    region = region_from_dict(row.shape)
                    found.setdefault(row.id, {})[row.role] = region
                    if row.role == "source":
                        places[row.id] = (row.x, row.y, region.shape.reach[2])
    field = observed_field(field_key(item))
    regions = [(own["source"], own["background"]) for own in found.values() if own["background"].area > 0]
    counted(field, regions[:5])
    start = time.process_time()
    counted(field, regions)
    fast = time.process_time() - start
    chosen = list(places.values())[:: options.every]
    start = time.process_time()
    plain(field, chosen)
    slow = (time.process_time() - start) * len(places) / len(chosen)
    print(
        f"{len(places)} sources, {len(field.events)} events: plain {slow:.1f} s (of {len(chosen)}), "
        f"srccat {fast:.2f} s: {slow / fast:.0f} times"
    )


if __name__ == "__main__":
    main()
