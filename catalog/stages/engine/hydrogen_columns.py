"""The hydrogen column of each source, for model fluxes: of the settings, or from a table of the user's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from catalog.config import Settings
from catalog.errors import InputFileError, MissingFileError
from catalog.stages.base.work import SourceTable

Array = NDArray[np.float64]
ARCSEC = np.pi / 180 / 3600


def hydrogen_columns(settings: Settings, sources: SourceTable) -> dict[int, float]:
    """Return nH by source id, 1e22 cm-2: the nearest row of the table within the match tolerance, else `nh`.

    Raises
    ------
    MissingFileError, InputFileError
        The table is missing, cannot be read, lacks a column, or has an nH below 0.
    """
    chosen = settings.spectrum
    found = dict.fromkeys((int(source_id) for source_id in sources.id), chosen.nh)
    if chosen.nh_table is None or not len(sources):
        return found
    ra, dec, nh = read_nh_table(chosen.nh_table)
    if not len(nh):
        return found
    distance, row = KDTree(_unit_vectors(ra, dec)).query(_unit_vectors(sources.ra, sources.dec))
    near = np.asarray(distance) <= settings.sources.match_tolerance * ARCSEC
    matched = nh[np.asarray(row)]
    for i in np.flatnonzero(near):
        found[int(sources.id[i])] = float(matched[i])
    return found


def read_nh_table(path: Path) -> tuple[Array, Array, Array]:
    """Return ra, dec (degrees) and nH (1e22 cm-2) of a table that astropy reads; errors as above."""
    from astropy.table import Table

    if not path.is_file():
        raise MissingFileError("no such table of hydrogen columns", path, "check nh_table of [spectrum]")
    try:
        table = Table.read(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputFileError(
            f"the table of hydrogen columns cannot be read ({reason})",
            path,
            "give CSV, ECSV, FITS or VOTable",
            code="NH_TABLE",
        ) from None
    names = {name.lower(): name for name in table.colnames}
    missing = [name for name in ("ra", "dec", "nh") if name not in names]
    if missing:
        raise InputFileError(
            f"no column {', '.join(missing)} in the table of hydrogen columns",
            path,
            "give ra, dec in degrees and nh in 1e22 cm-2",
            code="NH_TABLE",
        )
    try:
        ra, dec, nh = (np.asarray(table[names[name]], dtype=float) for name in ("ra", "dec", "nh"))
    except ValueError:
        raise InputFileError(
            "a hydrogen column or position is no number", path, "give decimal numbers", code="NH_TABLE"
        ) from None
    if not np.all(np.isfinite(nh) & (nh >= 0) & np.isfinite(ra) & np.isfinite(dec)):
        raise InputFileError(
            "a hydrogen column is negative or missing", path, "give nh >= 0 in 1e22 cm-2", code="NH_TABLE"
        )
    return ra, dec, nh


def _unit_vectors(ra: Array, dec: Array) -> Array:
    a, d = np.radians(ra), np.radians(dec)
    return np.column_stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
