"""Sky pixels and celestial coordinates: the gnomonic (TAN) projection of an event list.

Formulae: Calabretta & Greisen (2002), A&A 395, 1077, section 5.1.3, with the pole at the reference point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.errors import InputFileError
from catalog.events.fits_file import open_fits

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class SkyFrame:
    """Tangent plane of sky pixels; pixel numbers are 1-based as in the header.

    Attributes
    ----------
    ra, dec
        Tangent point, degrees ICRS.
    x_ref, y_ref
        Pixel of the tangent point.
    dx, dy
        Degrees per pixel at the tangent point; dx is negative, since right ascension grows to the left.
    """

    ra: float
    dec: float
    x_ref: float
    y_ref: float
    dx: float
    dy: float

    @property
    def pixel_scale_arcsec(self) -> float:
        """Size of a pixel, arcsec."""
        return abs(self.dy) * 3600.0

    def to_sky(self, ra: ArrayLike, dec: ArrayLike) -> Pair:
        """Sky pixels of positions in degrees ICRS; NaN at 90 degrees or more from the tangent point."""
        alpha = np.radians(np.asarray(ra, dtype=float) - self.ra)
        delta, delta0 = np.radians(np.asarray(dec, dtype=float)), np.radians(self.dec)
        cosine = np.sin(delta) * np.sin(delta0) + np.cos(delta) * np.cos(delta0) * np.cos(alpha)
        height = np.where(cosine > 0, cosine, np.nan)
        east = np.cos(delta) * np.sin(alpha) / height
        north = (np.sin(delta) * np.cos(delta0) - np.cos(delta) * np.sin(delta0) * np.cos(alpha)) / height
        return self.x_ref + np.degrees(east) / self.dx, self.y_ref + np.degrees(north) / self.dy

    def to_world(self, x: ArrayLike, y: ArrayLike) -> Pair:
        """Right ascension (0 to 360) and declination in degrees ICRS of sky pixels."""
        east = np.radians((np.asarray(x, dtype=float) - self.x_ref) * self.dx)
        north = np.radians((np.asarray(y, dtype=float) - self.y_ref) * self.dy)
        delta0 = np.radians(self.dec)
        forward = np.cos(delta0) - north * np.sin(delta0)
        upward = np.sin(delta0) + north * np.cos(delta0)
        ra = np.mod(self.ra + np.degrees(np.arctan2(east, forward)), 360.0)
        return ra, np.degrees(np.arctan2(upward, np.hypot(east, forward)))


def read_sky_frame(path: str | Path) -> SkyFrame:
    """Projection of an event list, from its header alone.

    Raises
    ------
    MissingFileError, InputFileError
        As `open_fits`; NO_EVENTS_TABLE, MISSING_WCS.
    """
    with open_fits(path, complete=False) as hdus:
        if "EVENTS" not in hdus:
            raise InputFileError("no EVENTS table", path, "give a level-2 event list", code="NO_EVENTS_TABLE")
        table = hdus["EVENTS"]
        return parse_sky_frame(table.header, table.columns.names, path)


def parse_sky_frame(header: Mapping[str, Any], columns: list[str], path: str | Path) -> SkyFrame:
    """Read the projection of columns X and Y.

    Parameters
    ----------
    header
        Header of the event table, with TCTYPn, TCRVLn, TCRPXn, TCDLTn.
    columns
        Column names in the order of the table, any case.
    path
        The file, for messages.

    Raises
    ------
    InputFileError
        MISSING_WCS: the keywords are missing or not a TAN projection in degrees.
    """
    numbers = {name.lower(): index for index, name in enumerate(columns, start=1)}
    right = _axis(header, numbers.get("x"), "RA---TAN", path)
    upward = _axis(header, numbers.get("y"), "DEC--TAN", path)
    return SkyFrame(right[0], upward[0], right[1], upward[1], right[2], upward[2])


def _axis(
    header: Mapping[str, Any], number: int | None, kind: str, path: str | Path
) -> tuple[float, float, float]:
    values = [header.get(f"{stem}{number}") for stem in ("TCRVL", "TCRPX", "TCDLT")]
    written = str(header.get(f"TCTYP{number}", "")).strip().upper()
    unit = str(header.get(f"TCUNI{number}", "deg")).strip().lower()
    usable = all(isinstance(value, int | float) and np.isfinite(value) for value in values) and values[2] != 0
    if written != kind or not usable or not unit.startswith("deg"):
        raise InputFileError(
            f"no sky coordinates on columns x, y (TCTYP{number} is {written or 'missing'}, expected {kind})",
            path,
            "give a level-2 event list with its full header",
            code="MISSING_WCS",
        )
    value, pixel, step = (float(number) for number in values if number is not None)
    return value, pixel, step
