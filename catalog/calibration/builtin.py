"""The packaged calibration of ACIS: areas, vignetting, contamination and redistributions.

Tables made by `tools/build_calibration.py`; their origin, conventions and errors are in `data/README.md`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.calibration.redistribution import Redistribution
from catalog.errors import CalibrationError

BACK_ILLUMINATED = frozenset({5, 7})
"""Chips S1 and S3; the other eight of ACIS are front-illuminated."""

COLD = 2000.077
"""29 January 2000: from then on the focal plane is at -120 C, and charge transfer is corrected."""

CHIP_IDS = range(10)
"""ACIS chips, I0 = 0 to S5 = 9."""


@dataclass(frozen=True, eq=False)
class BuiltinArea:
    """Area = clean aimpoint area x chip ratio x vignetting x transmission of the contamination at the date.

    Attributes
    ----------
    energy
        Grid in keV, shape (n_energy,).
    clean_area
        Area in cm2 without contamination at the aimpoint of I3 and S3, shape (2, n_energy).
    aimpoint_theta
        Off-axis angle of these, arcmin, shape (2,).
    chip_ratio
        Quantum efficiency of each chip over that of I3 or S3, shape (10, n_energy).
    depth
        Optical depth of the contamination at the anchor dates, shape (n_anchor, n_energy).
    year, weights
        Decimal years, and weights of the anchor dates on them, shapes (n_year,), (n_year, n_anchor).
    dates
        First and last calibrated date.
    vignet_theta, vignet_energy, vignet
        Relative area of the mirror, arcmin, keV, shape (n_theta, n_vignet_energy).
    digest
        Hash of the packaged file.

    Notes
    -----
    The contamination is that of the aimpoints everywhere on the chips; it is in truth thicker towards the
    edges
    of the filters. Vignetting is averaged over azimuth, so `phi` does not matter.
    """

    energy: NDArray[np.float64]
    clean_area: NDArray[np.float64] = field(repr=False)
    aimpoint_theta: NDArray[np.float64]
    chip_ratio: NDArray[np.float64] = field(repr=False)
    depth: NDArray[np.float64] = field(repr=False)
    year: NDArray[np.float64] = field(repr=False)
    weights: NDArray[np.float64] = field(repr=False)
    dates: NDArray[np.float64]
    vignet_theta: NDArray[np.float64] = field(repr=False)
    vignet_energy: NDArray[np.float64] = field(repr=False)
    vignet: NDArray[np.float64] = field(repr=False)
    digest: str = ""
    _last: list[NDArray[np.float64]] = field(default_factory=list, init=False, repr=False)

    @property
    def identity(self) -> str:
        """Name and content hash."""
        return f"area built-in {self.digest}"

    def area(
        self, chip_id: int, decimal_year: float, theta: ArrayLike, phi: ArrayLike, energy: ArrayLike
    ) -> NDArray[np.float64]:
        """Effective area in cm2, shape broadcast(theta, phi) + (n_energy,); zero outside the energy grid.

        Raises
        ------
        CalibrationError
            For a chip that ACIS does not have (code CALIBRATION_CHIP).
        """
        if chip_id not in CHIP_IDS:
            raise CalibrationError(
                "no effective area for this chip",
                f"chip {chip_id}",
                "ACIS has chips 0 to 9",
                code="CALIBRATION_CHIP",
            )
        kind = 1 if chip_id in BACK_ILLUMINATED else 0
        energy = np.atleast_1d(np.asarray(energy, dtype=float))
        theta_all, _ = np.broadcast_arrays(np.asarray(theta, dtype=float), np.asarray(phi, dtype=float))
        on_axis = self.clean_area[kind] * self.chip_ratio[chip_id] * self.transmission(decimal_year)
        curve = np.interp(energy, self.energy, on_axis, left=0.0, right=0.0)
        relative = self.vignetting(theta_all, energy) / self.vignetting(self.aimpoint_theta[kind], energy)
        return np.asarray(curve * relative)

    def transmission(self, decimal_year: float) -> NDArray[np.float64]:
        """Transmission of the contamination at the aimpoints on `energy`."""
        weights = np.array([np.interp(decimal_year, self.year, column) for column in self.weights.T])
        return np.asarray(np.exp(-np.maximum(weights @ self.depth, 0.0)))

    def vignetting(self, theta: ArrayLike, energy: ArrayLike) -> NDArray[np.float64]:
        """Area of the mirror relative to the axis, shape theta.shape + energy.shape; held at 30 arcmin."""
        theta = np.asarray(theta, dtype=float)
        energy = np.asarray(energy, dtype=float)
        step = self.vignet_theta[1] - self.vignet_theta[0]
        place = np.clip(theta / step, 0.0, self.vignet_theta.size - 1.0)
        index = np.minimum(place.astype(np.int64), self.vignet_theta.size - 2)
        part = (place - index)[..., None]
        at_energy = self._vignetting_at(energy)
        return np.asarray((1 - part) * at_energy[index] + part * at_energy[index + 1])

    def _vignetting_at(self, energy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Vignetting at all angles of the table, shape (angles,) + energy.shape; the last grid is kept."""
        if self._last and np.array_equal(self._last[0], energy):
            return self._last[1]
        found = np.array([np.interp(energy, self.vignet_energy, row) for row in self.vignet])
        self._last[:] = energy.copy(), found
        return found

    def relative_efficiency(self, chip_id: int, other: int, energy: ArrayLike) -> NDArray[np.float64]:
        """Clean area of a chip over that of another at the same off-axis angle, on energies in keV."""
        wanted = np.asarray(energy, dtype=float)
        areas = [
            np.interp(
                wanted, self.energy, self.clean_area[int(chip in BACK_ILLUMINATED)] * self.chip_ratio[chip]
            )
            for chip in (chip_id, other)
        ]
        return np.asarray(areas[0] / np.maximum(areas[1], 1e-3))

    @property
    def linear_angles(self) -> NDArray[np.float64] | None:
        """Those of the vignetting."""
        return self.vignet_theta

    def extrapolated(self, decimal_year: float) -> bool:
        """Whether the date lies outside the calibrated dates."""
        return not self.dates[0] <= decimal_year <= self.dates[1]


