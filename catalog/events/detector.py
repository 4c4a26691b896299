"""The three imaging detectors of Chandra: chips or plates, pixels, and where they lie in the focal plane.

Corners, origins and pixel numbers are those of the calibration file telD1999-07-23geomN0006.fits (INSTRUMENTS
and INSTGEOM; calibration database of the Chandra X-ray Center).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Corners = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True, eq=False)
class Detector:
    """A detector.

    Attributes
    ----------
    name
        ACIS, HRC-I or HRC-S.
    columns, rows
        CHIPX and CHIPY run from 1 to these.
    det_axis
        DETX, DETY of the optical axis.
    det_pixel_rad
        Size of a DET pixel, radians.
    cell
        Pixels along each side of a cell of the images of good pixels: those of the HRC are too many.
    origin_mm
        Origin of the instrument frame (LSI), mm: x along the optical axis, y, z in the focal plane.
    corners_mm
        By number of the chip (CCD_ID, or CHIP_ID of the HRC): corners lower left, lower right, upper left in
        the LSI frame, mm.
    has_energies
        Whether events carry energies that can be used.
    """

    name: str
    columns: int
    rows: int
    det_axis: float
    det_pixel_rad: float
    cell: int
    origin_mm: tuple[float, float, float]
    corners_mm: Mapping[int, Corners] = field(repr=False)
    has_energies: bool = True

    @property
    def chip_ids(self) -> tuple[int, ...]:
        """Numbers of the chips, ascending."""
        return tuple(sorted(self.corners_mm))

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of an image of good pixels."""
        return self.rows // self.cell, self.columns // self.cell

    def cover(self, first: float, last: float, number: int) -> tuple[slice, NDArray[np.float32]]:
        """Cells that a range of pixels touches, and the share of each that it covers.

        Parameters
        ----------
        first, last
            Limits at the pixels' edges (pixel 1 is from 0.5 to 1.5); an empty range covers nothing.
        number
            Number of cells along the axis.
        """
        low = max(int(np.floor((first - 0.5) / self.cell)), 0)
        high = min(int(np.ceil((last - 0.5) / self.cell)), number)
        edges = 0.5 + self.cell * np.arange(low, max(high, low) + 1)
        inside = np.minimum(last, edges[1:]) - np.maximum(first, edges[:-1])
        return slice(low, max(high, low)), np.clip(inside / self.cell, 0.0, 1.0).astype(np.float32)


ACIS = Detector(
    "ACIS",
    1024,
    1024,
    4096.5,
    float(np.radians(1.3666666666667e-4)),
    1,
    (0.684, 0.75, 236.552),
    {
        0: ((2.361, -26.483, 23.076), (1.130, -26.545, -1.456), (1.130, -1.951, 23.076)),
        1: ((1.130, 23.078, -1.446), (2.360, 23.016, 23.086), (-0.100, -1.453, -1.446)),
        2: ((1.130, -26.550, -1.992), (2.361, -26.488, -26.525), (-0.100, -2.018, -1.992)),
        3: ((2.361, 23.011, -26.530), (1.131, 23.073, -1.997), (1.130, -1.520, -26.530)),
        4: (
            (0.74391356, -81.11356955, -59.20799186),
            (0.35291355, -56.5545687, -59.19581074),
            (0.74390052, -81.12575082, -34.64499121),
        ),
        5: (
            (0.34793549, -56.08963475, -59.19589578),
            (0.09893549, -31.52963928, -59.17639275),
            (0.34801155, -56.11013765, -34.63390089),
        ),
        6: (
            (0.09599568, -31.07600632, -59.1830985),
            (-0.0110043158, -6.51401108, -59.1636564),
            (0.0960281, -31.09644824, -34.62110362),
        ),
        7: (
            (-0.0109999878, -6.02599142, -59.1660086),
            (0.0240000122, 18.5350086, -59.1529914),
            (-0.0110000122, -6.03900857, -34.6040086),
        ),
        8: (
            (0.0259913758, 18.9628361, -59.1528121),
            (0.20799138, 43.52383665, -59.14090524),
            (0.025999476, 18.9509292, -34.5908116),
        ),
        9: (
            (0.20790075, 43.9583815, -59.13845604),
            (0.52790075, 68.51838338, -59.12847827),
            (0.20794012, 43.9484037, -34.57545446),
        ),
    },
)
"""Chips I0 to I3 (0-3) and S0 to S5 (4-9)."""

HRC_I = Detector(
    "HRC-I",
    16384,
    16384,
    16384.5,
    float(np.radians(3.65972222222222e-5)),
    8,
    (1.04, 0.978, -132.028),
    {0: ((0.0, 0.0, 74.481), (0.0, 74.481, 0.0), (0.0, -74.481, 0.0))},
    has_energies=False,
)
"""One plate, number 0."""

HRC_S = Detector(
    "HRC-S",
    4096,
    16456,
    32768.5,
    float(np.radians(3.6611111111111e-5)),
    8,
    (1.533, 1.53, -251.437),
    {
        1: ((2.644, 161.964, -12.969), (2.644, 161.932, 13.364), (0.0, 56.196, -13.098)),
        2: ((0.0, 56.196, -13.098), (0.0, 56.163, 13.235), (0.0, -49.605, -13.227)),
        3: ((0.0, -49.605, -13.227), (0.0, -49.638, 13.106), (2.253, -155.383, -13.356)),
    },
    has_energies=False,
)
"""Plates 1 to 3."""

DETECTORS = {detector.name: detector for detector in (ACIS, HRC_I, HRC_S)}
"""By name."""


def detector_named(instrument: str, detnam: str | None) -> Detector | None:
    """Detector of the keywords INSTRUME and DETNAM; None for one that does not make images here."""
    if instrument.strip().upper() == "HRC":
        return DETECTORS.get((detnam or "").strip().upper())
    return ACIS


def detector_of_header(header: Mapping[str, Any]) -> Detector | None:
    """Detector of a FITS header."""
    return detector_named(str(header.get("INSTRUME", "")), str(header.get("DETNAM", "")))
