"""Exposure of sky positions in a band and an image of it: area x live time x share of time on good pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.band import Band
from catalog.calibration.provider import Calibration
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.measure.band_response import Weighting, band_area
from catalog.measure.observed_field import ObservedField

Array = NDArray[np.float64]

_AT_ONCE = 4000


@dataclass(frozen=True, eq=False)
class ExposureMap:
    """Exposure on a grid of sky pixels.

    Attributes
    ----------
    values
        cm2 s, shape (rows, columns), at the centres of the image's pixels; 0 outside the field.
    x, y
        Sky pixel of the centre of each column and row.
    binning
        Sky pixels per pixel of the image.
    """

    values: NDArray[np.float32]
    x: Array
    y: Array
    binning: int


def exposure_at(
    field: ObservedField,
    x: Array,
    y: Array,
    band: Band,
    calibration: Calibration,
    spectrum: ReferenceSpectrum,
    weighting: Weighting = "spectrum",
) -> Array:
    """Exposure of sky positions in a band, cm2 s, shape (n,).

    Parameters
    ----------
    field
        The observation.
    x, y
        Sky pixels, shape (n,).
    band, calibration, spectrum, weighting
        As in `band_response`.
    """
    good = field.good_fraction(x, y)
    result = np.zeros(good.shape)
    chosen = np.flatnonzero(good > 0)
    chips = field.field_of_view.chip_at(x[chosen], y[chosen]).ccd_id
    theta, phi = field.events.pointing.off_axis(x[chosen], y[chosen])
    year = field.events.header.decimal_year
    nodes = calibration.area_model.linear_angles
    for chip in np.unique(chips).tolist():
        rows = np.flatnonzero(chips == chip)
        if nodes is not None:
            at_nodes = band_area(
                calibration, chip, year, nodes, np.zeros(nodes.size), band, spectrum, weighting
            )
            area = np.interp(theta[rows], nodes, at_nodes)
            result[chosen[rows]] = area * field.live_time * good[chosen[rows]]
            continue
        for part in np.array_split(rows, max(1, -(-rows.size // _AT_ONCE))):
            area = band_area(calibration, chip, year, theta[part], phi[part], band, spectrum, weighting)
            result[chosen[part]] = area * field.live_time * good[chosen[part]]
    return result


def exposure_map(
    field: ObservedField,
    band: Band,
    calibration: Calibration,
    spectrum: ReferenceSpectrum,
    *,
    weighting: Weighting = "spectrum",
    binning: int = 4,
) -> ExposureMap:
    """Image of the exposure over the field of view.

    Parameters
    ----------
    field
        The observation.
    band, calibration, spectrum, weighting
        As in `band_response`.
    binning
        Sky pixels per pixel of the image, at least 1.
    """
    low_x, low_y, high_x, high_y = field.field_of_view.region.bounds
    # Whole sky pixels share the image's pixels evenly: a pixel begins at half a sky pixel.
    x, y = (
        np.arange(np.floor(low) - 1.0, high + 1.0 + binning, binning) + 0.5 * (binning - 1)
        for low, high in ((low_x, high_x), (low_y, high_y))
    )
    u, v = (grid.ravel() for grid in np.meshgrid(x, y))
    inside = field.field_of_view.in_fov(u, v) if field.field_of_view.is_cut else np.ones(u.size, dtype=bool)
    values = np.zeros(u.size)
    values[inside] = exposure_at(field, u[inside], v[inside], band, calibration, spectrum, weighting)
    return ExposureMap(values.reshape(y.size, x.size).astype(np.float32), x, y, binning)
