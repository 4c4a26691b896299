"""Errors of fitted parameters: where the best statistic of all others has risen by a given amount."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm as normal_distribution

from catalog.measure.spectral_problem import Minimum, Problem

Array = NDArray[np.float64]

LEVELS = (0.68, 0.90)
"""Confidence of the two intervals."""
RISES = tuple(float(normal_distribution.isf(0.5 - 0.5 * level)) ** 2 for level in LEVELS)
"""Rise of the statistic at their ends: 0.99 and 2.71 for one parameter."""

_TRIES = 14
_CLOSE = 0.01
"""Error of the root of a rise that is good enough: 1 % of the interval."""
_BETTER = 0.02


class Interval(NamedTuple):
    """Ends at the levels of `LEVELS`; None where the statistic never rises so far before a limit."""

    lo68: float | None
    hi68: float | None
    lo90: float | None
    hi90: float | None


@dataclass(frozen=True, eq=False)
class Profiles:
    """Intervals of the free parameters by place, in scaled units, and a better minimum if one was met."""

    intervals: dict[int, Interval]
    better: Minimum | None = None


class _BetterFoundError(Exception):
    def __init__(self, minimum: Minimum) -> None:
        super().__init__()
        self.minimum = minimum


def profile_intervals(problem: Problem, best: Minimum, free: NDArray[np.bool_]) -> Profiles:
    """Confidence intervals of each free parameter by profile likelihood.

    Parameters
    ----------
    problem
        What was fitted.
    best
        The minimum.
    free
        Free parameters, shape (parameters,).

    Returns
    -------
    Profiles
        When a lower statistic is met on the way, only that.
    """
    chosen = np.flatnonzero(free)
    sigma = standard_errors(problem, best, chosen)
    try:
        found = {}
        for place, size in zip(chosen.tolist(), sigma.tolist(), strict=True):
            low = _side(problem, best, free, place, -size)
            high = _side(problem, best, free, place, size)
            found[place] = Interval(low[0], high[0], low[1], high[1])
    except _BetterFoundError as better:
        return Profiles({}, better.minimum)
    return Profiles(found)


def standard_errors(problem: Problem, best: Minimum, chosen: NDArray[np.intp]) -> Array:
    """Errors from the information matrix, a guess of size where it has none; shape (chosen,)."""
    if chosen.size == 0:
        return np.zeros(0)
    _, information = problem.slope_and_information(best.values, chosen)
    variance = np.diag(np.linalg.pinv(information, hermitian=True))
    guess = 0.3 * np.maximum(np.abs(best.values[chosen]), 0.3)
    return np.where(variance > 1e-16, np.sqrt(np.maximum(variance, 0.0)), guess)


def _side(
    problem: Problem, best: Minimum, free: NDArray[np.bool_], place: int, size: float
) -> tuple[float | None, float | None]:
    """Ends on one side, nearer first; `size` is signed."""
    origin, limit = best.values[place], (problem.lo if size < 0 else problem.hi)[place]
    reach = abs(limit - origin)
    others = free.copy()
    others[place] = False
    found: list[float | None] = []
    # Distances and roots of rises: nearly a straight line through the origin.
    known: list[tuple[float, float, Array]] = [(0.0, 0.0, best.values)]
    for rise in RISES:
        target = float(np.sqrt(rise))
        step = min(abs(size) * target, reach)
        end: float | None = None
        for _ in range(_TRIES):
            if step <= 0:
                break
            root, values = _rise(problem, best, others, place, origin + np.sign(size) * step, known)
            known.append((step, root, values))
            if abs(root - target) < _CLOSE * target:
                end = float(origin + np.sign(size) * step)
                break
            if step >= reach and root < target:
                break
            step = min(_next(known, target), reach)
        found.append(end)
    return found[0], found[1]


def _rise(
    problem: Problem,
    best: Minimum,
    others: NDArray[np.bool_],
    place: int,
    at: float,
    known: list[tuple[float, float, Array]],
) -> tuple[float, Array]:
    """Root of the rise of the statistic with one parameter held and the others fitted again."""
    _, _, nearest = min(known, key=lambda item: abs(item[2][place] - at))
    start = nearest.copy()
    start[place] = at
    found = problem.score(start, others)
    rise = found.statistic - best.statistic
    if rise < -_BETTER:
        raise _BetterFoundError(found)
    return float(np.sqrt(max(rise, 0.0))), found.values


def _next(known: list[tuple[float, float, Array]], target: float) -> float:
    """Where the root of the rise should reach the target: between two known points, or farther out."""
    below = max((item for item in known if item[1] < target), key=lambda item: item[0])
    above = [item for item in known if item[1] >= target and item[0] > below[0]]
    if not above:
        slope = below[1] / below[0] if below[0] > 0 else 0.0
        ahead = target / slope if slope > 0 else np.inf
        return float(min(max(ahead, 1.3 * below[0]), 4.0 * below[0]))
    upper = min(above, key=lambda item: item[0])
    share = (target - below[1]) / (upper[1] - below[1])
    return float(below[0] + np.clip(share, 0.02, 0.98) * (upper[0] - below[0]))
