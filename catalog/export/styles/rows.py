"""Rows for styled exports: measurements and merges with all that belongs to them, as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Executable, select

from catalog.schema.tables import (
    BandRow,
    EventSet,
    Extraction,
    Measurement,
    MeasurementProperty,
    Merge,
    MergedMeasurement,
    MergedProperty,
    MergedVariability,
    Observation,
    Recipe,
    RegionRow,
    Source,
    Variability,
)

Array = NDArray[Any]
_KEYS = frozenset({"id", "run_id", "flags"})


class StyleColumn(NamedTuple):
    """A column of a styled table."""

    name: str
    unit: str
    values: Any
    form: str = "D"


@dataclass(frozen=True, eq=False)
class StyleRows:
    """Rows of one query by column, in the order of the sources.

    Numbers are float64 with NaN for NULL; all else is an object array with None.
    """

    columns: dict[str, Array]

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())))

    def number(self, name: str) -> NDArray[np.float64]:
        """A column of numbers."""
        values = self.columns[name]
        return np.array([np.nan if value is None else float(value) for value in values], dtype=float)

    def text(self, name: str) -> list[str]:
        """A column of text, empty for NULL."""
        return ["" if value is None else str(value) for value in self.columns[name]]

    def truth(self, name: str) -> NDArray[np.bool_]:
        """A column of truth values, False for NULL."""
        return np.array([bool(value) for value in self.columns[name]], dtype=bool)

    def where(self, chosen: NDArray[np.bool_]) -> StyleRows:
        """The rows chosen."""
        return StyleRows({name: values[chosen] for name, values in self.columns.items()})

    def distinct(self, name: str) -> list[Any]:
        """Values of a column, each once, in the order of the rows."""
        return list(dict.fromkeys(self.columns[name].tolist()))


def _fields(model: Any, prefix: str = "", leave: Sequence[str] = ()) -> list[Any]:
    return [
        column.label(f"{prefix}{column.name}")
        for column in model.__table__.columns
        if column.name not in _KEYS and not column.name.endswith("_id") and column.name not in leave
    ]


def _fetch(connection: Connection, statement: Executable) -> StyleRows:
    result = connection.execute(statement)
    names = list(result.keys())
    table = result.all()
    columns = {}
    for i, name in enumerate(names):
        values = np.empty(len(table), dtype=object)
        values[:] = [row[i] for row in table]
        columns[name] = values
    return StyleRows(columns)


def detection_rows(connection: Connection, recipe: str, *, shapes: bool = False) -> StyleRows:
    """One row per source, observation and band of a recipe, with properties, variability and areas.

    With `shapes` there is a column of the same name: the geometry of the source region.
    """
    statement = (
        select(
            Source.id.label("source_id"),
            Source.name,
            Source.ra,
            Source.dec,
            Observation.obs_id,
            Observation.date_obs,
            Observation.ra_pnt,
            Observation.dec_pnt,
            Observation.livetime.label("observation_livetime"),
            BandRow.band,
            BandRow.lo,
            BandRow.hi,
            BandRow.eff,
            *_fields(Extraction, leave=("events_aper", "events_aperbkg")),
            *_fields(Measurement),
            *_fields(MeasurementProperty),
            Variability.gl_log10_odds,
            Variability.var_prob,
            Variability.var_index,
            RegionRow.area_pix,
            *([RegionRow.shape.label("shapes")] if shapes else []),
            Extraction.chip_id,
        )
        .select_from(Extraction)
        .join(Source, Source.id == Extraction.source_id)
        .join(Recipe, Recipe.id == Extraction.recipe_id)
        .join(EventSet, EventSet.id == Extraction.event_set_id)
        .join(Observation, Observation.id == EventSet.observation_id)
        .join(Measurement, Measurement.extraction_id == Extraction.id)
        .join(BandRow, BandRow.id == Measurement.band_id)
        .outerjoin(
            MeasurementProperty,
            (MeasurementProperty.extraction_id == Extraction.id)
            & (MeasurementProperty.band_id == Measurement.band_id),
        )
        .outerjoin(
            Variability,
            (Variability.extraction_id == Extraction.id) & (Variability.band_id == Measurement.band_id),
        )
        .outerjoin(RegionRow, (RegionRow.extraction_id == Extraction.id) & (RegionRow.role == "source"))
        .where(Recipe.recipe == recipe, EventSet.role == "photometry")
        .order_by(Observation.obs_id, BandRow.band, Source.ra, Source.dec, Source.id)
    )
    return _fetch(connection, statement)


def merged_rows(connection: Connection, recipe: str) -> StyleRows:
    """One row per source and band of a recipe, merged over observations."""
    statement = (
        select(
            Source.id.label("source_id"),
            Source.name,
            Source.label.label("source_label"),
            Source.ra,
            Source.dec,
            BandRow.band,
            BandRow.lo,
            BandRow.hi,
            BandRow.eff,
            *_fields(Merge),
            *_fields(MergedMeasurement),
            *_fields(MergedProperty),
            *_fields(MergedVariability),
        )
        .select_from(Merge)
        .join(Source, Source.id == Merge.source_id)
        .join(Recipe, Recipe.id == Merge.recipe_id)
        .join(MergedMeasurement, MergedMeasurement.merge_id == Merge.id)
        .join(BandRow, BandRow.id == MergedMeasurement.band_id)
        .outerjoin(
            MergedProperty,
            (MergedProperty.merge_id == Merge.id) & (MergedProperty.band_id == MergedMeasurement.band_id),
        )
        .outerjoin(
            MergedVariability,
            (MergedVariability.merge_id == Merge.id)
            & (MergedVariability.band_id == MergedMeasurement.band_id),
        )
        .where(Recipe.recipe == recipe, Merge.purpose == "photometry")
        .order_by(BandRow.band, Source.ra, Source.dec, Source.id)
    )
    return _fetch(connection, statement)
