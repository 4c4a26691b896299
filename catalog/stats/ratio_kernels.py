"""The posterior of the ratio of two intensities from the posteriors of each: compiled loops.

Each posterior is kept as a curve: its log density and slope on a grid, dense at low intensities, between
which cubic Hermite polynomials interpolate. With v = log(x / y) the density of v is the integral
of p_x(x) p_y(x / e^v) x / e^v over x, or of p_y(y) p_x(e^v y) e^v y over y; the one is taken in whose
variable the other factor is wide. In v the density is smooth, also where one intensity may be zero;
hardness = (x - y)/(x + y) = tanh(v / 2).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalog.stats.compiled import compiled
from catalog.stats.likelihood import find_level, solve_group
from catalog.stats.likelihood_table import log_density

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

KEPT_DEPTH = 30.0
KNOTS = 129
PANELS = 4
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(16)
GRID = 241
GRID_DEPTH = 25.0
COARSE = 33
PASSES = 4
LARGEST_LOG_RATIO = 60.0
BISECTIONS = 50
GOLDEN_STEPS = 30
FLAT = 1e-5


class Curve(NamedTuple):
    """A normalised posterior density from `start` to `stop`.

    `logs` and `slopes` are the log density and its derivative by t at equal steps of t, the intensity being
    start + (stop - start) t^2; `nodes` and `weights` integrate over the posterior.
    """

    start: float
    stop: float
    mode: float
    mean: float
    logs: FloatArray
    slopes: FloatArray
    nodes: FloatArray
    weights: FloatArray


@compiled
def log_curve(curve: Curve, x: float) -> float:
    """Log density at x; minus infinity outside the curve."""
    if x < curve.start or x > curve.stop:
        return -math.inf
    step = 1.0 / (len(curve.logs) - 1)
    place = math.sqrt((x - curve.start) / (curve.stop - curve.start)) / step
    i = min(int(place), len(curve.logs) - 2)
    t = place - i
    u = 1.0 - t
    value: float = (
        curve.logs[i] * u * u * (1.0 + 2.0 * t)
        + curve.logs[i + 1] * t * t * (3.0 - 2.0 * t)
        + step * t * u * (curve.slopes[i] * u - curve.slopes[i + 1] * t)
    )
    return value


@compiled
def posterior_curve(n: IntArray, m: IntArray, f: FloatArray, g: FloatArray, r: FloatArray) -> Curve:
    """The curve of the joint posterior of a group of observations."""
    group = solve_group(n, m, f, g, r)
    level = group.peak - KEPT_DEPTH
    start = 0.0
    if log_density(group.table, 0.0)[0] < level:
        start = find_level(group.table, level, group.mode, 0.5 * group.mode)
    guess = 2.0 * group.mean + 10.0 / group.table.scales.sum()
    stop = find_level(group.table, level, group.mode, guess)
    logs = np.empty(KNOTS)
    slopes = np.empty(KNOTS)
    normalisation = group.peak + math.log(group.area)
    for i in range(KNOTS):
        t = i / (KNOTS - 1)
        value, slope, _curvature = log_density(group.table, start + (stop - start) * t * t)
        logs[i] = max(value - normalisation, -1e4)
        slopes[i] = slope * 2.0 * t * (stop - start)
    nodes = np.empty(PANELS * len(NODES))
    weights = np.empty(len(nodes))
    width = (stop - start) / PANELS
    for i in range(len(nodes)):
        panel, node = i // len(NODES), i % len(NODES)
        nodes[i] = start + width * (panel + 0.5 + 0.5 * NODES[node])
        weights[i] = (
            0.5 * width * NODE_WEIGHTS[node] * math.exp(log_density(group.table, nodes[i])[0] - normalisation)
        )
    return Curve(start, stop, group.mode, group.mean, logs, slopes, nodes, weights)


@compiled
def ratio_density(v: float, x: Curve, y: Curve) -> float:
    """Density of v = log(x / y)."""
    k = math.exp(v)
    total = 0.0
    if k * (y.stop - y.start) <= x.stop - x.start:
        for i in range(len(y.nodes)):
            other = log_curve(x, k * y.nodes[i])
            if other > -math.inf:
                total += y.weights[i] * math.exp(other) * k * y.nodes[i]
    else:
        for i in range(len(x.nodes)):
            other = log_curve(y, x.nodes[i] / k)
            if other > -math.inf:
                total += x.weights[i] * math.exp(other) * x.nodes[i] / k
    return total


@compiled
def hardness_log(v: float, density: float) -> float:
    """Log density of tanh(v / 2) up to a constant, from that of v: dR/dv = sech(v / 2)^2 / 2."""
    half = abs(0.5 * v)
    return math.log(max(density, 1e-300)) + 2.0 * (half + math.log1p(math.exp(-2.0 * half)))


@compiled
def hardness_log_density(v: float, x: Curve, y: Curve) -> float:
    """Log density of the hardness tanh(v / 2), up to a constant."""
    return hardness_log(v, ratio_density(v, x, y))


@compiled
def ratio_grid(x: Curve, y: Curve) -> tuple[FloatArray, FloatArray]:
    """Equally spaced v and the density there, over all that is not negligible."""
    low = -LARGEST_LOG_RATIO
    high = LARGEST_LOG_RATIO
    centre = math.log(x.mean / y.mean)
    for _ in range(PASSES):
        points = np.linspace(centre + low, centre + high, COARSE)
        values = np.empty(len(points))
        for i in range(len(points)):
            values[i] = ratio_density(points[i], x, y)
        floor = values.max() * math.exp(-GRID_DEPTH)
        first = 0
        while first < len(points) - 1 and values[first + 1] < floor:
            first += 1
        last = len(points) - 1
        while last > 0 and values[last - 1] < floor:
            last -= 1
        if values.max() <= 0.0:
            first, last = COARSE // 2 - 1, COARSE // 2 + 1
        low, high = points[first] - centre, points[last] - centre
    points = np.linspace(centre + low, centre + high, GRID)
    values = np.empty(GRID)
    for i in range(GRID):
        values[i] = ratio_density(points[i], x, y)
    return points, values


@compiled
def slopes_at(values: FloatArray, step: float) -> FloatArray:
    """Derivative on an equally spaced grid: sixth order inside, second order at the ends."""
    size = len(values)
    slopes = np.empty(size)
    for i in range(size):
        if 3 <= i < size - 3:
            slopes[i] = (
                45.0 * (values[i + 1] - values[i - 1])
                - 9.0 * (values[i + 2] - values[i - 2])
                + (values[i + 3] - values[i - 3])
            ) / 60.0
        elif i < 3:
            slopes[i] = -1.5 * values[i] + 2.0 * values[i + 1] - 0.5 * values[i + 2]
        else:
            slopes[i] = 1.5 * values[i] - 2.0 * values[i - 1] + 0.5 * values[i - 2]
    return slopes / step


@compiled
def hermite(points: FloatArray, values: FloatArray, slopes: FloatArray, v: float) -> float:
    """Cubic Hermite interpolation on an equally spaced grid, held beyond its ends."""
    step = points[1] - points[0]
    place = min(max((v - points[0]) / step, 0.0), len(points) - 1.0)
    i = min(int(place), len(points) - 2)
    t = place - i
    u = 1.0 - t
    value: float = (
        values[i] * u * u * (1.0 + 2.0 * t)
        + values[i + 1] * t * t * (3.0 - 2.0 * t)
        + step * t * u * (slopes[i] * u - slopes[i + 1] * t)
    )
    return value


@compiled
def crossing(
    points: FloatArray, logs: FloatArray, slopes: FloatArray, level: float, inner: int, sign: int
) -> float:
    """Where the log density falls to `level` left (-1) or right (+1) of a grid point; infinite if nowhere."""
    i = inner
    while 0 <= i + sign < len(points) and logs[i + sign] > level:
        i += sign
    if not 0 <= i + sign < len(points):
        return sign * math.inf
    above, below = points[i], points[i + sign]
    for _ in range(BISECTIONS):
        middle = 0.5 * (above + below)
        if hermite(points, logs, slopes, middle) > level:
            above = middle
        else:
            below = middle
    place: float = 0.5 * (above + below)
    return place


@compiled
def peak_place(points: FloatArray, logs: FloatArray, x: Curve, y: Curve) -> tuple[int, float]:
    """Grid point of the largest value, and the place of the maximum; infinite where it lies at an end.

    On a plateau (no counts in either band: all values are as likely) it is the middle.
    """
    best = int(np.argmax(logs))
    flat = np.flatnonzero(logs > logs[best] - FLAT)
    at_start, at_stop = flat[0] == 0, flat[-1] == len(points) - 1
    if at_start != at_stop:
        return best, -math.inf if at_start else math.inf
    if flat[-1] - flat[0] > 2:
        return best, 0.5 * (points[flat[0]] + points[flat[-1]])
    low, high = points[best - 1], points[best + 1]
    for _ in range(GOLDEN_STEPS):
        left = low + 0.382 * (high - low)
        right = high - 0.382 * (high - low)
        if hardness_log_density(left, x, y) < hardness_log_density(right, x, y):
            low = left
        else:
            high = right
    return best, 0.5 * (low + high)


@compiled
def cumulative(points: FloatArray, density: FloatArray, slopes: FloatArray) -> FloatArray:
    """Integral of the density from the first grid point, of its cubic Hermite interpolation."""
    step = points[1] - points[0]
    total = np.zeros(len(points))
    for i in range(len(points) - 1):
        total[i + 1] = (
            total[i]
            + 0.5 * step * (density[i] + density[i + 1])
            + step * step * (slopes[i] - slopes[i + 1]) / 12.0
        )
    return total


@compiled
def place_of(points: FloatArray, below: FloatArray, density: FloatArray, wanted: float) -> float:
    """Where the cumulative probability reaches a value."""
    low, high = points[0], points[-1]
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        if hermite(points, below, density, middle) < wanted:
            low = middle
        else:
            high = middle
    place: float = 0.5 * (low + high)
    return place


@compiled
def hardness_summary(x: Curve, y: Curve, confidence: float) -> tuple[float, float, float, float]:
    """Mode, mean and interval of highest density of (x - y)/(x + y)."""
    points, density = ratio_grid(x, y)
    below = cumulative(points, density, slopes_at(density, points[1] - points[0]))
    total = below[-1]
    hardness = np.tanh(0.5 * points)
    logs = np.empty(len(points))
    for i in range(len(points)):
        logs[i] = hardness_log(points[i], density[i])
    mean = (density * hardness).sum() / density.sum()
    slopes = slopes_at(logs, points[1] - points[0])
    best, place = peak_place(points, logs, x, y)
    flat = np.flatnonzero(logs > logs[best] - FLAT)
    rest = below[flat[-1]] - below[flat[0]] - confidence * total
    if rest > 0.0:
        left = place_of(points, below, density, below[flat[0]] + 0.5 * rest)
        right = place_of(points, below, density, below[flat[-1]] - 0.5 * rest)
        return math.tanh(0.5 * place), mean, math.tanh(0.5 * left), math.tanh(0.5 * right)
    low = logs.min() - 1.0
    high = logs.max()
    left, right = -math.inf, math.inf
    for _ in range(BISECTIONS):
        level = 0.5 * (low + high)
        left = crossing(points, logs, slopes, level, best, -1)
        right = crossing(points, logs, slopes, level, best, 1)
        inside = hermite(points, below, density, right) - hermite(points, below, density, left)
        if inside > confidence * total:
            low = level
        else:
            high = level
    return math.tanh(0.5 * place), mean, math.tanh(0.5 * left), math.tanh(0.5 * right)


@compiled
def hardness_rows(
    offsets: IntArray,
    n: IntArray,
    m: IntArray,
    f: FloatArray,
    g: FloatArray,
    r: FloatArray,
    usable: BoolArray,
    first: IntArray,
    second: IntArray,
    confidence: float,
) -> FloatArray:
    """Mode, mean, lower and upper end for pairs (first, second) of bands.

    n, m, f, g, r, usable have shape (bands, observations); result (groups, pairs, 4), NaN where not usable.
    """
    rows = np.full((len(offsets) - 1, len(first), 4), math.nan)
    for k in range(len(offsets) - 1):
        start, stop = offsets[k], offsets[k + 1]
        if start == stop:
            continue
        curves = []
        known = np.zeros(len(n), np.bool_)
        for band in range(len(n)):
            known[band] = usable[band, start:stop].all()
            if known[band]:
                curves.append(
                    posterior_curve(
                        n[band, start:stop],
                        m[band, start:stop],
                        f[band, start:stop],
                        g[band, start:stop],
                        r[band, start:stop],
                    )
                )
            else:
                none = np.zeros(0)
                curves.append(Curve(0.0, 0.0, 0.0, 0.0, none, none, none, none))
        for pair in range(len(first)):
            if known[first[pair]] and known[second[pair]]:
                rows[k, pair] = hardness_summary(curves[first[pair]], curves[second[pair]], confidence)
    return rows
