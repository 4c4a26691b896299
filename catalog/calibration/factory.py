"""Opening a calibration by name, with the user's files in place of built-in pieces."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.calibration.builtin import CHIP_IDS, builtin_redistributions, open_builtin_area
from catalog.calibration.provider import AreaModel, Calibration, ComposedCalibration
from catalog.calibration.psf import open_psf_library
from catalog.calibration.redistribution import Redistribution
from catalog.errors import CalibrationError

if TYPE_CHECKING:
    from catalog.calibration.instrument_setup import InstrumentSetup

PROVIDERS = ("builtin", "caldb")
_USUAL_YEAR = 2010.0


@dataclass(frozen=True)
class BuiltinCalibration(ComposedCalibration):
    """The packaged redistributions, by date; the other pieces may be the user's."""

    def in_observation(self, setup: InstrumentSetup | None, decimal_year: float) -> BuiltinCalibration:
        """The redistributions of the date."""
        return replace(self, redistributions=builtin_redistributions(decimal_year))


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
        Where what no file replaces comes from: "builtin", or "caldb" for a CALDB tree (`caldb_calibration`).
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
    # Files are read by large libraries, which the built-in calibration does without.
    area: AreaModel | None = None
    if area_table is not None:
        from catalog.calibration.user_files import read_area_table

        area = read_area_table(area_table)
    response = None if rmf is None else _read_response(rmf)
    if provider == "caldb":
        from catalog.calibration.caldb_calibration import open_caldb

        return open_caldb(caldb_folder(caldb), area, response)
    area = area or open_builtin_area()
    if response is None:
        return BuiltinCalibration(area, builtin_redistributions(_USUAL_YEAR), open_psf_library())
    return ComposedCalibration(area, dict.fromkeys(CHIP_IDS, response), open_psf_library())


def _read_response(path: str | Path) -> Redistribution:
    from catalog.calibration.rmf_file import read_rmf
    from catalog.calibration.user_response import check_channels

    response = read_rmf(path)
    check_channels(response)
    return response


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
