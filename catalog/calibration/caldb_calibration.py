"""A calibration from a CALDB tree: area, redistribution and PSF radii, each where the tree has it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from catalog.calibration.caldb import CaldbArea
from catalog.calibration.caldb_index import IndexEntry, read_caldb_index
from catalog.calibration.caldb_matrix import caldb_matrices
from catalog.calibration.caldb_psf import caldb_psf
from catalog.calibration.instrument_setup import InstrumentSetup
from catalog.calibration.provider import AreaModel, ComposedCalibration
from catalog.calibration.redistribution import Redistribution

_USUAL_YEAR = 2010.0
_ONE_OF_EACH_KIND = (3, 7)


@dataclass(frozen=True)
class CaldbCalibration(ComposedCalibration):
    """Pieces of a CALDB, and what chooses them for an observation.

    Attributes
    ----------
    entries
        The index.
    own_matrix
        Whether the redistributions are the user's, the same for all observations.
    """

    entries: tuple[IndexEntry, ...] = ()
    own_matrix: bool = False

    def in_observation(self, setup: InstrumentSetup | None, decimal_year: float) -> CaldbCalibration:
        """The data sets that hold for an observation, with its sources on their places on the chips.

        Raises
        ------
        CalibrationError
            CALDB_FILE: a data set is missing or not of the form that `caldb_tables` describes.
        """
        area = self.area_model
        if isinstance(area, CaldbArea):
            area = replace(area, setup=setup)
            for chip in _ONE_OF_EACH_KIND:
                # Files that are not what their kind should be are found here, before anything is computed.
                area.area(chip, decimal_year, 0.0, 0.0, 1.5)
        matrices = self.redistributions
        if not self.own_matrix:
            matrices = caldb_matrices(self.entries, decimal_year, setup)
        return replace(self, area_model=area, redistributions=matrices)


def open_caldb(
    root: Path, area: AreaModel | None = None, response: Redistribution | None = None
) -> CaldbCalibration:
    """Open a CALDB.

    Parameters
    ----------
    root
        Its folder.
    area, response
        The user's own, in place of the CALDB's.

    Raises
    ------
    CalibrationError
        CALDB_MISSING, CALDB_INDEX, CALDB_FILE: it is not there, has no index, or a file cannot be used.
    """
    entries = read_caldb_index(root)
    matrices = caldb_matrices(entries, _USUAL_YEAR, None)
    return CaldbCalibration(
        area_model=CaldbArea(entries, str(root)) if area is None else area,
        redistributions=matrices if response is None else dict.fromkeys(matrices, response),
        psf=caldb_psf(entries),
        entries=entries,
        own_matrix=response is not None,
    )
