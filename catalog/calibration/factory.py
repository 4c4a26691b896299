"""Opening a calibration by name, with the user's files in place of built-in pieces."""

from __future__ import annotations

from pathlib import Path

from catalog.calibration.builtin import (
    BACK_ILLUMINATED,
    CHIP_IDS,
    open_builtin_area,
    open_builtin_redistribution,
)
from catalog.calibration.provider import AreaModel, Calibration, ComposedCalibration
from catalog.calibration.psf import open_psf_library
from catalog.calibration.rmf_file import read_rmf
from catalog.calibration.user_files import read_area_table
from catalog.errors import CalibrationError

PROVIDERS = ("builtin",)


def open_calibration(
    provider: str = "builtin", area_table: str | Path | None = None, rmf: str | Path | None = None
) -> Calibration:
    """Open a calibration.

    Parameters
    ----------
    provider
        Where everything comes from that no file replaces: "builtin".
    area_table
        Table of effective areas (see `read_area_table`), in place of the built-in area.
    rmf
        OGIP RMF, in place of the built-in redistributions of all chips.

    Raises
    ------
    CalibrationError
        For an unknown provider (code CALIBRATION_PROVIDER) or a file that cannot be used (CALIBRATION_FILE).
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
    area: AreaModel = open_builtin_area() if area_table is None else read_area_table(area_table)
    if rmf is None:
        chips = {chip: open_builtin_redistribution(chip in BACK_ILLUMINATED) for chip in CHIP_IDS}
    else:
        response = read_rmf(rmf)
        chips = dict.fromkeys(CHIP_IDS, response)
    return ComposedCalibration(area, chips, open_psf_library())
