"""The reference spectrum: an absorbed power law that weights areas and converts counts to energy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.errors import SettingsError

ERG_PER_KEV = 1.602176634e-9

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)
# Panels of a wide range, and the widest bin taken as one panel, keV: absorption edges are sharp.
_STEP = 0.001
_NARROW = 0.02


@dataclass(frozen=True)
class ReferenceSpectrum:
    """Photon spectrum E^-photon_index exp(-nh sigma(E)), in photon cm-2 s-1 keV-1; only its shape matters.

    Attributes
    ----------
    photon_index
        Power-law index of the photon spectrum.
    nh
        Hydrogen column in 1e22 cm-2.
    absorption
        Model of `catalog.calibration.absorption`; not looked at when `nh` is 0.
    """

    photon_index: float = 1.7
    nh: float = 0.0
    absorption: str = "phabs-angr"

    def __post_init__(self) -> None:
        if not np.isfinite(self.photon_index) or not np.isfinite(self.nh) or self.nh < 0:
            raise SettingsError(
                "a reference spectrum needs a finite photon index and nH >= 0",
                f"photon_index = {self.photon_index}, nh = {self.nh}",
                "nH is in 1e22 cm-2",
            )

    def unabsorbed(self) -> ReferenceSpectrum:
        """The same power law without absorption."""
        return ReferenceSpectrum(self.photon_index, 0.0, self.absorption)

    def density(self, energy: ArrayLike) -> NDArray[np.float64]:
        """Photon spectrum at energies in keV, any shape."""
        energy = np.asarray(energy, dtype=float)
        return np.asarray(energy**-self.photon_index * self._transmission(energy))

    def photons(self, lo: ArrayLike, hi: ArrayLike) -> NDArray[np.float64]:
        """Integral of the photon spectrum from `lo` to `hi` (keV, broadcast), photon cm-2 s-1."""
        return self._integral(lo, hi, 0)

    def energy_flux(self, lo: ArrayLike, hi: ArrayLike) -> NDArray[np.float64]:
        """Integral of energy times the photon spectrum, erg cm-2 s-1; limits in keV, broadcast."""
        return self._integral(lo, hi, 1) * ERG_PER_KEV

    def energy_conversion(self, lo: float, hi: float) -> float:
        """Mean energy of a photon of the model between `lo` and `hi` keV, erg per photon."""
        return float(self.energy_flux(lo, hi) / self.photons(lo, hi))

    def _transmission(self, energy: NDArray[np.float64]) -> NDArray[np.float64] | float:
        if self.nh == 0.0:
            return 1.0
        from catalog.calibration.absorption import cross_section

        return np.exp(-self.nh * 1e22 * cross_section(self.absorption, energy))

    def _integral(self, lo: ArrayLike, hi: ArrayLike, moment: int) -> NDArray[np.float64]:
        lo_array, hi_array = np.broadcast_arrays(np.asarray(lo, dtype=float), np.asarray(hi, dtype=float))
        if self.nh == 0.0:
            power = moment + 1.0 - self.photon_index
            log_ratio = np.log(hi_array / lo_array)
            # expm1 keeps the digits near power 0, where the integral becomes a logarithm.
            if power == 0.0:
                return np.asarray(log_ratio)
            return np.asarray(lo_array**power * np.expm1(power * log_ratio) / power)
        value = np.empty(lo_array.shape)
        wide = hi_array - lo_array > _NARROW
        value[~wide] = self._panels(lo_array[~wide], hi_array[~wide], moment)
        value[wide] = [
            self._quadrature(a, b, moment)
            for a, b in zip(lo_array[wide].tolist(), hi_array[wide].tolist(), strict=True)
        ]
        return value

    def _quadrature(self, lo: float, hi: float, moment: int) -> float:
        """A wide range cut into panels narrow enough for absorption edges."""
        edges = np.linspace(lo, hi, int(np.ceil((hi - lo) / _STEP)) + 1)
        return float(self._panels(edges[:-1], edges[1:], moment).sum())

    def _panels(self, lo: NDArray[np.float64], hi: NDArray[np.float64], moment: int) -> NDArray[np.float64]:
        """Gauss-Legendre with four nodes in each panel."""
        half = 0.5 * (hi - lo)
        energy = (0.5 * (hi + lo))[:, None] + half[:, None] * _NODES
        return np.asarray((energy**moment * self.density(energy)) @ _WEIGHTS * half)
