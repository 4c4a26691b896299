"""Compiled growth of a contamination-matched background. Imported only where one is made."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

COMPACTNESS_WEIGHT = 0.01
LEAST_CORRECTION, MOST_CORRECTION = 0.1, 10.0


@njit(cache=True)  # type: ignore[untyped-decorator]
def imbalance(aperture: NDArray[np.float64], region: NDArray[np.float64], scale: float) -> float:
    """Sum of |A - S N| over contaminants, over twice what is in the aperture (at least one count)."""
    total = 0.0
    differences = 0.0
    for j in range(aperture.size):
        total += aperture[j]
        differences += abs(aperture[j] - scale * region[j])
    return differences / max(1.0, 2.0 * total)


@njit(cache=True)  # type: ignore[untyped-decorator]
def correct(
    aperture: NDArray[np.float64], region: NDArray[np.float64], scale: float, observed: float
) -> tuple[float, float, float]:
    """Correction c of the scale, flat counts in the aperture, and the imbalance that is left."""
    inside = aperture.sum()
    outside = region.sum()
    flat = max(0.0, observed - outside)
    background = flat * scale
    modelled = (outside + flat) * scale
    factor = 1.0
    if modelled > 0.0:
        factor = 1.0 + (inside - scale * outside) / modelled
        factor = min(max(factor, LEAST_CORRECTION), MOST_CORRECTION)
    differences = abs(background - factor * background)
    for j in range(aperture.size):
        differences += abs(aperture[j] - scale * factor * region[j])
    return factor, background, differences / max(1.0, 2.0 * (background + inside))


@njit(cache=True)  # type: ignore[untyped-decorator]
def _compact_distance(area: float, areas: NDArray[np.float64], distances: NDArray[np.float64]) -> float:
    """Sum of distances of the nearest cells with this exposure-area, from running sums."""
    k = np.searchsorted(areas, area)
    if k >= areas.size:
        return float(distances[-1])
    low_area = areas[k - 1] if k > 0 else 0.0
    low = distances[k - 1] if k > 0 else 0.0
    part = (area - low_area) / (areas[k] - low_area)
    return float(low + part * (distances[k] - low))


@njit(cache=True)  # type: ignore[untyped-decorator]
def _best(
    candidates: NDArray[np.int64],
    exposure: NDArray[np.float64],
    distance: NDArray[np.float64],
    light: NDArray[np.float64],
    aperture: NDArray[np.float64],
    source_area: float,
    compact: tuple[NDArray[np.float64], NDArray[np.float64]],
    region: NDArray[np.float64],
    sums: tuple[float, float, float],
) -> tuple[int, float]:
    """Place of the candidate with the smallest change of the metric per exposure-area, and its metric.

    `sums` are the region's exposure-area, sum of distances and metric.
    """
    area, reach, metric = sums
    least = max(1.0, 2.0 * aperture.sum())
    best = -1
    best_change = 1e300
    best_metric = 0.0
    last_area = -1.0
    nearest = 0.0
    for place in range(candidates.size):
        cell = candidates[place]
        new_area = area + exposure[cell]
        scale = source_area / new_area
        if new_area != last_area:
            # Cells far from edges are all alike.
            nearest = _compact_distance(new_area, compact[0], compact[1])
            last_area = new_area
        spread = COMPACTNESS_WEIGHT * max(0.0, (reach + distance[cell]) / max(nearest, 1e-9) - 1.0)
        # Differences only add up: beyond this the cell cannot be the best.
        most = (best_change * exposure[cell] + metric - spread) * least * (1.0 + 1e-9) + 1e-9
        differences = 0.0
        for j in range(region.size):
            if differences > most:
                break
            differences += abs(aperture[j] - scale * (region[j] + light[cell, j]))
        if differences > most:
            continue
        value = differences / least + spread
        change = (value - metric) / exposure[cell]
        if change < best_change or (change == best_change and cell < candidates[best]):
            best, best_change, best_metric = place, change, value
    return best, best_metric


@njit(cache=True)  # type: ignore[untyped-decorator]
def _open_neighbours(
    cell: int,
    width: int,
    exposure: NDArray[np.float64],
    state: NDArray[np.int8],
    frontier: NDArray[np.int64],
    size: int,
) -> int:
    """Put the usable cells beside a cell on the frontier; its new size."""
    row, column = cell // width, cell % width
    for step in range(4):
        r = row + (step == 0) - (step == 1)
        c = column + (step == 2) - (step == 3)
        other = r * width + c
        if r < 0 or c < 0 or c >= width or other >= state.size:
            continue
        if state[other] == 0 and exposure[other] > 0.0:
            state[other] = 1
            frontier[size] = other
            size += 1
    return size


@njit(cache=True)  # type: ignore[untyped-decorator]
def grow(
    exposure: NDArray[np.float64],
    distance: NDArray[np.float64],
    light: NDArray[np.float64],
    events: NDArray[np.int64],
    seeds: NDArray[np.bool_],
    width: int,
    aperture: NDArray[np.float64],
    source_area: float,
    compact: tuple[NDArray[np.float64], NDArray[np.float64]],
    goal: NDArray[np.float64],
) -> tuple[NDArray[np.int64], int, float, float, bool]:
    """Add cells one by one, the one with the smallest change of metric per exposure-area first.

    Parameters
    ----------
    exposure, distance
        Exposure-area of each cell (0: not to be used) and its distance from the source, shape (n,).
    light
        Model counts of each source in each cell, shape (n, k).
    events
        Observed counts in each cell, shape (n,): they never choose a cell.
    seeds
        Cells that the region may begin with, shape (n,).
    width
        Cells per row of the window.
    aperture
        Model counts of each source in the aperture, the source's own set to 0, shape (k,).
    source_area
        Exposure-area of the aperture.
    compact
        Running sums of exposure-area and distance over usable cells, nearest first.
    goal
        Lowest, wanted and largest ratio of exposure-areas, largest imbalance, fewest counts.

    Returns
    -------
    tuple
        Cells in the order taken, how many of them to keep, correction, imbalance, whether all goals are met.
    """
    state = seeds.astype(np.int8)
    frontier = np.empty(exposure.size, dtype=np.int64)
    size = 0
    for cell in np.flatnonzero(seeds & (exposure > 0.0)):
        frontier[size] = cell
        size += 1
    taken = np.empty(exposure.size, dtype=np.int64)
    count, kept = 0, 0
    region = np.zeros(light.shape[1])
    area, reach, metric, observed = 0.0, 0.0, 0.0, 0.0
    factor, found = 1.0, 0.0
    kept_factor, kept_imbalance = 1.0, 1e30
    while size > 0:
        sums = (area, reach, metric)
        place, metric = _best(
            frontier[:size], exposure, distance, light, aperture, source_area, compact, region, sums
        )
        cell = frontier[place]
        size -= 1
        frontier[place] = frontier[size]
        state[cell] = 2
        taken[count] = cell
        count += 1
        area += exposure[cell]
        reach += distance[cell]
        observed += events[cell]
        region += light[cell]
        size = _open_neighbours(cell, width, exposure, state, frontier, size)
        ratio = area / source_area
        factor, _, found = correct(aperture, region, 1.0 / ratio, observed)
        if ratio >= goal[0] and found < kept_imbalance:
            kept, kept_factor, kept_imbalance = count, factor, found
        if ratio >= goal[1] and found <= goal[3] and observed >= goal[4]:
            return taken, count, factor, found, True
        if ratio >= goal[2]:
            break
    if kept == 0:
        return taken, count, factor, found, False
    return taken, kept, kept_factor, kept_imbalance, False
