"""Compiled likelihood of a constant flux over observations."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from catalog.stats.compiled import compiled

Array = NDArray[np.float64]

_GOLDEN = 0.3819660112501051
_PASSES = 20
"""Weighted means, each with the errors expected at the one before."""


@compiled
def best_background(s: float, n: float, m: float, f: float, g: float, r: float) -> float:
    """Background b >= 0 in the source aperture that maximises the likelihood of n and m at a given flux."""
    a, c = f * s, g * s / r
    # (1 + r)(a + b)(c + b) = n (c + b) + m (a + b), the larger root.
    q = 1.0 + r
    half = 0.5 * (q * (a + c) - n - m)
    rest = q * a * c - n * c - m * a
    root = math.sqrt(max(half * half - q * rest, 0.0))
    return max(0.0, (root - half) / q)


@compiled
def log_likelihood(s: float, n: float, m: float, f: float, g: float, r: float) -> float:
    """Largest ln likelihood over the background at a flux s, relative to a perfect fit: never above 0."""
    b = best_background(s, n, m, f, g, r)
    x, y = f * s + b, g * s + r * b
    total = n - x + m - y
    if n > 0:
        if x <= 0:
            return -math.inf
        total += n * math.log(x / n)
    if m > 0:
        if y <= 0:
            return -math.inf
        total += m * math.log(y / m)
    return total


@compiled
def blurred_log_likelihood(s: float, n: float, m: float, f: float, g: float, r: float, error: float) -> float:
    """`log_likelihood` where f has a relative error.

    What a perfect fit loses is divided by 1 + (error f s)^2 / variance of the net counts: for a normal law
    this is the exact effect of the error, and at few counts, where the law is another, it is nothing.
    """
    value = log_likelihood(s, n, m, f, g, r)
    if error <= 0.0 or s <= 0.0:
        return value
    b = best_background(s, n, m, f, g, r)
    return value / (1.0 + (error * f * s) ** 2 / (f * s + b * (1.0 + 1.0 / r)))


@compiled
def joint(s: float, n: Array, m: Array, f: Array, g: Array, r: Array, error: float) -> float:
    """Sum of `blurred_log_likelihood` over observations."""
    total = 0.0
    for i in range(n.size):
        total += blurred_log_likelihood(s, n[i], m[i], f[i], g[i], r[i], error)
    return total


@compiled
def maximum(n: Array, m: Array, f: Array, g: Array, r: Array, error: float) -> tuple[float, float]:
    """Flux s >= 0 of the largest joint likelihood, and that likelihood (golden section in s)."""
    high = 0.0
    for i in range(n.size):
        high = max(high, (n[i] + 1.0) / f[i])
    low = 0.0
    a, b = low + _GOLDEN * (high - low), high - _GOLDEN * (high - low)
    fa, fb = joint(a, n, m, f, g, r, error), joint(b, n, m, f, g, r, error)
    for _ in range(80):
        if fa < fb:
            low, a, fa = a, b, fb
            b = high - _GOLDEN * (high - low)
            fb = joint(b, n, m, f, g, r, error)
        else:
            high, b, fb = b, a, fa
            a = low + _GOLDEN * (high - low)
            fa = joint(a, n, m, f, g, r, error)
    best, value = (a, fa) if fa > fb else (b, fb)
    zero = joint(0.0, n, m, f, g, r, error)
    if zero >= value:
        return 0.0, zero
    return best, value


@compiled
def likelihood_ratio(n: Array, m: Array, f: Array, g: Array, r: Array, error: float) -> tuple[float, float]:
    """Flux of the best constant source and 2 ln (free fluxes / one flux)."""
    free = 0.0
    for i in range(n.size):
        one = slice(i, i + 1)
        free += maximum(n[one], m[one], f[one], g[one], r[one], error)[1]
    flux, value = maximum(n, m, f, g, r, error)
    return flux, max(0.0, 2.0 * (free - value))


@compiled
def expected_variance(s: float, m: float, scale: float, r: float, error: float) -> float:
    """Variance of the net counts at a flux s; `scale` is what the flux adds to them."""
    background = (m + 0.5) / r
    return max(s * scale + background * (1.0 + 1.0 / r), 0.25) + (error * s * scale) ** 2


@compiled
def chi_square(n: Array, m: Array, f: Array, g: Array, r: Array, error: float) -> float:
    """Chi-square of the background-subtracted fluxes against their weighted mean, errors at that mean.

    Observations whose background region sees more of the source than the aperture do not count.
    """
    scale = f - g / r
    usable = 0
    net_sum, scale_sum = 0.0, 0.0
    for i in range(n.size):
        if scale[i] > 0.0:
            usable += 1
            net_sum += n[i] - m[i] / r[i]
            scale_sum += scale[i]
    if usable < 2:
        return 0.0
    flux = max(net_sum / scale_sum, 0.0)
    for _ in range(_PASSES):
        net_sum, scale_sum = 0.0, 0.0
        for i in range(n.size):
            if scale[i] > 0.0:
                variance = expected_variance(flux, m[i], scale[i], r[i], error)
                net_sum += (n[i] - m[i] / r[i]) * scale[i] / variance
                scale_sum += scale[i] ** 2 / variance
        flux = max(net_sum / scale_sum, 0.0)
    total = 0.0
    for i in range(n.size):
        if scale[i] > 0.0:
            miss = n[i] - m[i] / r[i] - flux * scale[i]
            total += miss**2 / expected_variance(flux, m[i], scale[i], r[i], error)
    return total
