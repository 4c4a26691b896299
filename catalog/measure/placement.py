"""Where the sources fall in an observation, and how large their apertures are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.calibration.psf import PsfLibrary
from catalog.events.pointing import Pointing
from catalog.events.sky_frame import SkyFrame

Array = NDArray[np.float64]

ARCSEC = 1 / 3600.0


@dataclass(frozen=True)
class Correction:
    """Astrometric correction of an observation, applied to source positions before extraction.

    Attributes
    ----------
    dx, dy
        Shift in arcsec along sky X (west) and Y (north).
    rotation
        Degrees, from X to Y, about the tangent point.
    scale
        Factor about the tangent point.
    """

    dx: float = 0.0
    dy: float = 0.0
    rotation: float = 0.0
    scale: float = 1.0


def sky_positions(frame: SkyFrame, ra: Array, dec: Array, correction: Correction) -> tuple[Array, Array]:
    """Sky pixels of sources (degrees ICRS) in an observation, its correction applied.

    NaN for positions more than 90 degrees away.
    """
    x, y = frame.to_sky(ra, dec)
    u, v = correction.scale * (x - frame.x_ref), correction.scale * (y - frame.y_ref)
    cosine, sine = np.cos(np.radians(correction.rotation)), np.sin(np.radians(correction.rotation))
    scale = frame.pixel_scale_arcsec
    return (
        frame.x_ref + cosine * u - sine * v + correction.dx / scale,
        frame.y_ref + sine * u + cosine * v + correction.dy / scale,
    )


@dataclass(frozen=True)
class Placement:
    """Positions of sources in an observation; all arrays have shape (n,).

    Attributes
    ----------
    x, y
        Sky pixels.
    theta, phi
        Off-axis angle in arcmin and azimuth in degrees.
    radius
        Aperture radius in arcsec.
    """

    x: Array
    y: Array
    theta: Array
    phi: Array
    radius: Array


def place(
    pointing: Pointing, x: Array, y: Array, psf: PsfLibrary, fraction: float, energy: float
) -> Placement:
    """Off-axis angles and aperture radii of sources at sky pixels.

    Parameters
    ----------
    pointing
        Mean pointing of the observation.
    x, y
        Sky pixels, shape (n,); a NaN position (see `sky_positions`) gives NaN.
    psf
        Point spread functions.
    fraction, energy
        Fraction of the PSF that the aperture encloses, and the energy (keV) at which it does.
    """
    theta, phi = pointing.off_axis(x, y)
    radius = np.full(np.shape(theta), np.nan)
    known = np.isfinite(theta)
    radius[known] = psf.radius(theta[known], phi[known], energy, fraction)
    return Placement(x, y, theta, phi, radius)


def nominal_frame(ra_pnt: float, dec_pnt: float) -> SkyFrame:
    """Frame centred on a pointing with ACIS pixels: for planning, before an event file is opened."""
    return SkyFrame(ra_pnt, dec_pnt, 4096.5, 4096.5, -0.492 * ARCSEC, 0.492 * ARCSEC)
