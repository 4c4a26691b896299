"""The column registry: each column of each table and view, defined once.

From here come column comments in the database, FITS and VOTable metadata, machine-readable tables, LaTeX
heads and the documentation page. A name means the same wherever it stands.
"""

from __future__ import annotations

from dataclasses import replace

from catalog.schema import (
    columns_crowding,
    columns_extraction,
    columns_merged,
    columns_observation,
    columns_photometry,
    columns_position,
    columns_properties,
    columns_provenance,
    columns_spectral,
    columns_timing,
)
from catalog.schema.column import ColumnDefinition
from catalog.schema.mrt_labels import MRT_LABELS


def _collect() -> dict[str, ColumnDefinition]:
    registry: dict[str, ColumnDefinition] = {}
    for module in (
        columns_provenance,
        columns_observation,
        columns_extraction,
        columns_crowding,
        columns_photometry,
        columns_position,
        columns_merged,
        columns_properties,
        columns_timing,
        columns_spectral,
    ):
        for column in module.COLUMNS:
            if column.name in registry:
                raise ValueError(f"column {column.name} is registered twice")
            label = column.mrt or MRT_LABELS.get(column.name, "")
            registry[column.name] = replace(column, mrt=label)
    return registry


REGISTRY: dict[str, ColumnDefinition] = _collect()
"""Definition by column name; the columns of the wide view are derived in `views`."""
