"""Effective areas of bands at the positions of sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from catalog.band import Band
from catalog.calibration.provider import Calibration
from catalog.calibration.spectrum import ReferenceSpectrum

Array = NDArray[np.float64]
Weighting = Literal["spectrum", "effective_energy"]


@dataclass(frozen=True, eq=False)
class BandResponse:
    """Areas of `b` bands at the positions of `n` sources.

    Attributes
    ----------
    area
        cm2, shape (n, b), by the weighting asked for.
    ratio
        (Area weighted by the spectrum)/(area at the effective energy), shape (n, b).
    index1, index3
        (Area weighted by a power law of photon index 1 or 3)/(area by the reference spectrum), shape (n, b).
    by_channel
        Folded area of the reference spectrum by PI channel, cm2, shape (n, n_channel).
    channel_lo
        Lower energies of the channels in keV.
    """

    area: Array
    ratio: Array
    index1: Array
    index3: Array
    by_channel: Array
    channel_lo: Array


def band_response(
    calibration: Calibration,
    chip_id: int,
    decimal_year: float,
    theta: Array,
    phi: Array,
    bands: Sequence[Band],
    spectrum: ReferenceSpectrum,
    weighting: Weighting,
) -> BandResponse:
    """Areas at positions on one chip.

    Parameters
    ----------
    calibration
        Where areas and redistribution come from.
    chip_id, decimal_year
        Chip and date.
    theta, phi
        Off-axis angles (arcmin) and azimuths (degrees), shape (n,).
    bands
        Energy bands.
    spectrum
        Reference spectrum.
    weighting
        ``spectrum``: counts in the band per photon of the model in the band (design, section 6);
        ``effective_energy``: area at the band's effective energy.
    """
    matrix = calibration.redistribution(chip_id)
    curve = calibration.area_curve(chip_id, decimal_year, theta, phi)

    def weighted(model: ReferenceSpectrum) -> Array:
        return np.stack([matrix.folded_area(curve, model, band.lo, band.hi) for band in bands], axis=-1)

    reference = weighted(spectrum)
    energies = np.array([band.eff for band in bands])
    single = calibration.area(chip_id, decimal_year, theta, phi, energies)
    with np.errstate(divide="ignore", invalid="ignore"):
        return BandResponse(
            area=reference if weighting == "spectrum" else single,
            ratio=reference / single,
            index1=weighted(replace(spectrum, photon_index=1.0)) / reference,
            index3=weighted(replace(spectrum, photon_index=3.0)) / reference,
            by_channel=matrix.folded_area_by_channel(curve, spectrum),
            channel_lo=matrix.channel_lo,
        )
