"""Compiled loops over PSF images. Imported only where an image is made or summed."""

from __future__ import annotations

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
def _on_image(x: float, y: float, cosine: float, sine: float, size: int) -> bool:
    """Whether a pixel of the new grid has four neighbours on the turned and stretched image."""
    centre = 0.5 * (size - 1)
    u = cosine * x - sine * y + centre
    v = sine * x + cosine * y + centre
    return u >= 0.0 and v >= 0.0 and u < size - 1 and v < size - 1


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
            first, last = 0, size
            # Columns that fall on the image are neighbours: the loop over them needs no test.
            while first < size and not _on_image(first - centre, y, cosine, sine, size):
                first += 1
            while last > first and not _on_image(last - 1 - centre, y, cosine, sine, size):
                last -= 1
            for column in range(first, last):
                x = column - centre
                u = cosine * x - sine * y + centre
                v = sine * x + cosine * y + centre
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
def match_rings(
    image: NDArray[np.float64],
    wanted: NDArray[np.float64],
    start: NDArray[np.int32],
    pixel: NDArray[np.int32],
    share: NDArray[np.float64],
    outside: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Image of which each ring was multiplied with what it lacks of the sum wanted, twice.

    Ring i holds the pixels pixel[start[i]:start[i + 1]] with the shares beside them; `outside` is the share
    of each pixel in no ring.
    """
    flat = image.ravel().copy()
    for _ in range(2):
        factor = np.zeros(flat.size)
        for i in range(wanted.size):
            total = 0.0
            for k in range(start[i], start[i + 1]):
                total += share[k] * flat[pixel[k]]
            ratio = wanted[i] / max(total, 1e-12)
            for k in range(start[i], start[i + 1]):
                factor[pixel[k]] += share[k] * ratio
        for i in range(flat.size):
            flat[i] *= factor[i] + outside[i]
    return flat.reshape(image.shape)


@njit(cache=True)  # type: ignore[untyped-decorator]
def curve_at(
    table: NDArray[np.float32], corners: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted sum of rows of a table at corners, shape (n, 3)."""
    out = np.zeros(table.shape[3])
    for j in range(weights.size):
        row = table[corners[j, 0], corners[j, 1], corners[j, 2]]
        for k in range(out.size):
            out[k] += weights[j] * row[k]
    return out


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
def _sort_pairs(starts: NDArray[np.float64], stops: NDArray[np.float64], count: int) -> None:
    """Sort the first few spans by where they start, in place."""
    for j in range(1, count):
        start, stop = starts[j], stops[j]
        k = j - 1
        while k >= 0 and starts[k] > start:
            starts[k + 1], stops[k + 1] = starts[k], stops[k]
            k -= 1
        starts[k + 1], stops[k + 1] = start, stop


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
            _sort_pairs(starts, stops, count)
            here = lo
            for k in range(count):
                if starts[k] > here:
                    total += share * _span(sums[row], here / pixel + half, min(starts[k], hi) / pixel + half)
                here = max(here, stops[k])
                if here >= hi:
                    break
            if here < hi:
                total += share * _span(sums[row], here / pixel + half, hi / pixel + half)
    return total


@njit(cache=True)  # type: ignore[untyped-decorator]
def density_at(
    image: NDArray[np.float64],
    pixel: float,
    wing_radius: NDArray[np.float64],
    wing_density: NDArray[np.float64],
    dx: NDArray[np.float64],
    dy: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Light per area at offsets (n,): linear between pixels of the image, then by rings, 0 beyond them."""
    last = image.shape[0] - 1
    found = np.zeros(dx.size)
    for i in range(dx.size):
        u = dx[i] / pixel + 0.5 * last
        v = dy[i] / pixel + 0.5 * last
        if u >= 0 and v >= 0 and u <= last and v <= last:
            column = min(int(u), last - 1)
            row = min(int(v), last - 1)
            a = u - column
            b = v - row
            lower = image[row, column] * (1 - a) + image[row, column + 1] * a
            upper = image[row + 1, column] * (1 - a) + image[row + 1, column + 1] * a
            found[i] = (lower * (1 - b) + upper * b) / pixel**2
            continue
        # Between the outermost pixel centres and the edge there is the wing's innermost ring, near enough.
        ring = np.searchsorted(wing_radius, np.hypot(dx[i], dy[i]), side="right") - 1
        if ring < wing_density.size:
            found[i] = wing_density[max(ring, 0)]
    return found


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
    low_x = min(edges[:, 0].min(), edges[:, 2].min())
    high_x = max(edges[:, 0].max(), edges[:, 2].max())
    low_y = min(edges[:, 1].min(), edges[:, 3].min())
    high_y = max(edges[:, 1].max(), edges[:, 3].max())
    for i in range(x.size):
        if x[i] < low_x or x[i] > high_x or y[i] < low_y or y[i] > high_y:
            continue
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
