"""Images around one source: counts, exposure, flux, and the point spread function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.apertures.region import Region
from catalog.band import Band
from catalog.calibration.provider import Calibration
from catalog.calibration.psf_stamp import PsfStamp
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.events.sky_frame import SkyFrame
from catalog.export.sky_image import Card
from catalog.measure.band_response import Weighting
from catalog.measure.exposure_map import exposure_at
from catalog.measure.observed_field import ObservedField

LEAST_EXPOSURE = 0.015
"""Share of the largest exposure of a stamp below which it is cut (srcflux's expmapthresh)."""
_MARGIN = 1.0


@dataclass(frozen=True, eq=False)
class Stamps:
    """Images of one band on the same sky pixels.

    Attributes
    ----------
    x, y
        Sky pixels of the centres of columns and rows.
    counts
        Events, shape (rows, columns).
    exposure
        cm2 s; 0 where it is below `LEAST_EXPOSURE` of the largest. None without a response.
    flux
        Photons cm-2 s-1 per pixel, 0 where there is no exposure; None without a response.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    counts: NDArray[np.int32]
    exposure: NDArray[np.float32] | None
    flux: NDArray[np.float32] | None


def make_stamps(
    field: ObservedField,
    regions: tuple[Region, ...],
    band: Band | None,
    calibration: Calibration,
    spectrum: ReferenceSpectrum,
    weighting: Weighting,
    *,
    response: Band | None,
) -> Stamps:
    """Make the images of the box around some regions, one sky pixel per pixel.

    Parameters
    ----------
    field
        The observation.
    regions
        Regions in sky pixels.
    band
        Energies of the counts; None for all events.
    calibration, spectrum, weighting
        As in `band_response`.
    response
        Band of the exposure; None where no effective area applies.
    """
    bounds = np.array([region.geometry().bounds for region in regions if region.area > 0])
    low, high = bounds[:, :2].min(axis=0) - _MARGIN, bounds[:, 2:].max(axis=0) + _MARGIN
    x, y = (np.arange(np.rint(a), np.rint(b) + 1.0) for a, b in zip(low, high, strict=True))
    chosen = events_in_band(field, band)
    edges = [np.append(axis - 0.5, axis[-1] + 0.5) for axis in (y, x)]
    counts = np.histogram2d(field.events.y[chosen], field.events.x[chosen], bins=edges)[0].astype(np.int32)
    if response is None:
        return Stamps(x, y, counts, None, None)
    u, v = (grid.ravel() for grid in np.meshgrid(x, y))
    exposure = exposure_at(field, u, v, response, calibration, spectrum, weighting).reshape(counts.shape)
    exposure[exposure < LEAST_EXPOSURE * exposure.max()] = 0.0
    flux = np.divide(counts, exposure, out=np.zeros(counts.shape), where=exposure > 0)
    return Stamps(x, y, counts, exposure.astype(np.float32), flux.astype(np.float32))


def events_in_band(field: ObservedField, band: Band | None) -> NDArray[np.bool_]:
    """Which events belong to a band, lower limit included; all of them for None."""
    energy = field.events.energy
    if band is None:
        return np.ones(energy.shape, dtype=bool)
    return np.asarray((energy >= band.lo) & (energy < band.hi))


def psf_cards(stamp: PsfStamp, frame: SkyFrame, x: float, y: float) -> list[Card]:
    """Coordinates of a PSF image whose middle is at a position in sky pixels."""
    ra, dec = (float(value) for value in frame.to_world(x, y))
    middle, step = 0.5 * (stamp.size + 1), stamp.pixel
    return [
        ("CTYPE1", "RA---TAN", ""),
        ("CTYPE2", "DEC--TAN", ""),
        ("CRPIX1", middle, ""),
        ("CRPIX2", middle, ""),
        ("CRVAL1", ra, "[deg] position of the source"),
        ("CRVAL2", dec, "[deg] position of the source"),
        ("CDELT1", -step / 3600.0, "[deg]"),
        ("CDELT2", step / 3600.0, "[deg]"),
        ("CUNIT1", "deg", ""),
        ("CUNIT2", "deg", ""),
        ("RADESYS", "ICRS", ""),
        ("WCSNAMEP", "PHYSICAL", "sky pixels of the event list"),
        ("CTYPE1P", "X", ""),
        ("CTYPE2P", "Y", ""),
        ("CRPIX1P", middle, ""),
        ("CRPIX2P", middle, ""),
        ("CRVAL1P", x, ""),
        ("CRVAL2P", y, ""),
        ("CDELT1P", step / frame.pixel_scale_arcsec, ""),
        ("CDELT2P", step / frame.pixel_scale_arcsec, ""),
    ]
