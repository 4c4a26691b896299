"""The user's own PSF images: FITS, with a sky coordinate system, one source each."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from catalog.calibration.psf_stamp import PsfStamp
from catalog.calibration.sky_image import bilinear, read_sky_image
from catalog.errors import CalibrationError, MissingFileError

if TYPE_CHECKING:
    from astropy.wcs import WCS

_LARGEST = 1025
_WANTED = "give a FITS image of the PSF with a celestial coordinate system (RA---TAN, DEC--TAN)"


class PsfModel(Protocol):
    """What measuring needs of point spread functions."""

    def stamp(self, theta: float, phi: float, energy: float, roll: float = 0.0) -> PsfStamp:
        """PSF image in the sky frame about the true position."""
        ...


@dataclass(frozen=True, eq=False)
class FixedPsf:
    """One image for all energies: the user's word for this source."""

    image: PsfStamp

    def stamp(self, theta: float, phi: float, energy: float, roll: float = 0.0) -> PsfStamp:
        """The image, whatever is asked."""
        return self.image


@dataclass(frozen=True, eq=False)
class PsfImage:
    """A PSF image as read.

    Attributes
    ----------
    values
        Not negative, sums to 1; shape (ny, nx).
    wcs
        Its celestial coordinates.
    name, digest
        File name and hash of its bytes.
    """

    values: NDArray[np.float64] = field(repr=False)
    wcs: WCS = field(repr=False)
    name: str
    digest: str

    def at(self, ra: float, dec: float) -> FixedPsf:
        """The image about a source at a position (degrees ICRS), west and north in arcsec.

        Bilinear resampling onto square pixels along west and north, whatever the rotation of the image; light
        outside the image is taken as none.

        Raises
        ------
        CalibrationError
            When the source does not lie in the image (code PSF_IMAGE_POSITION).
        """
        ny, nx = self.values.shape
        column, row = (float(value) for value in self.wcs.wcs_world2pix(ra, dec, 0))
        if not (-0.5 <= column <= nx - 0.5 and -0.5 <= row <= ny - 0.5):
            raise CalibrationError(
                f"the source at {ra:.5f} {dec:+.5f} does not lie in the PSF image",
                self.name,
                "give the image made for this source",
                code="PSF_IMAGE_POSITION",
            )
        matrix, pixel = self._steps(ra, dec, column, row)
        reach = max(column + 0.5, nx - 0.5 - column, row + 0.5, ny - 0.5 - row)
        size = min(2 * int(np.ceil(reach * np.sqrt(2))) + 1, _LARGEST)
        offset = (np.arange(size) - 0.5 * (size - 1)) * pixel
        west, north = np.meshgrid(offset, offset)
        u = column + matrix[0, 0] * west + matrix[0, 1] * north
        v = row + matrix[1, 0] * west + matrix[1, 1] * north
        image = bilinear(self.values, u, v) * abs(np.linalg.det(matrix)) * pixel**2
        half = 0.5 * size * pixel
        return FixedPsf(
            PsfStamp(image / max(image.sum(), 1e-9), pixel, np.array([half, 2 * half]), np.zeros(1))
        )

    def _steps(self, ra: float, dec: float, column: float, row: float) -> tuple[NDArray[np.float64], float]:
        """Image pixels per arcsec to the west and north at the source, and the size of a pixel in arcsec."""
        step = 1.0 / 3600.0
        west = self.wcs.wcs_world2pix(ra - step / np.cos(np.radians(dec)), dec, 0)
        north = self.wcs.wcs_world2pix(ra, dec + step, 0)
        matrix = np.array(
            [
                [float(west[0]) - column, float(north[0]) - column],
                [float(west[1]) - row, float(north[1]) - row],
            ]
        )
        return matrix, float(1.0 / np.sqrt(abs(np.linalg.det(matrix))))


def read_psf_image(path: Path) -> PsfImage:
    """Read a PSF image; a process keeps the last ones.

    Raises
    ------
    MissingFileError
        When there is no such file.
    CalibrationError
        When it holds no image with celestial coordinates and light in it (code CALIBRATION_FILE).
    """
    if not path.is_file():
        raise MissingFileError("no such PSF image", path, "give the path of a FITS image")
    return _read(path, sha256(path.read_bytes()).hexdigest()[:16])


@lru_cache(maxsize=64)
def _read(path: Path, digest: str) -> PsfImage:
    image = read_sky_image(path, _WANTED)
    return PsfImage(image.values / image.values.sum(), image.wcs, path.name, digest)
