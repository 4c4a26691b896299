"""The likelihood of a source's intensity in a group of observations, as a table: compiled loops."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from catalog.stats.compiled import compiled
from catalog.stats.gamma_mixture import (
    NEGLIGIBLE_TERM,
    FloatArray,
    IntArray,
    peak_index,
    weight_ratios,
)


class LikelihoodTable(NamedTuple):
    """The likelihoods of a group of observations, ready to be evaluated; see `likelihood_table`.

    Observation i owns the entries starts[i] to starts[i+1] of `ratios` (w_{s+1} / w_s, ending with 0) and
    `logs` (log of w_s x^s / s! at x = references[i], up to a constant); scales[i] is x per unit of intensity.
    """

    ratios: FloatArray
    logs: FloatArray
    starts: IntArray
    scales: FloatArray
    references: FloatArray


@compiled
def likelihood_table(
    n: IntArray, m: IntArray, f: FloatArray, g: FloatArray, r: FloatArray, reach: float
) -> LikelihoodTable:
    """The table of a group of observations, exact up to an intensity (0: near each one's own mode)."""
    size = len(n)
    scales = f + g
    references = np.empty(size)
    starts = np.zeros(size + 1, np.int64)
    all_ratios = []
    all_logs = []
    for i in range(size):
        ratios = weight_ratios(n[i], m[i], f[i] / scales[i], g[i] / scales[i], r[i], reach * scales[i])
        logs = np.zeros(len(ratios))
        peak = peak_index(ratios)
        references[i] = peak + 1.0
        for s in range(peak, len(ratios) - 1):
            logs[s + 1] = logs[s] + math.log(ratios[s] * references[i] / (s + 1))
        for s in range(peak - 1, -1, -1):
            logs[s] = logs[s + 1] - math.log(ratios[s] * references[i] / (s + 1))
        starts[i + 1] = starts[i] + len(ratios)
        all_ratios.append(ratios)
        all_logs.append(logs)
    ratios = np.empty(starts[size])
    logs = np.empty(starts[size])
    for i in range(size):
        ratios[starts[i] : starts[i + 1]] = all_ratios[i]
        logs[starts[i] : starts[i + 1]] = all_logs[i]
    return LikelihoodTable(ratios, logs, starts, scales, references)


@compiled
def likely_term(table: LikelihoodTable, i: int, x: float) -> tuple[int, float]:
    """Index of the largest term of observation i at x, and the logarithm of its density."""
    ratios = table.ratios[table.starts[i] : table.starts[i + 1]]
    low = 0
    high = len(ratios) - 1
    while low < high:
        middle = (low + high) // 2
        if ratios[middle] * x > middle + 1:
            low = middle + 1
        else:
            high = middle
    # Near the reference log1p keeps the digits that log(x / reference) times a large count would lose.
    reference = table.references[i]
    offset = x - reference
    value = table.logs[table.starts[i] + low] - offset
    if low > 0:
        fraction = offset / reference
        value += low * (math.log1p(fraction) if fraction > -0.5 else math.log(x / reference))
    return low, value


@compiled
def log_value(table: LikelihoodTable, intensity: float) -> float:
    """Logarithm of the joint density, up to a constant."""
    value = 0.0
    for i in range(len(table.scales)):
        x = table.scales[i] * intensity
        ratios = table.ratios[table.starts[i] : table.starts[i + 1]]
        peak, largest = likely_term(table, i, x)
        total = 1.0
        term = 1.0
        for s in range(peak, len(ratios)):
            term *= ratios[s] * x / (s + 1)
            total += term
            if term < NEGLIGIBLE_TERM:
                break
        term = 1.0
        for s in range(peak, 0, -1):
            term *= s / (ratios[s - 1] * x)
            total += term
            if term < NEGLIGIBLE_TERM:
                break
        value += largest + math.log(total)
    return value


@compiled
def log_density(table: LikelihoodTable, intensity: float) -> tuple[float, float, float]:
    """Logarithm of the joint density (up to a constant) and its first and second derivative.

    The derivatives of x^s exp(-x) are s / x - 1 and s (s - 1) / x^2 - 2 s / x + 1 times itself: in this form
    no neighbour of a term is needed, however small it is.
    """
    value = 0.0
    slope = 0.0
    curvature = 0.0
    for i in range(len(table.scales)):
        scale = table.scales[i]
        x = scale * intensity
        ratios = table.ratios[table.starts[i] : table.starts[i + 1]]
        peak, largest = likely_term(table, i, x)
        if x <= 0.0:
            following = ratios[1] if len(ratios) > 1 else 0.0
            gradient = ratios[0] - 1.0
            value += largest
            slope += scale * gradient
            curvature += scale * scale * (ratios[0] * (following - 2.0) + 1.0 - gradient * gradient)
            continue
        total = 0.0
        first = 0.0
        second = 0.0
        for upwards in (True, False):
            s = peak
            term = 1.0
            if not upwards:
                if peak == 0:
                    break
                term = peak / (ratios[peak - 1] * x)
                s = peak - 1
            while 0 <= s < len(ratios):
                relative = s / x
                total += term
                first += term * (relative - 1.0)
                second += term * (relative * ((s - 1) / x - 2.0) + 1.0)
                if term * max(1.0, relative * relative) < NEGLIGIBLE_TERM:
                    break
                if upwards:
                    term *= ratios[s] * x / (s + 1)
                    s += 1
                else:
                    s -= 1
                    if s >= 0:
                        term *= (s + 1) / (ratios[s] * x)
        gradient = first / total
        value += largest + math.log(total)
        slope += scale * gradient
        curvature += scale * scale * (second / total - gradient * gradient)
    return value, slope, curvature
