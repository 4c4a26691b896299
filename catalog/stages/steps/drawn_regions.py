"""Regions drawn by a person within stage `apertures`: which units they concern, and what they change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Connection, select

from catalog.apertures.drawn import cut_out, rival
from catalog.apertures.region import Region, clip_to_field, region_from_dict
from catalog.apertures.region_labels import ROLES
from catalog.events.sky_frame import SkyFrame
from catalog.flags import Flag
from catalog.schema.tables import Source, UserRegion

Array = NDArray[np.float64]

_OF_COMPUTED = Flag.NEIGHBOUR_EXCLUDED | Flag.CONFUSED | Flag.NO_APERTURE | Flag.APERTURES_OVERLAP
"""Flags that tell of the computed source aperture, which a drawn one replaces."""


@dataclass(frozen=True)
class DrawnRegion:
    """A drawn region in force.

    Attributes
    ----------
    source_id, role
        Whose it is, and whether of its source or its background.
    region
        In sky pixels of the event list.
    ra, dec, reach
        Circle on the sky that holds it: degrees, arcsec.
    note
        Remark of the person.
    """

    source_id: int
    role: str
    region: Region
    ra: float
    dec: float
    reach: float
    note: str | None = None

    def content(self) -> list[Any]:
        """What a result can depend on."""
        return [self.role, self.region.to_dict()]


@dataclass(frozen=True)
class DrawnRegions:
    """All drawn regions of an event set and recipe, in the order of their sources' natural keys."""

    regions: tuple[DrawnRegion, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.regions)

    @cached_property
    def _by_source(self) -> dict[int, dict[str, DrawnRegion]]:
        found: dict[int, dict[str, DrawnRegion]] = {}
        for item in self.regions:
            found.setdefault(item.source_id, {})[item.role] = item
        return found

    def of(self, source_id: int) -> Mapping[str, DrawnRegion]:
        """Regions of a source by role."""
        return self._by_source.get(source_id, {})

    @cached_property
    def _apertures(self) -> tuple[tuple[DrawnRegion, ...], Array]:
        """Source apertures, and of each right ascension, declination and reach, shape (3, n)."""
        items = tuple(item for item in self.regions if item.role == "source")
        return items, np.array([[item.ra, item.dec, item.reach] for item in items]).reshape(-1, 3).T

    def near(
        self, source_id: int, place: tuple[float, float], reach: float, frame: SkyFrame
    ) -> list[DrawnRegion]:
        """Own regions, and apertures of others that come within `reach` sky pixels of a position.

        Parameters
        ----------
        source_id
            Row number.
        place
            Position of the source in sky pixels of `frame`.
        reach
            How far its regions may reach, sky pixels.
        frame
            Any tangent plane of the field.
        """
        items, (ra, dec, own_reach) = self._apertures
        x, y = frame.to_sky(ra, dec)
        near = np.hypot(x - place[0], y - place[1]) < reach + own_reach / frame.pixel_scale_arcsec
        others = [items[k] for k in np.flatnonzero(near) if items[k].source_id != source_id]
        return [*self.of(source_id).values(), *others]


def load_drawn(connection: Connection, event_set_id: int, recipe_id: int) -> DrawnRegions:
    """Read the drawn regions of an event set and recipe."""
    rows = connection.execute(
        select(
            UserRegion.source_id,
            UserRegion.role,
            UserRegion.shape,
            UserRegion.ra,
            UserRegion.dec,
            UserRegion.reach,
            UserRegion.note,
        )
        .join(Source, Source.id == UserRegion.source_id)
        .where(UserRegion.event_set_id == event_set_id, UserRegion.recipe_id == recipe_id)
        .order_by(Source.origin_hpx29, UserRegion.role)
    )
    return DrawnRegions(
        tuple(
            DrawnRegion(
                row.source_id, row.role, region_from_dict(row.shape), row.ra, row.dec, row.reach, row.note
            )
            for row in rows
        )
    )


def held_sources(drawn: Mapping[str, DrawnRegion], frame: SkyFrame, x: Array, y: Array) -> NDArray[np.intp]:
    """Rows of sources (sky pixels of `frame`) that a drawn source aperture may hold."""
    if "source" not in drawn:
        return np.empty(0, np.intp)
    item = drawn["source"]
    middle_x, middle_y = frame.to_sky(item.ra, item.dec)
    distance = np.hypot(x - middle_x, y - middle_y)
    return np.flatnonzero(distance <= 1.02 * item.reach / frame.pixel_scale_arcsec)


def apply_drawn(
    record: dict[str, Any],
    source_id: int,
    drawn: Sequence[DrawnRegion],
    positions: Array,
    fields: tuple[BaseGeometry, BaseGeometry],
    pixel_scale: float,
) -> None:
    """Put drawn regions in the place of computed ones, and cut drawn apertures of others out of the rest.

    Parameters
    ----------
    record
        Columns of an extraction with its computed ``regions``, changed in place.
    source_id
        The source.
    drawn
        Its drawn regions, and source apertures drawn for others.
    positions
        Other sources near it, sky pixels, shape (k, 2).
    fields
        What clips the source aperture and the background.
    pixel_scale
        Arcsec per sky pixel.
    """
    own = {item.role: item for item in drawn if item.source_id == source_id}
    apertures = [item.region for item in drawn if item.source_id != source_id]
    rest = {role: content for role, content in record["regions"].items() if role not in ROLES}
    regions = {role: region_from_dict(record["regions"][role][0]) for role in ROLES}
    flags = Flag(record["flags"])
    if "source" in own:
        aperture = own["source"].region
        flags = flags & ~_OF_COMPUTED | Flag.DRAWN_REGION | _doubts(aperture, record, positions)
        regions["source"] = clip_to_field(aperture, fields[0])
        x, y, reach = aperture.shape.reach
        record["radius_aper"] = (float(np.hypot(x - record["x"], y - record["y"])) + reach) * pixel_scale
        apertures = [aperture, *apertures]
    else:
        cut = cut_out(regions["source"], apertures)
        if cut.area < regions["source"].area * (1 - 1e-9):
            flags |= Flag.NEIGHBOUR_EXCLUDED
            regions["source"] = cut
    if "background" in own:
        region = own["background"].region
        regions["background"] = clip_to_field(region, fields[1])
        flags = flags & ~(Flag.MIXED_CHIPS | Flag.SMALL_BACKGROUND) | Flag.DRAWN_REGION
        if clip_to_field(region, fields[0]).area > regions["background"].area * (1 + 1e-6):
            flags |= Flag.MIXED_CHIPS
    else:
        regions["background"] = cut_out(regions["background"], apertures)
    if regions["source"].area <= 0:
        flags |= Flag.NO_APERTURE
        regions = {}
    record["flags"] = int(flags)
    record["regions"] = {role: (region.to_dict(), region.area) for role, region in regions.items()}
    if regions:
        record["regions"] |= rest
    record["drawn"] = {role: item.note for role, item in own.items() if role in regions}


def _doubts(aperture: Region, record: dict[str, Any], positions: Array) -> Flag:
    """Flags of a drawn aperture that holds other sources, or not its own."""
    flags = Flag(0)
    if len(positions) and aperture.contains(*positions.T).any():
        flags |= Flag.CONFUSED
    if rival(aperture, (record["x"], record["y"]), positions) is not None:
        flags |= Flag.OFF_SOURCE
    return flags
