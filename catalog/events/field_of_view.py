"""The field of view: which sky positions the active chips saw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely.geometry import MultiPoint, MultiPolygon, Polygon

from catalog.events.active_area import Limits, active_area
from catalog.events.aspect import AspectHistogram
from catalog.events.chip_geometry import FocalPlane, focal_plane
from catalog.events.detector import ACIS
from catalog.events.event_list import EventList
from catalog.events.header import ObservationHeader
from catalog.events.pointing import Pointing, mean_pointing
from catalog.events.sky_frame import SkyFrame

#: Distance from a chip edge within which a position counts as near it: srcflux's 32 pixels of ACIS.
EDGE_PIXELS = 32
_EDGE_RAD = EDGE_PIXELS * ACIS.det_pixel_rad


@dataclass(frozen=True, eq=False)
class ChipPosition:
    """Where positions fall at the mean pointing.

    Attributes
    ----------
    ccd_id
        Shape (n,), the chip, or the nearest one for a position on no active chip.
    chipx, chipy
        Shape (n,), chip pixels; outside the active area for a position on no chip.
    on_chip
        Shape (n,), whether the position is in the active area of `ccd_id`.
    """

    ccd_id: NDArray[np.int16]
    chipx: NDArray[np.float64]
    chipy: NDArray[np.float64]
    on_chip: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FieldOfView:
    """Active chips of an observation on the sky.

    Attributes
    ----------
    chips
        CCD_IDs, sorted.
    outlines
        Sky-pixel polygon of each chip, swept over the dither.
    region
        Their union, cut to the user's region where there is one.
    pointing
        Mean pointing, offsets and roll of the dither included.
    mean_offset
        Mean offset of the dither from RA_PNT, DEC_PNT, sky pixels.
    plane
        Chip geometry.
    active
        Limits of the area of each chip that holds events.
    margin
        Columns and rows at the edges that hold no events.
    is_cut
        Whether `region` is smaller than the union of the outlines.
    """

    chips: tuple[int, ...]
    outlines: Mapping[int, Polygon]
    region: Polygon | MultiPolygon
    pointing: Pointing
    mean_offset: tuple[float, float]
    plane: FocalPlane
    active: Mapping[int, Limits]
    margin: tuple[int, int]
    is_cut: bool = False

    def in_fov(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Whether some chip saw the position at some time of the dither."""
        inside: NDArray[np.bool_] = shapely.intersects_xy(
            self.region, np.asarray(x, float), np.asarray(y, float)
        )
        return inside

    def chip_at(self, x: ArrayLike, y: ArrayLike) -> ChipPosition:
        """Chip and chip pixel of sky positions at the mean pointing."""
        detx, dety = self.pointing.sky_to_det(np.atleast_1d(x), np.atleast_1d(y))
        chips = np.array(self.chips, dtype=np.int16)
        chipx, chipy = self.plane.det_to_chip(chips[:, None], detx[None, :], dety[None, :])
        low_x, high_x, low_y, high_y = np.array([self.active[chip] for chip in self.chips]).T[..., None]
        outside = np.hypot(
            np.maximum(0.0, np.maximum(low_x - chipx, chipx - high_x)),
            np.maximum(0.0, np.maximum(low_y - chipy, chipy - high_y)),
        )
        best = np.argmin(outside, axis=0)
        column = np.arange(best.size)
        return ChipPosition(
            chips[best], chipx[best, column], chipy[best, column], outside[best, column] == 0.0
        )

    def near_edge(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Whether a position comes within 16 arcsec of the edge of its chip or subarray, or lies outside."""
        place = self.chip_at(x, y)
        reach = _EDGE_RAD / self.plane.detector.det_pixel_rad
        limits = np.array([self.active[chip] for chip in place.ccd_id.tolist()]).reshape(-1, 4).T
        # From the outermost pixels of the chip itself, those that hold no events included.
        columns, rows = (number - 0.5 for number in self.margin)
        central: NDArray[np.bool_] = (
            (place.chipx > limits[0] - columns + reach)
            & (place.chipx < limits[1] + columns - reach)
            & (place.chipy > limits[2] - rows + reach)
            & (place.chipy < limits[3] + rows - reach)
        )
        return ~central


def field_of_view(
    header: ObservationHeader,
    frame: SkyFrame,
    histogram: AspectHistogram,
    chips: Iterable[int] | None = None,
    events: EventList | None = None,
) -> FieldOfView:
    """Field of view of an observation.

    Parameters
    ----------
    header, frame
        Of the event list.
    histogram
        Offsets of the dither.
    chips
        CCD_IDs; those with live time unless given.
    events
        Events that show how far the plates of the HRC reach; ACIS needs none.
    """
    plane = focal_plane(header)
    active = tuple(sorted(header.active_chips if chips is None else chips))
    mean_x, mean_y = histogram.mean
    axis = mean_pointing(header, frame)
    pointing = Pointing(
        axis.x + mean_x,
        axis.y + mean_y,
        axis.roll + histogram.roll_offset,
        axis.pixel_scale_arcsec,
        axis.det_axis,
    )
    margin, limits = active_area(header, active, events)
    view = FieldOfView(
        chips=active,
        outlines={},
        region=MultiPolygon(),
        pointing=pointing,
        mean_offset=(mean_x, mean_y),
        plane=plane,
        active=limits,
        margin=margin,
    )
    offsets = _hull(histogram.dx - mean_x, histogram.dy - mean_y)
    outlines = {chip: _swept_outline(view, chip, offsets) for chip in active}
    return replace(view, outlines=outlines, region=shapely.union_all(list(outlines.values())))


def _hull(dx: NDArray[np.float64], dy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners of the smallest convex figure around the offsets, shape (m, 2)."""
    corners: NDArray[np.float64] = shapely.get_coordinates(MultiPoint(np.column_stack([dx, dy])).convex_hull)
    return corners


def _swept_outline(view: FieldOfView, chip: int, offsets: NDArray[np.float64]) -> Polygon:
    """Area that a chip sweeps: of convex figures, the hull of all sums of their corners."""
    low_x, high_x, low_y, high_y = view.active[chip]
    corners = np.array([(low_x, low_y), (high_x, low_y), (high_x, high_y), (low_x, high_y)])
    detx, dety = view.plane.chip_to_det(chip, corners[:, 0], corners[:, 1])
    sky = np.column_stack(view.pointing.det_to_sky(detx, dety))
    return MultiPoint((sky[:, None, :] + offsets[None, :, :]).reshape(-1, 2)).convex_hull
