"""The posterior of one observation as an exact mixture of gamma distributions: compiled loops.

In units where f + g = 1 the marginal likelihood of one observation is a mixture,

    p(x) = sum_s w_s x^s exp(-x) / s!,   w_s ~ c_s s! (n+m-s)! (1+r)^s,

s being how many of the n + m events belong to the source and c_s the coefficient of x^s in the polynomial
P = (1 + f x)^n (r + g x)^m. As (1 + f x)(r + g x) P' = (n f (r + g x) + m g (1 + f x)) P,

    r (s+1) c_{s+1} = (n f r + m g - (f r + g) s) c_s + f g (n+m-s+1) c_{s-1}.

Upwards from s = 0 all terms are positive until the bracket changes sign; beyond, the recurrence is run
downwards from s = n + m, where again all terms are positive. No digits cancel; the work is linear in n + m. P
has real roots only, so w_{s+1} / w_s decreases with s (Newton's inequalities). p is log-concave (Prekopa's
theorem): it has one mode, and each highest-density region is one interval. A product over observations stays
log-concave.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalog.stats.compiled import compiled

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NEGLIGIBLE_WEIGHT = 1e-30
NEGLIGIBLE_TERM = 1e-19
NEGLIGIBLE_LEAK = 1e-25


class Mixture(NamedTuple):
    """The weights of a single observation from index `first` on, and their running sums from 0 to 1."""

    first: int
    weights: FloatArray
    running: FloatArray


@compiled
def upper_ratios(start: int, n: int, m: int, f: float, g: float, r: float) -> FloatArray:
    """c_{s+1} / c_s for s = start .. n+m-1 by the recurrence downwards."""
    total = n + m
    constant = n * f * r + m * g
    linear = f * r + g
    ratios = np.empty(total - start)
    inverse = (g * n + f * r * m) / (f * g)
    ratios[total - 1 - start] = 1.0 / inverse
    for s in range(total - 1, start, -1):
        inverse = (r * (s + 1) / inverse + linear * s - constant) / (f * g * (total - s + 1))
        ratios[s - 1 - start] = 1.0 / inverse
    return ratios


@compiled
def weight_ratios(n: int, m: int, f: float, g: float, r: float, reach: float) -> FloatArray:
    """w_{s+1} / w_s for s = 0, 1, ..., with f + g = 1; a final 0 stands for "no further weight".

    The list ends where the weights w_s (reach = 0) or the terms w_s x^s / s! at x = reach are negligible.
    """
    if g < NEGLIGIBLE_LEAK * f * min(1.0, r):
        g = 0.0
    total = n + m
    top = n if g == 0.0 else total
    constant = n * f * r + m * g
    linear = f * r + g
    ratios = np.empty(top + 1)
    above = np.empty(0)
    first_above = top
    coefficient_ratio = 0.0
    size = 1.0
    for s in range(top):
        bracket = constant - linear * s
        if bracket < 0.0 and g > 0.0 and first_above == top:
            first_above = s
            above = upper_ratios(s, n, m, f, g, r)
        if s >= first_above:
            coefficient_ratio = above[s - first_above]
        elif s == 0:
            coefficient_ratio = bracket / r
        else:
            coefficient_ratio = (bracket + f * g * (total - s + 1) / coefficient_ratio) / (r * (s + 1))
        ratio = coefficient_ratio * (s + 1) * (1.0 + r) / (total - s)
        ratios[s] = ratio
        step = ratio if reach == 0.0 else ratio * reach / (s + 1)
        if step < 1.0:
            size *= step
            if size < NEGLIGIBLE_WEIGHT:
                top = s
                break
    ratios[top] = 0.0
    return ratios[: top + 1].copy()


@compiled
def peak_index(ratios: FloatArray) -> int:
    """Index of the largest weight."""
    low = 0
    high = len(ratios) - 1
    while low < high:
        middle = (low + high) // 2
        if ratios[middle] > 1.0:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def mixture_weights(ratios: FloatArray) -> Mixture:
    """Normalised weights from their ratios, negligible ones left out."""
    peak = peak_index(ratios)
    weights = np.zeros(len(ratios))
    weights[peak] = 1.0
    last = peak
    while last + 1 < len(ratios) and weights[last] > NEGLIGIBLE_WEIGHT:
        weights[last + 1] = weights[last] * ratios[last]
        last += 1
    first = peak
    while first > 0 and weights[first] > NEGLIGIBLE_WEIGHT:
        weights[first - 1] = weights[first] / ratios[first - 1]
        first -= 1
    kept = weights[first : last + 1] / weights[first : last + 1].sum()
    running = np.zeros(len(kept) + 1)
    for index in range(len(kept)):
        running[index + 1] = running[index] + kept[index]
    return Mixture(first, kept, running)


@compiled
def mixture_density(x: float, mixture: Mixture) -> tuple[float, float]:
    """Density and cumulative probability of the mixture of gammas at x >= 0.

    With T ~ Poisson(x) the density is the mean of w_T and the cumulative probability that of sum_{s<T} w_s.
    The Poisson terms are summed outwards from the largest and normalised by their sum.
    """
    first, weights, running = mixture
    if x <= 0.0:
        return (weights[0] if first == 0 else 0.0), 0.0
    total = 0.0
    density = 0.0
    cumulative = 0.0
    centre = int(x)
    for upwards in (True, False):
        t = centre if upwards else centre - 1
        term = 1.0 if upwards else centre / x
        while t >= 0 and term > NEGLIGIBLE_TERM:
            total += term
            index = t - first
            if index >= len(weights):
                cumulative += term
            elif index >= 0:
                density += term * weights[index]
                cumulative += term * running[index]
            if upwards:
                t += 1
                term *= x / t
            else:
                term *= t / x
                t -= 1
    return density / total, min(cumulative / total, 1.0)
