"""Polygons along contours of the point spread function that enclose a given fraction of it.

The contour is that of a slightly smoothed image, since ray-traced images are noisy; the fraction is that of
the image itself, of all photons, inside the polygon as it is stored. So it is exact whatever the shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from math import sqrt

import numpy as np
import shapely
from contourpy import ContourGenerator, LineType, contour_generator
from numpy.typing import NDArray

from catalog.apertures.region import ring_edges
from catalog.apertures.shape import Polygon
from catalog.calibration.psf_stamp import PsfStamp
from catalog.errors import SettingsError

Array = NDArray[np.float64]

MOST_VERTICES = 100
TOLERANCE = 0.002
"""How close to the wanted fraction the search comes; below what the image's noise means."""
_SMOOTHING = 0.15
"""Standard deviation of the smoothing, in radii of the circle with half the image's light."""
_LIGHT = np.concatenate([np.linspace(0.005, 0.98, 196), 1 - np.geomspace(0.0195, 0.0005, 60)])
"""Shares of the image's light at which contour levels are kept."""
_LEVELS = 8
"""Contour levels tried; a polygon that then misses the fraction is scaled to it."""


@dataclass(frozen=True, eq=False)
class Contour:
    """A polygon about a source.

    Attributes
    ----------
    vertices
        Offsets from the true position to the west and north, arcsec, shape (k, 2), k <= 100, not closed.
    fraction
        Fraction of all photons inside.
    """

    vertices: Array
    fraction: float

    @property
    def reach(self) -> float:
        """Distance of the farthest vertex from the source, arcsec."""
        return float(np.hypot(*self.vertices.T).max())

    def polygon(self, x: float, y: float, pixel_scale: float) -> Polygon:
        """The polygon in sky pixels about a source at (x, y); `pixel_scale` in arcsec."""
        points = self.vertices / pixel_scale + (x, y)
        return Polygon(tuple((float(u), float(v)) for u, v in points))


@dataclass(frozen=True, eq=False)
class ContourFinder:
    """Contours of one point spread function, found when asked for and then kept.

    Attributes
    ----------
    stamp
        The point spread function.
    """

    stamp: PsfStamp
    _found: dict[float, Contour] = field(default_factory=dict, repr=False)
    _parts: list[tuple[ContourGenerator, Array, Array]] = field(default_factory=list, repr=False)

    def at(self, fraction: float) -> Contour:
        """Contour that encloses a fraction of all photons.

        Raises
        ------
        SettingsError
            For a fraction outside (0, 1).
        """
        if not 0.0 < fraction < 1.0:
            raise SettingsError("a fraction of the PSF lies between 0 and 1", fraction)
        if fraction not in self._found:
            self._found[fraction] = self._search(fraction)
        return self._found[fraction]

    def _smoothed(self) -> tuple[ContourGenerator, Array, Array]:
        """Lines of the smoothed image with a border of zeros; levels downwards, the light above each."""
        if not self._parts:
            from scipy.ndimage import gaussian_filter

            image = self.stamp.image
            light = np.cumsum(image.ravel()[_outwards(self.stamp.size)])
            half = sqrt(float(np.searchsorted(light, 0.5 * light[-1]) + 1) / np.pi)
            smooth = gaussian_filter(image, max(0.7, _SMOOTHING * half), mode="constant", truncate=3.0)
            values = np.sort(smooth.ravel())[::-1]
            above = np.cumsum(values)
            kept = np.searchsorted(above, above[-1] * _LIGHT)
            lines = contour_generator(z=np.pad(smooth, 1), line_type=LineType.Separate)
            self._parts.append((lines, values[kept], above[kept]))
        return self._parts[0]

    def _search(self, fraction: float) -> Contour:
        lines, levels, light = self._smoothed()
        goal, best = fraction, None
        for _ in range(_LEVELS):
            level = max(float(np.interp(goal, light, levels)), 1e-12)
            found = self._largest([np.asarray(line) for line in lines.lines(level)])
            if found is None:
                break
            if best is None or abs(found.fraction - fraction) < abs(best.fraction - fraction):
                best = found
            miss = fraction - found.fraction
            if abs(miss) < TOLERANCE:
                return found
            goal = float(np.clip(goal + miss, 0.5 * light[0], light[-1]))
        return self._scaled(best if best is not None else self._circle(), fraction)

    def _largest(self, lines: list[Array]) -> Contour | None:
        """The closed contour that encloses most light: islands beside it are noise, holes are filled."""
        best = None
        size, pixel = self.stamp.size, self.stamp.pixel
        for line in sorted(lines, key=len, reverse=True)[:3]:
            if len(line) < 9:
                continue
            points = (reduced(line[:-1]) - 0.5 * (size + 1)) * pixel
            found = self._contour(points)
            if best is None or found.fraction > best.fraction:
                best = found
        return best

    def _contour(self, points: Array) -> Contour:
        geometry = shapely.polygons(points)
        if not geometry.is_valid:
            parts = shapely.get_parts(shapely.make_valid(geometry))
            geometry = max((part for part in parts if part.geom_type == "Polygon"), key=lambda p: p.area)
            points = np.asarray(geometry.exterior.coords)[:-1]
        return Contour(points, self.stamp.fraction_in_edges(ring_edges([points])))

    def _circle(self) -> Contour:
        """A circle of two pixels: to be scaled, for fractions that no contour of the image encloses."""
        angle = 2 * np.pi * np.arange(64) / 64
        return self._contour(2 * self.stamp.pixel * np.column_stack([np.cos(angle), np.sin(angle)]))

    def _scaled(self, contour: Contour, fraction: float) -> Contour:
        """The polygon scaled about the source until it encloses the fraction."""
        from scipy.optimize import brentq

        def miss(logarithm: float) -> float:
            edges = ring_edges([np.exp(logarithm) * contour.vertices])
            return self.stamp.fraction_in_edges(edges) - fraction

        low, high = -0.1, 0.1
        while miss(low) > 0 and low > -5:
            low *= 2
        while miss(high) < 0 and high < 8:
            high *= 2
        if miss(low) > 0 or miss(high) < 0:
            # Beyond the last ring of the wing no light is followed: the largest is what there is.
            return self._contour(np.exp(high) * contour.vertices)
        factor = np.exp(brentq(miss, low, high, xtol=1e-4))
        return self._contour(factor * contour.vertices)


@lru_cache(maxsize=4)
def _outwards(size: int) -> NDArray[np.intp]:
    """Pixels of an image in the order of their distance from its centre."""
    v, u = np.indices((size, size)) - 0.5 * (size - 1)
    return np.argsort(np.hypot(u, v), axis=None, kind="stable")


def reduced(points: Array, most: int = MOST_VERTICES) -> Array:
    """Vertices of a closed line, averaged in pairs until at most `most` are left, shape (k, 2)."""
    while len(points) > most:
        even = len(points) // 2 * 2
        points = np.concatenate([0.5 * (points[0:even:2] + points[1:even:2]), points[even:]])
    return points
