"""Counts of a source on a background that is itself known from counts only: compiled loops.

With b ~ Gamma(m + 1, rate r) the background counts in the source aperture follow a negative binomial law, and
N = Poisson(s) + NegativeBinomial(m + 1, r / (1 + r)).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from catalog.stats.compiled import compiled

FloatArray = NDArray[np.float64]

NEGLIGIBLE_TERM = 1e-19


@compiled
def background_terms(threshold: int, m: float, r: float) -> tuple[int, FloatArray, FloatArray]:
    """Negative binomial probabilities up to the threshold: index of the first kept, terms, running sums."""
    largest = min(threshold, int(m / r))
    logarithm = (
        math.lgamma(m + 1.0 + largest)
        - math.lgamma(largest + 1.0)
        - math.lgamma(m + 1.0)
        - (m + 1.0) * math.log1p(1.0 / r)
        - largest * math.log1p(r)
    )
    first = largest
    term = 1.0
    while first > 0 and term > NEGLIGIBLE_TERM:
        term *= first * (1.0 + r) / (m + first)
        first -= 1
    terms = np.empty(threshold - first + 1)
    terms[largest - first] = math.exp(logarithm)
    for k in range(largest, first, -1):
        terms[k - 1 - first] = terms[k - first] * k * (1.0 + r) / (m + k)
    for k in range(largest, threshold):
        terms[k + 1 - first] = terms[k - first] * (m + 1.0 + k) / ((k + 1.0) * (1.0 + r))
    running = np.empty(len(terms))
    total = 0.0
    for index in range(len(terms)):
        total += terms[index]
        running[index] = total
    return first, terms, running


@compiled
def miss_probability(
    source: float, threshold: int, first: int, terms: FloatArray, running: FloatArray
) -> tuple[float, float]:
    """P(N <= threshold) for an expected source, and minus its derivative by the source, P(N = threshold)."""
    total = 0.0
    missed = 0.0
    at_threshold = 0.0
    centre = int(source)
    for upwards in (True, False):
        j = centre if upwards else centre - 1
        term = 1.0 if upwards else centre / source
        while j >= 0 and term > NEGLIGIBLE_TERM:
            total += term
            index = threshold - j - first
            if index >= 0:
                missed += term * running[index]
                at_threshold += term * terms[index]
            if upwards:
                j += 1
                term *= source / j
            else:
                term *= j / source
                j -= 1
    return missed / total, at_threshold / total


@compiled
def source_limits(thresholds: FloatArray, m: FloatArray, r: FloatArray, power: float) -> FloatArray:
    """Expected source counts at which P(N > threshold) = power; 0 where the background alone exceeds it."""
    limits = np.full(len(m), math.nan)
    for i in range(len(m)):
        if not thresholds[i] >= 0.0:
            continue
        threshold = int(thresholds[i])
        first, terms, running = background_terms(threshold, m[i], r[i])
        if running[-1] <= 1.0 - power:
            limits[i] = 0.0
            continue
        low = 0.0
        high = math.inf
        x = max(1.0, threshold + 1.0 - (m[i] + 1.0) / r[i])
        for _ in range(200):
            missed, slope = miss_probability(x, threshold, first, terms, running)
            if missed > 1.0 - power:
                low = x
            else:
                high = x
            following = x + (missed - (1.0 - power)) / slope
            if not low < following < high:
                following = 0.5 * (low + high) if high < math.inf else 2.0 * x
            if abs(following - x) <= 1e-13 * x:
                break
            x = following
        limits[i] = x
    return limits
