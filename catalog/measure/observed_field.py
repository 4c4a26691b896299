"""One observation ready for measuring: cleaned events in a spatial index, chips and dither on the sky."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import KDTree
from shapely.geometry.base import BaseGeometry

from catalog.events.aspect import Aspect, AspectHistogram, aspect_histogram
from catalog.events.bad_pixels import read_bad_pixels
from catalog.events.dead_time import with_dead_time
from catalog.events.dithered_chips import DitheredChips, fold_dither, look
from catalog.events.event_list import EventList, read_event_list
from catalog.events.field_of_view import FieldOfView, field_of_view
from catalog.events.fov_region import cut_field_of_view, read_fov_region
from catalog.events.good_pixels import GoodPixels, good_pixels
from catalog.events.good_times import GoodTimes
from catalog.events.mask import read_mask
from catalog.events.observation_aspect import observation_aspect
from catalog.events.pulse_height_limits import energy_limits

BACK_ILLUMINATED = frozenset({5, 7})
"""ACIS chips that are back-illuminated: S1 and S3."""

_DITHER_CELL = 1.0
"""Arcsec: the dither spans 16, and each cell keeps its mean offset."""


@dataclass(frozen=True, eq=False)
class ObservedField:
    """Events, field of view and dither of one observation.

    Attributes
    ----------
    events
        Cleaned event list.
    field_of_view
        Active chips on the sky.
    aspect
        Pointing over time.
    histogram
        Offsets of the dither with their shares of the good time.
    pixels
        Good pixels of the chips.
    index
        Spatial index of the events' sky pixels.
    limits
        Energies (keV) that the windows of a chip keep, by chip; chips without limits are not in it.
    """

    events: EventList
    field_of_view: FieldOfView
    aspect: Aspect
    histogram: AspectHistogram
    pixels: GoodPixels
    index: KDTree
    limits: Mapping[int, tuple[float, float]] = field(default_factory=dict)

    def energy_range(self, chip: int) -> tuple[float, float] | None:
        """Energies (keV) to which the events of a chip are cut; None for no cut."""
        cuts = [cut for cut in (self.events.energy_range, self.limits.get(chip)) if cut is not None]
        return (max(cut[0] for cut in cuts), min(cut[1] for cut in cuts)) if cuts else None

    def events_near(self, x: float, y: float, reach: float) -> NDArray[np.intp]:
        """Events within `reach` sky pixels of a position, in the order of the file."""
        found = self.index.query_ball_point((x, y), reach, return_sorted=True)
        return np.asarray(found, dtype=np.intp)

    @cached_property
    def dithered(self) -> DitheredChips:
        """Good pixels folded with the dither."""
        live = self.live_time
        share = {chip: self.events.live_time(chip) / live for chip in self.field_of_view.chips}
        return fold_dither(self.field_of_view, self.pixels, self.aspect, self.events.good_times, share)

    @cached_property
    def live_time(self) -> float:
        """Reference live time in s, that of the chip with the most: good fractions are shares of it."""
        return max(self.events.live_time(chip) for chip in self.field_of_view.chips)

    @cached_property
    def good_time(self) -> GoodTimes:
        """Times that are good for some chip."""
        return self.events.all_good_times()

    def good_fraction(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of the reference live time that sky positions spend on good pixels, shape (n,)."""
        return self.dithered.good_fraction(x, y)

    def good_now(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Whether positions are on good pixels of each chip while the axis is at its mean, shape (n, k).

        Values between 0 and 1 within a pixel of a bad one.
        """
        return look(self.field_of_view, self.pixels.image, 0, x, y)

    def is_interior(self, x: float, y: float, reach: float) -> bool:
        """Tell whether all within `reach` sky pixels of a position is always on good pixels of one chip.

        False also where that is not certain without following the dither.
        """
        place = self.field_of_view.chip_at(x, y)
        return self.pixels.all_good(
            int(place.ccd_id[0]),
            float(place.chipx[0]),
            float(place.chipy[0]),
            reach + self.dither_radius + 1.5,
        )

    def interior_fraction(self, x: float, y: float) -> float:
        """Good fraction of an interior position: live time of its chip over the reference."""
        chip = int(self.field_of_view.chip_at(x, y).ccd_id[0])
        return self.events.live_time(chip) / self.live_time

    @property
    def dither_cell(self) -> float:
        """Size of the cells of the histogram, sky pixels."""
        return _DITHER_CELL / self.events.sky_frame.pixel_scale_arcsec

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
        own = shapely.union_all(same).difference(shapely.union_all(unlike))
        return own.intersection(self.field_of_view.region) if self.field_of_view.is_cut else own


def load_observed_field(
    path: Path,
    *,
    aspect_files: Sequence[Path] = (),
    bad_pixel_file: Path | None = None,
    mask_file: Path | None = None,
    fov_file: Path | None = None,
    gti_file: Path | None = None,
    exclude_times: Iterable[tuple[float, float]] = (),
    dead_time_file: Path | None = None,
) -> ObservedField:
    """Read an event list and build what measuring needs.

    Parameters
    ----------
    path
        Level-2 event list.
    aspect_files
        Aspect solutions; without them the aspect is rebuilt from the events.
    bad_pixel_file, mask_file
        Bad pixels and windows of the chips; without them the whole active area is good.
    fov_file
        Region (fov1 or ds9 polygons) to which the field of view is cut.
    gti_file, exclude_times
        Restrictions of the good time, see `read_event_list`.
    dead_time_file
        Dead time factors, of the HRC only; without them the mean of the header is used.
    """
    events = read_event_list(path, gti_file=gti_file, exclude_times=exclude_times)
    detector = events.header.imager
    if dead_time_file is not None and not detector.has_energies:
        events = with_dead_time(events, dead_time_file)
    aspect = observation_aspect(events, list(aspect_files))
    cell = max(1.0, np.rint(_DITHER_CELL / events.sky_frame.pixel_scale_arcsec))
    histogram = aspect_histogram(aspect, events.all_good_times(), cell=float(cell))
    view = field_of_view(events.header, events.sky_frame, histogram, events.chips, events)
    if fov_file is not None:
        view = cut_field_of_view(view, read_fov_region(fov_file, events.sky_frame), fov_file)
    obs_id = events.header.obs_id
    mask = None if mask_file is None else read_mask(mask_file, obs_id, detector)
    limits = energy_limits(path, mask.pulse_heights) if mask is not None and detector.has_energies else {}
    bad = None if bad_pixel_file is None else read_bad_pixels(bad_pixel_file, obs_id, detector)
    pixels = good_pixels(view, bad, mask)
    index = KDTree(np.column_stack([events.x, events.y]))
    return ObservedField(events, view, aspect, histogram, pixels, index, limits)
