"""FITS images with celestial coordinates, as a user gives them: PSF images, exposure maps."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.errors import CalibrationError

if TYPE_CHECKING:
    from astropy.io import fits
    from astropy.wcs import WCS

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SkyImage:
    """An image as read.

    Attributes
    ----------
    values
        Not negative, some positive; shape (ny, nx).
    wcs
        Its celestial coordinates.
    header
        Its header.
    """

    values: Array = field(repr=False)
    wcs: WCS = field(repr=False)
    header: fits.Header = field(repr=False)

    def at(self, ra: ArrayLike, dec: ArrayLike) -> Array:
        """Values at positions (degrees ICRS), linear between pixel centres, 0 outside."""
        u, v = self.wcs.wcs_world2pix(np.asarray(ra, dtype=float), np.asarray(dec, dtype=float), 0)
        return bilinear(self.values, np.asarray(u, dtype=float), np.asarray(v, dtype=float))


def read_sky_image(path: Path, todo: str) -> SkyImage:
    """Read the first image of two axes in a file; `todo` says what should have been given.

    Raises
    ------
    CalibrationError
        When it holds no image with celestial coordinates and positive values (code CALIBRATION_FILE).
    """
    from astropy.io import fits
    from astropy.wcs import WCS, FITSFixedWarning

    def refusal(what: str) -> CalibrationError:
        return CalibrationError(what, path, todo, code="CALIBRATION_FILE")

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            warnings.simplefilter("ignore", FITSFixedWarning)
            with fits.open(path) as hdus:
                images = [hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS") == 2]
                header = images[0].header.copy() if images else fits.Header()
                values = np.asarray(images[0].data if images else [], dtype=float)
                wcs = WCS(header)
    except (OSError, ValueError, KeyError) as error:
        raise refusal(f"not an image that can be read ({error})") from error
    if not images:
        raise refusal("no image of two axes")
    if not wcs.has_celestial:
        raise refusal("no celestial coordinates")
    if not np.isfinite(values).all() or values.min() < 0 or not values.sum() > 0:
        raise refusal("negative, empty or undefined pixels")
    return SkyImage(values, wcs, header)


def bilinear(values: Array, u: Array, v: Array) -> Array:
    """Values between pixel centres (`u` along the columns, from 0), 0 outside."""
    padded = np.pad(values, 2)
    a, b = np.clip(u + 2, 0, padded.shape[1] - 1.001), np.clip(v + 2, 0, padded.shape[0] - 1.001)
    i, k = a.astype(np.int64), b.astype(np.int64)
    a, b = a - i, b - k
    lower = padded[k, i] * (1 - a) + padded[k, i + 1] * a
    upper = padded[k + 1, i] * (1 - a) + padded[k + 1, i + 1] * a
    return np.asarray(lower * (1 - b) + upper * b)
