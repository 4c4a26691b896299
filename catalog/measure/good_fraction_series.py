"""Time-resolved good fraction of a region: how the dither carries it over chip edges and bad pixels.

The fraction depends on time only through the offset of the optical axis (and through the good times of the
chips), so it is tabulated on a grid of offsets and followed along the aspect: the cost does not grow with the
number of bins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from catalog.apertures.region import Region
from catalog.events.dithered_chips import look
from catalog.events.good_pixels import PassingPixels
from catalog.events.good_times import GoodTimes
from catalog.measure.observed_field import ObservedField

FloatArray = NDArray[np.float64]

_OFFSET_STEP = 0.492
"""Arcsec between tabulated offsets: a pixel of ACIS."""
_TIME_STEP_S = 4.0
"""The dither moves by 0.2 pixel in this time."""
_MOST_TIMES = 200_000


def good_fraction_series(
    field: ObservedField, region: Region, edges: FloatArray, *, samples: int = 64
) -> FloatArray:
    """Mean fraction of a region's area on good pixels in each time bin.

    Parameters
    ----------
    field
        The observation.
    region
        Region in sky pixels.
    edges
        Bin edges in s of mission time, shape (n + 1,), ascending.
    samples
        Least number of points that stand for the region's area.

    Returns
    -------
    ndarray
        Shape (n,), in [0, 1], never NaN: the mean over the good time (of any chip) in the bin; over the whole
        bin where it holds none. A pixel is good while its chip is in its good time and, where it is bad for a
        part of the observation only, outside that part.
    """
    edges = np.asarray(edges, dtype=np.float64)
    points = sample_points(region, samples)
    x, y, reach = region.shape.reach
    good_times = field.events.good_times
    same_times = all(times == field.good_time for times in good_times.values())
    if not len(points) or (same_times and field.is_interior(x, y, reach)):
        return np.full(edges.size - 1, 1.0 if len(points) else 0.0)
    return good_share_series(field, points, edges)


def good_share_series(field: ObservedField, points: FloatArray, edges: FloatArray) -> FloatArray:
    """Share of points on good pixels in each time bin, as `good_fraction_series` gives it of an area.

    Parameters
    ----------
    field
        The observation.
    points
        Sky pixels, shape (k, 2), at least one.
    edges
        Bin edges in s of mission time, shape (n + 1,), ascending.
    """
    good_times = field.events.good_times
    same_times = all(times == field.good_time for times in good_times.values())
    table = _OffsetTable(field, points)
    number = int(np.clip((edges[-1] - edges[0]) / _TIME_STEP_S, 64, _MOST_TIMES))
    # Bin edges and the ends of good times are nodes too, so that no step straddles them.
    inner = [times for times in _ends(field.good_time) if edges[0] < times < edges[-1]]
    nodes = np.unique(np.concatenate([np.linspace(edges[0], edges[-1], number + 1), edges, inner]))
    middle, width = 0.5 * (nodes[1:] + nodes[:-1]), np.diff(nodes)
    whole = table.at(middle, None)
    value = whole if same_times else table.at(middle, good_times)
    live = width * field.good_time.contains(middle)
    live_sum, value_sum = _running(live), _running(live * value)
    all_sum, whole_sum = _running(width), _running(width * whole)
    index = np.searchsorted(nodes, edges)
    seconds = np.diff(live_sum[index])
    found = np.diff(value_sum[index]) / np.where(seconds > 0, seconds, 1.0)
    instead = np.diff(whole_sum[index]) / np.maximum(np.diff(all_sum[index]), 1e-9)
    return np.clip(np.where(seconds > 0, found, instead), 0.0, 1.0)


def sample_points(region: Region, samples: int) -> FloatArray:
    """Points spread evenly over a region, shape (n, 2), at least `samples` unless it is empty."""
    x, y, reach = region.shape.reach
    side = max(8, int(np.ceil(np.sqrt(samples))))
    for _ in range(6):
        axis = ((np.arange(side) + 0.5) / side * 2.0 - 1.0) * reach
        u, v = (grid.ravel() for grid in np.meshgrid(x + axis, y + axis))
        inside = region.contains(u, v)
        if np.count_nonzero(inside) >= samples:
            return np.column_stack([u[inside], v[inside]])
        side *= 2
    geometry = region.geometry()
    if geometry.is_empty:
        return np.empty((0, 2))
    point = geometry.representative_point()
    return np.array([[point.x, point.y]])


class _OffsetTable:
    """Share of the points on good pixels of each chip, by offset of the optical axis from its mean."""

    def __init__(self, field: ObservedField, points: FloatArray) -> None:
        mean_x, mean_y = field.field_of_view.mean_offset
        self._aspect, self._mean = field.aspect, (mean_x, mean_y)
        self._chips = field.field_of_view.chips
        scale = field.events.sky_frame.pixel_scale_arcsec
        # Whole pixels of ACIS, and as many of the smaller ones of the HRC as come next to one.
        self._step = max(1.0, np.rint(_OFFSET_STEP / scale))
        self._number = int(np.ceil(field.dither_radius / self._step + 1.0))
        axis = np.arange(-self._number, self._number + 1) * self._step
        u, v = np.meshgrid(axis, axis)
        # A shift of the axis moves a position over the chips as the opposite shift of the position does.
        x = points[:, 0][:, None] - u.ravel()
        y = points[:, 1][:, None] - v.ravel()
        shares = field.good_now(x.ravel(), y.ravel()).reshape(*x.shape, -1).mean(axis=0)
        self._table = shares.T.reshape(-1, axis.size, axis.size)
        self._passing = [
            (self._chips[group.chip_index], group.bad, share.reshape(axis.size, axis.size))
            for group, share in _shares_of_passing(field, x, y)
        ]

    def at(self, time: FloatArray, good_times: Mapping[int, GoodTimes] | None) -> FloatArray:
        """Share at times; with `good_times`, each chip only while it is in its own."""
        dx, dy = self._aspect.at(time)
        last = 2 * self._number
        column = np.clip((dx - self._mean[0]) / self._step + self._number, 0, last)
        row = np.clip((dy - self._mean[1]) / self._step + self._number, 0, last)
        i, j = (np.minimum(np.floor(value).astype(np.intp), last - 1) for value in (row, column))
        p, q = row - i, column - j
        total = np.zeros(time.size)
        for chip, table in zip(self._chips, self._table, strict=True):
            if not table.any():
                continue
            lower = table[i, j] * (1 - q) + table[i, j + 1] * q
            upper = table[i + 1, j] * (1 - q) + table[i + 1, j + 1] * q
            share = lower * (1 - p) + upper * p
            for other, bad, lost in self._passing:
                if other == chip:
                    share = share - lost[np.rint(row).astype(np.intp), np.rint(column).astype(np.intp)] * (
                        bad.contains(time)
                    )
            if good_times is not None:
                share = share * good_times[chip].contains(time)
            total += share
        return np.clip(total, 0.0, 1.0)


def _shares_of_passing(
    field: ObservedField, x: FloatArray, y: FloatArray
) -> Iterator[tuple[PassingPixels, FloatArray]]:
    """Pixels that are bad for a time and that the positions come to: share of the positions on them.

    `x`, `y` have shape (points, offsets); the shares have shape (offsets,).
    """
    view, pixels = field.field_of_view, field.pixels
    if not pixels.passing:
        return
    cell = view.plane.detector.cell
    detx, dety = view.pointing.sky_to_det(x, y)
    for group in pixels.passing_groups:
        places = view.plane.det_to_chip(view.chips[group.chip_index], detx, dety)
        column, row = ((place - 0.5) / cell - 0.5 for place in places)
        near = (np.abs(group.column - column.mean()) <= np.ptp(column)) & (
            np.abs(group.row - row.mean()) <= np.ptp(row)
        )
        if near.any():
            image = np.zeros_like(pixels.image)
            own = (group.chip_index, group.row, group.column)
            image[own] = pixels.image[own]
            share = look(view, image, 0, x.ravel(), y.ravel())[:, group.chip_index]
            yield group, share.reshape(x.shape).mean(axis=0)


def _running(values: FloatArray) -> FloatArray:
    return np.concatenate([[0.0], np.cumsum(values)])


def _ends(times: GoodTimes) -> list[float]:
    return [end for pair in times.intervals for end in pair]
