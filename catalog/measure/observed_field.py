"""One observation ready for measuring: cleaned events in a spatial index, chips and dither on the sky."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import KDTree
from shapely.geometry.base import BaseGeometry

from catalog.events.aspect import AspectHistogram, aspect_histogram
from catalog.events.event_list import EventList, read_event_list
from catalog.events.field_of_view import FieldOfView, field_of_view
from catalog.events.observation_aspect import observation_aspect

BACK_ILLUMINATED = frozenset({5, 7})
"""ACIS chips that are back-illuminated: S1 and S3."""

_DITHER_CELL = 2.0
"""Sky pixels: the dither spans 33, and each cell keeps its mean offset."""


@dataclass(frozen=True, eq=False)
class ObservedField:
    """Events, field of view and dither of one observation.

    Attributes
    ----------
    events
        Cleaned event list.
    field_of_view
        Active chips on the sky.
    histogram
        Offsets of the dither with their shares of the good time.
    index
        Spatial index of the events' sky pixels.
    """

    events: EventList
    field_of_view: FieldOfView
    histogram: AspectHistogram
    index: KDTree

    def events_near(self, x: float, y: float, reach: float) -> NDArray[np.intp]:
        """Events within `reach` sky pixels of a position, in the order of the file."""
        found = self.index.query_ball_point((x, y), reach, return_sorted=True)
        return np.asarray(found, dtype=np.intp)

    def good_fraction(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of the dither that sky positions spend on active chips."""
        return self.field_of_view.good_fraction(x, y, self.histogram)

    def is_interior(self, x: float, y: float, reach: float) -> bool:
        """Tell whether everything within `reach` sky pixels of a position is on its chip at all times.

        False also where that is not certain without following the dither.
        """
        place = self.field_of_view.chip_at(x, y)
        low_x, high_x, low_y, high_y = self.field_of_view.limits
        chipx, chipy = float(place.chipx[0]), float(place.chipy[0])
        margin = min(chipx - low_x, high_x - chipx, chipy - low_y, high_y - chipy)
        return margin > reach + self.dither_radius + 1.0

    @cached_property
    def dither_radius(self) -> float:
        """Largest distance of the optical axis from its mean, sky pixels."""
        mean_x, mean_y = self.histogram.mean
        return float(np.hypot(self.histogram.dx - mean_x, self.histogram.dy - mean_y).max())

    def on_time(self, chip: int) -> float:
        """Good time of a chip in s."""
        times = self.events.good_times.get(chip)
        return 0.0 if times is None else times.total()

    def chips_like(self, chip: int) -> BaseGeometry:
        """Part of the field that the chips of the same kind (front- or back-illuminated) see."""
        outlines = self.field_of_view.outlines
        kind = chip in BACK_ILLUMINATED
        same = [outline for other, outline in outlines.items() if (other in BACK_ILLUMINATED) == kind]
        unlike = [outline for other, outline in outlines.items() if (other in BACK_ILLUMINATED) != kind]
        return shapely.union_all(same).difference(shapely.union_all(unlike))


def load_observed_field(
    path: Path,
    *,
    aspect_files: Sequence[Path] = (),
    gti_file: Path | None = None,
    exclude_times: Iterable[tuple[float, float]] = (),
) -> ObservedField:
    """Read an event list and build what measuring needs.

    Parameters
    ----------
    path
        Level-2 event list.
    aspect_files
        Aspect solutions; without them the aspect is rebuilt from the events.
    gti_file, exclude_times
        Restrictions of the good time, see `read_event_list`.
    """
    events = read_event_list(path, gti_file=gti_file, exclude_times=exclude_times)
    aspect = observation_aspect(events, list(aspect_files))
    histogram = aspect_histogram(aspect, events.all_good_times(), cell=_DITHER_CELL)
    view = field_of_view(events.header, events.sky_frame, histogram, events.chips)
    return ObservedField(events, view, histogram, KDTree(np.column_stack([events.x, events.y])))
