"""The dither: how the optical axis wanders about the mean pointing."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.events.sky_frame import Pair
from catalog.simulate.pointing_plan import PointingPlan

AMPLITUDE_ARCSEC = 8.0
PERIODS_S = (1000.0, 707.1)
"""Amplitude and periods of the dither with ACIS (Proposers' Observatory Guide, 5.8.2)."""


def dither_offsets(plan: PointingPlan, time: ArrayLike) -> Pair:
    """Offset of the optical axis from the mean pointing.

    A Lissajous figure along DETX and DETY.

    Parameters
    ----------
    plan
        The observation.
    time
        s since its start, any shape.

    Returns
    -------
    tuple of ndarray
        Offsets along sky X and Y in pixels.
    """
    times = np.asarray(time, dtype=float)
    amplitude = AMPLITUDE_ARCSEC / plan.sky_frame.pixel_scale_arcsec
    u, v = (
        amplitude * np.sin(2 * np.pi * times / period + np.radians(phase))
        for period, phase in zip(PERIODS_S, plan.dither_phase, strict=True)
    )
    cosine, sine = np.cos(np.radians(plan.roll)), np.sin(np.radians(plan.roll))
    return cosine * u + sine * v, cosine * v - sine * u


def sky_to_det(plan: PointingPlan, x: NDArray[np.float64], y: NDArray[np.float64], time: ArrayLike) -> Pair:
    """DETX, DETY at which light from sky pixels falls at times in s since the start."""
    dx, dy = dither_offsets(plan, time)
    return plan.pointing.sky_to_det(x - dx, y - dy)


def det_to_sky(
    plan: PointingPlan, detx: NDArray[np.float64], dety: NDArray[np.float64], time: ArrayLike
) -> Pair:
    """Sky pixels that DETX, DETY see at times in s since the start."""
    dx, dy = dither_offsets(plan, time)
    x, y = plan.pointing.det_to_sky(detx, dety)
    return x + dx, y + dy
