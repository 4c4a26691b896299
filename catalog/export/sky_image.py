"""FITS images on the sky: where their pixels lie and what observation they are of."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from catalog import __version__
from catalog.events.header import ObservationHeader
from catalog.events.sky_frame import SkyFrame

Card = tuple[str, object, str]

_MISSION_START_MJD = 50814.0


def sky_cards(frame: SkyFrame, x: float, y: float, step: float = 1.0) -> list[Card]:
    """Celestial and physical coordinates of an image.

    Parameters
    ----------
    frame
        Projection of the event list.
    x, y
        Sky pixel of the centre of the first image pixel.
    step
        Sky pixels per image pixel.
    """
    return [
        ("CTYPE1", "RA---TAN", ""),
        ("CTYPE2", "DEC--TAN", ""),
        ("CRPIX1", (frame.x_ref - x) / step + 1.0, ""),
        ("CRPIX2", (frame.y_ref - y) / step + 1.0, ""),
        ("CRVAL1", frame.ra, "[deg]"),
        ("CRVAL2", frame.dec, "[deg]"),
        ("CDELT1", frame.dx * step, "[deg]"),
        ("CDELT2", frame.dy * step, "[deg]"),
        ("CUNIT1", "deg", ""),
        ("CUNIT2", "deg", ""),
        ("RADESYS", "ICRS", ""),
        ("WCSNAMEP", "PHYSICAL", "sky pixels of the event list"),
        ("CTYPE1P", "X", ""),
        ("CTYPE2P", "Y", ""),
        ("CRPIX1P", 1.0, ""),
        ("CRPIX2P", 1.0, ""),
        ("CRVAL1P", x, ""),
        ("CRVAL2P", y, ""),
        ("CDELT1P", float(step), ""),
        ("CDELT2P", float(step), ""),
    ]


def observation_cards(observation: ObservationHeader) -> list[Card]:
    """Telescope, observation, time and pointing."""
    return [
        ("TELESCOP", observation.telescope, ""),
        ("INSTRUME", observation.instrument, ""),
        ("OBS_ID", observation.obs_id, ""),
        ("OBJECT", observation.object or "", ""),
        ("TIMESYS", "TT", ""),
        ("DATE-OBS", observation.date_obs or "", ""),
        ("MJD-OBS", _MISSION_START_MJD + observation.tstart / 86400.0, ""),
        ("RA_PNT", observation.ra_pnt, "[deg] mean pointing"),
        ("DEC_PNT", observation.dec_pnt, "[deg] mean pointing"),
        ("ROLL_PNT", observation.roll_pnt, "[deg] mean roll"),
    ]


def header_of(cards: Iterable[Card]) -> fits.Header:
    """Header of cards, with the program that wrote it."""
    header = fits.Header()
    for name, value, comment in (*cards, ("CREATOR", f"srccat {__version__}", "")):
        # Whole numbers of numpy are no header values.
        header[name] = (value.item() if isinstance(value, np.generic) else value, comment)
    return header


def image_bytes(values: NDArray[np.generic], header: fits.Header) -> bytes:
    """FITS file of one image."""
    stream = io.BytesIO()
    fits.PrimaryHDU(values, header).writeto(stream, checksum=True)
    return stream.getvalue()
