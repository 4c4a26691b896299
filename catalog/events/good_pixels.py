"""Which pixels of each chip count: the active area less bad pixels, times the share that the mask kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from catalog.events.bad_pixels import BadPixels
from catalog.events.detector import ACIS, Detector
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
class PassingPixels:
    """Pixels of a chip that are bad at the same times: positions in `GoodPixels.image`, shape (n,)."""

    chip_index: int
    bad: GoodTimes
    row: NDArray[np.intp]
    column: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class GoodPixels:
    """Pixels of the chips of an observation.

    Attributes
    ----------
    chips
        CCD_IDs.
    image
        Shape (k, 1024, 1024): 1 for a good pixel, 0 for a bad one, between where the mask kept a share of
        the events. Element (k, 0, 0) is CHIPX, CHIPY = 1, 1; axis 1 is CHIPY. Of the HRC cells of 8 x 8
        pixels, with the share of each that is good.
    passing
        Pixels that are good in `image` and bad for a time.
    detector
        Which detector.
    """

    chips: tuple[int, ...]
    image: NDArray[np.float32]
    passing: tuple[PassingPixel, ...] = ()
    detector: Detector = ACIS

    @cached_property
    def passing_groups(self) -> tuple[PassingPixels, ...]:
        """The pixels of `passing`, those that are bad at the same times together."""
        groups: dict[tuple[int, tuple[tuple[float, float], ...]], list[PassingPixel]] = {}
        for pixel in self.passing:
            groups.setdefault((pixel.chip_index, tuple(pixel.bad.intervals)), []).append(pixel)
        return tuple(
            PassingPixels(
                own[0].chip_index,
                own[0].bad,
                np.array([pixel.row for pixel in own], dtype=np.intp),
                np.array([pixel.column for pixel in own], dtype=np.intp),
            )
            for own in groups.values()
        )

    @cached_property
    def _flawed(self) -> NDArray[np.int32]:
        """Number of elements that are not wholly good, summed from the corner; one more row and column."""
        flawed = self.image != 1.0
        for pixel in self.passing:
            flawed[pixel.chip_index, pixel.row, pixel.column] = True
        rows, columns = self.image.shape[1:]
        sums = np.zeros((len(self.chips), rows + 1, columns + 1), dtype=np.int32)
        sums[:, 1:, 1:] = flawed.cumsum(axis=1, dtype=np.int32).cumsum(axis=2, dtype=np.int32)
        return sums

    def all_good(self, chip: int, chipx: float, chipy: float, reach: float) -> bool:
        """Whether all pixels within `reach` of a position in chip pixels exist and are good all the time."""
        cell = self.detector.cell
        rows, columns = self.image.shape[1:]
        x, y, reach = (chipx - 0.5) / cell + 0.5, (chipy - 0.5) / cell + 0.5, reach / cell
        first_x, last_x = int(np.floor(x - reach + 0.5)), int(np.floor(x + reach + 0.5))
        first_y, last_y = int(np.floor(y - reach + 0.5)), int(np.floor(y + reach + 0.5))
        if min(first_x, first_y) < 1 or last_x > columns or last_y > rows or chip not in self.chips:
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
    detector = view.plane.detector
    shape = detector.image_shape
    image = np.zeros((len(view.chips), *shape), dtype=np.float32)
    windows: Mapping[int, NDArray[np.float32]] = {} if mask is None else mask.share
    for k, chip in enumerate(view.chips):
        low_x, high_x, low_y, high_y = view.active[chip]
        columns, share_x = detector.cover(low_x, high_x, shape[1])
        rows, share_y = detector.cover(low_y, high_y, shape[0])
        image[k, rows, columns] = share_y[:, None] * share_x
        if chip in windows:
            image[k] *= windows[chip]
    if bad is None or not len(bad):
        return GoodPixels(view.chips, image, detector=detector)
    times: dict[tuple[int, int, int], list[tuple[float, float]]] = {}
    for i in range(len(bad)):
        chip = int(bad.ccd_id[i])
        if chip not in view.chips:
            continue
        k = view.chips.index(chip)
        rows, share_y = detector.cover(bad.chipy[i, 0] - 0.5, bad.chipy[i, 1] + 0.5, shape[0])
        columns, share_x = detector.cover(bad.chipx[i, 0] - 0.5, bad.chipx[i, 1] + 0.5, shape[1])
        if np.isneginf(bad.start[i]) and np.isposinf(bad.stop[i]):
            part = image[k, rows, columns]
            np.maximum(part - share_y[:, None] * share_x, 0.0, out=part)
            continue
        for row in range(rows.start, rows.stop):
            for column in range(columns.start, columns.stop):
                times.setdefault((k, row, column), []).append((float(bad.start[i]), float(bad.stop[i])))
    passing = tuple(
        PassingPixel(*place, GoodTimes.of(intervals))
        for place, intervals in sorted(times.items())
        if image[place] > 0
    )
    return GoodPixels(view.chips, image, passing, detector)
