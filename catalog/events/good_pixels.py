"""Which pixels of each chip count: the active area less bad pixels, times the share that the mask kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from catalog.events.bad_pixels import BadPixels
from catalog.events.chip_geometry import CHIP_SIZE
from catalog.events.field_of_view import FieldOfView
from catalog.events.good_times import GoodTimes
from catalog.events.mask import Mask


@dataclass(frozen=True, eq=False)
class PassingPixel:
    """A pixel that is bad for a part of the observation: position in `GoodPixels.image`, and when."""

    chip_index: int
    row: int
    column: int
    bad: GoodTimes


@dataclass(frozen=True, eq=False)
class GoodPixels:
    """Pixels of the chips of an observation.

    Attributes
    ----------
    chips
        CCD_IDs.
    image
        Shape (k, 1024, 1024): 1 for a good pixel, 0 for a bad one, between where the mask kept a share of
        the events. Element (k, 0, 0) is CHIPX, CHIPY = 1, 1; axis 1 is CHIPY.
    passing
        Pixels that are good in `image` and bad for a time.
    """

    chips: tuple[int, ...]
    image: NDArray[np.float32]
    passing: tuple[PassingPixel, ...] = ()

    @cached_property
    def _flawed(self) -> NDArray[np.int32]:
        """Number of pixels that are not wholly good, summed from the corner, shape (k, 1025, 1025)."""
        flawed = self.image != 1.0
        for pixel in self.passing:
            flawed[pixel.chip_index, pixel.row, pixel.column] = True
        sums = np.zeros((len(self.chips), CHIP_SIZE + 1, CHIP_SIZE + 1), dtype=np.int32)
        sums[:, 1:, 1:] = flawed.cumsum(axis=1, dtype=np.int32).cumsum(axis=2, dtype=np.int32)
        return sums

    def all_good(self, chip: int, chipx: float, chipy: float, reach: float) -> bool:
        """Whether all pixels within `reach` of a position in chip pixels exist and are good all the time."""
        first_x, last_x = int(np.floor(chipx - reach + 0.5)), int(np.floor(chipx + reach + 0.5))
        first_y, last_y = int(np.floor(chipy - reach + 0.5)), int(np.floor(chipy + reach + 0.5))
        if min(first_x, first_y) < 1 or max(last_x, last_y) > CHIP_SIZE or chip not in self.chips:
            return False
        sums = self._flawed[self.chips.index(chip)]
        total = (
            sums[last_y, last_x]
            - sums[first_y - 1, last_x]
            - sums[last_y, first_x - 1]
            + sums[first_y - 1, first_x - 1]
        )
        return int(total) == 0


def good_pixels(view: FieldOfView, bad: BadPixels | None = None, mask: Mask | None = None) -> GoodPixels:
    """Good pixels of an observation.

    Parameters
    ----------
    view
        Chips and the limits of their active area.
    bad
        Bad pixels; None for none known.
    mask
        Windows; None, and a chip that the mask does not name, for the whole active area.
    """
    low_x, high_x, low_y, high_y = (round(limit + 0.5) for limit in view.limits)
    active = np.zeros((CHIP_SIZE, CHIP_SIZE), dtype=np.float32)
    active[max(low_y, 1) - 1 : high_y - 1, max(low_x, 1) - 1 : high_x - 1] = 1.0
    windows: Mapping[int, NDArray[np.float32]] = {} if mask is None else mask.share
    image = np.stack([active * windows[chip] if chip in windows else active for chip in view.chips])
    if bad is None or not len(bad):
        return GoodPixels(view.chips, image)
    times: dict[tuple[int, int, int], list[tuple[float, float]]] = {}
    for i in range(len(bad)):
        chip = int(bad.ccd_id[i])
        if chip not in view.chips:
            continue
        k = view.chips.index(chip)
        rows = slice(int(bad.chipy[i, 0]) - 1, int(bad.chipy[i, 1]))
        columns = slice(int(bad.chipx[i, 0]) - 1, int(bad.chipx[i, 1]))
        if np.isneginf(bad.start[i]) and np.isposinf(bad.stop[i]):
            image[k, rows, columns] = 0.0
            continue
        for row in range(rows.start, rows.stop):
            for column in range(columns.start, columns.stop):
                times.setdefault((k, row, column), []).append((float(bad.start[i]), float(bad.stop[i])))
    passing = tuple(
        PassingPixel(*place, GoodTimes.of(intervals))
        for place, intervals in sorted(times.items())
        if image[place] > 0
    )
    return GoodPixels(view.chips, image, passing)
