"""Crowding by shrinking apertures: ACIS Extract's rule, made independent of the order of sources.

Where the polygons of two neighbours overlap, the one that would lose fewer counts takes a smaller fraction of
its point spread function, and grows again where there is room, until nothing changes. Pairs are visited
from the largest overlap down, not in the order of a list, and sources that cannot touch are solved apart:
what happens in one group changes no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from shapely.geometry.base import BaseGeometry

from catalog.apertures.shape import Polygon

Array = NDArray[np.float64]

NOMINAL, LEAST = 90, 40
"""Per cent of the point spread function."""
FIRST_DOWN, FIRST_UP, LEAST_STEP = 32, 4, 2
"""Steps in per cent."""
_MOST_PASSES = 200


@dataclass(frozen=True)
class Trial:
    """An aperture that a source could have.

    Attributes
    ----------
    polygon
        Sky pixels.
    fraction
        Fraction of the point spread function that it encloses.
    counts
        Events in it.
    """

    polygon: Polygon
    fraction: float
    counts: int

    @cached_property
    def outline(self) -> BaseGeometry:
        """The polygon for area arithmetic."""
        return self.polygon.geometry()

    @cached_property
    def area(self) -> float:
        """Square pixels."""
        return float(self.outline.area)


TrialOf = Callable[[int, int], Trial]
"""Gives the aperture of a source (its index) that encloses so many per cent."""


@dataclass(frozen=True)
class ShrunkAperture:
    """The aperture of a source after crowding.

    Attributes
    ----------
    percent
        Per cent of the point spread function aimed at.
    trial
        The aperture.
    overlap
        Share of its area inside the aperture of its neighbour: of the one with the smallest gap.
    """

    percent: int
    trial: Trial
    overlap: float


def crowding_groups(x: Array, y: Array, radius: Array) -> list[NDArray[np.intp]]:
    """Sources whose apertures may touch, directly or through others: members of each group, ascending.

    Parameters
    ----------
    x, y, radius
        Positions and radii sqrt(area / pi) of the nominal apertures, one unit, shape (n,).
    """
    if len(x) == 0:
        return []
    tree = KDTree(np.column_stack([x, y]))
    near = tree.query_ball_point(np.column_stack([x, y]), 3.0 * radius.max(), return_sorted=True)
    first = np.repeat(np.arange(len(x)), [len(found) for found in near])
    second = np.concatenate([np.asarray(found, dtype=np.intp) for found in near])
    # A gap up to the own radius still asks for the overlap; every smaller aperture has a larger gap.
    gap = np.hypot(x[first] - x[second], y[first] - y[second]) - radius[first] - radius[second]
    kept = gap <= np.maximum(radius[first], radius[second])
    graph = csr_array((np.ones(kept.sum()), (first[kept], second[kept])), shape=(len(x), len(x)))
    _, labels = connected_components(graph, directed=False)
    order = np.argsort(labels, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    return sorted(parts, key=lambda part: int(part[0]))


def lost_counts(counts: int, fraction: float) -> float:
    """Counts that an aperture misses of its source."""
    return counts / fraction - counts


@dataclass
class _State:
    """A source while apertures are looked for: what it aims at, its last step (signed), what it has tried."""

    trial: Trial
    percent: int = NOMINAL
    step: int = 0
    tried: set[int] = field(default_factory=lambda: {NOMINAL})

    @cached_property
    def radius(self) -> float:
        """sqrt(area / pi) of the aperture, sky pixels."""
        return sqrt(self.trial.area / pi)

    def take(self, percent: int, trial: Trial) -> None:
        """Aim at another fraction."""
        self.percent, self.trial = percent, trial
        self.tried.add(percent)
        del self.radius


def next_percent(percent: int, step: int, tried: set[int]) -> int:
    """Value from 40 to 90 within a signed step, as far as possible from all tried; of equals the farthest.

    Examples
    --------
    >>> next_percent(90, -32, {90})
    58
    >>> next_percent(58, 16, {58, 90})
    74
    """
    sign = 1 if step > 0 else -1
    choices = [percent + sign * k for k in range(1, abs(step) + 1)]
    allowed = [value for value in choices if LEAST <= value <= NOMINAL]
    if not allowed:
        return percent
    return max(allowed, key=lambda value: (min(abs(value - old) for old in tried), abs(value - percent)))


def next_step(last: int, direction: int) -> int:
    """The next signed step: halved where the direction changes, at least `LEAST_STEP`."""
    if last == 0:
        return -FIRST_DOWN if direction < 0 else FIRST_UP
    size = abs(last) if last * direction > 0 else max(abs(last) // 2, LEAST_STEP)
    return direction * size


def shrink(x: Sequence[float], y: Sequence[float], trial_of: TrialOf) -> list[ShrunkAperture]:
    """Apertures of the members of one group.

    Parameters
    ----------
    x, y
        Positions in sky pixels.
    trial_of
        Makes apertures.

    Notes
    -----
    Both at their smallest: the overlap stays. Broos et al. (2010, ApJ 714, 1582), section 5.1.
    """
    order = sorted(range(len(x)), key=lambda i: (x[i], y[i]))
    states = [_State(trial_of(i, NOMINAL)) for i in order]
    points = np.array([(x[i], y[i]) for i in order])
    solver = _Solver(points, states, lambda k, percent: trial_of(order[k], percent))
    for _ in range(_MOST_PASSES):
        if not solver.step():
            break
    overlaps, _ = solver.overlaps()
    found = {
        i: ShrunkAperture(state.percent, state.trial, overlap)
        for i, state, overlap in zip(order, states, overlaps, strict=True)
    }
    return [found[i] for i in range(len(x))]


class _Solver:
    """The group while it is solved, its members in the order of their positions: so ties are settled."""

    def __init__(self, points: Array, states: list[_State], trial_of: TrialOf) -> None:
        self.states, self.trial_of = states, trial_of
        self.distance = np.hypot(*(points[:, None, :] - points[None, :, :]).transpose(2, 0, 1))
        np.fill_diagonal(self.distance, np.inf)
        self._shared: dict[tuple[int, int, int, int], float] = {}

    def overlaps(self) -> tuple[list[float], list[int]]:
        """Overlap of every source with its neighbour, and who that is (-1: too far to matter)."""
        radius = np.array([state.radius for state in self.states])
        gap = self.distance - radius[:, None] - radius[None, :]
        nearest = gap.argmin(axis=1)
        near = gap[np.arange(len(radius)), nearest] <= radius
        who = [int(j) if close else -1 for j, close in zip(nearest, near, strict=True)]
        found = [
            self._area(i, j) / state.trial.area if j >= 0 else 0.0
            for i, (state, j) in enumerate(zip(self.states, who, strict=True))
        ]
        return found, who

    def _area(self, i: int, j: int) -> float:
        i, j = min(i, j), max(i, j)
        key = (i, self.states[i].percent, j, self.states[j].percent)
        if key not in self._shared:
            self._shared[key] = float(
                self.states[i].trial.outline.intersection(self.states[j].trial.outline).area
            )
        return self._shared[key]

    def step(self) -> bool:
        """One pass over all pairs; tells whether anything changed."""
        overlaps, who = self.overlaps()
        shrinking: set[int] = set()
        touching = [i for i, overlap in enumerate(overlaps) if overlap > 0]
        for i in sorted(touching, key=lambda k: (-overlaps[k], k)):
            j = who[i]
            if i in shrinking or j in shrinking:
                continue
            loser = self._loser(i, j)
            if loser is not None:
                shrinking.add(loser)
        growing = {
            i
            for i, state in enumerate(self.states)
            if overlaps[i] == 0
            and i not in shrinking
            and state.percent < NOMINAL
            and abs(state.step) > LEAST_STEP
        }
        changed = False
        for i in sorted(shrinking | growing):
            changed |= self._move(i, -1 if i in shrinking else 1)
        return changed

    def _loser(self, i: int, j: int) -> int | None:
        able = [k for k in (i, j) if self.states[k].percent > LEAST]
        if not able:
            return None

        def order(k: int) -> tuple[float, int, int]:
            state = self.states[k]
            return lost_counts(state.trial.counts, state.trial.fraction), -state.percent, k

        return min(able, key=order)

    def _move(self, i: int, direction: int) -> bool:
        state = self.states[i]
        step = next_step(state.step, direction)
        percent = next_percent(state.percent, step, state.tried)
        state.step = step
        if percent == state.percent:
            return False
        state.take(percent, self.trial_of(i, percent))
        return True
