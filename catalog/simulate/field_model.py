"""Fields of sources with a power-law number-flux relation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.errors import SettingsError
from catalog.events.sky_frame import SkyFrame
from catalog.simulate.source_model import SimulatedSource

SPECTRA = tuple(
    ReferenceSpectrum(photon_index, nh) for photon_index in (1.4, 1.7, 2.1, 2.6) for nh in (0.05, 0.3, 1.0)
)
"""Spectra that a random field mixes: from active galaxies to soft stars, little to much absorbed."""


def power_law_fluxes(
    number: int, lowest: float, highest: float, slope: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Random fluxes with N(>S) ~ S^-slope - highest^-slope between two limits.

    Parameters
    ----------
    number
        How many.
    lowest, highest
        Limits, any unit.
    slope
        Of the cumulative relation, > 0; 1.5 for sources spread evenly in space.
    rng
        Random numbers.

    Returns
    -------
    ndarray
        Shape (number,).
    """
    if not (0 < lowest < highest and slope > 0):
        raise SettingsError(
            "a number-flux relation needs 0 < lowest < highest flux and a slope above 0",
            f"{lowest}, {highest}, {slope}",
            "check the field",
        )
    ends = np.array([lowest, highest]) ** -slope
    return np.asarray((ends[0] + rng.random(number) * (ends[1] - ends[0])) ** (-1.0 / slope))


def random_field(
    ra: float,
    dec: float,
    number: int,
    seed: int,
    *,
    radius: float = 8.0,
    lowest: float = 1e-6,
    highest: float = 3e-4,
    slope: float = 0.9,
    prefix: str = "S",
) -> tuple[SimulatedSource, ...]:
    """Sources spread evenly over a circle, with random fluxes and spectra.

    Parameters
    ----------
    ra, dec
        Centre, degrees ICRS.
    number
        How many sources; named prefix + number from 1.
    seed
        Origin of all random numbers.
    radius
        Of the circle, arcmin.
    lowest, highest, slope
        Photon fluxes (0.5-7 keV, photon cm-2 s-1), see `power_law_fluxes`.
    prefix
        Of the names.
    """
    rng = np.random.default_rng(seed)
    plane = SkyFrame(ra, dec, 0.0, 0.0, -1.0 / 60.0, 1.0 / 60.0)
    distance, angle = radius * np.sqrt(rng.random(number)), 2 * np.pi * rng.random(number)
    ras, decs = plane.to_world(distance * np.cos(angle), distance * np.sin(angle))
    fluxes = power_law_fluxes(number, lowest, highest, slope, rng)
    kinds = rng.integers(len(SPECTRA), size=number)
    digits = len(str(number))
    return tuple(
        SimulatedSource(f"{prefix}{index + 1:0{digits}d}", right, upward, flux, SPECTRA[kinds[index]])
        for index, (right, upward, flux) in enumerate(
            zip(ras.tolist(), decs.tolist(), fluxes.tolist(), strict=True)
        )
    )
