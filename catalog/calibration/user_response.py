"""The user's own ARF and RMF in place of built-in area and redistribution, for one observation or source."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.calibration.arf_file import AncillaryResponse, check_grid, read_arf
from catalog.calibration.builtin import BuiltinArea, open_builtin_area
from catalog.calibration.provider import AreaModel, Calibration, ComposedCalibration
from catalog.calibration.redistribution import Redistribution
from catalog.calibration.rmf_file import read_rmf
from catalog.errors import CalibrationError

PI_CHANNELS = 1024
"""Channels of ACIS PI spectra, 14.6 eV each."""

_PI_WIDTH = 0.0146
_NEEDED = (0.5, 7.0)


@dataclass(frozen=True, eq=False)
class ArfArea:
    """Effective area from an ARF.

    Attributes
    ----------
    arf
        The file's content. FRACEXPO is divided out: the share of the dither on good pixels is part of the
        exposure, once.
    optics
        Built-in area, for its vignetting; None where the ARF is that of the source itself.
    digest
        Hash of the file.

    Notes
    -----
    An ARF of an observation is taken as that of its aimpoint; vignetting carries it to other positions. It
    serves all chips alike.
    """

    arf: AncillaryResponse
    optics: BuiltinArea | None = field(repr=False)
    digest: str

    @property
    def identity(self) -> str:
        """File name and hash."""
        moved = "" if self.optics is None else f" moved on {self.optics.identity}"
        return f"arf {self.arf.name} {self.digest}{moved}"

    def area(
        self, chip_id: int, decimal_year: float, theta: ArrayLike, phi: ArrayLike, energy: ArrayLike
    ) -> NDArray[np.float64]:
        """Area in cm2, shape broadcast(theta, phi) + (n_energy,); zero outside the ARF's energies."""
        energy = np.atleast_1d(np.asarray(energy, dtype=float))
        whole = self.arf.area / self.arf.fractional_exposure
        curve = np.interp(energy, self.arf.energy, whole, left=0.0, right=0.0)
        angle, _ = np.broadcast_arrays(np.asarray(theta, dtype=float), np.asarray(phi, dtype=float))
        if self.optics is None:
            return np.broadcast_to(curve, (*angle.shape, energy.size)).copy()
        return np.asarray(curve * self.optics.vignetting(angle, energy))

    @property
    def linear_angles(self) -> NDArray[np.float64] | None:
        """Those of the vignetting; of an ARF taken as it is, one."""
        return np.zeros(1) if self.optics is None else self.optics.linear_angles

    def extrapolated(self, decimal_year: float) -> bool:
        """Never: the file is the user's word for this observation."""
        return False


def check_channels(response: Redistribution) -> None:
    """Refuse a redistribution whose channels are not those of ACIS PI.

    Raises
    ------
    CalibrationError
        Code CALIBRATION_CHANNELS.
    """
    width = float(np.median(response.channel_hi - response.channel_lo))
    if response.channel_lo.size != PI_CHANNELS or abs(width / _PI_WIDTH - 1) > 0.1:
        raise CalibrationError(
            f"{response.channel_lo.size} channels of {width * 1e3:.3g} eV; PI has {PI_CHANNELS} of 14.6 eV",
            response.name,
            "make the redistribution for PI channels 1 to 1024",
            code="CALIBRATION_CHANNELS",
        )


@lru_cache(maxsize=64)
def _read_area(path: Path, digest: str, of_source: bool) -> ArfArea:
    arf = read_arf(path)
    if arf.energy_lo[0] > _NEEDED[0] or arf.energy_hi[-1] < _NEEDED[1]:
        raise CalibrationError(
            f"energies from {arf.energy_lo[0]:g} to {arf.energy_hi[-1]:g} keV only",
            path,
            f"give an ARF that covers {_NEEDED[0]} to {_NEEDED[1]} keV",
            code="CALIBRATION_GRID",
        )
    return ArfArea(arf, None if of_source else open_builtin_area(), digest)


@lru_cache(maxsize=16)
def _read_redistribution(path: Path, digest: str) -> Redistribution:
    response = read_rmf(path)
    check_channels(response)
    return response


def check_responses(arf: Path | None, rmf: Path | None) -> None:
    """Read files and refuse what cannot be used, as `with_responses` does."""
    own = None if arf is None else _read_area(arf, _digest(arf), True)
    response = None if rmf is None else _read_redistribution(rmf, _digest(rmf))
    if own is not None and response is not None:
        check_grid(own.arf, response.energy_lo, response.energy_hi, response.name)


def _digest(path: Path) -> str:
    """Hash of a file: a file replaced under the same name is read again."""
    return sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""


def _check_energies(calibration: Calibration, rmf: Path) -> None:
    if calibration.redistribution(calibration.chip_ids[0]).channel_lo.size == 1:
        raise CalibrationError(
            "the HRC measures no energies, so no redistribution applies",
            rmf,
            "take rmf out of the settings of this ObsID",
            code="CALIBRATION_CHANNELS",
        )


def with_responses(
    calibration: Calibration, arf: Path | None, rmf: Path | None, *, of_source: bool
) -> Calibration:
    """Return the calibration with the user's files in place of its area and redistribution.

    Parameters
    ----------
    calibration
        What the files replace pieces of.
    arf, rmf
        Files; None keeps the piece.
    of_source
        Whether the ARF is that of the very source, taken as it is, or that of an observation's aimpoint.

    Raises
    ------
    CalibrationError
        A file cannot be used: CALIBRATION_FILE, CALIBRATION_CHANNELS (an RMF that is not for ACIS PI) or
        CALIBRATION_GRID (ARF and RMF on different energies, or an ARF that ends too early).
    MissingFileError
        When a file does not exist.
    """
    area: AreaModel = calibration.area_model
    matrices = {chip: calibration.redistribution(chip) for chip in calibration.chip_ids}
    if rmf is not None:
        _check_energies(calibration, rmf)
        matrices = dict.fromkeys(matrices, _read_redistribution(rmf, _digest(rmf)))
    if arf is not None:
        own = _read_area(arf, _digest(arf), of_source)
        if rmf is not None:
            response = next(iter(matrices.values()))
            check_grid(own.arf, response.energy_lo, response.energy_hi, response.name)
        area = own
    return ComposedCalibration(area, matrices, calibration.psf)
