"""Sky pixels, detector pixels and off-axis angles at a fixed pointing.

Detector (DET) coordinates are the tangent plane of the telescope: 4096.5 is the optical axis of ACIS (16384.5
and 32768.5 of HRC-I and HRC-S), and the roll angle turns them into sky coordinates. The signs were fixed with
the events of nine observations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.events.detector import ACIS
from catalog.events.header import ObservationHeader
from catalog.events.sky_frame import Pair, SkyFrame

#: DETX, DETY of the optical axis of ACIS (coordinate system ASC-FP-1.1).
DET_AXIS = ACIS.det_axis


@dataclass(frozen=True)
class Pointing:
    """Where the optical axis looks.

    Attributes
    ----------
    x, y
        Sky pixel of the optical axis.
    roll
        Degrees.
    pixel_scale_arcsec
        Of sky and detector pixels alike.
    det_axis
        DETX, DETY of the optical axis.
    """

    x: float
    y: float
    roll: float
    pixel_scale_arcsec: float
    det_axis: float = DET_AXIS

    def sky_to_det(self, x: ArrayLike, y: ArrayLike) -> Pair:
        """DETX, DETY of sky pixels."""
        u, v = np.asarray(x, dtype=float) - self.x, np.asarray(y, dtype=float) - self.y
        cosine, sine = np.cos(np.radians(self.roll)), np.sin(np.radians(self.roll))
        return self.det_axis + cosine * u - sine * v, self.det_axis + sine * u + cosine * v

    def det_to_sky(self, detx: ArrayLike, dety: ArrayLike) -> Pair:
        """Sky pixels of DETX, DETY."""
        u = np.asarray(detx, dtype=float) - self.det_axis
        v = np.asarray(dety, dtype=float) - self.det_axis
        cosine, sine = np.cos(np.radians(self.roll)), np.sin(np.radians(self.roll))
        return self.x + cosine * u + sine * v, self.y - sine * u + cosine * v

    def off_axis(self, x: ArrayLike, y: ArrayLike) -> Pair:
        """Off-axis angle theta (arcmin) and azimuth phi (degrees, 0 to 360) of sky pixels.

        phi = atan2(DETY - axis, DETX - axis), as CIAO defines it.
        """
        detx, dety = self.sky_to_det(x, y)
        u, v = detx - self.det_axis, dety - self.det_axis
        radius = np.hypot(u, v) * np.radians(self.pixel_scale_arcsec / 3600.0)
        theta: NDArray[np.float64] = np.degrees(np.arctan(radius)) * 60.0
        phi: NDArray[np.float64] = np.mod(np.degrees(np.arctan2(v, u)), 360.0)
        # A tiny negative angle rounds to 360 itself.
        return theta, np.where(phi >= 360.0, 0.0, phi)


def mean_pointing(header: ObservationHeader, frame: SkyFrame) -> Pointing:
    """Pointing of RA_PNT, DEC_PNT, ROLL_PNT."""
    x, y = frame.to_sky(header.ra_pnt, header.dec_pnt)
    return Pointing(float(x), float(y), header.roll_pnt, frame.pixel_scale_arcsec, header.imager.det_axis)
