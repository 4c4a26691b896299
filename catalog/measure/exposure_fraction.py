"""Fraction of time that a region spends on good pixels, by area and weighted with the PSF."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.apertures.region import Region
from catalog.calibration.psf_stamp import PsfStamp

Array = NDArray[np.float64]
GoodFraction = Callable[[Array, Array], Array]

_COARSE, _FINE = 33, 129
"""Fewest and most points across a region's bounding box."""
_STEP = 2.0
"""Sky pixels between points of a grid that need not be coarser: the dither spreads a bad column over 30."""


@dataclass(frozen=True)
class GoodMap:
    """Good fraction on a square grid around a region, interpolated in between.

    Attributes
    ----------
    x, y, reach
        Centre and half side in sky pixels.
    values
        Shape (n, n); None where the good fraction is the same everywhere.
    constant
        The good fraction where `values` is None.
    """

    x: float
    y: float
    reach: float
    values: Array | None
    constant: float = 1.0

    def at(self, x: Array, y: Array) -> Array:
        """Good fraction at points in sky pixels."""
        if self.values is None:
            return np.full(np.shape(x), self.constant)
        from scipy.ndimage import map_coordinates

        step = 2 * self.reach / (len(self.values) - 1)
        rows, columns = (y - self.y + self.reach) / step, (x - self.x + self.reach) / step
        found = map_coordinates(self.values, [rows, columns], order=1, mode="nearest")
        # Rounding in the interpolation must not make more than all of the time.
        return np.asarray(np.minimum(found, self.values.max()))


def good_map(x: float, y: float, reach: float, good_fraction: GoodFraction) -> GoodMap:
    """Good fraction around a position, within `reach` sky pixels."""
    number = int(np.clip(np.ceil(2 * reach / _STEP), _COARSE, _FINE))
    axis = np.linspace(-reach, reach, number)
    u, v = np.meshgrid(axis, axis)
    values = good_fraction(x + u.ravel(), y + v.ravel()).reshape(number, number)
    if np.ptp(values) == 0.0:
        return GoodMap(x, y, reach, None, float(values[0, 0]))
    return GoodMap(x, y, reach, values)


def area_mean(region: Region, good: GoodMap) -> float:
    """Mean good fraction over the area of a region; 0 for an empty one."""
    if good.values is None:
        return good.constant
    axis = np.linspace(-good.reach, good.reach, 4 * _COARSE)
    u, v = np.meshgrid(good.x + axis, good.y + axis)
    inside = region.contains(u.ravel(), v.ravel())
    if not inside.any():
        geometry = region.geometry()
        if geometry.is_empty:
            return 0.0
        point = geometry.representative_point()
        return float(good.at(np.array([point.x]), np.array([point.y]))[0])
    return min(1.0, float(good.at(u.ravel()[inside], v.ravel()[inside]).mean()))


def psf_mean(region: Region, good: GoodMap, stamp: PsfStamp, pixel_scale: float) -> float:
    """Mean good fraction over a region weighted with the PSF; the plain mean where no photon falls.

    Parameters
    ----------
    region
        Region with its source at the centre of `good`.
    good
        Good fraction around the source.
    stamp
        PSF of the source.
    pixel_scale
        Arcsec per sky pixel.
    """
    if good.values is None:
        return good.constant
    x, y = good.x + stamp.dx / pixel_scale, good.y + stamp.dy / pixel_scale
    centre_x, centre_y, reach = region.shape.reach
    near = np.ix_(np.abs(y - centre_y) <= reach, np.abs(x - centre_x) <= reach)
    u, v = np.meshgrid(x[near[1][0]], y[near[0][:, 0]])
    inside = region.contains(u.ravel(), v.ravel())
    weight = stamp.image[near].ravel()[inside]
    if weight.sum() <= 0:
        return area_mean(region, good)
    return min(1.0, float(np.average(good.at(u.ravel()[inside], v.ravel()[inside]), weights=weight)))
