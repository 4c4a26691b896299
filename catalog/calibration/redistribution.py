"""Redistribution of true energies over pulse-height channels, and areas folded through it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.errors import CalibrationError


@dataclass(frozen=True, eq=False)
class Redistribution:
    """Probability that a photon of a true-energy bin is recorded in a channel.

    Attributes
    ----------
    energy_lo, energy_hi
        Limits of the true-energy bins in keV, shape (n_energy,), ascending.
    channel_lo, channel_hi
        Nominal energy limits of the channels in keV (EBOUNDS), shape (n_channel,).
    matrix
        Shape (n_energy, n_channel), float32; rows sum to about 1 over all channels.
    first_channel
        Number of the first channel (1 for ACIS).
    name
        Where it comes from; goes into `identity` before the content hash.
    """

    energy_lo: NDArray[np.float64]
    energy_hi: NDArray[np.float64]
    channel_lo: NDArray[np.float64]
    channel_hi: NDArray[np.float64]
    matrix: NDArray[np.float32] = field(repr=False)
    first_channel: int = 1
    name: str = "rmf"

    def __post_init__(self) -> None:
        if self.matrix.shape != (self.energy_lo.size, self.channel_lo.size):
            raise CalibrationError(
                "matrix and energy bins of a redistribution differ in size",
                self.name,
                "give an OGIP RMF with MATRIX and EBOUNDS",
                code="CALIBRATION_FILE",
            )

    @cached_property
    def identity(self) -> str:
        """Name and hash of the content."""
        digest = hashlib.sha256()
        for array in (self.energy_lo, self.energy_hi, self.channel_lo, self.channel_hi, self.matrix):
            digest.update(np.ascontiguousarray(array).tobytes())
        return f"{self.name} {digest.hexdigest()[:16]}"

    @cached_property
    def energy(self) -> NDArray[np.float64]:
        """Centres of the true-energy bins, keV."""
        return 0.5 * (self.energy_lo + self.energy_hi)

    @cached_property
    def channel_energy(self) -> NDArray[np.float64]:
        """Mid-energies of the channels, keV."""
        return 0.5 * (self.channel_lo + self.channel_hi)

    def in_band(self, lo: float, hi: float) -> NDArray[np.bool_]:
        """Channels whose mid-energy lies in lo <= E < hi (keV), shape (n_channel,)."""
        mid = self.channel_energy
        return (mid >= lo) & (mid < hi)

    def band_probability(self, lo: float, hi: float) -> NDArray[np.float64]:
        """Probability that a photon of each true-energy bin is recorded in the band, shape (n_energy,)."""
        return np.asarray(self.matrix[:, self.in_band(lo, hi)].sum(axis=1, dtype=np.float64))

    def fold(self, photons: ArrayLike) -> NDArray[np.float64]:
        """Counts per channel.

        Parameters
        ----------
        photons
            Detected photons per true-energy bin (spectrum integrated over the bin x area x time), shape
            (..., n_energy).

        Returns
        -------
        ndarray
            Shape (..., n_channel).
        """
        return np.asarray(np.asarray(photons, dtype=float) @ self.matrix.astype(np.float64))

    def folded_area(
        self, area_curve: ArrayLike, spectrum: ReferenceSpectrum, lo: float, hi: float
    ) -> NDArray[np.float64]:
        """Area of a band weighted by a spectrum: counts in the band per photon of the model in the band.

        Sum over the band's channels of R A M divided by the integral of M over the band (design, section 6),
        so that counts / (area x live time) is the photon flux of the model between `lo` and `hi`.

        Parameters
        ----------
        area_curve
            Area in cm2 on `energy`, shape (..., n_energy).
        spectrum
            Photon spectrum M.
        lo, hi
            Band in keV.

        Returns
        -------
        ndarray
            cm2, shape (...).
        """
        weight = spectrum.photons(self.energy_lo, self.energy_hi) * self.band_probability(lo, hi)
        return np.asarray(np.asarray(area_curve, dtype=float) @ weight / float(spectrum.photons(lo, hi)))

    def folded_area_by_channel(
        self, area_curve: ArrayLike, spectrum: ReferenceSpectrum
    ) -> NDArray[np.float64]:
        """Counts per channel divided by the model's photons between the channel's energies.

        Parameters
        ----------
        area_curve
            Area in cm2 on `energy`, shape (..., n_energy).
        spectrum
            Photon spectrum M.

        Returns
        -------
        ndarray
            cm2, shape (..., n_channel); NaN in channels that begin at zero energy, where a power law has no
            finite number of photons.
        """
        counts = self.fold(
            np.asarray(area_curve, dtype=float) * spectrum.photons(self.energy_lo, self.energy_hi)
        )
        usable = self.channel_lo > 0.0
        photons = np.full(self.channel_lo.shape, np.nan)
        photons[usable] = spectrum.photons(self.channel_lo[usable], self.channel_hi[usable])
        return np.asarray(counts / np.where(photons > 0.0, photons, np.nan))

    def folded_area_at(
        self, area_curve: ArrayLike, spectrum: ReferenceSpectrum, energy: ArrayLike
    ) -> NDArray[np.float64]:
        """A_fold(E): the folded area at apparent energies, for the sum of E_i / A_fold(E_i).

        Unlike the area at the apparent energy it stays finite below 0.8 keV, where after 2015 most counts
        come from photons of higher energy.

        Parameters
        ----------
        area_curve
            Area of one position in cm2 on `energy`, shape (n_energy,).
        spectrum
            Photon spectrum M.
        energy
            Apparent energies of events in keV, any shape.

        Returns
        -------
        ndarray
            cm2, shape of `energy`; NaN outside the channels.
        """
        value = self.folded_area_by_channel(area_curve, spectrum)
        good = np.isfinite(value)
        wanted = np.asarray(energy, dtype=float)
        centres = self.channel_energy[good]
        return np.asarray(np.interp(wanted, centres, value[good], left=np.nan, right=np.nan))
