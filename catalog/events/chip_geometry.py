"""From chip pixels to detector pixels and back, for the ten chips of ACIS.

A chip is a flat piece of the focal surface, so the projection through the mirror's node maps its pixels to
the tangent plane by a homography, exactly. The corners are those of the calibration file
telD1999-07-23geomN0006.fits (INSTGEOM1 and INSTRUMENTS; calibration database of the Chandra X-ray Center).
With the events of nine ACIS-I observations of 2004 to 2013 the result agrees within the pixel quantisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.errors import InputFileError
from catalog.events.header import ObservationHeader
from catalog.events.pointing import DET_AXIS
from catalog.events.sky_frame import Pair

CHIPS = 10
CHIP_SIZE = 1024
#: Focal length in mm, and size of a DET pixel of ACIS in radians (TCDLT of the event files).
FOCAL_LENGTH_MM = 10070.0
DET_PIXEL_RAD = float(np.radians(1.3666666666667e-4))
#: Back-illuminated chips.
BACK_ILLUMINATED = (5, 7)

#: Origin of the ACIS instrument frame (LSI) in mm: x along the optical axis, y, z in the focal plane.
_ORIGIN_MM = np.array([0.684, 0.75, 236.552])

#: Corners lower left, lower right, upper left in the LSI frame, mm, by CCD_ID: I0-I3, S0-S5.
_CORNERS_MM = np.array(
    [
        [[2.361, -26.483, 23.076], [1.130, -26.545, -1.456], [1.130, -1.951, 23.076]],
        [[1.130, 23.078, -1.446], [2.360, 23.016, 23.086], [-0.100, -1.453, -1.446]],
        [[1.130, -26.550, -1.992], [2.361, -26.488, -26.525], [-0.100, -2.018, -1.992]],
        [[2.361, 23.011, -26.530], [1.131, 23.073, -1.997], [1.130, -1.520, -26.530]],
        [
            [0.74391356, -81.11356955, -59.20799186],
            [0.35291355, -56.5545687, -59.19581074],
            [0.74390052, -81.12575082, -34.64499121],
        ],
        [
            [0.34793549, -56.08963475, -59.19589578],
            [0.09893549, -31.52963928, -59.17639275],
            [0.34801155, -56.11013765, -34.63390089],
        ],
        [
            [0.09599568, -31.07600632, -59.1830985],
            [-0.0110043158, -6.51401108, -59.1636564],
            [0.0960281, -31.09644824, -34.62110362],
        ],
        [
            [-0.0109999878, -6.02599142, -59.1660086],
            [0.0240000122, 18.5350086, -59.1529914],
            [-0.0110000122, -6.03900857, -34.6040086],
        ],
        [
            [0.0259913758, 18.9628361, -59.1528121],
            [0.20799138, 43.52383665, -59.14090524],
            [0.025999476, 18.9509292, -34.5908116],
        ],
        [
            [0.20790075, 43.9583815, -59.13845604],
            [0.52790075, 68.51838338, -59.12847827],
            [0.20794012, 43.9484037, -34.57545446],
        ],
    ]
)


@dataclass(frozen=True, eq=False)
class FocalPlane:
    """Chips as they lie in the detector plane of one observation.

    Attributes
    ----------
    to_det, to_chip
        Shape (10, 3, 3), homographies by CCD_ID: (chipx, chipy, 1) to (detx, dety, 1) times a factor, and
        back.
    """

    to_det: NDArray[np.float64]
    to_chip: NDArray[np.float64]

    def chip_to_det(self, ccd_id: ArrayLike, chipx: ArrayLike, chipy: ArrayLike) -> Pair:
        """DETX, DETY of chip pixels (1-based, pixel centres at whole numbers)."""
        return _apply(self.to_det, ccd_id, chipx, chipy)

    def det_to_chip(self, ccd_id: ArrayLike, detx: ArrayLike, dety: ArrayLike) -> Pair:
        """CHIPX, CHIPY on the given chips, also outside 1 to 1024 where the position is off the chip."""
        return _apply(self.to_chip, ccd_id, detx, dety)


def focal_plane(header: ObservationHeader) -> FocalPlane:
    """Geometry at the SIM position and mean aspect offsets (DY, DZ, DTH_AVG; absent means 0) of a header.

    Raises
    ------
    InputFileError
        MISSING_KEYWORD: SIM_X, SIM_Y or SIM_Z has no value.
    """
    sim = [header.sim_x, header.sim_y, header.sim_z]
    for name, value in zip(("SIM_X", "SIM_Y", "SIM_Z"), sim, strict=True):
        if value is None:
            raise InputFileError(
                f"keyword {name} is missing, so the chips cannot be placed",
                f"ObsID {header.obs_id}",
                "give a level-2 event list with its full header",
                code="MISSING_KEYWORD",
            )
    shift = np.array(sim, dtype=float) + np.array([0.0, header.dy_avg or 0.0, header.dz_avg or 0.0])
    lower_left, lower_right, upper_left = np.moveaxis(_CORNERS_MM, 1, 0)
    along_x, along_y = (lower_right - lower_left) / CHIP_SIZE, (upper_left - lower_left) / CHIP_SIZE
    # Corners are the outer edges of the pixels 1 and 1024, at 0.5 and 1024.5.
    base = lower_left + _ORIGIN_MM + shift - 0.5 * (along_x + along_y)
    columns = np.stack([along_x, along_y, base], axis=2)
    # Rows: y / scale, -z / scale, f - x, so that a quotient is a tangent in pixels.
    plane = np.stack([columns[:, 1], -columns[:, 2], -columns[:, 0]], axis=1)
    plane[:, :2] /= DET_PIXEL_RAD
    plane[:, 2, 2] += FOCAL_LENGTH_MM
    to_det = _rotation(header.dth_avg or 0.0) @ plane
    return FocalPlane(to_det, np.linalg.inv(to_det))


def chip_to_det(ccd_id: ArrayLike, chipx: ArrayLike, chipy: ArrayLike, header: ObservationHeader) -> Pair:
    """DETX, DETY of chip pixels in the observation of `header`; see `FocalPlane.chip_to_det`."""
    return focal_plane(header).chip_to_det(ccd_id, chipx, chipy)


def det_to_chip(ccd_id: ArrayLike, detx: ArrayLike, dety: ArrayLike, header: ObservationHeader) -> Pair:
    """CHIPX, CHIPY of detector pixels in the observation of `header`; see `FocalPlane.det_to_chip`."""
    return focal_plane(header).det_to_chip(ccd_id, detx, dety)


def _rotation(degrees: float) -> NDArray[np.float64]:
    """Rotation about the optical axis, followed by the shift of the axis to its pixel."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cosine, -sine, DET_AXIS], [sine, cosine, DET_AXIS], [0.0, 0.0, 1.0]])


def _apply(matrices: NDArray[np.float64], ccd_id: ArrayLike, x: ArrayLike, y: ArrayLike) -> Pair:
    chip, x, y = np.broadcast_arrays(
        np.asarray(ccd_id, dtype=np.intp), np.asarray(x, float), np.asarray(y, float)
    )
    rows = np.moveaxis(matrices[chip], (-2, -1), (0, 1))
    first, second, factor = (row[0] * x + row[1] * y + row[2] for row in rows)
    return first / factor, second / factor
