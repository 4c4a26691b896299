"""Spectral models for model fluxes: power law, black body, bremsstrahlung, each behind absorbing gas.

Only the shape of a model matters. The model flux of a source is its count rate times a conversion: the energy
flux of the model in the band over the counts per second that the model would give in the band's channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import kve

from catalog.calibration.absorption import ABUNDANCES, cross_section
from catalog.calibration.redistribution import Redistribution
from catalog.calibration.spectrum import ERG_PER_KEV
from catalog.errors import SettingsError

Array = NDArray[np.float64]

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(4)
# Panels narrow enough for absorption edges, keV.
_STEP = 0.001


def power_law(energy: Array, photon_index: float) -> Array:
    """Photon spectrum E^-photon_index."""
    return np.asarray(energy**-photon_index)


def black_body(energy: Array, temperature: float) -> Array:
    """Photon spectrum E^2 / (exp(E / kT) - 1); `temperature` is kT in keV."""
    return np.asarray(energy**2 / np.expm1(np.minimum(energy / temperature, 700.0)))


def bremsstrahlung(energy: Array, temperature: float) -> Array:
    """Photon spectrum g(x) exp(-x) / E, x = E / kT; `temperature` is kT in keV.

    g(x) = sqrt(3)/pi exp(x/2) K_0(x/2) is the thermally averaged Gaunt factor of hydrogen in Born's
    approximation (Rybicki & Lightman 1979, section 5.2; Greene 1959, ApJ 130, 693).
    """
    x = energy / temperature
    return np.asarray(np.sqrt(3.0) / np.pi * kve(0, 0.5 * x) * np.exp(-x) / energy)


KINDS: dict[str, Callable[[Array, float], Array]] = {
    "powerlaw": power_law,
    "blackbody": black_body,
    "bremsstrahlung": bremsstrahlung,
}
"""Models by name; the one parameter of each is the photon index, or kT in keV."""

ABSORBERS = ("phabs", "wabs")
"""Absorption: elements with the abundances asked for, or Morrison & McCammon's polynomials."""


@dataclass(frozen=True)
class SpectralModel:
    """An absorbed model, in photon cm-2 s-1 keV-1 up to a constant.

    Attributes
    ----------
    kind
        One of `KINDS`.
    parameter
        Photon index, or kT in keV (> 0).
    nh
        Hydrogen column, 1e22 cm-2, >= 0.
    absorber
        One of `ABSORBERS`.
    abundances
        ``angr`` or ``wilm``; `wabs` has its own.

    Raises
    ------
    SettingsError
        Unknown model, absorber or abundances (UNKNOWN_MODEL), or a parameter out of range.
    """

    kind: str = "powerlaw"
    parameter: float = 1.7
    nh: float = 0.0
    absorber: str = "phabs"
    abundances: str = "angr"

    def __post_init__(self) -> None:
        for what, value, allowed in (
            ("spectral model", self.kind, tuple(KINDS)),
            ("absorber", self.absorber, ABSORBERS),
            ("abundances", self.abundances, tuple(ABUNDANCES)),
        ):
            if value not in allowed:
                raise SettingsError(
                    f"unknown {what}", value, f"choose one of {', '.join(allowed)}", code="UNKNOWN_MODEL"
                )
        if not np.isfinite(self.parameter) or (self.kind != "powerlaw" and self.parameter <= 0):
            raise SettingsError(
                "the parameter of a model is a photon index or a temperature above 0",
                f"{self.kind} {self.parameter}",
                "give kT in keV",
            )
        if not np.isfinite(self.nh) or self.nh < 0:
            raise SettingsError("nH is 0 or more", self.nh, "give it in 1e22 cm-2")

    def unabsorbed(self) -> SpectralModel:
        """The same model without gas in front."""
        return replace(self, nh=0.0)

    def density(self, energy: ArrayLike) -> Array:
        """Photon spectrum at energies in keV, any shape."""
        values = np.asarray(energy, dtype=float)
        bare = KINDS[self.kind](values, self.parameter)
        if self.nh == 0.0:
            return bare
        name = "wabs" if self.absorber == "wabs" else f"phabs-{self.abundances}"
        return np.asarray(bare * np.exp(-self.nh * 1e22 * cross_section(name, values)))

    def photons(self, lo: ArrayLike, hi: ArrayLike) -> Array:
        """Photons per cm2 and s in bins below about 20 eV wide, limits in keV, shape of the input."""
        lo_, hi_ = np.broadcast_arrays(np.asarray(lo, dtype=float), np.asarray(hi, dtype=float))
        return self._panels(lo_, hi_, 0)

    def energy_flux(self, lo: float, hi: float) -> float:
        """Energy flux from `lo` to `hi` keV, erg cm-2 s-1."""
        edges = np.linspace(lo, hi, int(np.ceil((hi - lo) / _STEP)) + 1)
        return float(self._panels(edges[:-1], edges[1:], 1).sum() * ERG_PER_KEV)

    def _panels(self, lo: Array, hi: Array, moment: int) -> Array:
        half = 0.5 * (hi - lo)
        energy = (0.5 * (hi + lo))[..., None] + half[..., None] * _NODES
        return np.asarray((energy**moment * self.density(energy)) @ _NODE_WEIGHTS * half)


class ModelConversion(NamedTuple):
    """Energy per net count, erg cm-2: of the absorbed and of the unabsorbed model; shape of the areas."""

    absorbed: Array
    unabsorbed: Array


def model_conversion(
    matrix: Redistribution, area_curve: ArrayLike, model: SpectralModel, lo: float, hi: float
) -> ModelConversion:
    """Conversion from count rate to the flux of a model in the same band.

    Integral of E M over the band, divided by the sum over the band's channels of R A M (srcflux's MFLUX_CNV
    and UMFLUX_CNV at rate 1).

    Parameters
    ----------
    matrix
        Redistribution.
    area_curve
        Area in cm2 on `matrix.energy`, shape (..., n_energy), not corrected for the PSF fraction.
    model
        The model, absorbed; the unabsorbed flux divides by the same count rate.
    lo, hi
        Band, keV.

    Returns
    -------
    ModelConversion
        NaN where no count is expected.
    """
    weight = model.photons(matrix.energy_lo, matrix.energy_hi) * matrix.band_probability(lo, hi)
    rate = np.asarray((np.asarray(area_curve, dtype=float) * weight).sum(axis=-1))
    rate = np.where(rate > 0, rate, np.nan)
    return ModelConversion(
        np.asarray(model.energy_flux(lo, hi) / rate),
        np.asarray(model.unabsorbed().energy_flux(lo, hi) / rate),
    )
