"""The packaged effective area of HRC-I and HRC-S; these detectors have no usable energy resolution."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.calibration.builtin import BuiltinArea, open_builtin_area
from catalog.calibration.provider import ComposedCalibration
from catalog.calibration.psf import PsfLibrary, open_psf_library
from catalog.calibration.redistribution import Redistribution
from catalog.errors import CalibrationError

WIDE = (0.1, 10.0)
"""keV, the one band of the HRC."""

CHIP_IDS = {"HRC-I": (0,), "HRC-S": (1, 2, 3)}
"""Plates, as CHIP_ID of the event lists."""


@dataclass(frozen=True, eq=False)
class HrcArea:
    """Area on axis x vignetting of the mirror.

    Attributes
    ----------
    detector
        HRC-I or HRC-S.
    energy
        Grid in keV, shape (n_energy,).
    dates
        Decimal years of `curves`, shape (n_date,).
    curves
        Area on axis in cm2, shape (n_date, n_energy); between the dates linear, held outside.
    optics
        Built-in area of ACIS, for the vignetting.
    digest
        Hash of the packaged file.
    """

    detector: str
    energy: NDArray[np.float64] = field(repr=False)
    dates: NDArray[np.float64]
    curves: NDArray[np.float64] = field(repr=False)
    optics: BuiltinArea = field(repr=False)
    digest: str

    @property
    def identity(self) -> str:
        """Name and content hash."""
        return f"area built-in {self.detector} {self.digest}"

    def area(
        self, chip_id: int, decimal_year: float, theta: ArrayLike, phi: ArrayLike, energy: ArrayLike
    ) -> NDArray[np.float64]:
        """Area in cm2, shape broadcast(theta, phi) + (n_energy,); zero outside 0.08-9.97 keV.

        Raises
        ------
        CalibrationError
            For a plate that the detector does not have (code CALIBRATION_CHIP).
        """
        if chip_id not in CHIP_IDS[self.detector]:
            raise CalibrationError(
                "no effective area for this plate",
                f"{self.detector}, CHIP_ID {chip_id}",
                "HRC-I has plate 0, HRC-S 1 to 3",
                code="CALIBRATION_CHIP",
            )
        energy = np.atleast_1d(np.asarray(energy, dtype=float))
        angle, _ = np.broadcast_arrays(np.asarray(theta, dtype=float), np.asarray(phi, dtype=float))
        place = float(np.interp(decimal_year, self.dates, np.arange(self.dates.size)))
        low = min(int(place), max(self.dates.size - 2, 0))
        part = place - low
        on_axis = self.curves[low] * (1.0 - part)
        if part > 0.0:
            on_axis = on_axis + part * self.curves[low + 1]
        curve = np.interp(energy, self.energy, on_axis, left=0.0, right=0.0)
        return np.asarray(curve * self.optics.vignetting(angle, energy))

    @property
    def linear_angles(self) -> NDArray[np.float64] | None:
        """Those of the vignetting."""
        return self.optics.vignet_theta

    def extrapolated(self, decimal_year: float) -> bool:
        """Whether the date lies after the last response, or the detector has one date only and it is far."""
        return bool(decimal_year > self.dates[-1] + 1.0)


@cache
def open_hrc_area(detector: str) -> HrcArea:
    """The packaged area; loaded once per process."""
    resource = files("catalog.calibration") / "data" / "hrc.npz"
    digest = sha256(resource.read_bytes()).hexdigest()[:16]
    with resource.open("rb") as stream, np.load(stream, allow_pickle=False) as table:
        both = detector == "HRC-I"
        return HrcArea(
            detector=detector,
            energy=table["energy"],
            dates=table["dates"] if both else table["dates"][:1],
            curves=table["hrc_i"] if both else table["hrc_s"][None],
            optics=open_builtin_area(),
            digest=digest,
        )


@cache
def wide_redistribution() -> Redistribution:
    """Every photon is recorded in the one channel of the wide band."""
    edges = np.geomspace(WIDE[0], WIDE[1], 461)
    return Redistribution(
        energy_lo=edges[:-1],
        energy_hi=edges[1:],
        channel_lo=np.array([WIDE[0]]),
        channel_hi=np.array([WIDE[1]]),
        matrix=np.ones((460, 1), dtype=np.float32),
        first_channel=0,
        name="wide band of the HRC",
    )


def open_hrc_calibration(detector: str, psf: PsfLibrary | None = None) -> ComposedCalibration:
    """The packaged calibration of a detector, with the point spread functions given, or those of ACIS-I."""
    chips = dict.fromkeys(CHIP_IDS[detector], wide_redistribution())
    return ComposedCalibration(open_hrc_area(detector), chips, open_psf_library() if psf is None else psf)
