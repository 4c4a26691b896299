"""Bad-pixel files (bpix1): pixels and columns of each chip whose events are not in a level-2 list.

A row is a point or a rectangle of chip pixels, bad from TIME to TIME_STOP (both 0: always). Every row counts,
whatever its STATUS: node boundaries, neighbours of bad columns and afterglows are dropped from level 2 alike.
Format: CIAO, "acis_build_badpix"; header and columns of a file of ObsID 732.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from catalog.errors import InputFileError
from catalog.events.detector import ACIS, Detector
from catalog.events.fits_file import check_observation, is_table, open_fits

if TYPE_CHECKING:
    from astropy.io import fits

_COLUMNS = ("chipx", "chipy")
_REMEDY = "give the ...bpix1.fits file of the observation"


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


def read_bad_pixels(path: str | Path, obs_id: str, detector: Detector = ACIS) -> BadPixels:
    """Read a bad-pixel file.

    Parameters
    ----------
    path
        FITS file with a table per chip (keyword CCD_ID or CHIP_ID, or such a column) of CHIPX, CHIPY and,
        where present, SHAPE, TIME, TIME_STOP.
    obs_id
        ObsID that the file must be of.
    detector
        Whose pixels they are.

    Raises
    ------
    MissingFileError, InputFileError
        NO_BAD_PIXELS for a file without such a table, OTHER_OBSERVATION, BAD_VALUE for chips that the
        detector does not have, else as `open_fits`.
    """
    where = Path(path)
    with open_fits(where) as hdus:
        check_observation(hdus, obs_id, where, "a bad-pixel file")
        parts = [part for hdu in hdus if (part := _read_table(hdu, where, detector)) is not None]
    if not parts:
        raise InputFileError(
            "no bad-pixel table (columns CHIPX, CHIPY)", where, _REMEDY, code="NO_BAD_PIXELS"
        )
    return BadPixels(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in BadPixels.__dataclass_fields__)
    )


def pixel_ranges(
    table: fits.FITS_rec, column: str, points: NDArray[np.bool_], most: int
) -> NDArray[np.int16]:
    """First and last pixel of each row, shape (n, 2), cut to 1 to `most`; a point has one pixel only."""
    values = np.asarray(table[column], dtype=np.int64).reshape(len(table), -1)
    first, last = values[:, 0], np.where(points, values[:, 0], values[:, -1])
    ranges = np.column_stack([np.minimum(first, last), np.maximum(first, last)])
    return np.asarray(np.clip(ranges, 1, most), dtype=np.int16)


def table_chips(
    hdu: fits.BinTableHDU, names: dict[str, str], path: Path, detector: Detector, todo: str = _REMEDY
) -> NDArray[np.int16]:
    """Chip of each row: column ccd_id or chip_id, else that keyword, else the only chip there is.

    Raises
    ------
    InputFileError
        BAD_VALUE: no chip of the detector.
    """
    number = len(hdu.data)
    column = next((names[name] for name in ("ccd_id", "chip_id") if name in names), None)
    if column is not None:
        chips = np.asarray(hdu.data[column], dtype=np.int16)
    else:
        only = detector.chip_ids[0] if len(detector.chip_ids) == 1 else -1
        written = hdu.header.get("CCD_ID", hdu.header.get("CHIP_ID", only))
        chips = np.full(number, int(written), dtype=np.int16)
    if not np.isin(chips, detector.chip_ids).all():
        known = f"{detector.chip_ids[0]} to {detector.chip_ids[-1]}"
        raise InputFileError(
            f"no CCD_ID or CHIP_ID from {known} for table {hdu.name}", path, todo, code="BAD_VALUE"
        )
    return chips


def _read_table(hdu: fits.hdu.base.ExtensionHDU, path: Path, detector: Detector) -> BadPixels | None:
    if not is_table(hdu):
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
        table_chips(hdu, names, path, detector),
        pixel_ranges(table, names["chipx"], points, detector.columns),
        pixel_ranges(table, names["chipy"], points, detector.rows),
        np.where(always | (start <= 0), -np.inf, start),
        np.where(always | (stop <= 0), np.inf, stop),
    )
