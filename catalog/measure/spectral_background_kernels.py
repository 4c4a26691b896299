"""The background of a spectral fit, profiled out: compiled loops.

For each prediction of the source the background is the one that makes the likelihood of both spectra largest,
so that a fit has only the parameters of the source. Contributions are C-statistics of the source and of the
background spectrum, added point by point.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from catalog.stats.compiled import compiled

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TINY = 1e-30
STEPS = 60
SMALLEST = 1e-12
"""Vertices do not fall below this: at 0 the likelihood of a count is 0."""
PRECISE = 1e-7
HALVINGS = 12
ALMOST_NOTHING = 0.05
DOUBTFUL = 1e-3
"""Gain of a step below which the other way is tried too."""


@compiled
def c_statistic(counts: float, expected: float) -> float:
    """2 (m - n + n ln(n / m)), 0 where both agree."""
    expected = max(expected, TINY)
    if counts <= 0.0:
        return 2.0 * expected
    return 2.0 * (expected - counts + counts * math.log(counts / expected))


@compiled
def free_background(
    source: FloatArray, counts: FloatArray, back: FloatArray, ratio: FloatArray
) -> FloatArray:
    """Background of each point on its own (W-statistic), counts in the background region, shape (sets, n).

    The likelihood's derivative is a quadratic with one root that is not negative.
    """
    found = np.empty(source.shape)
    for i in range(source.shape[0]):
        for c in range(source.shape[1]):
            q = 1.0 / ratio[c]
            a = q * (q + 1.0)
            b = (q + 1.0) * source[i, c] - q * (counts[c] + back[c])
            root = math.sqrt(b * b + 4.0 * a * back[c] * source[i, c])
            # Of the two forms of the root the one without cancellation.
            if b <= 0.0:
                found[i, c] = (root - b) / (2.0 * a)
            else:
                found[i, c] = 2.0 * back[c] * source[i, c] / (b + root)
    return found


@compiled
def contributions(
    source: FloatArray, level: FloatArray, counts: FloatArray, back: FloatArray, ratio: FloatArray
) -> FloatArray:
    """C-statistic of both spectra point by point; `level` is the background of the background region."""
    found = np.empty(source.shape)
    for i in range(source.shape[0]):
        for c in range(source.shape[1]):
            expected = source[i, c] + level[i, c] / ratio[c]
            found[i, c] = c_statistic(counts[c], expected) + c_statistic(back[c], level[i, c])
    return found


@compiled
def linear_level(vertices: FloatArray, left: IntArray, share: FloatArray, width: FloatArray) -> FloatArray:
    """A continuous line through vertices: counts per point, shape (n,)."""
    level = np.empty(left.size)
    for c in range(left.size):
        k = left[c]
        level[c] = width[c] * (vertices[k] * (1.0 - share[c]) + vertices[k + 1] * share[c])
    return level


@compiled
def _objective(
    source: FloatArray, level: FloatArray, counts: FloatArray, back: FloatArray, ratio: float
) -> float:
    total = 0.0
    for c in range(source.size):
        total += c_statistic(counts[c], source[c] + level[c] / ratio) + c_statistic(back[c], level[c])
    return 0.5 * total


@compiled
def _newton_target(
    source: FloatArray,
    level: FloatArray,
    counts: FloatArray,
    back: FloatArray,
    ratio: float,
    left: IntArray,
    share: FloatArray,
    width: FloatArray,
    vertices: FloatArray,
) -> FloatArray:
    """Vertices at which the quadratic about the present ones is least, none below the smallest.

    Vertices that would fall below it are set there and the others solved again.
    """
    size = vertices.size
    slope, diagonal, beside = np.zeros(size), np.zeros(size), np.zeros(size)
    for c in range(source.size):
        expected = max(source[c] + level[c] / ratio, TINY)
        own = max(level[c], TINY)
        first = (1.0 - counts[c] / expected) / ratio + 1.0 - back[c] / own
        second = counts[c] / (expected * ratio) ** 2 + back[c] / own**2
        k = left[c]
        low, high = width[c] * (1.0 - share[c]), width[c] * share[c]
        slope[k] += low * first
        slope[k + 1] += high * first
        diagonal[k] += low * low * second
        diagonal[k + 1] += high * high * second
        beside[k] += low * high * second
    step = np.zeros(size)
    # Those that are small and press against the limit are there already: were they free, the others would be
    # solved together with values far below 0.
    small = ALMOST_NOTHING * vertices.mean()
    fixed = (vertices < small) & (slope > 0.0)
    for _ in range(size + 1):
        upper = np.zeros(size)
        for k in range(size):
            # A little on the diagonal keeps vertices without counts finite.
            pivot, right = diagonal[k] * (1.0 + 1e-12) + 1e-9, -slope[k]
            before, after = 0.0, 0.0
            if fixed[k]:
                pivot, right = 1.0, SMALLEST - vertices[k]
            else:
                before = beside[k - 1] if k > 0 else 0.0
                after = beside[k]
            if k > 0:
                pivot -= before * upper[k - 1]
                right -= before * step[k - 1]
            upper[k] = after / pivot
            step[k] = right / pivot
        for k in range(size - 2, -1, -1):
            step[k] -= upper[k] * step[k + 1]
        again = False
        for k in range(size):
            if not fixed[k] and vertices[k] + step[k] < SMALLEST:
                fixed[k] = True
                again = True
        if not again:
            break
    for k in range(size):
        step[k] = max(vertices[k] + step[k], SMALLEST)
    return step


@compiled
def _expectation_step(
    source: FloatArray,
    level: FloatArray,
    counts: FloatArray,
    back: FloatArray,
    ratio: float,
    left: IntArray,
    share: FloatArray,
    width: FloatArray,
    vertices: FloatArray,
) -> FloatArray:
    """One step of expectation maximisation: slow, but never uphill."""
    given, weight = np.zeros(vertices.size), np.zeros(vertices.size)
    for c in range(source.size):
        expected = max(source[c] + level[c] / ratio, TINY)
        ratio_here = back[c] / max(level[c], TINY) + counts[c] / (ratio * expected)
        k = left[c]
        low, high = width[c] * (1.0 - share[c]), width[c] * share[c]
        given[k] += low * ratio_here
        given[k + 1] += high * ratio_here
        weight[k] += low * (1.0 + 1.0 / ratio)
        weight[k + 1] += high * (1.0 + 1.0 / ratio)
    found = np.empty(vertices.size)
    for k in range(vertices.size):
        found[k] = max(vertices[k] * given[k] / max(weight[k], TINY), SMALLEST)
    return found


@compiled
def linear_background(
    source: FloatArray,
    counts: FloatArray,
    back: FloatArray,
    ratio: float,
    left: IntArray,
    share: FloatArray,
    width: FloatArray,
    start: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The most likely line through vertices, by Newton's method with steps cut where they do not help.

    Parameters
    ----------
    source
        Predicted counts of the source, shape (sets, n).
    counts, back
        Counts in source aperture and background region, shape (n,).
    ratio
        Background of the background region over that of the aperture.
    left, share, width
        Vertex to the left of each point, the share of the one to the right, and channels in the point.
    start
        Vertices to begin with, counts per channel, shape (k,), above 0.

    Returns
    -------
    levels, vertices
        Counts per point in the background region, shape (sets, n); shape (sets, k).
    """
    n_sets = source.shape[0]
    levels = np.empty(source.shape)
    found = np.empty((n_sets, start.size))
    for i in range(n_sets):
        vertices = start.copy()
        level = linear_level(vertices, left, share, width)
        best = _objective(source[i], level, counts, back, ratio)
        for _ in range(STEPS):
            target = _newton_target(source[i], level, counts, back, ratio, left, share, width, vertices)
            factor, gain = 1.0, -1.0
            for _ in range(HALVINGS):
                trial = vertices + factor * (target - vertices)
                trial_level = linear_level(trial, left, share, width)
                value = _objective(source[i], trial_level, counts, back, ratio)
                gain = best - value
                if gain >= 0.0:
                    break
                factor *= 0.4
            if factor < 1.0 or gain < DOUBTFUL:
                other = _expectation_step(source[i], level, counts, back, ratio, left, share, width, vertices)
                other_level = linear_level(other, left, share, width)
                value_there = _objective(source[i], other_level, counts, back, ratio)
                if best - value_there > max(gain, 0.0):
                    trial, trial_level, value, gain = other, other_level, value_there, best - value_there
            if gain >= 0.0:
                vertices, level, best = trial, trial_level, value
            if gain < PRECISE:
                break
        levels[i] = level
        found[i] = vertices
    return levels, found
