"""The user's own exposure maps: one image per ObsID and band, made by CIAO, by srccat or otherwise."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.calibration.sky_image import SkyImage, read_sky_image
from catalog.errors import CalibrationError, MissingFileError

_WANTED = "give a FITS exposure map (cm2 s, or cm2 per live time) with celestial coordinates"
_LARGEST_AREA = 3000.0
"""cm2: more than the mirror has."""
_NEAR_PIXELS = 9
_NEAR_ARCMIN = 4.0


@dataclass(frozen=True, eq=False)
class ExposureImage:
    """An exposure map.

    Attributes
    ----------
    image
        Values in cm2 s, or in cm2 where `is_area`.
    is_area
        Whether values are divided by the live time already.
    name, digest
        File name and hash of its bytes.
    """

    image: SkyImage = field(repr=False)
    is_area: bool
    name: str
    digest: str

    @property
    def identity(self) -> str:
        """File name and hash."""
        return f"exposure map {self.name} {self.digest}"

    def exposure(self, ra: ArrayLike, dec: ArrayLike, live_time: float) -> NDArray[np.float64]:
        """Exposure of positions (degrees ICRS) in cm2 s; 0 outside the map."""
        return self.image.at(ra, dec) * (live_time if self.is_area else 1.0)

    def check_field(self, obs_id: str, ra: float, dec: float) -> None:
        """Refuse a map of another observation or another field than that around a pointing.

        Raises
        ------
        CalibrationError
            EXPMAP_OTHER_FIELD.
        """
        written = str(self.image.header.get("OBS_ID", "")).strip().lstrip("0")
        axis = np.linspace(-_NEAR_ARCMIN, _NEAR_ARCMIN, _NEAR_PIXELS) / 60.0
        east, north = np.meshgrid(axis / np.cos(np.radians(dec)), axis)
        if written.isdigit() and written != obs_id:
            reason = f"an exposure map of ObsID {written}, not of {obs_id}"
        elif not (self.image.at(ra + east, dec + north) > 0).any():
            reason = f"this exposure map holds nothing near the pointing of ObsID {obs_id}"
        else:
            return
        raise CalibrationError(
            reason, self.name, f"give a map of ObsID {obs_id}, or take it out", code="EXPMAP_OTHER_FIELD"
        )


def read_exposure_image(path: Path) -> ExposureImage:
    """Read an exposure map; a process keeps the last ones.

    BUNIT tells cm2 s from cm2; without one that says so, values above 3000 are cm2 s.

    Raises
    ------
    MissingFileError
        When there is no such file.
    CalibrationError
        When it holds no image with celestial coordinates and exposure in it (code CALIBRATION_FILE).
    """
    if not path.is_file():
        raise MissingFileError("no such exposure map", path, "give the path of a FITS image")
    return _read(path, sha256(path.read_bytes()).hexdigest()[:16])


@lru_cache(maxsize=16)
def _read(path: Path, digest: str) -> ExposureImage:
    image = read_sky_image(path, _WANTED)
    unit = str(image.header.get("BUNIT", "")).strip().lower()
    if "cm" in unit:
        is_area = re.search(r"(?<![a-z])s(ec)?(?![a-z])", unit) is None
    else:
        is_area = bool(image.values.max() <= _LARGEST_AREA)
    return ExposureImage(image, is_area, path.name, digest)
