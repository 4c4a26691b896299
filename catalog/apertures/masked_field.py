"""The part of an observation outside the masks of all sources: where backgrounds are looked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

Array = NDArray[np.float64]

STEP = 2.0
"""Sky pixels between cells of the exposure image. It only decides how far a region grows: areas of the region
found are those of its exact geometry."""
UNIT = 2.0**-16
"""To whole multiples of which exposures are rounded."""


@dataclass(frozen=True, eq=False)
class MaskedField:
    """Events and exposure outside the masks.

    Attributes
    ----------
    events
        Sky pixels of the events, shape (n, 2).
    tree
        Spatial index of them.
    exposure
        Exposure times area (pix2) of each cell, 0 where masked, shape (size, size); axis 0 is y.
    sums
        Running sums of it along x with a leading zero, shape (size, size + 1).
    centre
        Sky pixels of the image's centre.
    """

    events: Array
    tree: KDTree
    exposure: Array
    sums: Array
    centre: tuple[float, float]

    def counts(self, x: float, y: float, radius: float) -> int:
        """Events within a radius of a position, sky pixels."""
        return int(self.tree.query_ball_point((x, y), radius, return_length=True))

    def exposure_area(self, x: float, y: float, radius: float) -> float:
        """Exposure times area within a radius of a position."""
        from catalog.calibration.psf_kernels import sum_circle

        nothing = np.empty((0, 3))
        return float(
            sum_circle(self.sums, STEP, x - self.centre[0], y - self.centre[1], float(radius), nothing)
        )

    def brightness(self, x: float, y: float, counts: int, limit: float) -> float:
        """Events per exposure and pix2 in the smallest circle about a position that holds so many events.

        The circle is at most `limit` (sky pixels) in radius; 0 where that holds no event or no exposure.
        """
        number = min(counts, self.counts(x, y, limit))
        if number == 0:
            return 0.0
        radius = limit if number < counts else float(np.max(self.tree.query((x, y), k=number)[0]))
        area = self.exposure_area(x, y, radius)
        return number / area if area > 0 else 0.0


def masked_field(
    events: Array,
    exposure: Callable[[Array, Array], Array],
    bounds: tuple[float, float, float, float],
    masks: Array,
) -> MaskedField:
    """Take events and exposure outside masks.

    Parameters
    ----------
    events
        Sky pixels of all events, shape (n, 2).
    exposure
        Gives the exposure (any unit, 0 off the detector) at sky pixels.
    bounds
        Smallest x and y, largest x and y of the field.
    masks
        Circles (x, y, radius) in sky pixels, shape (k, 3).
    """
    from catalog.calibration.psf_kernels import row_sums

    side = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    size = int(np.ceil(side / STEP)) + 1
    centre = (0.5 * (bounds[0] + bounds[2]), 0.5 * (bounds[1] + bounds[3]))
    offset: Array = np.asarray((np.arange(size) - 0.5 * (size - 1)) * STEP, dtype=np.float64)
    u, v = np.meshgrid(centre[0] + offset, centre[1] + offset)
    # Whole multiples of a small unit: sums do not depend on what is added first, nor on far masks.
    image = np.rint(exposure(u.ravel(), v.ravel()).reshape(size, size) / UNIT) * UNIT * STEP**2
    for x, y, radius in masks.tolist():
        columns, rows = _span(offset, x - centre[0], radius), _span(offset, y - centre[1], radius)
        inside = (u[rows, columns] - x) ** 2 + (v[rows, columns] - y) ** 2 <= radius**2
        image[rows, columns][inside] = 0.0
    free = ~inside_circles(events, masks)
    kept = events[free]
    return MaskedField(kept, KDTree(kept), image, row_sums(image), centre)


def _span(offset: Array, place: float, radius: float) -> slice:
    low, high = np.searchsorted(offset, (place - radius - STEP, place + radius + STEP))
    return slice(int(low), int(high))


def inside_circles(points: Array, circles: Array) -> NDArray[np.bool_]:
    """Whether points (n, 2) lie in any of the circles (x, y, radius), shape (k, 3)."""
    inside = np.zeros(len(points), dtype=bool)
    if len(points) == 0 or len(circles) == 0:
        return inside
    for found in KDTree(points).query_ball_point(circles[:, :2], circles[:, 2]):
        inside[found] = True
    return inside
