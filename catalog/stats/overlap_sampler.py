"""Compiled loops over a linear Poisson model: counts of cells C_i ~ Poisson(o_i + sum_j F_ij theta_j).

The matrix F is sparse, given by rows. Each entry says too whether its cell informs its component: where it
does not, the component is only taken off the cell (its photons there are counted in another cell already).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catalog.stats.compiled import compiled
from catalog.stats.gamma_mixture import Mixture, mixture_density

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@compiled
def total_rates(
    starts: IntArray, columns: IntArray, values: FloatArray, informs: BoolArray, size: int
) -> FloatArray:
    """Sum of the informing entries of each component, shape (size,)."""
    rates = np.zeros(size)
    for e in range(starts[-1]):
        if informs[e]:
            rates[columns[e]] += values[e]
    return rates


@compiled
def expectation_maximisation(
    counts: IntArray,
    starts: IntArray,
    columns: IntArray,
    values: FloatArray,
    informs: BoolArray,
    offset: FloatArray,
    first: FloatArray,
    tolerance: float,
    most: int,
) -> FloatArray:
    """Non-negative intensities of largest likelihood, from positive first guesses.

    Ends when no component changes by more than `tolerance` of its statistical scale, or after `most` rounds.
    """
    size = len(first)
    rates = total_rates(starts, columns, values, informs, size)
    theta = first.copy()
    for _ in range(most):
        share = np.zeros(size)
        for i in range(len(counts)):
            if counts[i] == 0:
                continue
            expected = offset[i]
            for e in range(starts[i], starts[i + 1]):
                expected += values[e] * theta[columns[e]]
            if expected <= 0.0:
                continue
            for e in range(starts[i], starts[i + 1]):
                if informs[e]:
                    share[columns[e]] += values[e] * counts[i] / expected
        largest = 0.0
        for j in range(size):
            if rates[j] > 0.0:
                following = theta[j] * share[j] / rates[j]
                scale = np.sqrt(rates[j] * following + 1.0)
                largest = max(largest, abs(following - theta[j]) * rates[j] / scale)
                theta[j] = following
        if largest < tolerance:
            break
    return theta


@compiled
def gibbs_samples(
    counts: IntArray,
    starts: IntArray,
    columns: IntArray,
    values: FloatArray,
    informs: BoolArray,
    offset: FloatArray,
    first: FloatArray,
    skipped: int,
    kept: int,
    rng: np.random.Generator,
) -> tuple[FloatArray, IntArray]:
    """Draws from the posterior with flat priors on theta >= 0, by data augmentation.

    The counts of each cell are shared out at random among what shines into it; given the shares, each
    intensity is gamma distributed with one more than its counts as shape and its total rate.

    Returns
    -------
    samples, attributed
        Intensities and the counts attributed to them, shape (kept, n_component). The posterior of one
        intensity is the mean over draws of Gamma(attributed + 1, rate).
    """
    size = len(first)
    rates = total_rates(starts, columns, values, informs, size)
    theta = first.copy()
    samples = np.empty((kept, size))
    attributed = np.empty((kept, size), np.int64)
    for sweep in range(-skipped, kept):
        own = np.zeros(size, np.int64)
        for i in range(len(counts)):
            left = counts[i]
            if left == 0:
                continue
            rest = offset[i]
            for e in range(starts[i], starts[i + 1]):
                rest += values[e] * theta[columns[e]]
            for e in range(starts[i], starts[i + 1]):
                if left == 0:
                    break
                part = values[e] * theta[columns[e]]
                if part <= 0.0:
                    continue
                drawn = left if part >= rest * (1.0 - 1e-14) else rng.binomial(left, part / rest)
                if informs[e]:
                    own[columns[e]] += drawn
                left -= drawn
                rest -= part
        for j in range(size):
            if rates[j] > 0.0:
                theta[j] = rng.standard_gamma(own[j] + 1.0) / rates[j]
            if sweep >= 0:
                samples[sweep, j] = theta[j]
                attributed[sweep, j] = own[j]
    return samples, attributed


@compiled
def mixture_of_counts(attributed: IntArray) -> Mixture:
    """The mixture of gammas (shape s + 1, rate 1) in which each s weighs as often as it occurs."""
    first = attributed.min()
    weights = np.zeros(attributed.max() - first + 1)
    for value in attributed:
        weights[value - first] += 1.0 / len(attributed)
    running = np.zeros(len(weights) + 1)
    for index in range(len(weights)):
        running[index + 1] = running[index] + weights[index]
    return Mixture(first, weights, running)


@compiled
def interval_of_mixture(
    mixture: Mixture, confidence: float, points: int
) -> tuple[float, float, float, float]:
    """Mode, mean, lower and upper end of the highest-density interval; found on a grid, then interpolated."""
    shape = mixture.first + 1.0 + np.arange(len(mixture.weights))
    mean = (mixture.weights * shape).sum()
    spread = np.sqrt((mixture.weights * (shape + (shape - mean) ** 2)).sum())
    low = max(0.0, mean - 6.0 * spread)
    step = (mean + 9.0 * spread - low) / (points - 1)
    density = np.empty(points)
    below = np.empty(points)
    for k in range(points):
        density[k], below[k] = mixture_density(low + k * step, mixture)
    peak = int(np.argmax(density))
    mode = low + peak * step
    if 0 < peak < points - 1:
        left, middle, right = np.log(density[peak - 1 : peak + 2])
        mode += 0.5 * step * (left - right) / (left - 2.0 * middle + right)
    elif low > 0.0:
        mode = low
    lower_level = 0.0
    upper_level = density[peak]
    start = low
    stop = low
    for _ in range(60):
        level = 0.5 * (lower_level + upper_level)
        k = peak
        while k < points - 1 and density[k] > level:
            k += 1
        part = (density[k - 1] - level) / (density[k - 1] - density[k]) if k > peak else 0.0
        stop = low + (max(k - 1, 0) + part) * step
        enclosed = below[k - 1] + part * (below[k] - below[k - 1]) if k > peak else below[peak]
        k = peak
        while k > 0 and density[k] > level:
            k -= 1
        if density[k] > level:
            start = low
            enclosed -= below[0]
        else:
            part = (level - density[k]) / (density[k + 1] - density[k]) if k < peak else 0.0
            start = low + (k + part) * step
            enclosed -= below[k] + part * (below[k + 1] - below[k]) if k < peak else below[k]
        if enclosed > confidence:
            lower_level = level
        else:
            upper_level = level
    return mode, mean, min(start, mode), max(stop, mode)
