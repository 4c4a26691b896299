"""Where the telescope pointed, time by time, and how long at each offset.

Offsets are of the optical axis from RA_PNT, DEC_PNT, in sky pixels, such that

    sky = axis(RA_PNT, DEC_PNT) + offset + rotation(ROLL_PNT + roll_offset) (DET(chip) - 4096.5)

with DET of the chip at the mean DY, DZ, DTH of the header: drifts of the instrument module during an
observation are part of the offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.events.good_times import GoodTimes
from catalog.events.sky_frame import Pair

Source = Literal["asol", "events"]

_MOST_SAMPLES = 20000


@dataclass(frozen=True, eq=False)
class Aspect:
    """Offsets of the optical axis as a time series.

    Attributes
    ----------
    time
        Shape (n,), s, ascending.
    x_offset, y_offset
        Shape (n,), sky pixels.
    roll_offset
        Mean roll angle minus ROLL_PNT, degrees.
    source
        "asol" (aspect solution) or "events" (rebuilt from them).
    """

    time: NDArray[np.float64]
    x_offset: NDArray[np.float64]
    y_offset: NDArray[np.float64]
    roll_offset: float
    source: Source

    def at(self, time: ArrayLike) -> Pair:
        """Offsets in sky pixels at given times, linear between samples, constant beyond the ends."""
        times = np.asarray(time, dtype=float)
        return np.interp(times, self.time, self.x_offset), np.interp(times, self.time, self.y_offset)


@dataclass(frozen=True, eq=False)
class AspectHistogram:
    """Share of the good time that the optical axis spent at each offset.

    Attributes
    ----------
    dx, dy
        Shape (n,), offsets in sky pixels from RA_PNT, DEC_PNT: the mean offset inside each cell.
    weight
        Shape (n,), sums to 1.
    roll_offset
        Mean roll angle minus ROLL_PNT, degrees.
    source
        As in `Aspect`.
    """

    dx: NDArray[np.float64]
    dy: NDArray[np.float64]
    weight: NDArray[np.float64]
    roll_offset: float
    source: Source

    @property
    def mean(self) -> tuple[float, float]:
        """Mean offset, sky pixels."""
        return float(np.dot(self.weight, self.dx)), float(np.dot(self.weight, self.dy))


def aspect_histogram(aspect: Aspect, good_times: GoodTimes, *, cell: float = 1.0) -> AspectHistogram:
    """Bin an aspect over good times.

    Parameters
    ----------
    aspect
        The time series.
    good_times
        Of all chips or of one; must not be empty.
    cell
        Size of the cells, sky pixels.

    Raises
    ------
    ValueError
        For empty good times.
    """
    dx, dy = aspect.at(sample_times(good_times))
    cells = np.column_stack([np.floor(dx / cell), np.floor(dy / cell)]).astype(np.int64)
    _, index = np.unique(cells, axis=0, return_inverse=True)
    index = np.ravel(index)
    count = np.bincount(index).astype(float)
    return AspectHistogram(
        np.bincount(index, dx) / count,
        np.bincount(index, dy) / count,
        count / count.sum(),
        aspect.roll_offset,
        aspect.source,
    )


def sample_times(good_times: GoodTimes) -> NDArray[np.float64]:
    """Times spread evenly over good times, in the middle of equal steps of at least 1 s."""
    total = good_times.total()
    if total <= 0:
        raise ValueError("an aspect needs good time")
    number = int(np.clip(total, 100, _MOST_SAMPLES))
    elapsed = (np.arange(number) + 0.5) * (total / number)
    ends = np.cumsum(good_times.stop - good_times.start)
    index = np.searchsorted(ends, elapsed, side="right").clip(max=len(good_times) - 1)
    times: NDArray[np.float64] = good_times.stop[index] - (ends[index] - elapsed)
    return times


def coverage(time: NDArray[np.float64], good_times: GoodTimes, step: float) -> float:
    """Share of the good time that lies within `step` seconds of a sample of `time` (ascending)."""
    wanted = sample_times(good_times)
    if not time.size:
        return 0.0
    after = np.searchsorted(time, wanted).clip(max=time.size - 1)
    before = (after - 1).clip(min=0)
    nearest = np.minimum(np.abs(time[after] - wanted), np.abs(time[before] - wanted))
    return float(np.mean(nearest <= step))
