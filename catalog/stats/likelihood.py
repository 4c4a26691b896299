"""The joint likelihood of a source's intensity in a group of observations, solved: compiled loops.

One observation gives its exact mixture (`gamma_mixture`); several give the product of theirs, integrated by
Gauss-Legendre quadrature. The product is log-concave, which Newton's method with a bracket relies on.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalog.stats.compiled import compiled
from catalog.stats.gamma_mixture import FloatArray, IntArray, Mixture, mixture_density, mixture_weights
from catalog.stats.likelihood_table import LikelihoodTable, likelihood_table, log_density, log_value

BoolArray = NDArray[np.bool_]

LOG_NEGLIGIBLE = 46.0
GAUSS_NODES, GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(16)
FEW_NODES, FEW_WEIGHTS = np.polynomial.legendre.leggauss(8)


@compiled
def find_mode(table: LikelihoodTable) -> float:
    """Intensity of the largest joint density."""
    low = 0.0
    slope = log_density(table, 0.0)[1]
    if slope <= 0.0:
        return 0.0
    high = table.references.sum() / table.scales.sum()
    while log_density(table, high)[1] > 0.0:
        low = high
        high *= 2.0
    x: float = 0.5 * (low + high)
    for _ in range(200):
        _value, slope, curvature = log_density(table, x)
        if slope > 0.0:
            low = x
        else:
            high = x
        following = x - slope / curvature
        if not low < following < high:
            following = 0.5 * (low + high)
        step = abs(following - x)
        x = following
        if step <= 1e-13 * x:
            break
    return x


@compiled
def find_level(table: LikelihoodTable, level: float, mode: float, guess: float) -> float:
    """Intensity where the log density falls to `level`, on that side of the mode where `guess` lies."""
    inner = mode
    outer = 0.0
    x = guess
    if guess > mode:
        outer = guess
        while log_value(table, outer) > level:
            inner = outer
            outer += 2.0 * (outer - mode)
    for _ in range(200):
        if not min(inner, outer) < x < max(inner, outer):
            x = 0.5 * (inner + outer)
        value, slope, _curvature = log_density(table, x)
        if value > level:
            inner = x
        else:
            outer = x
        following = x - (value - level) / slope
        if abs(following - x) <= 1e-13 * x or abs(outer - inner) <= 1e-15 * outer:
            break
        x = following
    return x


@compiled
def panel_sum(
    table: LikelihoodTable, start: float, width: float, shift: float, nodes: FloatArray, weights: FloatArray
) -> float:
    """Integral of exp(log density - shift) over one panel by one Gauss-Legendre rule."""
    value = 0.0
    for node in range(len(nodes)):
        x = start + width * (0.5 + 0.5 * nodes[node])
        value += 0.5 * width * weights[node] * math.exp(log_value(table, x) - shift)
    return value


@compiled
def integral(table: LikelihoodTable, start: float, stop: float, shift: float, tolerance: float) -> float:
    """Integral of exp(log density - shift), by rules and panels that double until stable."""
    previous = panel_sum(table, start, stop - start, shift, FEW_NODES, FEW_WEIGHTS)
    panels = 1
    while True:
        width = (stop - start) / panels
        value = 0.0
        for panel in range(panels):
            value += panel_sum(table, start + panel * width, width, shift, GAUSS_NODES, GAUSS_WEIGHTS)
        if abs(value - previous) <= tolerance or panels >= 1024:
            return value
        previous = value
        panels *= 2


@compiled
def first_moments(table: LikelihoodTable, start: float, stop: float, shift: float) -> tuple[float, float]:
    """Integrals of exp(log density - shift) and of x times it, as `integral` gives them, in one pass."""
    previous_area = math.nan
    previous_moment = math.nan
    panels = 2
    while True:
        width = (stop - start) / panels
        area = 0.0
        moment = 0.0
        for panel in range(panels):
            for node in range(len(GAUSS_NODES)):
                x = start + width * (panel + 0.5 + 0.5 * GAUSS_NODES[node])
                weight = 0.5 * width * GAUSS_WEIGHTS[node] * math.exp(log_value(table, x) - shift)
                area += weight
                moment += weight * x
        stable = abs(area - previous_area) <= 1e-11 * abs(area)
        if (stable and abs(moment - previous_moment) <= 1e-11 * abs(moment)) or panels >= 1024:
            return area, moment
        previous_area, previous_moment = area, moment
        panels *= 2


class Group(NamedTuple):
    """A group of observations, solved: what interval and density need; see `solve_group`.

    `mixture` has no weights unless the group is one observation. `peak` is the log density at the mode, and
    `area` the integral of exp(log density - peak) over all intensities. For several observations, the
    probability outside `start` to `stop` is negligible.
    """

    table: LikelihoodTable
    mixture: Mixture
    mode: float
    mean: float
    peak: float
    area: float
    start: float
    stop: float


@compiled
def solve_group(n: IntArray, m: IntArray, f: FloatArray, g: FloatArray, r: FloatArray) -> Group:
    """Mode, mean and normalisation: exact for one observation, by quadrature for several."""
    table = likelihood_table(n, m, f, g, r, 0.0)
    if len(n) == 1:
        mixture = mixture_weights(table.ratios)
        mode = find_mode(table)
        mean = ((np.arange(len(mixture.weights)) + (mixture.first + 1.0)) * mixture.weights).sum()
        area = 1.0 / (mixture_density(mode * table.scales[0], mixture)[0] * table.scales[0])
        return Group(
            table, mixture, mode, mean / table.scales[0], log_value(table, mode), area, 0.0, math.inf
        )
    sizes = table.starts[1:] - table.starts[:-1]
    reach = ((sizes + 10.0 * np.sqrt(sizes) + 50.0) / table.scales).min()
    while True:
        table = likelihood_table(n, m, f, g, r, reach)
        mode = find_mode(table)
        peak = log_value(table, mode)
        if mode < reach and log_value(table, reach) < peak - LOG_NEGLIGIBLE:
            break
        reach *= 4.0
    start = 0.0
    if log_value(table, 0.0) < peak - LOG_NEGLIGIBLE:
        start = find_level(table, peak - LOG_NEGLIGIBLE, mode, 0.5 * mode)
    stop = find_level(table, peak - LOG_NEGLIGIBLE, mode, reach)
    area_below, moment_below = first_moments(table, start, mode, peak)
    area_above, moment_above = first_moments(table, mode, stop, peak)
    area, first_moment = area_below + area_above, moment_below + moment_above
    return Group(
        table, Mixture(0, np.zeros(0), np.zeros(0)), mode, first_moment / area, peak, area, start, stop
    )


@compiled
def probability_between(group: Group, start: float, stop: float) -> float:
    """Posterior probability of start < S < stop; negative if stop < start.

    For several observations both ends lie between `group.start` and `group.stop`, or are 0.
    """
    if len(group.mixture.weights) == 0:
        tolerance = 1e-11 * group.area
        return integral(group.table, max(start, group.start), stop, group.peak, tolerance) / group.area
    scale = group.table.scales[0]
    below = mixture_density(start * scale, group.mixture)[1]
    return mixture_density(stop * scale, group.mixture)[1] - below


@compiled
def probability_below(group: Group, intensity: float) -> float:
    """Posterior probability of a smaller intensity, at any intensity."""
    if intensity <= 0.0:
        return 0.0
    if len(group.mixture.weights) == 0 and intensity > group.stop:
        return 1.0
    return probability_between(group, 0.0, intensity)


@compiled
def find_quantile(group: Group, probability: float) -> float:
    """Intensity below which lies the given posterior probability, 0 < probability < 1."""
    low = 0.0
    high = math.inf
    x = group.mean
    reached = probability_between(group, 0.0, x)
    for _ in range(200):
        if reached > probability:
            high = x
        else:
            low = x
        density = math.exp(log_value(group.table, x) - group.peak) / group.area
        following = x - (reached - probability) / density
        if not low < following < high:
            following = 0.5 * (low + high) if high < math.inf else 2.0 * x
        if abs(following - x) <= 1e-12 * x:
            break
        reached += probability_between(group, x, following)
        x = following
    return x


@compiled
def density_interval(group: Group, confidence: float, deviate: float) -> tuple[float, float]:
    """Interval of highest density; the lower end is 0 where the density at 0 is inside.

    `deviate` is the half-width of the interval for a Gaussian in standard deviations: Newton's method runs on
    v = sqrt(2 log(p_max / p)), in which a Gaussian's enclosed probability is nearly linear.
    """
    table, mode, peak = group.table, group.mode, group.peak
    depth = peak - log_value(table, 0.0)
    if mode == 0.0:
        return 0.0, find_quantile(group, confidence)
    if depth < LOG_NEGLIGIBLE:
        upper = find_level(table, peak - depth, mode, 2.0 * mode)
        if probability_between(group, 0.0, upper) <= confidence:
            return 0.0, find_quantile(group, confidence)
    low = 0.0
    high = math.sqrt(2.0 * depth)
    v = min(deviate, 0.5 * high)
    width = v / math.sqrt(-log_density(table, mode)[2])
    lower, upper = mode - width, mode + width
    enclosed = math.nan
    for _ in range(100):
        old_lower, old_upper = lower, upper
        lower = find_level(table, peak - 0.5 * v * v, mode, min(lower, mode))
        upper = find_level(table, peak - 0.5 * v * v, mode, upper)
        if math.isnan(enclosed):
            enclosed = probability_between(group, lower, upper)
        else:
            enclosed += probability_between(group, lower, old_lower) + probability_between(
                group, old_upper, upper
            )
        if enclosed > confidence:
            high = v
        else:
            low = v
        rise = 1.0 / log_density(table, lower)[1]
        fall = 1.0 / log_density(table, upper)[1]
        growth = v * math.exp(-0.5 * v * v) / group.area * (rise - fall)
        following = v - (enclosed - confidence) / growth
        if not low < following < high:
            following = 0.5 * (low + high)
        elif abs(following - v) <= 1e-6 * v:
            # Newton doubles the digits: a last step along the tangents leaves 1e-12.
            return lower - v * (following - v) * rise, upper - v * (following - v) * fall
        if abs(following - v) <= 1e-12 * v:
            break
        v = following
    return lower, upper


@compiled
def summarise_groups(
    offsets: IntArray,
    n: IntArray,
    m: IntArray,
    f: FloatArray,
    g: FloatArray,
    r: FloatArray,
    usable: BoolArray,
    confidence: float,
    deviate: float,
) -> FloatArray:
    """Rows of mode, mean, lower and upper end per group offsets[k] to offsets[k+1]; NaN where not usable."""
    summary = np.full((len(offsets) - 1, 4), math.nan)
    for k in range(len(offsets) - 1):
        part = slice(offsets[k], offsets[k + 1])
        if offsets[k] == offsets[k + 1] or not usable[part].all():
            continue
        group = solve_group(n[part], m[part], f[part], g[part], r[part])
        lower, upper = density_interval(group, confidence, deviate)
        summary[k] = (group.mode, group.mean, lower, upper)
    return summary
