"""The user's exposure maps of an event set: mean exposures of the regions of its extractions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from catalog.apertures.region import region_from_dict
from catalog.band import Band
from catalog.calibration.exposure_image import ExposureImage, read_exposure_image
from catalog.errors import SettingsError
from catalog.measure.user_exposure import region_exposure
from catalog.schema.tables import RegionRow
from catalog.stages.base.field_cache import field_key, observed_field
from catalog.stages.base.work import FieldInput

Means = dict[int, tuple[tuple[float, ...], tuple[float, ...]]]
"""By row number of the extraction: exposures of aperture and background region by band, NaN without a map."""


def exposure_images(field: FieldInput) -> dict[str, ExposureImage]:
    """Maps of an event set by name of the band."""
    return {band: read_exposure_image(path) for band, (path, _) in field.user_files[0].expmaps}


def check_bands(field: FieldInput, known: Collection[str]) -> None:
    """Refuse maps of a band that no recipe has.

    Raises
    ------
    SettingsError
        UNKNOWN_BAND.
    """
    for band, (path, _) in field.user_files[0].expmaps:
        if band not in known:
            raise SettingsError(
                f"an exposure map of band {band}, which no recipe measures",
                path,
                f"bands are {', '.join(sorted(known))}",
                code="UNKNOWN_BAND",
            )


def map_means(
    connection: Connection, field: FieldInput, bands: Sequence[Band], extractions: Sequence[Any]
) -> Means:
    """Exposures of extractions with an aperture on the user's maps; nothing where there is no map."""
    images = exposure_images(field)
    if not any(band.name in images for band in bands):
        return {}
    frame = observed_field(field_key(field)).events.sky_frame
    live = {row.id: row.livetime for row in extractions if row.area_aper is not None}
    shapes: dict[int, dict[str, Any]] = {}
    for row in connection.execute(
        select(RegionRow.extraction_id, RegionRow.role, RegionRow.shape).where(
            RegionRow.extraction_id.in_(live)
        )
    ):
        shapes.setdefault(row.extraction_id, {})[row.role] = region_from_dict(row.shape)

    def means(extraction: int, role: str) -> tuple[float, ...]:
        region = shapes.get(extraction, {}).get(role)
        return tuple(
            np.nan
            if region is None or band.name not in images
            else region_exposure(region, images[band.name], frame, live[extraction])
            for band in bands
        )

    return {extraction: (means(extraction, "source"), means(extraction, "background")) for extraction in live}
