"""Time-resolved good fraction of a region: how the dither carries it over chip edges and bad pixels.

The fraction depends on time only through the offset of the optical axis (and through the good times of the
chips), so it is tabulated on a grid of offsets and followed along the aspect: the cost does not grow with the
number of bins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

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
    track = _track(field, np.asarray(edges, dtype=float).tobytes())
    table = _OffsetTable(field, points, track)
    value = table.along(track, with_good_times=True)
    found = np.diff(_running(track.live * value)[track.index]) / np.where(track.dark, 1.0, track.seconds)
    if track.dark.any():
        whole = _running(track.width * table.along(track, with_good_times=False))
        length = np.diff(_running(track.width)[track.index])
        found = np.where(track.dark, np.diff(whole[track.index]) / np.maximum(length, 1e-9), found)
    return np.clip(found, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class _Track:
    """Steps in time that no bin edge and no end of a good time lies within, and where the axis is in them.

    Attributes
    ----------
    time, width
        Middle and length of each step, s, shape (n,).
    row, column
        Place of the axis in the tables of offsets, shape (n,).
    visited
        Nodes of the tables between which the axis is at some time, shape (rows, columns).
    live
        Good time (of any chip) in each step, s, shape (n,).
    index
        Number of the first step of each bin, and their number, shape (bins + 1,).
    seconds, dark
        Good time of each bin, s, and whether it has none, shape (bins,).
    good_times
        Whether each step is good for a chip, shape (n,), by chip; None where all have the same good times.
    """

    time: FloatArray
    width: FloatArray
    row: FloatArray
    column: FloatArray
    visited: NDArray[np.bool_]
    live: FloatArray
    index: NDArray[np.intp]
    seconds: FloatArray
    dark: NDArray[np.bool_]
    good_times: Mapping[int, NDArray[np.bool_]] | None


@lru_cache(maxsize=2)
def _track(field: ObservedField, edges: bytes) -> _Track:
    """The track of an observation: all its sources ask for the same."""
    bins = np.frombuffer(edges)
    number = int(np.clip((bins[-1] - bins[0]) / _TIME_STEP_S, 64, _MOST_TIMES))
    inner = [times for times in _ends(field.good_time) if bins[0] < times < bins[-1]]
    nodes = np.unique(np.concatenate([np.linspace(bins[0], bins[-1], number + 1), bins, inner]))
    time, width = 0.5 * (nodes[1:] + nodes[:-1]), np.diff(nodes)
    dx, dy = field.aspect.at(time)
    grid = _Grid.of(field)
    last = 2 * grid.number
    row = np.clip((dy - grid.y) / grid.step + grid.number, 0, last)
    column = np.clip((dx - grid.x) / grid.step + grid.number, 0, last)
    visited = np.zeros((last + 1, last + 1), dtype=bool)
    i, j = (np.minimum(place.astype(np.intp), last - 1) for place in (row, column))
    for corner in np.ndindex(2, 2):
        visited[i + corner[0], j + corner[1]] = True
    live = width * field.good_time.contains(time)
    index = np.searchsorted(nodes, bins)
    seconds = np.diff(_running(live)[index])
    good_times = field.events.good_times
    same = all(times == field.good_time for times in good_times.values())
    return _Track(
        time,
        width,
        row,
        column,
        visited,
        live,
        index,
        seconds,
        seconds <= 0,
        None if same else {chip: times.contains(time) for chip, times in good_times.items()},
    )


@dataclass(frozen=True)
class _Grid:
    """Offsets of the optical axis (sky pixels) for which tables are made: `number` steps about a mean."""

    x: float
    y: float
    step: float
    number: int

    @classmethod
    def of(cls, field: ObservedField) -> _Grid:
        """The grid that holds the dither of an observation."""
        # Whole pixels of ACIS, and as many of the smaller ones of the HRC as come next to one.
        step = max(1.0, float(np.rint(_OFFSET_STEP / field.events.sky_frame.pixel_scale_arcsec)))
        x, y = field.field_of_view.mean_offset
        reach = max(float(np.abs(field.histogram.dx - x).max()), float(np.abs(field.histogram.dy - y).max()))
        # The histogram knows only the mean offset in each of its cells.
        reach = min(reach + field.dither_cell, field.dither_radius)
        return cls(x, y, step, int(np.ceil(reach / step + 1.0)))

    @property
    def axis(self) -> FloatArray:
        """Offsets along either axis."""
        return np.asarray(np.arange(-self.number, self.number + 1) * self.step, dtype=float)


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

    def __init__(self, field: ObservedField, points: FloatArray, track: _Track) -> None:
        axis = _Grid.of(field).axis
        self._chips = field.field_of_view.chips
        u, v = (offset[track.visited] for offset in np.meshgrid(axis, axis))
        # A shift of the axis moves a position over the chips as the opposite shift of the position does.
        x = points[:, 0][:, None] - u
        y = points[:, 1][:, None] - v
        shares = field.good_now(x.ravel(), y.ravel()).reshape(*x.shape, -1).mean(axis=0)
        self._table = np.stack([_spread(share, track.visited) for share in shares.T])
        self._passing = [
            (self._chips[group.chip_index], group.bad, _spread(share, track.visited))
            for group, share in _shares_of_passing(field, x, y)
        ]

    def along(self, track: _Track, *, with_good_times: bool) -> FloatArray:
        """Share in each step; with its good times, each chip counts only while it is in its own."""
        # Compiled code: imported late, so that commands without timing start fast.
        from catalog.measure.good_fraction_kernel import along_path

        total = np.zeros(track.time.size)
        for chip, table in zip(self._chips, self._table, strict=True):
            if not table.any():
                continue
            share = along_path(table, track.row, track.column)
            for other, bad, lost in self._passing:
                if other == chip:
                    nearest = np.rint(track.row).astype(np.intp), np.rint(track.column).astype(np.intp)
                    share = share - lost[nearest] * bad.contains(track.time)
            if with_good_times and track.good_times is not None:
                share = share * track.good_times[chip]
            total += share
        return np.clip(total, 0.0, 1.0)


def _spread(values: FloatArray, places: NDArray[np.bool_]) -> FloatArray:
    """A table with values at some places, 0 elsewhere."""
    table = np.zeros(places.shape)
    table[places] = values
    return table


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
