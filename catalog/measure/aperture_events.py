"""What the events of an aperture tell beyond their number: where they lie, and which may be afterglows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.events.event_list import EventList
from catalog.events.sky_frame import Pair, SkyFrame

Bools = NDArray[np.bool_]

AFTERGLOW_FRAMES = 3
"""Frames within which the next event follows, at most."""
AFTERGLOW_PIXELS = 1
"""Pixels by which it lies off in CHIPX and CHIPY, at most."""


def celestial_offsets(frame: SkyFrame, centre: tuple[float, float], x: ArrayLike, y: ArrayLike) -> Pair:
    """Offsets to the east and to the north in arcsec, in the plane that touches the sky at the centre.

    Parameters
    ----------
    frame
        Projection of the sky pixels.
    centre, x, y
        Sky pixels of the centre and of the positions, the latter of shape (n,).
    """
    ra, dec = frame.to_world(*centre)
    arcsec = 1 / 3600.0
    return SkyFrame(float(ra), float(dec), 0.0, 0.0, arcsec, arcsec).to_sky(*frame.to_world(x, y))


def offset_position(ra: float, dec: float, east: float, north: float) -> tuple[float, float]:
    """Position (degrees ICRS) at offsets in arcsec from another: undoes `celestial_offsets`."""
    arcsec = 1 / 3600.0
    new_ra, new_dec = SkyFrame(ra, dec, 0.0, 0.0, arcsec, arcsec).to_world(east, north)
    return float(new_ra), float(new_dec)


def suspected_afterglows(events: EventList, chosen: NDArray[np.intp]) -> Bools | None:
    """Which events of an aperture follow each other too closely to be photons of a faint source.

    A cosmic ray leaves charge that seeps out as events in one place, frame after frame: of two successive
    events at most 3 frames and 1 pixel apart both are suspected (ACIS Extract's rule). A bright source has
    such pairs by chance.

    Parameters
    ----------
    events
        The event list.
    chosen
        Events in the aperture, of all energies, shape (n,).

    Returns
    -------
    ndarray or None
        Shape (n,); None when the list does not say in which frame and pixel its events are.
    """
    if events.expno is None or events.chipx is None or events.chipy is None:
        return None
    order = np.argsort(events.time[chosen], kind="stable")
    in_time = chosen[order]
    close = events.ccd_id[in_time][1:] == events.ccd_id[in_time][:-1]
    for values, most in (
        (events.expno, AFTERGLOW_FRAMES),
        (events.chipx, AFTERGLOW_PIXELS),
        (events.chipy, AFTERGLOW_PIXELS),
    ):
        close &= np.abs(np.diff(values[in_time].astype(np.int64))) <= most
    suspected = np.zeros(len(chosen), dtype=bool)
    suspected[order[1:]] |= close
    suspected[order[:-1]] |= close
    return suspected
