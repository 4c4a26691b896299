"""Light of neighbours in the spectra of an event set: what the photometry found, put on channels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from catalog.measure.extract import Aperture
from catalog.measure.neighbour_spectrum import BandLight, neighbour_counts, smooth_net
from catalog.measure.observed_field import ObservedField
from catalog.measure.spectra import channel_energies, pi_histogram, region_events
from catalog.schema.tables import BandRow, Extraction, NeighbourLight, Source
from catalog.stages.base.stage import Place

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Neighbour:
    """A source that sends light into the aperture of another, and how much by band."""

    source_id: int
    light: tuple[BandLight, ...]


def load_neighbours(
    connection: Connection, place: Place, ratios: Mapping[int, float]
) -> dict[int, tuple[Neighbour, ...]]:
    """Return the neighbours of each source that has some.

    Parameters
    ----------
    connection, place
        Database, recipe and event set.
    ratios
        Background over that of the aperture, by source id: what a background region holds of a neighbour is
        taken off with the background.
    """
    rows = connection.execute(
        select(
            Extraction.source_id,
            NeighbourLight.neighbour_id,
            NeighbourLight.contam_cnts_aper,
            NeighbourLight.contam_cnts_aperbkg,
            BandRow.lo,
            BandRow.hi,
        )
        .join(Extraction, Extraction.id == NeighbourLight.extraction_id)
        .join(BandRow, BandRow.id == NeighbourLight.band_id)
        .join(Source, Source.id == NeighbourLight.neighbour_id)
        .where(
            Extraction.event_set_id == place.observed.event_set_id, Extraction.recipe_id == place.recipe_id
        )
        # Not by row number: the order of the list must not matter, not even in the last bit.
        .order_by(Extraction.source_id, Source.origin_hpx29, BandRow.lo, BandRow.hi)
    )
    found: dict[int, dict[int, list[BandLight]]] = {}
    for row in rows:
        if row.source_id in ratios:
            beside = (row.contam_cnts_aperbkg or 0.0) / ratios[row.source_id]
            light = BandLight(row.lo, row.hi, (row.contam_cnts_aper or 0.0) - beside)
            found.setdefault(row.source_id, {}).setdefault(row.neighbour_id, []).append(light)
    return {
        source_id: tuple(Neighbour(other, tuple(light)) for other, light in own.items())
        for source_id, own in found.items()
    }


@dataclass(frozen=True)
class NeighbourShapes:
    """Spectra of neighbours: made when first asked for, kept for a batch.

    Attributes
    ----------
    regions
        Aperture and background ratio by source id.
    """

    regions: Mapping[int, tuple[Aperture, float]]
    _made: dict[int, Array] = field(default_factory=dict)

    def counts(self, observed: ObservedField, neighbours: Iterable[Neighbour]) -> Array | None:
        """Counts of all neighbours of a source by channel, None where there are none."""
        parts = [
            neighbour_counts(self._shape(observed, item.source_id), channel_energies(), item.light)
            for item in neighbours
            if item.source_id in self.regions
        ]
        total = np.sum(parts, axis=0) if parts else np.zeros(0)
        return total if total.any() else None

    def _shape(self, observed: ObservedField, source_id: int) -> Array:
        if source_id not in self._made:
            aperture, ratio = self.regions[source_id]
            counts, background = (
                pi_histogram(observed, region_events(observed, region))
                for region in (aperture.source, aperture.background)
            )
            self._made[source_id] = smooth_net(counts, background, ratio, channel_energies())
        return self._made[source_id]
