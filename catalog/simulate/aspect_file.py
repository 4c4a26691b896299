"""Write the dither of a simulated observation as an aspect solution (asol1)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits

from catalog.events.pointing import DET_AXIS
from catalog.simulate.dither import dither_offsets
from catalog.simulate.event_file import write_tables
from catalog.simulate.observation_keywords import observation_keywords
from catalog.simulate.pointing_plan import PointingPlan

CADENCE = 2.048
"""Time between rows, s; between them the dither is straight within 0.001 arcsec."""

_MARGIN = 20.48


def write_aspect_solution(path: Path, plan: PointingPlan) -> None:
    """Write time, ra, dec, roll and the (constant, zero) offsets of the instrument module.

    The same plan gives the same bytes; a name that ends in .gz is compressed.

    Parameters
    ----------
    path
        File to write; an old one is replaced.
    plan
        The observation; rows begin before and end after it.
    """
    time = np.arange(-_MARGIN, plan.tstop - plan.tstart + _MARGIN, CADENCE)
    dx, dy = dither_offsets(plan, time)
    ra, dec = plan.sky_frame.to_world(DET_AXIS + dx, DET_AXIS + dy)
    zero = np.zeros(time.size)
    values = {
        "time": ("D", "s", plan.tstart + time),
        "ra": ("D", "deg", ra),
        "dec": ("D", "deg", dec),
        "roll": ("D", "deg", np.full(time.size, plan.roll)),
        "dy": ("E", "mm", zero),
        "dz": ("E", "mm", zero),
        "dtheta": ("E", "deg", zero),
    }
    columns = [
        fits.Column(name=name, format=form, unit=unit, array=array)
        for name, (form, unit, array) in values.items()
    ]
    table = fits.BinTableHDU.from_columns(columns, name="ASPSOL")
    table.header.update(
        {
            "HDUNAME": "ASPSOL",
            "HDUCLASS": "ASC",
            "HDUCLAS1": "TEMPORALDATA",
            "HDUCLAS2": "ASPSOL",
            "CONTENT": "ASPSOL",
            **observation_keywords(plan),
            "INSTRUME": "PCAD",
            "TSTART": float(plan.tstart + time[0]),
            "TSTOP": float(plan.tstart + time[-1]),
            "TIMEPIXR": 0.0,
            "TIMEDEL": CADENCE,
        }
    )
    write_tables(path, [table], plan)
