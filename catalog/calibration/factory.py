"""Opening a calibration by name, with the user's files in place of built-in pieces."""

from __future__ import annotations

import os
from pathlib import Path

from catalog.calibration.builtin import (
    BACK_ILLUMINATED,
    CHIP_IDS,
    open_builtin_area,
    open_builtin_redistribution,
)
from catalog.calibration.caldb import CaldbArea
from catalog.calibration.caldb_index import read_caldb_index
from catalog.calibration.provider import AreaModel, Calibration, ComposedCalibration
from catalog.calibration.psf import open_psf_library
from catalog.calibration.rmf_file import read_rmf
from catalog.calibration.user_files import read_area_table
from catalog.calibration.user_response import check_channels
from catalog.errors import CalibrationError

PROVIDERS = ("builtin", "caldb")


def open_calibration(
    provider: str = "builtin",
    area_table: str | Path | None = None,
    rmf: str | Path | None = None,
    caldb: str | Path | None = None,
) -> Calibration:
    """Open a calibration.

    Parameters
    ----------
    provider
        Where the area comes from that no file replaces: "builtin", or "caldb" for a CALDB tree. The rest is
        built in.
    area_table
        Table of effective areas (see `read_area_table`), in place of the built-in area.
    rmf
        OGIP RMF, in place of the built-in redistributions of all chips.
    caldb
        Folder of the CALDB; None for that of the environment variable CALDB.

    Raises
    ------
    CalibrationError
        CALIBRATION_PROVIDER: no such provider. CALIBRATION_FILE: a file cannot be used. CALIBRATION_CHANNELS:
        an RMF that is not for ACIS PI. CALDB_MISSING, CALDB_INDEX: a CALDB that is not there, or has no
        index.
    MissingFileError
        When a file does not exist.
    """
    if provider not in PROVIDERS:
        raise CalibrationError(
            "unknown calibration provider",
            provider,
            f"choose one of {', '.join(PROVIDERS)}",
            code="CALIBRATION_PROVIDER",
        )
    area: AreaModel
    if area_table is not None:
        area = read_area_table(area_table)
    elif provider == "caldb":
        root = caldb_folder(caldb)
        area = CaldbArea(read_caldb_index(root), str(root))
    else:
        area = open_builtin_area()
    if rmf is None:
        chips = {chip: open_builtin_redistribution(chip in BACK_ILLUMINATED) for chip in CHIP_IDS}
    else:
        response = read_rmf(rmf)
        check_channels(response)
        chips = dict.fromkeys(CHIP_IDS, response)
    return ComposedCalibration(area, chips, open_psf_library())


def caldb_folder(chosen: str | Path | None) -> Path:
    """The CALDB's folder: the one given, else that of $CALDB.

    Raises
    ------
    CalibrationError
        When neither is set (code CALDB_MISSING).
    """
    folder = chosen or os.environ.get("CALDB")
    if not folder:
        raise CalibrationError(
            "no CALDB is named",
            "[calibration]",
            "set caldb there, or the environment variable CALDB",
            code="CALDB_MISSING",
        )
    return Path(folder)
