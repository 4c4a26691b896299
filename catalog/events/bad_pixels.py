"""Bad-pixel files (bpix1): pixels and columns of each chip whose events are not in a level-2 list.

A row is a point or a rectangle of chip pixels, bad from TIME to TIME_STOP (both 0: always). Every row counts,
whatever its STATUS: node boundaries, neighbours of bad columns and afterglows are dropped from level 2 alike.
Format: CIAO, "acis_build_badpix"; header and columns of a file of ObsID 732.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from catalog.errors import InputFileError
from catalog.events.chip_geometry import CHIP_SIZE, CHIPS
from catalog.events.fits_file import check_observation, open_fits

_COLUMNS = ("chipx", "chipy")
_TODO = "give the acisf...bpix1.fits file of the observation"


@dataclass(frozen=True, eq=False)
class BadPixels:
    """Rectangles of bad pixels.

    Attributes
    ----------
    ccd_id
        Shape (n,).
    chipx, chipy
        Shape (n, 2), first and last pixel, 1-based, both bad.
    start, stop
        Shape (n,), s of mission time; -inf and inf for pixels that are always bad.
    """

    ccd_id: NDArray[np.int16]
    chipx: NDArray[np.int16]
    chipy: NDArray[np.int16]
    start: NDArray[np.float64]
    stop: NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.ccd_id.size)


def read_bad_pixels(path: str | Path, obs_id: str) -> BadPixels:
    """Read a bad-pixel file.

    Parameters
    ----------
    path
        FITS file with a table per chip (keyword CCD_ID, or a column ccd_id) of CHIPX, CHIPY and, where
        present, SHAPE, TIME, TIME_STOP.
    obs_id
        ObsID that the file must be of.

    Raises
    ------
    MissingFileError, InputFileError
        NO_BAD_PIXELS for a file without such a table, OTHER_OBSERVATION, BAD_VALUE for pixels or chips that
        ACIS does not have, else as `open_fits`.
    """
    where = Path(path)
    with open_fits(where) as hdus:
        check_observation(hdus, obs_id, where, "a bad-pixel file")
        parts = [part for hdu in hdus if (part := _read_table(hdu, where)) is not None]
    if not parts:
        raise InputFileError("no bad-pixel table (columns CHIPX, CHIPY)", where, _TODO, code="NO_BAD_PIXELS")
    return BadPixels(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in BadPixels.__dataclass_fields__)
    )


def pixel_ranges(table: fits.FITS_rec, column: str, points: NDArray[np.bool_]) -> NDArray[np.int16]:
    """First and last pixel of each row, shape (n, 2), cut to the chip; a point has one pixel only."""
    values = np.asarray(table[column], dtype=np.int64).reshape(len(table), -1)
    first, last = values[:, 0], np.where(points, values[:, 0], values[:, -1])
    ranges = np.column_stack([np.minimum(first, last), np.maximum(first, last)])
    return np.asarray(np.clip(ranges, 1, CHIP_SIZE), dtype=np.int16)


def table_chips(
    hdu: fits.BinTableHDU, names: dict[str, str], path: Path, todo: str = _TODO
) -> NDArray[np.int16]:
    """Chip of each row: column ccd_id, else the keyword CCD_ID.

    Raises
    ------
    InputFileError
        BAD_VALUE: no chip of ACIS.
    """
    number = len(hdu.data)
    if "ccd_id" in names:
        chips = np.asarray(hdu.data[names["ccd_id"]], dtype=np.int16)
    else:
        chips = np.full(number, int(hdu.header.get("CCD_ID", -1)), dtype=np.int16)
    if np.any((chips < 0) | (chips >= CHIPS)):
        raise InputFileError(f"no CCD_ID from 0 to 9 for table {hdu.name}", path, todo, code="BAD_VALUE")
    return chips


def _read_table(hdu: fits.hdu.base.ExtensionHDU, path: Path) -> BadPixels | None:
    if not isinstance(hdu, fits.BinTableHDU):
        return None
    names = {name.lower(): name for name in hdu.columns.names}
    if not set(_COLUMNS) <= set(names):
        return None
    table, number = hdu.data, len(hdu.data)
    if not number:
        empty = np.empty((0, 2), dtype=np.int16)
        return BadPixels(np.empty(0, np.int16), empty, empty, np.empty(0), np.empty(0))
    points = np.zeros(number, dtype=bool)
    if "shape" in names:
        points = np.char.lower(np.char.strip(table[names["shape"]].astype(str))) == "point"
    start, stop = (
        np.asarray(table[names[name]], dtype=np.float64) if name in names else np.zeros(number)
        for name in ("time", "time_stop")
    )
    always = (stop <= start) & ~((start > 0) & (stop <= 0))
    return BadPixels(
        table_chips(hdu, names, path),
        pixel_ranges(table, names["chipx"], points),
        pixel_ranges(table, names["chipy"], points),
        np.where(always | (start <= 0), -np.inf, start),
        np.where(always | (stop <= 0), np.inf, stop),
    )
