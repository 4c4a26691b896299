"""Compiled loops of the Gregory-Loredo test."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from catalog.stats.compiled import compiled

Array = NDArray[np.float64]

_NEGLIGIBLE = 1e-13
"""Weight of a model, relative to all, below which it cannot change the light curve."""
_EACH_MODEL = 512
_STRIDE = 4
_LARGE = 1e200
"""Size of a product at which its logarithm is taken."""


@compiled
def exposure_share(table: Array, phase: float) -> float:
    """Share of the exposure gathered until a phase in [0, 1] of the good time, linear in a uniform table."""
    place = phase * (table.size - 1)
    i = min(int(place), table.size - 2)
    share: float = table[i] + (place - i) * (table[i + 1] - table[i])
    return share


@compiled
def log_odds(phase: Array, table: Array, first: int) -> Array:
    """Logarithm of the odds O_m for m = 2 to `first`, shape (first - 1,).

    Parameters
    ----------
    phase
        Good time until each event over all good time, ascending, in [0, 1).
    table
        Share of the exposure at equal steps of good time, from 0 to 1; of size 0 where it is the same.
    first
        Largest number of bins.
    """
    n = phase.size
    result = np.empty(first - 1)
    # ln Gamma(m) - ln Gamma(n + m) from m to m + 1.
    falling = -math.lgamma(n + 1.0)
    for m in range(2, first + 1):
        falling += math.log((m - 1.0) / (n + m - 1.0))
        bins = _arrangement(phase, m) if table.size == 0 else _exposed_arrangement(phase, table, m)
        result[m - 2] = falling + n * math.log(m) + bins
    return result


@compiled
def _arrangement(phase: Array, m: int) -> float:
    """Sum over m bins of ln n_j!, as the logarithm of products that stay within range."""
    total, product, count, known = 0.0, 1.0, 0.0, -1
    for value in phase:
        j = int(value * m)
        count = count + 1.0 if j == known else 1.0
        known = j
        product *= count
        if product > _LARGE:
            total += math.log(product)
            product = 1.0
    return total + math.log(product)


@compiled
def _exposed_arrangement(phase: Array, table: Array, m: int) -> float:
    """Sum over m bins of ln n_j! - n_j ln(m p_j), p_j the share of the exposure in bin j."""
    total, product, count, known, inverse = 0.0, 1.0, 0.0, -1, 1.0
    bin_length = 1.0 / m
    for value in phase:
        j = int(value * m)
        if j == known:
            count += 1.0
        else:
            count, known = 1.0, j
            share = exposure_share(table, (j + 1) * bin_length) - exposure_share(table, j * bin_length)
            inverse = bin_length / share
        product *= count * inverse
        if product > _LARGE or product < 1.0 / _LARGE:
            total += math.log(product)
            product = 1.0
    return total + math.log(product)


@compiled
def rate_moments(phase: Array, weight: Array, points: int) -> tuple[Array, Array]:
    """First and second moment of the relative rate at `points` phases, for uniform exposure.

    `weight` are the models' weights for m = 2, 3, ...: they sum to 1. The rate is relative to the mean.
    """
    n = phase.size
    first, second = np.zeros(points + 1), np.zeros(points + 1)
    for m in range(2, weight.size + 2):
        w = weight[m - 2]
        if w < _NEGLIGIBLE:
            continue
        a = w * m / (n + m)
        b = a * m / (n + m + 1)
        first[0] += a
        second[0] += 2 * b
        i = 0
        while i < n:
            j = min(int(phase[i] * m), m - 1)
            count = 0
            while i < n and min(int(phase[i] * m), m - 1) == j:
                count += 1
                i += 1
            # Points k with (k + 1/2) / points inside bin j of m, in whole numbers.
            low = max(0, -((m - 2 * j * points) // (2 * m)))
            high = -((m - 2 * (j + 1) * points) // (2 * m))
            first[low] += a * count
            first[high] -= a * count
            second[low] += b * count * (count + 3)
            second[high] -= b * count * (count + 3)
    return np.cumsum(first)[:points], np.cumsum(second)[:points]


@compiled
def rate_moments_exposed(phase: Array, table: Array, weight: Array, points: int) -> tuple[Array, Array]:
    """The same as `rate_moments` where the exposure changes with time.

    What empty bins give depends on no event, and hardly on m where bins are short: above 512 bins one model
    stands for four. What events add is summed over all models.
    """
    n = phase.size
    first, second = np.zeros(points), np.zeros(points)
    # What events add, as differences from one point to the next.
    more_first, more_second = np.zeros(points + 1), np.zeros(points + 1)
    for m in range(2, weight.size + 2):
        w = weight[m - 2]
        if m <= _EACH_MODEL:
            _add_empty_bins(first, second, table, m, w, n)
        elif (m - _EACH_MODEL - 1) % _STRIDE == 0:
            # A place in its group that changes from one to the next: all remainders of m are met.
            chosen = m + ((m - _EACH_MODEL - 1) // _STRIDE) % _STRIDE
            four = weight[m - 2 : m - 2 + _STRIDE].sum()
            _add_empty_bins(first, second, table, min(chosen, weight.size + 1), four, n)
        if w < _NEGLIGIBLE:
            continue
        a = w / (n + m)
        b = a / (n + m + 1)
        i = 0
        while i < n:
            j = min(int(phase[i] * m), m - 1)
            count = 0
            while i < n and min(int(phase[i] * m), m - 1) == j:
                count += 1
                i += 1
            inverse = 1.0 / (exposure_share(table, (j + 1) / m) - exposure_share(table, j / m))
            low = max(0, -((m - 2 * j * points) // (2 * m)))
            high = min(points, -((m - 2 * (j + 1) * points) // (2 * m)))
            mean, square = a * count * inverse, b * count * (count + 3) * inverse * inverse
            more_first[low] += mean
            more_first[high] -= mean
            more_second[low] += square
            more_second[high] -= square
    return first + np.cumsum(more_first)[:points], second + np.cumsum(more_second)[:points]


@compiled
def _add_empty_bins(first: Array, second: Array, table: Array, m: int, weight: float, n: int) -> None:
    """Add what m bins without events give to the moments at each point."""
    if weight < _NEGLIGIBLE:
        return
    points = first.size
    a = weight / (n + m)
    b = 2.0 * a / (n + m + 1)
    known = -1
    after, inverse, bin_length = 0.0, 0.0, 1.0 / m
    # Bin j of point k is (2 k + 1) m over 2 points: carried along while it grows by less than 1, since a
    # division takes half of the time; one of doubles is the faster one, and exact where its result is whole.
    j, rest = -1, -m + 2 * points
    for k in range(points):
        if m > points:
            j = int((k + 0.5) * m / points)
        else:
            rest += 2 * m
            if rest >= 2 * points:
                j += 1
                rest -= 2 * points
        if j != known:
            before = after if j == known + 1 else exposure_share(table, j * bin_length)
            after = exposure_share(table, (j + 1) * bin_length)
            known = j
            inverse = 1.0 / (after - before)
        first[k] += a * inverse
        second[k] += b * inverse * inverse
