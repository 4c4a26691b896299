"""Compiled loops that blur curves of encircled fractions. Imported only where a library is blurred."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

_FAR = 42.0
"""Widths of the blur beyond which it changes nothing that matters."""
_MOST_POINTS = 64
"""Points within one interval of a curve."""


@njit(cache=True)  # type: ignore[untyped-decorator]
def _within(r: float, distance: float, sigma: float, rice: NDArray[np.float64], step: float) -> float:
    """Chance that a point `distance` from the centre lies within `r` of it after a Gaussian blur."""
    if r <= 0.0 or distance > r + 5.0 * sigma:
        return 0.0
    if r > distance + 5.0 * sigma:
        return 1.0
    if distance >= 5.0 * sigma:
        # Far from the centre a ring is straight but for its mean displacement outward.
        shifted = (r - distance - 0.5 * sigma * sigma / distance) / sigma
        return 0.5 * (1.0 + math.erf(shifted / math.sqrt(2.0)))
    u = distance / sigma / step
    v = r / sigma / step
    i = int(u)
    k = int(v)
    a = u - i
    b = v - k
    below: float = rice[i, k] + b * (rice[i, k + 1] - rice[i, k])
    above: float = rice[i + 1, k] + b * (rice[i + 1, k + 1] - rice[i + 1, k])
    return below + a * (above - below)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _points(
    radius: NDArray[np.float64], fraction: NDArray[np.float64], sigma: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points that stand for a curve: their distances from the centre, rising, and the fraction within each.

    The fractions start with 0, one more than the points. Points within an interval of the curve are denser
    than the blur can tell apart; in the wing they follow a power law, so that its density does not step where
    intervals meet. Farther out than anything is blurred there are none.
    """
    distance = np.empty(_MOST_POINTS * fraction.size)
    within = np.zeros(distance.size + 1)
    n = 0
    lower = 0.0
    below = 0.0
    for k in range(fraction.size):
        if lower > (_FAR + 10.0) * sigma:
            break
        mass = fraction[k] - below
        points = min(_MOST_POINTS, 1 + int((radius[k] - lower) / (0.3 * sigma)))
        slope = 0.0
        if below > 0.5 and radius[k] > lower:
            slope = math.log(radius[k] / lower) / math.log((1.0 - below) / (1.0 - fraction[k]))
        for i in range(points):
            share = (i + 0.5) / points
            if k == 0:
                share = math.sqrt(share)
            if slope > 0.0:
                left = 1.0 - below - share * mass
                distance[n] = lower * ((1.0 - below) / left) ** slope
            else:
                distance[n] = lower + share * (radius[k] - lower)
            within[n + 1] = within[n] + mass / points
            n += 1
        lower = radius[k]
        below = fraction[k]
    return distance[:n], within[: n + 1]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _blurred_fraction(
    r: float,
    distance: NDArray[np.float64],
    within: NDArray[np.float64],
    sigma: float,
    rice: NDArray[np.float64],
    step: float,
) -> float:
    """Fraction within `r` after a Gaussian blur of points."""
    first = np.searchsorted(distance, r - 5.0 * sigma)
    total: float = within[first]
    for i in range(first, distance.size):
        if distance[i] > r + 5.0 * sigma:
            break
        total += (within[i + 1] - within[i]) * _within(r, distance[i], sigma, rice, step)
    return total


@njit(cache=True)  # type: ignore[untyped-decorator]
def blur_curves(
    curves: NDArray[np.float64],
    fraction: NDArray[np.float64],
    sigma: float,
    rice: NDArray[np.float64],
    step: float,
) -> NDArray[np.float64]:
    """Radii of encircled fractions after a Gaussian blur, shape of `curves` (n, n_fraction)."""
    inner = 10
    number = fraction.size
    # Where a point would go: with the curve in quadrature a good guess of where to look.
    reach = sigma * np.sqrt(-2.0 * np.log(1.0 - fraction))
    out = np.empty_like(curves)
    r = np.empty(inner + number)
    held = np.empty(inner + number)
    for row in range(curves.shape[0]):
        radius = curves[row]
        distance, within = _points(radius, fraction, sigma)
        start = math.sqrt(radius[0] ** 2 + reach[0] ** 2)
        for j in range(inner):
            r[j] = start * j / inner
        for j in range(number):
            r[inner + j] = math.sqrt(radius[j] ** 2 + reach[j] ** 2)
        for j in range(r.size):
            if j > inner and radius[j - inner] > _FAR * sigma:
                # Far out a blur changes nothing that matters.
                held[j] = fraction[j - inner]
                continue
            held[j] = _blurred_fraction(r[j], distance, within, sigma, rice, step)
        first = np.interp(fraction, held, r)
        for j in range(number):
            if radius[j] > 40.0 * sigma:
                out[row, j] = radius[j]
                continue
            # One step of the secant: the points above are far apart in the wing.
            before, after = max(j - 1, 0), min(j + 1, number - 1)
            rise = (first[after] - first[before]) / (fraction[after] - fraction[before])
            miss = fraction[j] - _blurred_fraction(first[j], distance, within, sigma, rice, step)
            out[row, j] = max(first[j] + rise * miss, 0.5 * first[j])
    return out
