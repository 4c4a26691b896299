"""Exposures of the user's own maps in place of built-in ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from catalog.apertures.region import Region
from catalog.calibration.exposure_image import ExposureImage
from catalog.events.sky_frame import SkyFrame
from catalog.measure.band_response import BandResponse
from catalog.measure.good_fraction_series import sample_points
from catalog.measure.photometry import Counted

Array = NDArray[np.float64]
_SAMPLES = 200


def region_exposure(region: Region, image: ExposureImage, frame: SkyFrame, live_time: float) -> float:
    """Mean exposure of a region on a map, cm2 s; NaN for an empty region."""
    points = sample_points(region, _SAMPLES)
    if not len(points):
        return float("nan")
    ra, dec = frame.to_world(points[:, 0], points[:, 1])
    return float(image.exposure(ra, dec, live_time).mean())


def with_exposures(
    counted: Counted, response: BandResponse, own: Array, background: Array
) -> tuple[Counted, BandResponse]:
    """Areas such that area x live time x good fraction is the exposure of the maps.

    Parameters
    ----------
    counted, response
        Extractions on one chip and their built-in areas.
    own, background
        Mean exposure of source aperture and background region, cm2 s, shape (n, b); NaN keeps what is built
        in. The same share of the area's mean is taken for the PSF-weighted exposure.
    """
    live = counted.livetime[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = own / (live * counted.good_frac_area_aper[:, None] * response.area)
        beside = background / (live * counted.good_frac_area_aperbkg[:, None] * response.area * scale)
    given = np.isfinite(scale)
    vignetting = np.where(given & np.isfinite(beside), beside, counted.background_vignetting)
    return (
        replace(counted, background_vignetting=vignetting),
        replace(response, scale=np.where(given, scale, 1.0)),
    )
