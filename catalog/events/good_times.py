"""Good time intervals, and the chips they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.events.data_subspace import filtered_ranges, table_references
from catalog.events.fits_file import is_table

if TYPE_CHECKING:
    from astropy.io import fits


@dataclass(frozen=True, eq=False)
class GoodTimes:
    """Disjoint intervals of mission time, sorted; both ends belong to an interval.

    Attributes
    ----------
    start, stop
        Shape (n,), s.
    """

    start: NDArray[np.float64]
    stop: NDArray[np.float64]

    @classmethod
    def of(cls, intervals: Iterable[tuple[float, float]]) -> GoodTimes:
        """Sort and merge intervals given in any order; empty and reversed ones are left out."""
        merged: list[list[float]] = []
        for start, stop in sorted((float(a), float(b)) for a, b in intervals if b > a):
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], stop)
            else:
                merged.append([start, stop])
        pairs = np.array(merged, dtype=float).reshape(-1, 2)
        return cls(pairs[:, 0].copy(), pairs[:, 1].copy())

    def __len__(self) -> int:
        return int(self.start.size)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GoodTimes):
            return NotImplemented
        return np.array_equal(self.start, other.start) and np.array_equal(self.stop, other.stop)

    __hash__ = None  # type: ignore[assignment]

    @property
    def intervals(self) -> list[tuple[float, float]]:
        """The intervals as (start, stop) pairs."""
        return list(zip(self.start.tolist(), self.stop.tolist(), strict=True))

    def total(self) -> float:
        """Sum of the lengths, s."""
        return float(np.sum(self.stop - self.start))

    def contains(self, time: ArrayLike) -> NDArray[np.bool_]:
        """Whether each time lies in an interval; NaN lies in none."""
        times = np.asarray(time, dtype=float)
        if not len(self):
            return np.zeros(times.shape, dtype=bool)
        index = np.searchsorted(self.start, times, side="right") - 1
        inside: NDArray[np.bool_] = (index >= 0) & (times <= self.stop[index])
        return inside

    def intersect(self, other: GoodTimes) -> GoodTimes:
        """The times that are in both."""
        pairs = (
            (max(start, first), min(stop, last))
            for start, stop in self.intervals
            for first, last in other.intervals
        )
        return GoodTimes.of(pair for pair in pairs if pair[1] > pair[0])

    def subtract(self, other: GoodTimes) -> GoodTimes:
        """The times that are in this but not in the other."""
        edges = [-np.inf, *np.ravel(np.column_stack([other.start, other.stop])).tolist(), np.inf]
        outside = GoodTimes(np.array(edges[0::2]), np.array(edges[1::2]))
        return self.intersect(outside)

    def union(self, other: GoodTimes) -> GoodTimes:
        """The times that are in either."""
        return GoodTimes.of([*self.intervals, *other.intervals])


def good_times_of_file(hdus: fits.HDUList, chips: Iterable[int]) -> dict[int, GoodTimes] | None:
    """Good times by chip from the GTI tables of a file.

    A table belongs to the chip of its CCD_ID keyword; without one, to the chip whose component of the event
    table's data subspace refers to it; without that, to all chips.

    Parameters
    ----------
    hdus
        The open file.
    chips
        CCD_IDs that get the tables which belong to no chip in particular.

    Returns
    -------
    dict or None
        None when the file has no GTI table at all. A chip without a table of its own is not in the result
        when other chips have one.
    """
    tables = [hdu for hdu in hdus if _is_good_time_table(hdu)]
    if not tables:
        return None
    by_name = _chips_by_reference(hdus)
    by_chip: dict[int, GoodTimes] = {}
    shared: GoodTimes | None = None
    for hdu in tables:
        times = _read_table(hdu)
        chip = hdu.header.get("CCD_ID", by_name.get(str(hdu.header.get("HDUNAME", "")).strip().upper()))
        if chip is None:
            shared = times if shared is None else shared.union(times)
        else:
            known = by_chip.get(int(chip))
            by_chip[int(chip)] = times if known is None else known.union(times)
    if shared is not None:
        by_chip.update({chip: shared for chip in chips if chip not in by_chip})
    return by_chip


def missing_good_time_tables(hdus: fits.HDUList) -> list[str]:
    """Names of GTI tables that the event table refers to and the file does not hold."""
    held = {str(hdu.header.get("HDUNAME", hdu.name)).strip().upper() for hdu in hdus}
    held |= {hdu.name.strip().upper() for hdu in hdus}
    return [name for name in table_references(hdus["EVENTS"].header) if name.upper() not in held]


def reduce_good_times(
    good_times: Mapping[int, GoodTimes], *, within: GoodTimes | None = None, exclude: GoodTimes | None = None
) -> dict[int, GoodTimes]:
    """Good times by chip, cut to `within` and without `exclude`."""
    reduced: dict[int, GoodTimes] = {}
    for chip, times in good_times.items():
        kept = times if within is None else times.intersect(within)
        reduced[chip] = kept if exclude is None else kept.subtract(exclude)
    return reduced


def all_good_times(hdus: fits.HDUList) -> GoodTimes | None:
    """Union of all GTI tables of a file; None when there is none."""
    tables = [_read_table(hdu) for hdu in hdus if _is_good_time_table(hdu)]
    if not tables:
        return None
    return GoodTimes.of(pair for times in tables for pair in times.intervals)


def _is_good_time_table(hdu: fits.hdu.base.ExtensionHDU) -> bool:
    if not is_table(hdu):
        return False
    columns = {name.upper() for name in hdu.columns.names}
    named = hdu.name.upper().startswith(("GTI", "STDGTI")) or hdu.header.get("HDUCLAS1") == "GTI"
    return {"START", "STOP"} <= columns and named


def _read_table(hdu: fits.BinTableHDU) -> GoodTimes:
    names = {name.upper(): name for name in hdu.columns.names}
    start, stop = hdu.data[names["START"]], hdu.data[names["STOP"]]
    return GoodTimes.of(zip(start.tolist(), stop.tolist(), strict=True))


def _chips_by_reference(hdus: fits.HDUList) -> dict[str, int]:
    """Chip of each table the event table's data subspace refers to, where components are one per chip."""
    if "EVENTS" not in hdus:
        return {}
    header = hdus["EVENTS"].header
    names = table_references(header)
    chips = filtered_ranges(header, "ccd_id") or filtered_ranges(header, "chip_id")
    if len(names) != len(chips):
        return {}
    return {
        name.upper(): int(ranges[0][0])
        for name, ranges in zip(names, chips, strict=True)
        if len(ranges) == 1 and ranges[0][0] == ranges[0][1]
    }
