"""Mask files (msk1): the windows of each chip that were telemetered, and how often.

The rows of one COMPONENT belong together: a shape includes, one that begins with ``!`` cuts out. SAMP_CYC is
1 where all events were kept, n where every n-th, 0 where none. Limits of pulse height (PHAMIN, PHAMAX) cut
the energies of a chip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from catalog.errors import InputFileError
from catalog.events.bad_pixels import pixel_ranges, table_chips
from catalog.events.detector import ACIS, Detector
from catalog.events.fits_file import check_observation, is_table, open_fits

if TYPE_CHECKING:
    from astropy.io import fits

_REMEDY = "give the ...msk1.fits file of the observation"


@dataclass(frozen=True, eq=False)
class Mask:
    """Share of the events that was kept, by chip.

    Attributes
    ----------
    share
        By chip, images as in `GoodPixels` of values in [0, 1], shape (1024, 1024) for ACIS; axis 0 is CHIPY.
        A chip without rows of its own is not in it: nothing is known of it.
    pulse_heights
        Lowest and highest PHA that all windows of a chip keep, where the file says so.
    """

    share: Mapping[int, NDArray[np.float32]]
    pulse_heights: Mapping[int, tuple[int, int]] = field(default_factory=dict)


def read_mask(path: str | Path, obs_id: str, detector: Detector = ACIS) -> Mask:
    """Read a mask file.

    Parameters
    ----------
    path
        FITS file with a table per chip of SHAPE, CHIPX, CHIPY and, where present, COMPONENT, SAMP_CYC.
    obs_id
        ObsID that the file must be of.
    detector
        Whose pixels they are.

    Raises
    ------
    MissingFileError, InputFileError
        NO_MASK for a file without such a table, OTHER_OBSERVATION, BAD_VALUE, UNSUPPORTED_SHAPE, else as
        `open_fits`.
    """
    where = Path(path)
    share: dict[int, NDArray[np.float32]] = {}
    heights: dict[int, tuple[int, int]] = {}
    found = False
    with open_fits(where) as hdus:
        check_observation(hdus, obs_id, where, "a mask file")
        for hdu in hdus:
            if not is_table(hdu):
                continue
            names = {name.lower(): name for name in hdu.columns.names}
            if {"shape", "chipx", "chipy"} <= set(names):
                found = True
                chips = _add_table(share, hdu, names, where, detector)
                _add_heights(heights, hdu.data, names, chips)
    if not found:
        raise InputFileError("no mask table (columns SHAPE, CHIPX, CHIPY)", where, _REMEDY, code="NO_MASK")
    return Mask(share, heights)


def _add_table(
    share: dict[int, NDArray[np.float32]],
    hdu: fits.BinTableHDU,
    names: dict[str, str],
    path: Path,
    detector: Detector,
) -> NDArray[np.intp]:
    """Add the windows of a table, and return the chip of each row."""
    table, number = hdu.data, len(hdu.data)
    if not number:
        return np.zeros(0, dtype=np.intp)
    shapes = np.char.lower(np.char.strip(table[names["shape"]].astype(str)))
    plain = np.char.lstrip(shapes, "!")
    unknown = sorted(set(plain.tolist()) - {"rectangle", "point"})
    if unknown:
        raise InputFileError(
            f"shape {unknown[0]!r} in table {hdu.name} is no rectangle",
            path,
            _REMEDY,
            code="UNSUPPORTED_SHAPE",
        )
    chips = table_chips(hdu, names, path, detector, _REMEDY)
    chipx = pixel_ranges(table, names["chipx"], plain == "point", detector.columns)
    chipy = pixel_ranges(table, names["chipy"], plain == "point", detector.rows)
    component = np.asarray(table[names["component"]]) if "component" in names else np.arange(number)
    cycle = np.asarray(table[names["samp_cyc"]], dtype=float) if "samp_cyc" in names else np.ones(number)
    shape = detector.image_shape
    for chip, part in dict.fromkeys(zip(chips.tolist(), component.tolist(), strict=True)):
        rows = np.flatnonzero((chips == chip) & (component == part))
        inside = np.ones(shape, dtype=np.float32)
        for row in rows:
            one = np.zeros_like(inside)
            high, share_y = detector.cover(chipy[row, 0] - 0.5, chipy[row, 1] + 0.5, shape[0])
            wide, share_x = detector.cover(chipx[row, 0] - 0.5, chipx[row, 1] + 0.5, shape[1])
            one[high, wide] = share_y[:, None] * share_x
            inside *= 1.0 - one if shapes[row].startswith("!") else one
        period = cycle[rows].max()
        kept = np.float32(0.0 if period <= 0 else 1.0 / period)
        image = share.setdefault(int(chip), np.zeros(shape, dtype=np.float32))
        np.maximum(image, kept * inside, out=image)
    return np.asarray(chips, dtype=np.intp)


def _add_heights(
    heights: dict[int, tuple[int, int]], table: fits.FITS_rec, names: dict[str, str], chips: NDArray[np.intp]
) -> None:
    if not {"phamin", "phamax"} <= set(names) or not chips.size:
        return
    cycle = np.asarray(table[names["samp_cyc"]]) if "samp_cyc" in names else np.ones(chips.size)
    low, high = (np.asarray(table[names[name]], dtype=int) for name in ("phamin", "phamax"))
    # Rows that cut out, or keep nothing, have no say in which energies the rest keeps; nor has 0 to 0.
    plain = ~np.char.startswith(np.char.strip(table[names["shape"]].astype(str)), "!")
    for chip in np.unique(chips[plain & (cycle > 0) & (high > low)]).tolist():
        rows = plain & (cycle > 0) & (high > low) & (chips == chip)
        known = heights.get(chip, (0, np.iinfo(np.int32).max))
        heights[chip] = (max(known[0], int(low[rows].max())), min(known[1], int(high[rows].min())))
