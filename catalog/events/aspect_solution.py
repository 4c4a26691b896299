"""Aspect solution files (asol1): the pointing that the aspect camera measured, every quarter of a second."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalog.errors import InputFileError
from catalog.events.aspect import Aspect
from catalog.events.chip_geometry import FOCAL_LENGTH_MM
from catalog.events.fits_file import check_observation, is_table, open_fits
from catalog.events.header import ObservationHeader
from catalog.events.pointing import mean_pointing
from catalog.events.sky_frame import SkyFrame

_COLUMNS = ("time", "ra", "dec", "roll")


def read_aspect_solution(paths: Iterable[str | Path], header: ObservationHeader, frame: SkyFrame) -> Aspect:
    """Read one or several aspect solution files, in any order.

    Parameters
    ----------
    paths
        Files with a table of time, ra, dec, roll (degrees) and, where present, dy, dz (mm).
    header
        Of the event list: its pointing and mean DY, DZ are the origin of the offsets.
    frame
        Projection of the event list.

    Raises
    ------
    MissingFileError, InputFileError
        NO_ASPECT for a file without such a table or without rows, OTHER_OBSERVATION, else as `open_fits`.
    """
    parts = [_read_table(Path(path), header.obs_id) for path in dict.fromkeys(paths)]
    if not parts:
        raise ValueError("no aspect solution file given")
    joined = np.concatenate(parts, axis=1)
    _, first = np.unique(joined[0], return_index=True)
    time, ra, dec, roll, dy, dz = joined[:, first]
    pointing = mean_pointing(header, frame)
    x, y = frame.to_sky(ra, dec)
    # The module drifts by some 0.1 mm over an observation: DETX follows y, DETY follows -z.
    scale = 1.0 / (FOCAL_LENGTH_MM * header.imager.det_pixel_rad)
    drift = ((dy - (header.dy_avg or 0.0)) * scale, -(dz - (header.dz_avg or 0.0)) * scale)
    cosine, sine = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    roll_offset = float(np.mean(np.mod(roll - header.roll_pnt + 180.0, 360.0) - 180.0))
    return Aspect(
        time,
        x - pointing.x + cosine * drift[0] + sine * drift[1],
        y - pointing.y - sine * drift[0] + cosine * drift[1],
        roll_offset,
        "asol",
    )


def _read_table(path: Path, obs_id: str) -> NDArray[np.float64]:
    """Rows time, ra, dec, roll, dy, dz; offsets that the file lacks are 0."""
    with open_fits(path) as hdus:
        check_observation(hdus, obs_id, path, "an aspect solution")
        for hdu in hdus:
            if not is_table(hdu):
                continue
            names = {name.lower(): name for name in hdu.columns.names}
            if set(_COLUMNS) <= set(names) and len(hdu.data):
                zero = np.zeros(len(hdu.data))
                return np.stack(
                    [
                        np.asarray(hdu.data[names[name]], dtype=float) if name in names else zero
                        for name in (*_COLUMNS, "dy", "dz")
                    ]
                )
    raise InputFileError(
        "no aspect solution (a table with rows of time, ra, dec, roll)",
        path,
        "give the pcad...asol1.fits file of the observation",
        code="NO_ASPECT",
    )
