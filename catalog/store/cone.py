"""Cone search on either engine: HEALPix ranges narrow it down, the exact angle decides."""

from __future__ import annotations

import numpy as np
from astropy import units
from astropy_healpix import HEALPix
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from catalog.schema.tables import Source

ORDER = 29
_GRID = HEALPix(nside=2**ORDER, order="nested", frame="icrs")
_COARSEST = 2


def cell(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.int64]:
    """HEALPix cells of order 29 (nested) of positions in degrees ICRS."""
    return np.asarray(_GRID.lonlat_to_healpix(ra * units.deg, dec * units.deg), dtype=np.int64)


def cone_condition(
    column: InstrumentedAttribute[int], ra: float, dec: float, radius: float
) -> ColumnElement[bool]:
    """Return an SQL condition that holds for every cell touching a cone (degrees), and for few others."""
    order = ORDER
    while order > _COARSEST and np.degrees(np.sqrt(np.pi / 3) / 2**order) < radius:
        order -= 1
    grid = HEALPix(nside=2**order, order="nested", frame="icrs")
    margin = float(grid.pixel_resolution.to_value(units.deg))
    cells = grid.cone_search_lonlat(ra * units.deg, dec * units.deg, (radius + margin) * units.deg)
    shift = 2 * (ORDER - order)
    return or_(*(column.between(int(c) << shift, ((int(c) + 1) << shift) - 1) for c in np.unique(cells)))


def sources_in_cone(connection: Connection, ra: float, dec: float, radius: float) -> list[tuple[int, float]]:
    """Return (source id, separation in arcsec) of the sources within `radius` degrees, nearest first."""
    condition = cone_condition(Source.hpx29, ra, dec, radius)
    rows = connection.execute(select(Source.id, Source.ra, Source.dec).where(condition)).all()
    if not rows:
        return []
    separation = _separation(ra, dec, np.array([row.ra for row in rows]), np.array([row.dec for row in rows]))
    near = [
        (row.id, float(value)) for row, value in zip(rows, separation, strict=True) if value <= radius * 3600
    ]
    return sorted(near, key=lambda item: (item[1], item[0]))


def _separation(
    ra: float, dec: float, others_ra: NDArray[np.float64], others_dec: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Angles between a position and others (degrees) in arcsec, by Vincenty's formula."""
    delta = np.radians(others_ra - ra)
    here, there = np.radians(dec), np.radians(others_dec)
    across = np.hypot(
        np.cos(there) * np.sin(delta),
        np.cos(here) * np.sin(there) - np.sin(here) * np.cos(there) * np.cos(delta),
    )
    along = np.sin(here) * np.sin(there) + np.cos(here) * np.cos(there) * np.cos(delta)
    return np.asarray(np.degrees(np.arctan2(across, along)) * 3600)
