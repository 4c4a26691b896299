"""Point sources to simulate: position, spectrum, flux and its changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.errors import SettingsError

FLUX_BAND = (0.5, 7.0)
"""Limits in keV of all photon and energy fluxes of this room."""


@dataclass(frozen=True)
class LightCurve:
    """Changes of a source within one observation: a factor on its flux, linear between knots.

    Attributes
    ----------
    time
        Knots in s since the start of the observation, ascending; the factor is constant beyond the ends.
    factor
        Factor (>= 0) at each knot.
    """

    time: tuple[float, ...]
    factor: tuple[float, ...]

    def __post_init__(self) -> None:
        ascending = all(a < b for a, b in zip(self.time, self.time[1:], strict=False))
        if not self.time or len(self.time) != len(self.factor) or not ascending:
            raise SettingsError(
                "a light curve needs ascending times and one factor for each",
                str(self.time),
                "check its knots",
            )
        if not all(np.isfinite(value) and value >= 0 for value in self.factor) or max(self.factor) == 0:
            raise SettingsError(
                "factors of a light curve are >= 0 and not all 0", str(self.factor), "check its knots"
            )

    @property
    def highest(self) -> float:
        """Largest factor."""
        return max(self.factor)

    def at(self, time: ArrayLike) -> NDArray[np.float64]:
        """Factor at times in s since the start of the observation, any shape."""
        return np.asarray(np.interp(np.asarray(time, dtype=float), self.time, self.factor))


@dataclass(frozen=True)
class SimulatedSource:
    """A point source.

    Attributes
    ----------
    name
        Name.
    ra, dec
        Degrees ICRS.
    photon_flux
        Absorbed flux between 0.5 and 7 keV, photon cm-2 s-1, before the factors below.
    spectrum
        Shape of the (absorbed) spectrum.
    factors
        Factor on the flux by ObsID; 1 for an observation that is not there.
    light_curves
        Changes within an observation by ObsID, on top of `factors`.
    note
        What is special about it; may be empty.
    """

    name: str
    ra: float
    dec: float
    photon_flux: float
    spectrum: ReferenceSpectrum = field(default_factory=ReferenceSpectrum)
    factors: Mapping[str, float] = field(default_factory=dict)
    light_curves: Mapping[str, LightCurve] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        values = [self.photon_flux, *self.factors.values()]
        if not all(np.isfinite(value) and value >= 0 for value in values):
            raise SettingsError("a flux and its factors are finite and >= 0", self.name, "check the source")
        if not (0.0 <= self.ra < 360.0 and -90.0 <= self.dec <= 90.0):
            raise SettingsError(
                "a position needs 0 <= ra < 360 and -90 <= dec <= 90",
                self.name,
                "give degrees ICRS",
            )

    def flux_in(self, obs_id: str) -> float:
        """Photon flux in an observation before its light curve, photon cm-2 s-1."""
        return self.photon_flux * self.factors.get(obs_id, 1.0)

    def mean_flux(self, obs_id: str, time: NDArray[np.float64]) -> float:
        """Photon flux averaged over times of an observation (s since its start), photon cm-2 s-1."""
        light_curve = self.light_curves.get(obs_id)
        return self.flux_in(obs_id) * (1.0 if light_curve is None else float(np.mean(light_curve.at(time))))

    @property
    def erg_per_photon(self) -> float:
        """Mean energy of its photons between 0.5 and 7 keV, erg."""
        return self.spectrum.energy_conversion(*FLUX_BAND)

    @property
    def energy_flux(self) -> float:
        """Absorbed energy flux that goes with `photon_flux`, 0.5-7 keV, erg cm-2 s-1."""
        return self.photon_flux * self.erg_per_photon