@cache
def open_builtin_area() -> BuiltinArea:
    """The packaged area; loaded once per process."""
    resource = files("catalog.calibration") / "data" / "area.npz"
    digest = sha256(resource.read_bytes()).hexdigest()[:16]
    with resource.open("rb") as stream, np.load(stream, allow_pickle=False) as table:
        return BuiltinArea(**{name: table[name] for name in table.files}, digest=digest)


@cache
def open_builtin_redistribution(back_illuminated: bool, warm: bool = False) -> Redistribution:
    """The packaged redistribution of front- or back-illuminated chips; loaded once per process.

    `warm`: that of the time before `COLD`, of which there is one for front-illuminated chips.
    """
    name = "back" if back_illuminated else "front_warm" if warm else "front"
    resource = files("catalog.calibration") / "data" / "redistribution.npz"
    with resource.open("rb") as stream, np.load(stream, allow_pickle=False) as table:
        matrix = table[name].astype(np.float64)
        matrix *= (table[f"{name}_sum"] / matrix.sum(axis=1))[:, None]
        return Redistribution(
            energy_lo=table["energy_lo"],
            energy_hi=table["energy_hi"],
            channel_lo=table["channel_lo"],
            channel_hi=table["channel_hi"],
            matrix=matrix.astype(np.float32),
            name=f"rmf built-in {name.removesuffix('_warm')}-illuminated" + (" 1999" if name[5:] else ""),
        )


def builtin_redistributions(decimal_year: float) -> dict[int, Redistribution]:
    """The packaged redistribution of each chip at a date."""
    front = (
        open_builtin_redistribution(False, True)
        if decimal_year < COLD
        else open_builtin_redistribution(False)
    )
    return {
        chip: open_builtin_redistribution(True) if chip in BACK_ILLUMINATED else front for chip in CHIP_IDS
    }
