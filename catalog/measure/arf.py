"""The effective area of one extraction on the energies of its redistribution.

It holds mirror, filter, contamination, quantum efficiency, ACIS dead area and the share of the dither on good
pixels; never dead time, which is in the exposure. With the fraction of the point spread function that the
aperture holds at each energy, fluxes of a fit need no aperture correction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.apertures.region import Region
from catalog.apertures.shape import Circle
from catalog.calibration.arf_file import AncillaryResponse
from catalog.calibration.provider import Calibration
from catalog.calibration.psf import PsfLibrary
from catalog.calibration.psf_image import PsfModel
from catalog.measure.exposure_fraction import GoodMap, psf_mean
from catalog.measure.psf_fraction import psf_fraction

Array = NDArray[np.float64]

_PSF_NODES = np.geomspace(0.277, 6.4, 7)
"""Energies (keV) at which the fraction is computed: the library's range; between them it is smooth."""

_SHAPE_NODES = np.array([0.45, 1.5, 4.0, 6.4])
"""Energies (keV) at which a cut or drawn aperture is compared with the circle of the same area."""


@dataclass(frozen=True)
class SkyPlace:
    """Where a source lies: sky pixels; off-axis angle in arcmin, azimuth and roll in degrees."""

    x: float
    y: float
    theta: float
    phi: float
    roll: float
    pixel_scale: float


def psf_fraction_curve(region: Region, place: SkyPlace, psf: PsfLibrary, energy: ArrayLike) -> Array:
    """Fraction of a source's photons in a region against energy, detector edges ignored.

    Parameters
    ----------
    region
        Aperture in sky pixels.
    place
        The source.
    psf
        Point spread functions, with the blur of the data.
    energy
        keV, shape (n_energy,).
    """
    fractions = [
        psf_fraction(
            region, place.x, place.y, psf.stamp(place.theta, place.phi, node, place.roll), place.pixel_scale
        )
        for node in _PSF_NODES.tolist()
    ]
    return np.asarray(np.interp(np.log(np.asarray(energy, dtype=float)), np.log(_PSF_NODES), fractions))


def source_fractions(
    region: Region, place: SkyPlace, psf: PsfModel, good: GoodMap, energy: Array
) -> tuple[Array, Array]:
    """PSF fraction of an aperture, and its PSF-weighted fraction of time on good pixels, against energy.

    Parameters
    ----------
    region
        Aperture in sky pixels; its clip to the field is ignored, since the good fraction has it.
    place
        The source.
    psf
        Point spread functions with the blur of the data, or the user's image.
    good
        Good fraction around the source.
    energy
        keV, shape (n_energy,), ascending.

    Notes
    -----
    The tabulated fraction of the circle of the same area carries the dependence on energy; the aperture
    itself is measured on PSF images at few energies, and its ratio to the circle interpolated in log E. A
    circle about the source needs no image.
    """
    whole = Region(region.shape, region.exclude)
    even = np.full(energy.size, good.constant)
    if not isinstance(psf, PsfLibrary):
        stamp = psf.stamp(place.theta, place.phi, 1.5, place.roll)
        inside = psf_fraction(whole, place.x, place.y, stamp, place.pixel_scale)
        seen = psf_mean(whole, good, stamp, place.pixel_scale)
        return np.full(energy.size, inside), np.full(energy.size, seen)
    radius = place.pixel_scale * float(np.sqrt(whole.area / np.pi))
    grid = np.clip(energy, _PSF_NODES[0], _PSF_NODES[-1])
    table = psf.fraction_in_radius(place.theta, place.phi, _PSF_NODES, radius)
    circle = np.interp(np.log(grid), np.log(_PSF_NODES), table)
    is_circle = isinstance(whole.shape, Circle) and whole.is_pure
    centred = is_circle and whole.shape.reach[:2] == (place.x, place.y)
    if centred and good.values is None:
        return circle, even
    stamps = [psf.stamp(place.theta, place.phi, node, place.roll) for node in _SHAPE_NODES.tolist()]

    def between(values: list[float]) -> Array:
        return np.asarray(np.interp(np.log(grid), np.log(_SHAPE_NODES), values))

    if not centred:
        own = [psf_fraction(whole, place.x, place.y, stamp, place.pixel_scale) for stamp in stamps]
        like = psf.fraction_in_radius(place.theta, place.phi, _SHAPE_NODES, radius)
        circle = np.minimum(circle * between(list(np.divide(own, like))), 1.0)
    if good.values is None:
        return circle, even
    return circle, between([psf_mean(whole, good, stamp, place.pixel_scale) for stamp in stamps])


def extraction_arf(
    calibration: Calibration,
    chip_id: int,
    decimal_year: float,
    theta: float,
    phi: float,
    good_fraction: float,
    psf_fractions: Array | None = None,
) -> AncillaryResponse:
    """Effective area of a point source on the energies of its chip's redistribution.

    Parameters
    ----------
    calibration
        Where area and redistribution come from.
    chip_id, decimal_year, theta, phi
        Chip, date, off-axis angle (arcmin) and azimuth (degrees).
    good_fraction
        PSF-weighted share of the time on good pixels; becomes FRACEXPO.
    psf_fractions
        Fraction in the aperture at each energy (`psf_fraction_curve`), to have it in the area; None to
        leave it out.
    """
    curve = calibration.area_curve(chip_id, decimal_year, theta, phi) * good_fraction
    if psf_fractions is not None:
        curve = curve * psf_fractions
    return _response(calibration, chip_id, curve, good_fraction, psf_fractions is not None)


def weighted_arf(
    calibration: Calibration,
    decimal_year: float,
    chip_ids: NDArray[np.int64],
    theta: Array,
    phi: Array,
    weights: Array,
    good_fraction: float,
) -> AncillaryResponse:
    """Effective area of an extended region: the mean over places, on the energies of the commonest chip.

    Parameters
    ----------
    calibration
        Where areas and redistributions come from.
    decimal_year
        Date.
    chip_ids, theta, phi
        Of each place, shape (n,): chip, off-axis angle (arcmin), azimuth (degrees). Events of the region may
        serve as places.
    weights
        Weight of each place, shape (n,), not negative: counts, or 1 for events.
    good_fraction
        Share of the time on good pixels, mean over the region.

    Raises
    ------
    ValueError
        When the weights do not sum to more than 0: without places there is no area.
    """
    total = float(weights.sum())
    if not total > 0:
        raise ValueError("weights of an extended region must sum to more than 0")
    chips = np.unique(chip_ids)
    main = int(max(chips, key=lambda chip: float(weights[chip_ids == chip].sum())))
    energy = calibration.redistribution(main).energy
    curve = np.zeros(energy.size)
    for chip in chips.tolist():
        here = chip_ids == chip
        areas = calibration.area(int(chip), decimal_year, theta[here], phi[here], energy)
        curve += (weights[here, None] * areas).sum(axis=0)
    return _response(calibration, main, curve / total * good_fraction, good_fraction, False)


def _response(
    calibration: Calibration, chip_id: int, curve: Array, good_fraction: float, corrected: bool
) -> AncillaryResponse:
    matrix = calibration.redistribution(chip_id)
    return AncillaryResponse(
        energy_lo=matrix.energy_lo,
        energy_hi=matrix.energy_hi,
        area=np.asarray(curve, dtype=float),
        fractional_exposure=good_fraction,
        keywords={"CCD_ID": chip_id, "PSFCORR": corrected},
        name="extraction",
    )
