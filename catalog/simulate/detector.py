"""From photons in the focal plane to events in pixels.

An event has the whole pixel it fell into, and a position inside that pixel from the split of its charge, as
the energy-dependent sub-pixel event repositioning of the archive gives it: known to `SUBPIXEL_BLUR` only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.events.chip_geometry import FocalPlane
from catalog.simulate.dither import det_to_sky
from catalog.simulate.pointing_plan import PointingPlan

SUBPIXEL_BLUR = 0.15
"""Error of a position inside a pixel, one sigma along each axis, pixels."""

# Positions stay clear of pixel edges, lest rounding to single precision carries them across.
_WIDEST_SHIFT = 0.499


@dataclass(frozen=True, eq=False)
class Placement:
    """Where photons fall.

    Attributes
    ----------
    ccd_id
        Shape (n,), -1 for a photon that falls on no active pixel.
    chipx, chipy
        Shape (n,), chip coordinates with fraction; pixel centres are whole numbers.
    """

    ccd_id: NDArray[np.int16]
    chipx: NDArray[np.float64]
    chipy: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RecordedPosition:
    """Positions as an event list gives them, shape (n,): whole chip pixels, detector and sky pixels."""

    chipx: NDArray[np.int16]
    chipy: NDArray[np.int16]
    detx: NDArray[np.float64]
    dety: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def place_on_chips(
    plan: PointingPlan, plane: FocalPlane, detx: NDArray[np.float64], dety: NDArray[np.float64]
) -> Placement:
    """Find the active pixel under each detector position; positions that are NaN fall on none."""
    low_x, high_x, low_y, high_y = plan.pixel_limits
    placed = Placement(np.full(detx.shape, -1, dtype=np.int16), np.zeros(detx.shape), np.zeros(detx.shape))
    finite = np.flatnonzero(np.isfinite(detx) & np.isfinite(dety))
    for chip in plan.chips:
        chipx, chipy = plane.det_to_chip(chip, detx[finite], dety[finite])
        column, row = np.rint(chipx), np.rint(chipy)
        on_chip = (column >= low_x) & (column <= high_x) & (row >= low_y) & (row <= high_y)
        hit = finite[on_chip]
        placed.ccd_id[hit] = chip
        placed.chipx[hit], placed.chipy[hit] = chipx[on_chip], chipy[on_chip]
    return placed


def record_positions(
    plan: PointingPlan,
    plane: FocalPlane,
    placed: Placement,
    frame: NDArray[np.int64],
    rng: np.random.Generator,
) -> RecordedPosition:
    """Read out placed photons (all of them on chips).

    The sky position follows from the detector position and the aspect in the middle of the frame, since when
    in the frame a photon came is not known.
    """
    column, row = np.rint(placed.chipx), np.rint(placed.chipy)
    blur = rng.normal(0.0, SUBPIXEL_BLUR, (2, column.size))
    within_x = np.clip(placed.chipx - column + blur[0], -_WIDEST_SHIFT, _WIDEST_SHIFT)
    within_y = np.clip(placed.chipy - row + blur[1], -_WIDEST_SHIFT, _WIDEST_SHIFT)
    detx, dety = plane.chip_to_det(placed.ccd_id, column + within_x, row + within_y)
    x, y = det_to_sky(plan, detx, dety, plan.frame_middle(frame))
    return RecordedPosition(column.astype(np.int16), row.astype(np.int16), detx, dety, x, y)
