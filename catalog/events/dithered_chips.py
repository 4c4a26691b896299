"""Good pixels folded with the dither: how much of the live time a sky position spends on them.

A dither of the optical axis shifts a sky position over a chip by nearly the same vector everywhere (chips are
flat and tilted by little: 1e-4 of the shift). So the share of time on good pixels is the image of good pixels
correlated with the distribution of shifts, one image per chip; a position costs one look into each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from catalog.events.aspect import Aspect, sample_times
from catalog.events.field_of_view import FieldOfView
from catalog.events.good_pixels import GoodPixels, PassingPixels
from catalog.events.good_times import GoodTimes

_ROUNDING = 1e-6
"""Shares closer than this to 0 or 1 are made exactly that: the transforms leave 1e-15 of noise."""


@dataclass(frozen=True, eq=False)
class DitheredChips:
    """Images of good pixels, folded with the dither.

    Attributes
    ----------
    view
        Chips on the sky at the mean pointing.
    image
        Shape (k, rows, columns), share of the reference live time that a sky position which lies on a pixel
        at mean pointing spends on good pixels of that chip; `pad` more pixels than the chip on each side.
    pad
        Pixels of the image around the chip.
    """

    view: FieldOfView
    image: NDArray[np.float32]
    pad: int

    def chip_fraction(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Share of the live time that sky positions spend on good pixels of each chip, shape (n, k)."""
        return look(self.view, self.image, self.pad, x, y)

    def good_fraction(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Share of the live time that sky positions spend on good pixels of any chip, shape (n,)."""
        shares: NDArray[np.float64] = np.minimum(self.chip_fraction(x, y).sum(axis=1), 1.0)
        return shares


def look(
    view: FieldOfView, image: NDArray[np.float32], pad: int, x: ArrayLike, y: ArrayLike
) -> NDArray[np.float64]:
    """Values of images of chips at sky positions at the mean pointing, shape (n, k); 0 off the chip."""
    # Compiled code: imported late, so that commands without events start fast.
    from catalog.events.dither_kernel import chip_shares

    detector = view.plane.detector
    to_axis = np.array([[1.0, 0.0, detector.det_axis], [0.0, 1.0, detector.det_axis], [0.0, 0.0, 1.0]])
    # Pixel 1 is from 0.5 to 1.5, and so is the first cell.
    edge = 0.5 - 0.5 / detector.cell
    to_cell = np.array([[1.0 / detector.cell, 0.0, edge], [0.0, 1.0 / detector.cell, edge], [0.0, 0.0, 1.0]])
    return np.asarray(
        chip_shares(
            np.atleast_1d(np.asarray(x, dtype=float)) - view.pointing.x,
            np.atleast_1d(np.asarray(y, dtype=float)) - view.pointing.y,
            np.radians(view.pointing.roll),
            np.ascontiguousarray(to_cell @ view.plane.to_chip[list(view.chips)] @ to_axis),
            image,
            pad,
        )
    )


def fold_dither(
    view: FieldOfView,
    pixels: GoodPixels,
    aspect: Aspect,
    good_times: Mapping[int, GoodTimes],
    live_share: Mapping[int, float],
) -> DitheredChips:
    """Fold good pixels with the dither, each chip over its own good times.

    Parameters
    ----------
    view
        Field of view that `pixels` was made for.
    pixels
        Good pixels.
    aspect
        Pointing over time.
    good_times
        By CCD_ID.
    live_share
        Live time of each chip over the reference live time, by CCD_ID.
    """
    paths = {chip: _shifts(view, chip, aspect, sample_times(good_times[chip])) for chip in view.chips}
    widest = max(float(np.abs(shift).max()) for shift in paths.values())
    # One more than the widest: the times of a passing pixel are sampled at other moments.
    half = int(np.floor(widest)) + 2
    images = []
    for k, chip in enumerate(view.chips):
        kernel = _kernel(paths[chip], half)
        # A pixel is seen by the positions whose mean place lies one shift away: a convolution with the
        # mirrored shifts.
        folded = _convolved(pixels.image[k].astype(float), kernel[::-1, ::-1])
        for group in pixels.passing_groups:
            if group.chip_index == k:
                _remove(folded, group, view, aspect, good_times[chip], half)
        folded = np.where(folded < _ROUNDING, 0.0, np.where(folded > 1.0 - _ROUNDING, 1.0, folded))
        images.append((folded * live_share[chip]).astype(np.float32))
    return DitheredChips(view, np.stack(images), half)


def _convolved(image: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Full convolution of two images by their transforms."""
    # Not by scipy.signal, whose import takes longer than all transforms of an observation.
    shape = [a + b - 1 for a, b in zip(image.shape, kernel.shape, strict=True)]
    fast = [fft.next_fast_len(length, real=True) for length in shape]
    found = fft.irfft2(fft.rfft2(image, fast) * fft.rfft2(kernel, fast), fast)
    return np.asarray(found[: shape[0], : shape[1]])


def _shifts(view: FieldOfView, chip: int, aspect: Aspect, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shift of a sky position against its mean place in pixels of the image, shape (n, 2)."""
    dx, dy = aspect.at(times)
    x, y = dx - view.mean_offset[0], dy - view.mean_offset[1]
    detector = view.plane.detector
    middle = 0.5 * (detector.columns + 1), 0.5 * (detector.rows + 1)
    detx, dety = view.plane.chip_to_det(chip, *middle)
    centre_x, centre_y = view.pointing.det_to_sky(detx, dety)
    moved = view.plane.det_to_chip(chip, *view.pointing.sky_to_det(centre_x - x, centre_y - y))
    return (np.column_stack(moved) - middle) / detector.cell


def _kernel(shift: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """Distribution of shifts on whole pixels, sums to 1; row and column `half` is no shift."""
    from catalog.events.dither_kernel import deposit

    columns, rows = np.ascontiguousarray(shift.T)
    return np.asarray(deposit(columns, rows, 1.0 / len(shift), half))


def _remove(
    folded: NDArray[np.float64],
    group: PassingPixels,
    view: FieldOfView,
    aspect: Aspect,
    good_times: GoodTimes,
    half: int,
) -> None:
    """Take the time off that pixels are bad for a while."""
    during = good_times.intersect(group.bad)
    share = during.total() / good_times.total()
    if share <= 0:
        return
    kernel = _kernel(_shifts(view, view.chips[group.chip_index], aspect, sample_times(during)), half)
    lost, size = share * kernel[::-1, ::-1], 2 * half + 1
    for row, column in zip(group.row.tolist(), group.column.tolist(), strict=True):
        folded[row : row + size, column : column + size] -= lost
