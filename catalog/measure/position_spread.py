"""How widely the events of an aperture scatter: of the PSF and of a flat background, cut at the aperture."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.calibration.psf import PsfLibrary

Array = NDArray[np.float64]

_RINGS = 200


def psf_variance(psf: PsfLibrary, theta: float, phi: float, energy: float, radius: float) -> float:
    """Variance per axis of photons of the PSF within a radius, arcsec squared.

    Half the mean square distance from the position; the PSF is taken as round.

    Parameters
    ----------
    psf
        Point spread functions.
    theta, phi, energy
        Off-axis angle in arcmin, azimuth in degrees, energy in keV.
    radius
        Radius in arcsec, > 0.
    """
    edges = radius * np.linspace(0.0, 1.0, _RINGS + 1)
    inside = np.append(0.0, psf.fraction_in_radius(theta, phi, energy, edges[1:]))
    share = np.diff(inside)
    # Mean square distance of a ring that is filled evenly.
    square = 0.5 * (edges[1:] ** 2 + edges[:-1] ** 2)
    return float(0.5 * (share @ square) / inside[-1])


def flat_variance(area: ArrayLike) -> Array:
    """Variance per axis of events spread evenly over a circle of an area (arcsec squared)."""
    return np.asarray(np.asarray(area, dtype=float) / (4.0 * np.pi))
