"""The field of view: which sky positions the active chips saw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely.geometry import MultiPoint, MultiPolygon, Polygon

from catalog.events.aspect import AspectHistogram
from catalog.events.chip_geometry import CHIP_SIZE, FocalPlane, focal_plane
from catalog.events.header import ObservationHeader
from catalog.events.pointing import Pointing, mean_pointing
from catalog.events.sky_frame import SkyFrame

#: Distance from a chip edge, in pixels, within which a position counts as near it (srcflux's 32).
EDGE_PIXELS = 32


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
    rows
        Lowest and highest CHIPY that was read out (subarray).
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
    rows: tuple[int, int]
    margin: tuple[int, int]
    is_cut: bool = False

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """Lowest and highest CHIPX, lowest and highest CHIPY of the active area, at pixel edges."""
        columns, rows = self.margin
        first, last = self.rows
        return 0.5 + columns, CHIP_SIZE + 0.5 - columns, first - 0.5 + rows, last + 0.5 - rows

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
        low_x, high_x, low_y, high_y = self.limits
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
        """Whether a position comes within 32 pixels of the edge of its chip or subarray, or lies outside."""
        place = self.chip_at(x, y)
        first, last = self.rows
        central: NDArray[np.bool_] = (
            (place.chipx > 1 + EDGE_PIXELS)
            & (place.chipx < CHIP_SIZE - EDGE_PIXELS)
            & (place.chipy > first + EDGE_PIXELS)
            & (place.chipy < last - EDGE_PIXELS)
        )
        return ~central


def field_of_view(
    header: ObservationHeader,
    frame: SkyFrame,
    histogram: AspectHistogram,
    chips: Iterable[int] | None = None,
) -> FieldOfView:
    """Field of view of an observation.

    The outermost columns and rows hold no level-2 events, since an event needs its 3 x 3 neighbours (5 rows
    in VFAINT mode); they do not count as seen.

    Parameters
    ----------
    header, frame
        Of the event list.
    histogram
        Offsets of the dither.
    chips
        CCD_IDs; those with live time unless given.
    """
    plane = focal_plane(header)
    active = tuple(sorted(header.active_chips if chips is None else chips))
    mean_x, mean_y = histogram.mean
    axis = mean_pointing(header, frame)
    pointing = Pointing(
        axis.x + mean_x, axis.y + mean_y, axis.roll + histogram.roll_offset, axis.pixel_scale_arcsec
    )
    very_faint = (header.datamode or "").upper().startswith("VFAINT")
    view = FieldOfView(
        chips=active,
        outlines={},
        region=MultiPolygon(),
        pointing=pointing,
        mean_offset=(mean_x, mean_y),
        plane=plane,
        rows=(header.first_row, header.first_row + header.rows - 1),
        margin=(1, 2 if very_faint else 1),
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
    low_x, high_x, low_y, high_y = view.limits
    corners = np.array([(low_x, low_y), (high_x, low_y), (high_x, high_y), (low_x, high_y)])
    detx, dety = view.plane.chip_to_det(chip, corners[:, 0], corners[:, 1])
    sky = np.column_stack(view.pointing.det_to_sky(detx, dety))
    return MultiPoint((sky[:, None, :] + offsets[None, :, :]).reshape(-1, 2)).convex_hull
