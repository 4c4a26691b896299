"""How the instrument stood and was run: what selects data sets, and places sources on the chips."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.events.chip_geometry import FocalPlane, Mounting, focal_plane
from catalog.events.detector import ACIS
from catalog.events.header import ObservationHeader

_SIM_X, _SIM_Z_ACIS_I, _SIM_Z_ACIS_S = -0.7809, -233.5874, -190.1428
_ACIS_I = range(4)


@dataclass(frozen=True)
class InstrumentSetup(Mounting):
    """Keywords of an event list, hashable.

    Attributes
    ----------
    fp_temp
        Temperature of the focal plane, K; None where it is not known.
    datamode, cti_app
        How the chips were read, and how charge transfer was corrected, by chip; None where not known.
    cti_corrected
        Whether charge transfer was corrected.
    exposure_time, first_row
        Time of a frame without transfer, s, and CHIPY of the first row that is read.
    """

    fp_temp: float | None = None
    datamode: str | None = None
    cti_app: str | None = None
    cti_corrected: bool = False
    exposure_time: float | None = None
    first_row: int = 1

    @property
    def bounds(self) -> dict[str, float | str | None]:
        """Values of the conditions under which data sets of a CALDB hold."""
        return {"FP_TEMP": self.fp_temp, "DATAMODE": self.datamode, "CTI_APP": self.cti_app}

    def chip_pixels(
        self, chip_id: int, theta: ArrayLike, phi: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """CHIPX, CHIPY of an off-axis angle (arcmin) and azimuth (degrees); on the chip's edge if beyond it.

        At the mean pointing; shape broadcast(theta, phi).
        """
        tangent = np.tan(np.radians(np.asarray(theta, dtype=float) / 60.0)) / ACIS.det_pixel_rad
        angle = np.radians(np.asarray(phi, dtype=float))
        detx, dety = ACIS.det_axis + tangent * np.cos(angle), ACIS.det_axis + tangent * np.sin(angle)
        chipx, chipy = _plane(self).det_to_chip(chip_id, detx, dety)
        return np.clip(chipx, 1.0, ACIS.columns), np.clip(chipy, 1.0, ACIS.rows)


@lru_cache(maxsize=16)
def _plane(setup: InstrumentSetup) -> FocalPlane:
    return focal_plane(setup)


def instrument_setup(header: ObservationHeader) -> InstrumentSetup:
    """The setup of an event list of ACIS."""
    return InstrumentSetup(
        obs_id=header.obs_id,
        sim_x=header.sim_x,
        sim_y=header.sim_y,
        sim_z=header.sim_z,
        dy_avg=header.dy_avg,
        dz_avg=header.dz_avg,
        dth_avg=header.dth_avg,
        fp_temp=header.fp_temp,
        datamode=header.datamode,
        cti_app=header.cti_app,
        cti_corrected=header.cti_corrected,
        exposure_time=header.exposure_time,
        first_row=header.first_row,
    )


def usual_setup(chip_id: int) -> InstrumentSetup:
    """Aimpoint on I3 for the chips of ACIS-I, on S3 for the others, where no observation is named."""
    sim_z = _SIM_Z_ACIS_I if chip_id in _ACIS_I else _SIM_Z_ACIS_S
    return InstrumentSetup("none", _SIM_X, 0.0, sim_z)
