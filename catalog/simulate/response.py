"""Energies of detected photons, and the pulse-height channels they are recorded in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from catalog.calibration.provider import Calibration
from catalog.calibration.redistribution import Redistribution
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.simulate.source_model import FLUX_BAND


def detectable_area(
    calibration: Calibration,
    chips: Sequence[int],
    decimal_year: float,
    theta: NDArray[np.float64],
    phi: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Area in which photons leave a signal in some channel, by source, chip and true-energy bin.

    Effective area times the sum of the bin's row of the redistribution, which is below 1 where events stay
    under the threshold.

    Parameters
    ----------
    calibration
        Areas and redistributions.
    chips
        CCD_IDs.
    decimal_year
        Date.
    theta, phi
        Off-axis angles (arcmin) and azimuths (degrees) of sources, shape (n_source,).

    Returns
    -------
    ndarray
        cm2, shape (n_source, n_chip, n_energy).
    """
    areas = [
        calibration.area_curve(chip, decimal_year, theta, phi)
        * calibration.redistribution(chip).matrix.sum(axis=1, dtype=np.float64)
        for chip in chips
    ]
    return np.stack(areas, axis=1)


def photon_share(spectrum: ReferenceSpectrum, redistribution: Redistribution) -> NDArray[np.float64]:
    """Photons of a spectrum in each true-energy bin per photon between 0.5 and 7 keV, shape (n_energy,)."""
    photons = spectrum.photons(redistribution.energy_lo, redistribution.energy_hi)
    return np.asarray(photons / float(spectrum.photons(*FLUX_BAND)))


def draw_bins(rate: NDArray[np.float64], number: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Random bins, each as likely as its rate, shape (number,)."""
    cumulative = np.cumsum(rate)
    bins = np.searchsorted(cumulative, rng.random(number) * cumulative[-1], side="right")
    return np.asarray(np.minimum(bins, rate.size - 1), dtype=np.int64)


class ChannelSampler:
    """Draws pulse-height channels from the rows of a redistribution."""

    def __init__(self, redistribution: Redistribution) -> None:
        self._redistribution = redistribution
        rows, self._channels = redistribution.matrix.shape
        cumulative = np.cumsum(redistribution.matrix, axis=1, dtype=np.float64)
        total = np.maximum(cumulative[:, -1:], 1e-30)
        # Row after row on one axis, so that one search serves photons of all energies.
        self._ladder = (cumulative / total + np.arange(rows)[:, None]).ravel()

    def draw(self, bins: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int32]:
        """Channel numbers (PI) of photons of given true-energy bins, shape (n,)."""
        step = np.searchsorted(self._ladder, bins + rng.random(bins.size), side="right")
        channel = np.clip(step - bins * self._channels, 0, self._channels - 1)
        return np.asarray(channel + self._redistribution.first_channel, dtype=np.int32)

    def channel_of(self, energy: NDArray[np.float64]) -> NDArray[np.int32]:
        """Channel whose nominal energies hold given ones (keV); held at both ends."""
        channel = np.searchsorted(self._redistribution.channel_hi, energy, side="right")
        channel = np.minimum(channel, self._channels - 1)
        return np.asarray(channel + self._redistribution.first_channel, dtype=np.int32)

    def energy(self, channel: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.float64]:
        """Recorded energies in keV, spread evenly inside each channel."""
        index = channel - self._redistribution.first_channel
        low, high = self._redistribution.channel_lo[index], self._redistribution.channel_hi[index]
        # Not up to the limits, where single precision could round into the neighbour.
        return np.asarray(low + (high - low) * (0.001 + 0.998 * rng.random(index.size)))

    def bin_of(self, energy: NDArray[np.float64]) -> NDArray[np.int64]:
        """True-energy bin of energies in keV; held at both ends."""
        index = np.searchsorted(self._redistribution.energy_hi, energy, side="right")
        return np.asarray(np.minimum(index, self._redistribution.energy_hi.size - 1), dtype=np.int64)
