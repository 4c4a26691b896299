"""Contamination-matched backgrounds: pixels whose share of neighbours' light mirrors that in the aperture.

ACIS Extract's better backgrounds. A model of the point sources says how much of each falls into the aperture
and into every cell around; cells are added until the region, scaled to the aperture, holds the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.apertures.growing_circle import RatioRange
from catalog.apertures.region import Region
from catalog.apertures.shape import Union
from catalog.apertures.turned import Box

Array = NDArray[np.float64]
Light = Callable[[Array, Array], Array]
"""Model counts of each source per pix2 at sky pixels (n,), shape (n, k)."""

IMBALANCE = 0.10
"""Contamination imbalance aimed at."""
_CELL = 0.5
"""Side of a cell in aperture radii."""
_HALF_WINDOW = 32
"""Cells from the source to the edge of the first window."""
_SEEDS = 12


@dataclass(frozen=True, eq=False)
class MatchedBackground:
    """A background region found.

    Attributes
    ----------
    boxes
        Smallest x and y, largest x and y of rectangles of cells, sky pixels, shape (n, 4); none overlap.
    correction
        Factor c of the scaling of background counts to the aperture.
    imbalance
        Contamination imbalance that is left.
    reached
        Whether it met its goals: ratio of areas, counts, imbalance.
    """

    boxes: Array
    correction: float
    imbalance: float
    reached: bool

    def region(self) -> Region:
        """The boxes together."""
        corners = self.boxes.tolist()
        boxes = [Box(0.5 * (a + c), 0.5 * (b + d), c - a, d - b) for a, b, c, d in corners]
        return Region(Union(tuple(boxes)))


def contamination_imbalance(aperture: Array, region: Array, scale: float) -> float:
    """Imbalance of a candidate region.

    Parameters
    ----------
    aperture, region
        Model counts of each source in aperture (own: 0) and region, shape (k,).
    scale
        Exposure-area of the aperture over that of the region.
    """
    from catalog.apertures.matched_kernel import imbalance

    return float(imbalance(np.asarray(aperture, float), np.asarray(region, float), float(scale)))


def corrected_scale(
    aperture: Array, region: Array, scale: float, observed: float
) -> tuple[float, float, float]:
    """Correction c, flat counts in the aperture before it, and the adopted imbalance.

    Parameters
    ----------
    aperture, region, scale
        As of `contamination_imbalance`.
    observed
        Counts seen in the region.
    """
    from catalog.apertures.matched_kernel import correct

    found = correct(np.asarray(aperture, float), np.asarray(region, float), float(scale), float(observed))
    return float(found[0]), float(found[1]), float(found[2])


def matched_background(
    own: tuple[float, float, float, float],
    source_area: float,
    aperture_light: Array,
    light: Light,
    exposure: Callable[[Array, Array], Array],
    aperture: Callable[[Array, Array], NDArray[np.bool_]],
    events: Callable[[float], Array],
    ratios: RatioRange,
    min_counts: int,
) -> MatchedBackground:
    """Look for the background of one source.

    Parameters
    ----------
    own
        x, y, radius of the aperture and of the mask, sky pixels.
    source_area
        Exposure times area of the aperture.
    aperture_light
        Model counts of each source in the aperture, the own set to 0, shape (k,).
    light
        Model of the sources.
    exposure
        Exposure at sky pixels, 0 where no background may lie.
    aperture
        Whether points lie in the own aperture.
    events
        Gives the events (n, 2) within a distance of the source.
    ratios, min_counts
        Goals.

    Notes
    -----
    Observed counts never choose a cell. Cells are half an aperture radius wide.
    """
    from catalog.apertures.matched_kernel import grow

    x, y, radius, mask = own
    side = _CELL * radius
    for half in (_HALF_WINDOW, 2 * _HALF_WINDOW, 4 * _HALF_WINDOW):
        offset = (np.arange(2 * half) - half + 0.5) * side
        u, v = (grid.ravel() for grid in np.meshgrid(x + offset, y + offset))
        weight = exposure(u, v) * side**2
        weight[aperture(u, v)] = 0.0
        weight[weight < 0.1 * weight.max()] = 0.0
        if weight.sum() > ratios.high * source_area:
            break
    distance = np.hypot(u - x, v - y)
    points = events(np.hypot(half, half) * side)
    across, up = _edges(x, half, side), _edges(y, half, side)
    seen, _, _ = np.histogram2d(points[:, 1], points[:, 0], [up, across])
    usable = np.flatnonzero(weight > 0)
    nearest = usable[np.argsort(distance[usable], kind="stable")]
    taken, kept, factor, left, reached = grow(
        weight,
        distance,
        np.ascontiguousarray(light(u, v) * side**2),
        seen.ravel().astype(np.int64),
        _seeds(distance, (u - x, v - y), mask, side),
        2 * half,
        np.asarray(aperture_light, dtype=float),
        float(source_area),
        (np.cumsum(weight[nearest]), np.cumsum(distance[nearest])),
        np.array([ratios.low, ratios.goal, ratios.high, IMBALANCE, min_counts], dtype=float),
    )
    column, row, beyond, above = _rectangles(taken[:kept], 2 * half).T
    boxes = np.column_stack([across[column], up[row], across[beyond], up[above]])
    return MatchedBackground(boxes, float(factor), float(left), bool(reached))


def _rectangles(cells: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Rectangles of the cells of a grid: first column and row, and those after the last, shape (n, 4)."""
    found: list[tuple[int, int, int, int]] = []
    # Rectangles whose last row is the one before, by their columns.
    open_ones: dict[tuple[int, int], int] = {}
    runs: list[tuple[int, int, int]] = []
    for cell in np.sort(cells).tolist():
        row, column = divmod(cell, width)
        if runs and runs[-1][0] == row and runs[-1][2] == column:
            runs[-1] = (row, runs[-1][1], column + 1)
        else:
            runs.append((row, column, column + 1))
    for row, first, beyond in runs:
        k = open_ones.get((first, beyond))
        if k is not None and found[k][3] == row:
            found[k] = (*found[k][:3], row + 1)
        else:
            open_ones[first, beyond] = len(found)
            found.append((first, row, beyond, row + 1))
    return np.array(found, dtype=np.int64).reshape(-1, 4)


def _edges(centre: float, half: int, side: float) -> Array:
    return np.asarray(centre + (np.arange(2 * half + 1) - half) * side, dtype=np.float64)


def _seeds(distance: Array, offset: tuple[Array, Array], mask: float, side: float) -> NDArray[np.bool_]:
    """Cells along the mask, and a grid of 12 x 12 within twice its radius."""
    along = np.abs(distance - mask) <= side
    reach = max(10.0, 2 * mask)
    step = max(1, round(2 * reach / _SEEDS / side))
    columns, rows = (np.floor(part / side).astype(int) for part in offset)
    grid = (columns % step == 0) & (rows % step == 0) & (np.maximum(*map(np.abs, offset)) <= reach)
    return np.asarray(along | grid)
