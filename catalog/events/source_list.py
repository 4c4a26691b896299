"""Source lists: the positions that a user wants measured, from a file or from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.errors import SourceTableError
from catalog.events.angle_text import check_range, looks_like_position, parse_position
from catalog.events.coordinate_columns import choose_columns
from catalog.events.coordinate_values import column_degrees
from catalog.events.region_list import is_region_text, read_regions
from catalog.events.source_table import decode_text, read_bytes, read_tables


@dataclass(frozen=True)
class SourcePosition:
    """One source of a list: degrees ICRS, and the name that the list gives it (None without)."""

    name: str | None
    ra: float
    dec: float


@dataclass(frozen=True, eq=False)
class SourceList:
    """Positions in the order of their file.

    Attributes
    ----------
    ra, dec
        Degrees ICRS, shape (n,), finite, 0 <= ra < 360.
    names
        Name of each source as the list has it; None where it gives none.
    rows
        1-based data row of each source (line of the file for regions), shape (n,).
    origin
        The file, or ``command line``.
    skipped
        One sentence for each entry of the file that is no source, such as a drawing of ds9.
    """

    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    names: tuple[str | None, ...]
    rows: NDArray[np.int64]
    origin: str
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ra)

    def __iter__(self) -> Iterator[SourcePosition]:
        for name, ra, dec in zip(self.names, self.ra.tolist(), self.dec.tolist(), strict=True):
            yield SourcePosition(name, ra, dec)


def to_icrs(longitude: ArrayLike, latitude: ArrayLike, frame: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Transform coordinates to ICRS with astropy.

    Parameters
    ----------
    longitude, latitude
        Degrees, shape (n,).
    frame
        ``icrs``, ``fk5`` (equinox J2000), ``fk4`` (B1950, no proper motion) or ``galactic``.

    Returns
    -------
    ra, dec
        Degrees ICRS, shape (n,), 0 <= ra < 360.
    """
    lon, lat = np.array(longitude, dtype=np.float64), np.array(latitude, dtype=np.float64)
    if frame != "icrs":
        from astropy.coordinates import SkyCoord

        sky = SkyCoord(lon, lat, unit="deg", frame=frame).icrs
        lon, lat = np.asarray(sky.ra.deg), np.asarray(sky.dec.deg)
    return np.where(lon >= 360, lon - 360, lon), lat


def _check_rows(lon: NDArray[Any], lat: NDArray[Any], origin: str) -> None:
    """Refuse the first position outside the sphere, by its 1-based row."""
    outside = ~((lon >= 0) & (lon <= 360) & (lat >= -90) & (lat <= 90))
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        check_range(float(lon[row]), float(lat[row]), f"{origin}, row {row + 1}")


def _empty(origin: str) -> SourceTableError:
    return SourceTableError(
        "no source in it", origin, "give a list with at least one row", code="EMPTY_TABLE"
    )


def _from_regions(text: str, origin: str) -> SourceList:
    found = read_regions(text, origin)
    if not found.lines:
        raise _empty(origin)
    ra, dec = np.empty(len(found.lines)), np.empty(len(found.lines))
    frames = np.array(found.frames)
    for frame in dict.fromkeys(found.frames):
        here = frames == frame
        ra[here], dec[here] = to_icrs(np.array(found.longitude)[here], np.array(found.latitude)[here], frame)
    rows = np.array(found.lines, dtype=np.int64)
    return SourceList(ra, dec, tuple(found.names), rows, origin, tuple(found.skipped))


def _from_table(content: bytes, path: Path, ra: str | None, dec: str | None, name: str | None) -> SourceList:
    table, columns = choose_columns(read_tables(content, path), ra, dec, name)
    if not len(table):
        raise _empty(table.label)
    galactic = columns.frame == "galactic"
    longitude = column_degrees(columns.longitude, "galactic longitude" if galactic else "RA", table.label)
    latitude = column_degrees(columns.latitude, "galactic latitude" if galactic else "Dec", table.label)
    _check_rows(longitude, latitude, table.label)
    names: tuple[str | None, ...] = (None,) * len(table)
    if columns.name is not None:
        cells = zip(columns.name.values.tolist(), columns.name.missing.tolist(), strict=True)
        names = tuple(None if missing else str(value).strip() or None for value, missing in cells)
    icrs = to_icrs(longitude, latitude, columns.frame)
    return SourceList(*icrs, names, np.arange(1, len(table) + 1), str(path))


def read_source_list(
    path_or_text: str | Path, ra: str | None = None, dec: str | None = None, name: str | None = None
) -> SourceList:
    """Return the positions of a source list, or the one position that is written out.

    Parameters
    ----------
    path_or_text
        A FITS table (wavdetect's list too), VOTable, CSV, TSV, ECSV, machine-readable or blank-separated
        table with column names, or ds9 region file, gzipped or not; or ``"RA DEC"``.
    ra, dec, name
        Columns to use instead of those that are recognised.

    Returns
    -------
    SourceList
        Coordinates in fk5, fk4 (B1950) and galactic frames are transformed to ICRS.

    Raises
    ------
    MissingFileError
        MISSING_FILE.
    InputFileError
        UNREADABLE_TABLE: binary, damaged or without column names; UNSUPPORTED_FRAME.
    UnknownNameError
        A column given in `ra`, `dec` or `name` that is not there.
    SourceTableError
        NO_COORDINATES, COORDINATE_RANGE, COORDINATE_TEXT, COORDINATE_MISSING, COORDINATE_UNIT, PIXEL_REGIONS,
        EMPTY_TABLE.
    """
    path = Path(path_or_text)
    if isinstance(path_or_text, str) and not path.exists() and looks_like_position(path_or_text):
        position = np.array(parse_position(path_or_text))
        return SourceList(position[:1], position[1:], (None,), np.array([1]), "command line")
    content = read_bytes(path)
    if not content.strip():
        raise _empty(str(path))
    text = "" if content[:6] == b"SIMPLE" or b"\0" in content[:4096] else decode_text(content, path)
    if text and is_region_text(text):
        return _from_regions(text, str(path))
    return _from_table(content, path, ra, dec, name)
