"""Effective areas of bands at the positions of sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from catalog.band import Band
from catalog.calibration.provider import Calibration
from catalog.calibration.redistribution import Redistribution
from catalog.calibration.spectrum import ReferenceSpectrum

Array = NDArray[np.float64]
Weighting = Literal["spectrum", "effective_energy", "mean_arf"]


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
    scale
        Factor to all these areas, shape (n, b): exposure of the user's map over the built-in one; None for 1.
    """

    area: Array
    ratio: Array
    index1: Array
    index3: Array
    by_channel: Array
    channel_lo: Array
    scale: Array | None = None


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
        ``effective_energy``: area at the band's effective energy; ``mean_arf``: mean over the band
        (ACIS Extract's MEAN_ARF but for the PSF fraction).
    """
    matrix = calibration.redistribution(chip_id)
    curve = calibration.area_curve(chip_id, decimal_year, theta, phi)

    def weighted(model: ReferenceSpectrum) -> Array:
        return np.stack([_folded(matrix, curve, model, band) for band in bands], axis=-1)

    reference = weighted(spectrum)
    energies = np.array([band.eff for band in bands])
    single = calibration.area(chip_id, decimal_year, theta, phi, energies)
    return BandResponse(
        area={
            "spectrum": lambda: reference,
            "effective_energy": lambda: single,
            "mean_arf": lambda: np.stack([_mean(matrix, curve, band) for band in bands], axis=-1),
        }[weighting](),
        ratio=_quotient(reference, single),
        index1=_quotient(weighted(replace(spectrum, photon_index=1.0)), reference),
        index3=_quotient(weighted(replace(spectrum, photon_index=3.0)), reference),
        by_channel=_folded_by_channel(matrix, curve, spectrum),
        channel_lo=matrix.channel_lo,
    )


def band_area(
    calibration: Calibration,
    chip_id: int,
    decimal_year: float,
    theta: Array,
    phi: Array,
    band: Band,
    spectrum: ReferenceSpectrum,
    weighting: Weighting,
) -> Array:
    """Area of one band at positions on one chip, cm2, shape (n,): `BandResponse.area` alone."""
    if weighting == "effective_energy":
        return calibration.area(chip_id, decimal_year, theta, phi, np.array([band.eff]))[..., 0]
    curve = calibration.area_curve(chip_id, decimal_year, theta, phi)
    matrix = calibration.redistribution(chip_id)
    return _mean(matrix, curve, band) if weighting == "mean_arf" else _folded(matrix, curve, spectrum, band)


# The sums of `Redistribution.folded_area` and `folded_area_by_channel`, in an order of terms that does not
# depend on how many sources are computed together, as that of a BLAS product does: a catalog must not depend
# on how its sources were grouped, not even in the last bit.


def _folded(matrix: Redistribution, curve: Array, model: ReferenceSpectrum, band: Band) -> Array:
    weight = model.photons(matrix.energy_lo, matrix.energy_hi) * matrix.band_probability(band.lo, band.hi)
    return np.asarray((curve * (weight / float(model.photons(band.lo, band.hi)))).sum(axis=-1))


def _mean(matrix: Redistribution, curve: Array, band: Band) -> Array:
    """Mean of the area over the energies of a band."""
    inside = np.minimum(matrix.energy_hi, band.hi) - np.maximum(matrix.energy_lo, band.lo)
    width = np.maximum(inside, 0.0)
    return np.asarray((curve * (width / width.sum())).sum(axis=-1))


def _folded_by_channel(matrix: Redistribution, curve: Array, model: ReferenceSpectrum) -> Array:
    detected = curve * model.photons(matrix.energy_lo, matrix.energy_hi)
    counts = (csr_array(matrix.matrix.T.astype(np.float64)) @ detected.T).T
    usable = matrix.channel_lo > 0.0
    photons = np.full(usable.shape, np.nan)
    photons[usable] = model.photons(matrix.channel_lo[usable], matrix.channel_hi[usable])
    return np.asarray(counts / photons)


def _quotient(values: Array, reference: Array) -> Array:
    """Ratio of areas; NaN where the second is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(reference > 0, values / reference, np.nan)
