"""Columns of an event table, in the types kept in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import InputFileError
from catalog.events.detector import Detector

if TYPE_CHECKING:
    from astropy.io import fits

Columns = dict[str, NDArray[Any]]

#: Energy given to every event of the HRC, keV: the effective energy of the wide band.
HRC_ENERGY = 1.5
#: Status bits of the HRC, first to last, that level 2 demands to be 0 (hrc_process_events, stdlev1 filter).
_HRC_STATUS = "xxxxxx00xxxx0xxx0000x000x00000xx"
#: ASCA grades that level 2 keeps.
GOOD_GRADES = (0, 2, 3, 4, 6)
_REQUIRED: dict[str, type[np.generic]] = {
    "time": np.float64,
    "x": np.float64,
    "y": np.float64,
    "ccd_id": np.int16,
}
_OPTIONAL: dict[str, type[np.generic]] = {
    "detx": np.float32,
    "dety": np.float32,
    "chipx": np.int16,
    "chipy": np.int16,
    "expno": np.int32,
    "pi": np.int32,
    "grade": np.int16,
}


def read_columns(table: fits.BinTableHDU, path: Path, detector: Detector) -> Columns:
    """Read the columns that srccat uses; names in any case.

    Returns
    -------
    dict
        Shape (n,) each: time, x, y, ccd_id (CHIP_ID of the HRC), energy (keV; of the HRC the same for all),
        and those of detx, dety, chipx, chipy, expno, pi, grade that the table has.

    Raises
    ------
    InputFileError
        MISSING_COLUMN, NO_ENERGY.
    """
    names = _names(table)
    if not detector.has_energies and "chip_id" in names:
        names["ccd_id"] = names["chip_id"]
    for required in _REQUIRED:
        if required not in names:
            raise InputFileError(
                f"no column {required.upper()}", path, "give a level-2 event list", code="MISSING_COLUMN"
            )
    columns: Columns = {
        name: np.asarray(table.data[names[name]]).astype(kind)
        for name, kind in {**_REQUIRED, **_OPTIONAL}.items()
        if name in names
    }
    size = columns["time"].size
    columns["energy"] = _energy(table, path) if detector.has_energies else np.full(size, HRC_ENERGY)
    return columns


def status_set(table: fits.BinTableHDU, detector: Detector) -> NDArray[np.bool_]:
    """Whether a STATUS bit is set that level 2 does not admit; False without such a column.

    Of ACIS any bit, in bit columns and integer ones alike; of the HRC those that its level-2 filter names.
    """
    names = _names(table)
    flagged = np.zeros(len(table.data), dtype=bool)
    if "status" in names and flagged.size:
        # The packed bytes themselves: astropy's own view unpacks 32 booleans per event.
        packed = table.data.view(np.ndarray)[names["status"]].reshape(flagged.size, -1)
        if not detector.has_energies and packed.dtype == np.uint8 and packed.shape[1] == 4:
            packed = packed & np.packbits([bit == "0" for bit in _HRC_STATUS])
        flagged = (packed != 0).any(axis=1)
    return flagged


def misgraded(columns: Columns) -> NDArray[np.bool_]:
    """Whether the grade is one that level 2 drops; False without such a column."""
    if "grade" not in columns:
        return np.zeros(columns["time"].shape, dtype=bool)
    return ~np.isin(columns["grade"], GOOD_GRADES)


def _energy(table: fits.BinTableHDU, path: Path) -> NDArray[np.float64]:
    name = _names(table).get("energy")
    if name is None:
        raise _uncalibrated("no ENERGY column", path)
    unit = str(table.columns[name].unit or "eV").strip().lower()
    energy = np.asarray(table.data[name]).astype(np.float64)
    energy *= 1.0 if unit == "kev" else 1e-3
    if energy.size and not np.any(energy > 0):
        raise _uncalibrated("all energies are zero", path)
    return energy


def _uncalibrated(reason: str, path: Path) -> InputFileError:
    return InputFileError(
        f"{reason}, the events are not calibrated",
        path,
        "reprocess the list with acis_process_events or chandra_repro",
        code="NO_ENERGY",
    )


def _names(table: fits.BinTableHDU) -> dict[str, str]:
    """Column names of the table by lower-case name."""
    return {name.lower(): name for name in table.columns.names}
