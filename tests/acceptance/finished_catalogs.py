"""Whole projects on real and simulated observations, and what they hold in the broad band."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import LABEL_STYLE_TABLENAME_PLUS_COL, select

from catalog.schema.tables import (
    BandRow,
    EventSet,
    Extraction,
    Measurement,
    Merge,
    MergedMeasurement,
    Observation,
    Source,
)
from catalog.stages.base.project import create_project, open_project
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine.run import run

Rows = list[dict[str, Any]]

#: Up to the merged fluxes: what else is computed is tested elsewhere.
STAGES = ("apertures", "extract", "photometry", "merge")
#: Longest first: the name of one table may begin with that of another.
TABLES = ("merged_measurement", "measurement", "extraction", "observation", "source", "merge")


class Catalog:
    """What a finished project holds in the broad band, as plain rows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with open_project(folder) as project:
            self.calibration = project.calibration()
            with project.store.read() as connection:
                band = connection.scalar(select(BandRow.id).where(BandRow.band == "broad"))
                self.measurements = self._rows(
                    connection,
                    select(Source, Observation, Extraction, Measurement)
                    .join(Extraction, Extraction.source_id == Source.id)
                    .join(EventSet, EventSet.id == Extraction.event_set_id)
                    .join(Observation, Observation.id == EventSet.observation_id)
                    .join(Measurement, Measurement.extraction_id == Extraction.id)
                    .where(Measurement.band_id == band),
                )
                self.merged = self._rows(
                    connection,
                    select(Source, Merge, MergedMeasurement)
                    .join(Merge, Merge.source_id == Source.id)
                    .join(MergedMeasurement, MergedMeasurement.merge_id == Merge.id)
                    .where(MergedMeasurement.band_id == band),
                )

    @staticmethod
    def _rows(connection: Any, statement: Any) -> Rows:
        """Rows by column name, of objects joined from the left; the flags of all are one."""
        # Plain columns: an object would be made once only for all rows it is in.
        columns = [
            column for entity in statement.column_descriptions for column in entity["entity"].__table__.c
        ]
        labelled = statement.with_only_columns(*columns).order_by(Source.id)
        labelled = labelled.set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)
        found = []
        for objects in connection.execute(labelled):
            values: dict[str, Any] = {"flags": 0}
            for label, value in objects._mapping.items():
                name = next(
                    label.removeprefix(f"{table}_") for table in TABLES if label.startswith(f"{table}_")
                )
                if name == "flags":
                    values["flags"] |= value
                else:
                    # Live time and date are those of the extraction or merge, not of the observation.
                    values[name] = value
            found.append(values)
        return found


def build(
    folder: Path, observations: Sequence[Path], lists: Sequence[Path | str], settings: str = ""
) -> Catalog:
    """Make a project in a folder, run it, and read it; `settings` go into section calibration."""
    create_project(folder)
    path = folder / "srccat.toml"
    path.write_text(path.read_text().replace("\n[calibration]\n", f"\n[calibration]\n{settings}\n"))
    with open_project(folder) as project:
        add_observations(project, observations)
        for item in lists:
            add_sources(project, item)
        assert run(project, STAGES, workers=1).failed == 0
    return Catalog(folder)
