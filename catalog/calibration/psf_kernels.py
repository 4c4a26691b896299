"""Compiled loops over PSF images. Imported only where an image is made or summed."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

AZIMUTHS = 72
"""Sample points per ring of the wing."""

SUB_ROWS = 6
FINE_ROWS = 24
END_ROWS = 48
"""Lines per pixel row, when a circle is small, and in rows where a hole ends. Along a line sums over flat
pixels are exact."""

SMALL_CIRCLE = 8.0
"""Radius in pixels below which circles take FINE_ROWS: their ends span few lines, at the peak of the PSF."""


@njit(cache=True)  # type: ignore[untyped-decorator]
def mix_energies(
    images: NDArray[np.uint16], low: NDArray[np.int64], high: NDArray[np.int64], factors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted sums of two planes each; `factors` has shape (n, 2)."""
    out = np.empty((low.size, images.shape[1], images.shape[2]))
    for j in range(low.size):
        for row in range(images.shape[1]):
            for column in range(images.shape[2]):
                out[j, row, column] = (
                    factors[j, 0] * images[low[j], row, column] + factors[j, 1] * images[high[j], row, column]
                )
    return out


@njit(cache=True)  # type: ignore[untyped-decorator]
def blend(
    images: NDArray[np.float64],
    scales: NDArray[np.float64],
    cosines: NDArray[np.float64],
    sines: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Sum of turned and stretched images on a new grid with the same number of pixels.

    For image j: `scales` are its pixels per new pixel, (`cosines`, `sines`) turn sky to its frame. Between
    pixel
    centres values are interpolated linearly; the area of pixels is kept, so that sums are.
    """
    size = images.shape[1]
    centre = 0.5 * (size - 1)
    one = np.uint64(1)
    out = np.zeros((size, size))
    for j in range(scales.size):
        image = images[j]
        cosine = scales[j] * cosines[j]
        sine = scales[j] * sines[j]
        area = scales[j] ** 2
        for row in range(size):
            y = row - centre
            for column in range(size):
                x = column - centre
                u = cosine * x - sine * y + centre
                v = sine * x + cosine * y + centre
                if u < 0.0 or v < 0.0 or u >= size - 1 or v >= size - 1:
                    continue
                # Unsigned indices spare the compiled loop the test for negative ones.
                i = np.uint64(u)
                k = np.uint64(v)
                a = u - np.float64(i)
                b = v - np.float64(k)
                lower = image[k, i] + a * (image[k, i + one] - image[k, i])
                upper = image[k + one, i] + a * (image[k + one, i + one] - image[k + one, i])
                out[row, column] += area * (lower + b * (upper - lower))
    return out


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
def _blurred_fraction(
    r: float,
    radius: NDArray[np.float64],
    fraction: NDArray[np.float64],
    sigma: float,
    rice: NDArray[np.float64],
    step: float,
) -> float:
    """Fraction within `r` after a Gaussian blur of a curve of encircled fractions."""
    total = 0.0
    lower = 0.0
    below = 0.0
    for k in range(fraction.size):
        mass = fraction[k] - below
        if radius[k] < r - 5.0 * sigma:
            total += mass
        elif lower < r + 5.0 * sigma:
            # Points within an interval of the curve, denser than the blur can tell apart. In the wing a
            # power law, so that its density does not step where intervals meet.
            points = min(64, 1 + int((radius[k] - lower) / (0.3 * sigma)))
            slope = 0.0
            if below > 0.5 and radius[k] > lower:
                slope = math.log(radius[k] / lower) / math.log((1.0 - below) / (1.0 - fraction[k]))
            part = 0.0
            for i in range(points):
                share = (i + 0.5) / points
                if k == 0:
                    share = math.sqrt(share)
                if slope > 0.0:
                    left = 1.0 - below - share * mass
                    distance = lower * ((1.0 - below) / left) ** slope
                else:
                    distance = lower + share * (radius[k] - lower)
                part += _within(r, distance, sigma, rice, step)
            total += mass * part / points
        lower = radius[k]
        below = fraction[k]
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
        start = math.sqrt(radius[0] ** 2 + reach[0] ** 2)
        for j in range(inner):
            r[j] = start * j / inner
        for j in range(number):
            r[inner + j] = math.sqrt(radius[j] ** 2 + reach[j] ** 2)
        for j in range(r.size):
            if j > inner and radius[j - inner] > 42.0 * sigma:
                # Far out a blur changes nothing that matters.
                held[j] = fraction[j - inner]
                continue
            held[j] = _blurred_fraction(r[j], radius, fraction, sigma, rice, step)
        first = np.interp(fraction, held, r)
        for j in range(number):
            if radius[j] > 40.0 * sigma:
                out[row, j] = radius[j]
                continue
            # One step of the secant: the points above are far apart in the wing.
            before, after = max(j - 1, 0), min(j + 1, number - 1)
            rise = (first[after] - first[before]) / (fraction[after] - fraction[before])
            miss = fraction[j] - _blurred_fraction(first[j], radius, fraction, sigma, rice, step)
            out[row, j] = max(first[j] + rise * miss, 0.5 * first[j])
    return out


@njit(cache=True)  # type: ignore[untyped-decorator]
def ring_shares(size: int, edges: NDArray[np.float64], cut: int) -> NDArray[np.float64]:
    """Share of each pixel in each ring about the centre (edges in pixels), shape (n_ring, size, size)."""
    shares = np.zeros((edges.size - 1, size, size))
    centre = 0.5 * (size - 1)
    for row in range(size):
        for column in range(size):
            for i in range(cut):
                for k in range(cut):
                    x = column - centre + (i + 0.5) / cut - 0.5
                    y = row - centre + (k + 0.5) / cut - 0.5
                    ring = np.searchsorted(edges, np.sqrt(x * x + y * y), side="right") - 1
                    if ring < edges.size - 1:
                        shares[ring, row, column] += 1.0 / (cut * cut)
    return shares


@njit(cache=True)  # type: ignore[untyped-decorator]
def row_sums(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running sums along rows with a leading zero, shape (size, size + 1)."""
    size = image.shape[0]
    sums = np.zeros((size, size + 1))
    for row in range(size):
        for column in range(size):
            sums[row, column + 1] = sums[row, column] + image[row, column]
    return sums


@njit(cache=True)  # type: ignore[untyped-decorator]
def _span(sums: NDArray[np.float64], lo: float, hi: float) -> float:
    """Sum of a pixel row between two positions in pixels from its left edge, from its running sums."""
    last = sums.size - 1
    lo = min(max(lo, 0.0), float(last))
    hi = min(max(hi, 0.0), float(last))
    if hi <= lo:
        return 0.0
    i = min(int(lo), last - 1)
    k = min(int(hi), last - 1)
    below: float = sums[i] + (lo - i) * (sums[i + 1] - sums[i])
    above: float = sums[k] + (hi - k) * (sums[k + 1] - sums[k])
    return above - below


@njit(cache=True)  # type: ignore[untyped-decorator]
def sum_circle(
    sums: NDArray[np.float64], pixel: float, x: float, y: float, radius: float, holes: NDArray[np.float64]
) -> float:
    """Sum of an image (its running sums) in a circle minus the union of others (x, y, radius); arcsec."""
    size = sums.shape[0]
    half = 0.5 * size
    total = 0.0
    smallest = radius
    for k in range(holes.shape[0]):
        smallest = min(smallest, holes[k, 2])
    lines = FINE_ROWS if smallest < SMALL_CIRCLE * pixel else SUB_ROWS
    top = int(max(0.0, np.floor((y - radius) / pixel + half)))
    bottom = int(min(float(size), np.ceil((y + radius) / pixel + half)))
    starts = np.empty(holes.shape[0])
    stops = np.empty(holes.shape[0])
    for row in range(top, bottom):
        if lines != FINE_ROWS:
            # Where a hole begins or ends its width grows fast from line to line.
            lines = SUB_ROWS
            middle = (row + 0.5 - half) * pixel
            for k in range(holes.shape[0]):
                if abs(abs(middle - holes[k, 1]) - holes[k, 2]) < 1.5 * pixel:
                    lines = END_ROWS
        # Lines fill the part of the row that the circle reaches.
        start = max((row - half) * pixel, y - radius)
        height = min((row + 1.0 - half) * pixel, y + radius) - start
        share = height / pixel / lines
        for sub in range(lines):
            line = start + (sub + 0.5) / lines * height
            squared = radius * radius - (line - y) ** 2
            if squared <= 0.0:
                continue
            width = np.sqrt(squared)
            lo = x - width
            hi = x + width
            count = 0
            for k in range(holes.shape[0]):
                inside = holes[k, 2] ** 2 - (line - holes[k, 1]) ** 2
                if inside > 0.0:
                    reach = np.sqrt(inside)
                    starts[count] = holes[k, 0] - reach
                    stops[count] = holes[k, 0] + reach
                    count += 1
            order = np.argsort(starts[:count])
            here = lo
            for k in order:
                if starts[k] > here:
                    total += share * _span(sums[row], here / pixel + half, min(starts[k], hi) / pixel + half)
                here = max(here, stops[k])
                if here >= hi:
                    break
            if here < hi:
                total += share * _span(sums[row], here / pixel + half, hi / pixel + half)
    return total


@njit(cache=True)  # type: ignore[untyped-decorator]
def sum_polygon(sums: NDArray[np.float64], pixel: float, edges: NDArray[np.float64]) -> float:
    """Sum of an image (its running sums) inside rings of edges (x0, y0, x1, y1, arcsec), even-odd rule."""
    size = sums.shape[0]
    half = 0.5 * size
    low = min(edges[:, 1].min(), edges[:, 3].min())
    high = max(edges[:, 1].max(), edges[:, 3].max())
    top = int(max(0.0, np.floor(low / pixel + half)))
    bottom = int(min(float(size), np.ceil(high / pixel + half)))
    crossings = np.empty(edges.shape[0])
    total = 0.0
    for row in range(top, bottom):
        start = max((row - half) * pixel, low)
        height = min((row + 1.0 - half) * pixel, high) - start
        share = height / pixel / SUB_ROWS
        for sub in range(SUB_ROWS):
            line = start + (sub + 0.5) / SUB_ROWS * height
            count = 0
            for k in range(edges.shape[0]):
                y0 = edges[k, 1]
                y1 = edges[k, 3]
                if (y0 <= line) != (y1 <= line):
                    crossings[count] = edges[k, 0] + (line - y0) / (y1 - y0) * (edges[k, 2] - edges[k, 0])
                    count += 1
            ordered = np.sort(crossings[:count])
            for k in range(0, count - 1, 2):
                total += share * _span(sums[row], ordered[k] / pixel + half, ordered[k + 1] / pixel + half)
    return total


@njit(cache=True)  # type: ignore[untyped-decorator]
def wing_points(half: float, edges: NDArray[np.float64], ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (x, y, weight) of rings outside a square of half side `half`, shape (n_point, 3)."""
    points = np.empty((ring.size * AZIMUTHS, 3))
    count = 0
    for k in range(ring.size):
        radius = np.sqrt(edges[k] * edges[k + 1])
        first = count
        for j in range(AZIMUTHS):
            angle = 2.0 * np.pi * (j + 0.5) / AZIMUTHS
            x = radius * np.cos(angle)
            y = radius * np.sin(angle)
            if max(abs(x), abs(y)) > half:
                points[count, 0] = x
                points[count, 1] = y
                count += 1
        for j in range(first, count):
            points[j, 2] = ring[k] / (count - first)
    return points[:count]


@njit(cache=True)  # type: ignore[untyped-decorator]
def wing_in_circle(
    points: NDArray[np.float64], x: float, y: float, radius: float, holes: NDArray[np.float64]
) -> float:
    """Weight of points in a circle minus the union of other circles."""
    total = 0.0
    for i in range(points.shape[0]):
        if (points[i, 0] - x) ** 2 + (points[i, 1] - y) ** 2 >= radius * radius:
            continue
        free = True
        for k in range(holes.shape[0]):
            if (points[i, 0] - holes[k, 0]) ** 2 + (points[i, 1] - holes[k, 1]) ** 2 < holes[k, 2] ** 2:
                free = False
                break
        if free:
            total += points[i, 2]
    return total


@njit(cache=True)  # type: ignore[untyped-decorator]
def points_in_polygon(
    x: NDArray[np.float64], y: NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether points lie inside closed rings given as edges, even-odd rule."""
    inside = np.zeros(x.size, dtype=np.bool_)
    for i in range(x.size):
        odd = False
        for k in range(edges.shape[0]):
            y0 = edges[k, 1]
            y1 = edges[k, 3]
            if (y0 <= y[i]) != (y1 <= y[i]) and x[i] < edges[k, 0] + (y[i] - y0) / (y1 - y0) * (
                edges[k, 2] - edges[k, 0]
            ):
                odd = not odd
        inside[i] = odd
    return inside
