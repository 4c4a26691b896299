"""The point spread function of one source at one energy: an image and the wing beyond it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from shapely.geometry import MultiPolygon, Polygon

Membership = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]]
"""Whether points (dx, dy in arcsec) lie in a region."""

_NO_HOLES = np.empty((0, 3))
_SUBPIXELS = 5


@dataclass(frozen=True, eq=False)
class PsfStamp:
    """PSF in the sky frame about the TRUE source position.

    Attributes
    ----------
    image
        Fraction of all photons in each pixel, shape (size, size); axis 0 is dy, axis 1 is dx. Sums to the
        fraction inside the stamp.
    pixel
        Pixel size in arcsec.
    wing_radius
        Radii in arcsec, ascending, from half the stamp's side to where nothing is followed any more, shape
        (n_ring + 1,).
    wing_fraction
        Fraction of all photons in each ring and outside the stamp, shape (n_ring,).

    Notes
    -----
    dx and dy are in arcsec along sky X (to the west) and Y (to the north). The stamp and the rings sum to
    slightly less than 1; the rest lies beyond the last ring.
    """

    image: NDArray[np.float64]
    pixel: float
    wing_radius: NDArray[np.float64]
    wing_fraction: NDArray[np.float64]

    @property
    def size(self) -> int:
        """Pixels along a side."""
        return int(self.image.shape[0])

    @property
    def half_side(self) -> float:
        """Half the side of the stamp in arcsec."""
        return 0.5 * self.size * self.pixel

    @cached_property
    def dx(self) -> NDArray[np.float64]:
        """Offsets of pixel centres to the west, arcsec, shape (size,)."""
        return np.asarray((np.arange(self.size) - 0.5 * (self.size - 1)) * self.pixel, dtype=np.float64)

    @property
    def dy(self) -> NDArray[np.float64]:
        """Offsets of pixel centres to the north, arcsec, shape (size,)."""
        return self.dx

    @cached_property
    def fraction_inside(self) -> float:
        """Fraction of all photons inside the stamp."""
        return float(self.image.sum())

    @cached_property
    def _row_sums(self) -> NDArray[np.float64]:
        from catalog.calibration.psf_kernels import row_sums

        return np.asarray(row_sums(self.image))

    @cached_property
    def _wing_points(self) -> NDArray[np.float64]:
        """Sample points of the wing, rows (dx, dy, weight); each ring is spread evenly over azimuth."""
        from catalog.calibration.psf_kernels import wing_points

        return np.asarray(wing_points(self.half_side, self.wing_radius, self.wing_fraction))

    def density(self, dx: NDArray[np.float64], dy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fraction of all photons per arcsec2 at offsets (arcsec, shape (n,)), linear between pixels."""
        from catalog.calibration.psf_kernels import density_at

        offsets = (np.asarray(part, dtype=np.float64) for part in (dx, dy))
        return np.asarray(density_at(self.image, self.pixel, self.wing_radius, self._wing_density, *offsets))

    @cached_property
    def _wing_density(self) -> NDArray[np.float64]:
        """Fraction of all photons per arcsec2 in each ring."""
        return np.asarray(self.wing_fraction / (np.pi * np.diff(self.wing_radius**2)))

    def fraction_in_circle(self, dx: float, dy: float, radius: float, holes: ArrayLike = _NO_HOLES) -> float:
        """Fraction of all photons in a circle minus the union of other circles.

        Parameters
        ----------
        dx, dy, radius
            Centre relative to the source and radius, arcsec. An annulus is a circle with one concentric hole.
        holes
            Rows (dx, dy, radius), shape (n_hole, 3), arcsec.
        """
        from catalog.calibration.psf_kernels import sum_circle, wing_in_circle

        cut = np.ascontiguousarray(holes, dtype=float).reshape(-1, 3)
        place = (float(dx), float(dy), float(radius))
        total = float(sum_circle(self._row_sums, self.pixel, *place, cut))
        if max(abs(dx), abs(dy)) + radius > self.half_side:
            total += float(wing_in_circle(self._wing_points, *place, cut))
        return total

    def fraction_in_polygon(self, polygon: Polygon | MultiPolygon) -> float:
        """Fraction of all photons in a shapely polygon (holes and parts allowed), arcsec from the source."""
        return self.fraction_in_edges(_edges(polygon))

    def fraction_in_edges(self, edges: NDArray[np.float64]) -> float:
        """The same for closed rings given as edges: rows x0, y0, x1, y1, even-odd rule."""
        from catalog.calibration.psf_kernels import points_in_polygon, sum_polygon

        if edges.shape[0] == 0:
            return 0.0
        total = float(sum_polygon(self._row_sums, self.pixel, edges))
        if np.abs(edges).max() > self.half_side:
            points = self._wing_points
            total += float(points[points_in_polygon(points[:, 0], points[:, 1], edges), 2].sum())
        return total

    def fraction_in_region(self, member: Membership) -> float:
        """Fraction of all photons in a region given as a function of points (dx, dy in arcsec).

        Pixels are cut into 5 x 5; prefer `fraction_in_circle` and `fraction_in_polygon`, which are exact
        along
        rows.
        """
        shift = (np.arange(_SUBPIXELS) + 0.5) / _SUBPIXELS - 0.5
        total = 0.0
        for shift_x in shift * self.pixel:
            for shift_y in shift * self.pixel:
                x, y = np.meshgrid(self.dx + shift_x, self.dy + shift_y)
                total += float(self.image[member(x, y)].sum())
        points = self._wing_points
        return total / _SUBPIXELS**2 + float(points[member(points[:, 0], points[:, 1]), 2].sum())

    def sample(
        self, number: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Random photon positions (dx, dy) in arcsec; beyond the last ring they are put at infinity."""
        flat = np.concatenate([self.image.ravel(), self.wing_fraction])
        lost = max(0.0, 1.0 - float(flat.sum()))
        cumulative = np.cumsum(np.append(flat, lost))
        cell = np.searchsorted(cumulative, rng.random(number) * cumulative[-1], side="right")
        x = np.full(number, np.inf)
        y = np.full(number, np.inf)
        in_image = cell < self.image.size
        row, column = np.divmod(cell[in_image], self.size)
        jitter = rng.random((2, int(in_image.sum()))) - 0.5
        x[in_image] = self.dx[column] + jitter[0] * self.pixel
        y[in_image] = self.dx[row] + jitter[1] * self.pixel
        in_wing = ~in_image & (cell < flat.size)
        x[in_wing], y[in_wing] = self._sample_wing(cell[in_wing] - self.image.size, rng)
        return x, y

    def _sample_wing(
        self, ring: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positions in given rings; those that fall inside the stamp's corners are drawn again."""
        x, y = np.zeros(ring.size), np.zeros(ring.size)
        todo = np.ones(ring.size, dtype=bool)
        while todo.any():
            lo, hi = self.wing_radius[ring[todo]], self.wing_radius[ring[todo] + 1]
            radius = lo * (hi / lo) ** rng.random(lo.size)
            angle = 2 * np.pi * rng.random(lo.size)
            x[todo], y[todo] = radius * np.cos(angle), radius * np.sin(angle)
            todo = np.maximum(np.abs(x), np.abs(y)) <= self.half_side
        return x, y


def _edges(polygon: Polygon | MultiPolygon) -> NDArray[np.float64]:
    """Edges of all rings, rows x0, y0, x1, y1."""
    parts = list(polygon.geoms) if isinstance(polygon, MultiPolygon) else [polygon]
    rings = [
        np.asarray(ring.coords)[:, :2]
        for part in parts
        if not part.is_empty
        for ring in (part.exterior, *part.interiors)
    ]
    if not rings:
        return np.empty((0, 4))
    return np.concatenate([np.hstack([ring[:-1], ring[1:]]) for ring in rings]).astype(float)
