"""What every calibration must offer, and the one class that offers it.

A calibration is put together from pieces: an area model, one redistribution per chip and a library of point
spread functions. The built-in pieces and the user's files are alike, so any of them can be replaced alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.calibration.psf import PsfLibrary
from catalog.calibration.redistribution import Redistribution
from catalog.errors import CalibrationError

if TYPE_CHECKING:
    from catalog.calibration.instrument_setup import InstrumentSetup


class AreaModel(Protocol):
    """Effective area of mirror, filter, contamination and detector against true energy."""

    @property
    def identity(self) -> str:
        """Name, version and content hash."""
        ...

    def area(
        self, chip_id: int, decimal_year: float, theta: ArrayLike, phi: ArrayLike, energy: ArrayLike
    ) -> NDArray[np.float64]:
        """Area in cm2, shape broadcast(theta, phi) + (n_energy,); see `Calibration.area`."""
        ...

    @property
    def linear_angles(self) -> NDArray[np.float64] | None:
        """Off-axis angles (arcmin) between which the area is linear, and constant beyond the last.

        None where it is not so, or depends on azimuth.
        """
        ...

    def extrapolated(self, decimal_year: float) -> bool:
        """Whether the date lies outside the calibrated dates."""
        ...


class Calibration(Protocol):
    """The calibration as the rooms above see it. No gratings."""

    @property
    def identity(self) -> str:
        """What the numbers rest on, in one line, with content hashes; part of fingerprints."""
        ...

    @property
    def energy_grid(self) -> NDArray[np.float64]:
        """True energies (keV, bin centres of the redistribution) on which `area_curve` is given."""
        ...

    @property
    def psf(self) -> PsfLibrary:
        """Point spread functions."""
        ...

    @property
    def area_model(self) -> AreaModel:
        """The piece that effective areas come from."""
        ...

    @property
    def chip_ids(self) -> tuple[int, ...]:
        """Chips with a redistribution."""
        ...

    def area(
        self, chip_id: int, decimal_year: float, theta: ArrayLike, phi: ArrayLike, energy: ArrayLike
    ) -> NDArray[np.float64]:
        """Effective area in cm2, shape broadcast(theta, phi) + (n_energy,).

        `theta` in arcmin from the optical axis, `phi` in degrees, `energy` in keV (scalar or one axis).
        Dead time is never in it; neither are chip edges and bad pixels.
        """
        ...

    def area_curve(
        self, chip_id: int, decimal_year: float, theta: ArrayLike, phi: ArrayLike
    ) -> NDArray[np.float64]:
        """Effective area on `energy_grid`."""
        ...

    def area_extrapolated(self, decimal_year: float) -> bool:
        """Whether the area is extrapolated in time at this date."""
        ...

    def redistribution(self, chip_id: int) -> Redistribution:
        """Redistribution of the chip."""
        ...

    def with_psf(self, psf: PsfLibrary) -> Calibration:
        """The same with other point spread functions, such as those with the blur of an event list."""
        ...

    def in_observation(self, setup: InstrumentSetup | None, decimal_year: float) -> Calibration:
        """The calibration for a date and, where it is known and matters, the setup of the instrument."""
        ...


@dataclass(frozen=True)
class ComposedCalibration:
    """A calibration made of independent pieces; satisfies `Calibration`.

    Attributes
    ----------
    area_model
        Effective area.
    redistributions
        One per chip id; all share their true-energy bins.
    psf
        Point spread functions.
    """

    area_model: AreaModel
    redistributions: Mapping[int, Redistribution]
    psf: PsfLibrary

    @property
    def identity(self) -> str:
        """Identities of the pieces, each once, in fixed order."""
        matrices = dict.fromkeys(self.redistributions[chip].identity for chip in sorted(self.redistributions))
        return "; ".join([self.area_model.identity, *matrices, self.psf.identity])

    @property
    def chip_ids(self) -> tuple[int, ...]:
        """Chips with a redistribution, ascending."""
        return tuple(sorted(self.redistributions))

    @property
    def energy_grid(self) -> NDArray[np.float64]:
        """True energies in keV, shape (n_energy,)."""
        return next(iter(self.redistributions.values())).energy

    def area(
        self, chip_id: int, decimal_year: float, theta: ArrayLike, phi: ArrayLike, energy: ArrayLike
    ) -> NDArray[np.float64]:
        """Effective area in cm2; see `Calibration.area`."""
        return self.area_model.area(chip_id, decimal_year, theta, phi, energy)

    def area_curve(
        self, chip_id: int, decimal_year: float, theta: ArrayLike, phi: ArrayLike
    ) -> NDArray[np.float64]:
        """Effective area in cm2 on the energies of the chip's redistribution."""
        return self.area_model.area(chip_id, decimal_year, theta, phi, self.redistribution(chip_id).energy)

    def area_extrapolated(self, decimal_year: float) -> bool:
        """Whether the area is extrapolated in time at this date."""
        return self.area_model.extrapolated(decimal_year)

    def with_psf(self, psf: PsfLibrary) -> ComposedCalibration:
        """The same with other point spread functions."""
        return replace(self, psf=psf)

    def in_observation(self, setup: InstrumentSetup | None, decimal_year: float) -> Calibration:
        """The same: these pieces hold for all observations."""
        return self

    def redistribution(self, chip_id: int) -> Redistribution:
        """Redistribution of the chip.

        Raises
        ------
        CalibrationError
            For a chip that the calibration does not have (code CALIBRATION_CHIP).
        """
        try:
            return self.redistributions[chip_id]
        except KeyError:
            raise CalibrationError(
                "no redistribution for this chip",
                f"chip {chip_id}",
                f"there are {', '.join(str(chip) for chip in self.chip_ids)}",
                code="CALIBRATION_CHIP",
            ) from None


def with_area(calibration: Calibration, area: AreaModel) -> ComposedCalibration:
    """The same calibration with another effective area."""
    chips = {chip: calibration.redistribution(chip) for chip in calibration.chip_ids}
    return ComposedCalibration(area, chips, calibration.psf)
