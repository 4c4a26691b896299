"""Which columns of a table are the coordinates and the name.

Order of trust: columns that the user names; the UCD ``pos.eq.ra;meta.main``; well-known names; sexagesimal
units; any ``pos.eq.ra``; the seven columns RAh to DEs of journal tables; galactic coordinates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from catalog.errors import SourceTableError, UnknownNameError
from catalog.events.angle_text import parse_number
from catalog.events.coordinate_values import SEXAGESIMAL_DEGREES, SEXAGESIMAL_HOURS
from catalog.events.table_column import SourceTable, TableColumn

_EQUATORIAL_NAMES = (
    ("ra", "dec"),
    ("ra", "de"),
    ("_raj2000", "_dej2000"),
    ("raj2000", "dej2000"),
    ("raj2000", "decj2000"),
    ("ra_j2000", "dec_j2000"),
    ("ra2000", "dec2000"),
    ("ra_icrs", "de_icrs"),
    ("ra_icrs", "dec_icrs"),
    ("_ra_icrs", "_de_icrs"),
    ("_ra", "_de"),
    ("ra_deg", "dec_deg"),
    ("radeg", "dedeg"),
    ("radeg", "decdeg"),
    ("raddeg", "decddeg"),
    ("ra_d", "dec_d"),
    ("ra_hms", "dec_dms"),
    ("rahms", "decdms"),
    ("alpha", "delta"),
    ("alpha_j2000", "delta_j2000"),
    ("alphawin_j2000", "deltawin_j2000"),
    ("right_ascension", "declination"),
    ("rightascension", "declination"),
)
_GALACTIC_NAMES = (("glon", "glat"), ("_glon", "_glat"), ("gal_lon", "gal_lat"))
_SOURCE_NAMES: tuple[str, ...] = (
    "name",
    "source_name",
    "sourcename",
    "srcname",
    "src_name",
    "iau_name",
    "iauname",
    "main_id",
)
_SOURCE_NAMES += (
    "csc_name",
    "source",
    "object",
    "designation",
    "label",
    "id",
    "source_id",
    "src_id",
    "srcid",
)
_HOUR_FIELDS = ("rah", "ram", "ras")
_ARC_FIELDS = ("ded", "dem", "des")


@dataclass(frozen=True)
class CoordinateColumns:
    """The columns that were chosen; `frame` is ``icrs``, ``fk5``, ``fk4`` or ``galactic``."""

    longitude: TableColumn
    latitude: TableColumn
    name: TableColumn | None
    frame: str


def _plain(name: str) -> str:
    """Column name in lower case, without a unit in brackets or the name of a compound column before a dot."""
    base = re.sub(r"\s*[(\[].*?[)\]]\s*$", "", name.strip()).lower()
    return re.sub(r"[\s]+", "_", base.rpartition(".")[2] or base)


def _ucd_words(column: TableColumn) -> set[str]:
    old = {"pos_eq_ra_main": "pos.eq.ra;meta.main", "pos_eq_dec_main": "pos.eq.dec;meta.main"}
    old |= {"id_main": "meta.id;meta.main", "pos_eq_ra": "pos.eq.ra", "pos_eq_dec": "pos.eq.dec"}
    old |= {"pos_gal_lon": "pos.galactic.lon", "pos_gal_lat": "pos.galactic.lat"}
    text = column.ucd.strip().lower()
    return {word.strip() for word in old.get(text, text).split(";")}


def _only(columns: Iterable[TableColumn]) -> TableColumn | None:
    found = list(columns)
    return found[0] if len(found) == 1 else None


def _pair_by_ucd(table: SourceTable, lon: set[str], lat: set[str]) -> tuple[TableColumn, TableColumn] | None:
    """The one pair whose first UCD word is the coordinate and that has all the words."""
    first = _only(c for c in table.columns if lon <= _ucd_words(c) and not _is_error(c))
    second = _only(c for c in table.columns if lat <= _ucd_words(c) and not _is_error(c))
    return (first, second) if first and second else None


def _is_error(column: TableColumn) -> bool:
    return bool(_ucd_words(column) & {"stat.error", "stat.stdev", "stat.max", "stat.min"})


def _pair_by_name(
    table: SourceTable, pairs: Iterable[tuple[str, str]]
) -> tuple[TableColumn, TableColumn] | None:
    names: dict[str, TableColumn] = {}
    for column in table.columns:
        names.setdefault(_plain(column.name), column)
    for lon, lat in pairs:
        if lon in names and lat in names:
            return names[lon], names[lat]
    return None


def _pair_by_unit(table: SourceTable) -> tuple[TableColumn, TableColumn] | None:
    hours = (*SEXAGESIMAL_HOURS, "hourangle")
    first = _only(c for c in table.columns if c.unit.strip().lower() in hours)
    second = _only(c for c in table.columns if c.unit.strip().lower() in SEXAGESIMAL_DEGREES)
    return (first, second) if first and second else None


def _pair_of_fields(table: SourceTable) -> tuple[TableColumn, TableColumn] | None:
    """Sexagesimal text from the columns RAh RAm RAs DE- DEd DEm DEs (seconds may be absent)."""
    names = {column.name.lower(): column for column in table.columns}
    # Without its own column the sign of -00 degrees would be lost.
    if not {"rah", "ram", "de-", "ded", "dem"} <= names.keys():
        return None
    sign = names["de-"]
    cells = zip(sign.values.tolist(), sign.missing.tolist(), strict=True)
    signs = ["" if missing and value != "-" else str(value) for value, missing in cells]
    plain = [""] * len(signs)
    made = []
    for label, prefix, fields in (
        ("RAh RAm RAs", plain, _HOUR_FIELDS),
        ("DE- DEd DEm DEs", signs, _ARC_FIELDS),
    ):
        present = [names[field] for field in fields if field in names]
        missing = np.logical_or.reduce([field.missing for field in present])
        rows = zip(*(field.values.tolist() for field in present), strict=True)
        text = [s + ":".join(_short(value) for value in row) for s, row in zip(prefix, rows, strict=True)]
        made.append(TableColumn(label, np.array(text, "U"), missing))
    return made[0], made[1]


def _short(value: Any) -> str:
    """A number as a field of a sexagesimal angle: no exponent, whole numbers without a point."""
    return str(value) if isinstance(value, int | str) else f"{value:.12f}".rstrip("0").rstrip(".")


def named_column(table: SourceTable, name: str) -> TableColumn | None:
    """The column called `name`, exactly or, when that is unique, without regard to case."""
    exact = [column for column in table.columns if column.name == name]
    return exact[0] if exact else _only(c for c in table.columns if c.name.lower() == name.lower())


def _demand(tables: list[SourceTable], name: str, option: str) -> TableColumn:
    for table in tables:
        if (column := named_column(table, name)) is not None:
            return column
    columns = ", ".join(dict.fromkeys(column for table in tables for column in table.names))
    raise UnknownNameError(f"no column {name!r} ({option})", tables[0].label, f"the columns are {columns}")


def guess_coordinates(table: SourceTable) -> tuple[TableColumn, TableColumn, str] | None:
    """Longitude column, latitude column and frame by the rules of this module; None when none applies."""
    equatorial = (
        _pair_by_ucd(table, {"pos.eq.ra", "meta.main"}, {"pos.eq.dec", "meta.main"})
        or _pair_by_name(table, _EQUATORIAL_NAMES)
        or _pair_by_unit(table)
        or _pair_by_ucd(table, {"pos.eq.ra"}, {"pos.eq.dec"})
        or _pair_of_fields(table)
    )
    if equatorial:
        return (*equatorial, _equatorial_frame(equatorial[0]))
    galactic = _pair_by_ucd(table, {"pos.galactic.lon"}, {"pos.galactic.lat"}) or _pair_by_name(
        table, _GALACTIC_NAMES
    )
    return (*galactic, "galactic") if galactic else None


def _equatorial_frame(column: TableColumn) -> str:
    if re.search(r"b?1950", column.name.lower()):
        return "fk4"
    return column.frame if column.frame in {"fk4", "fk5", "icrs"} else "icrs"


def _guess_name(table: SourceTable) -> TableColumn | None:
    main = _only(c for c in table.columns if {"meta.id", "meta.main"} <= _ucd_words(c))
    if main is not None:
        return main
    # A number is a row counter far more often than a name.
    texts = {_plain(column.name): column for column in reversed(table.columns) if column.is_text}
    found = next((texts[name] for name in _SOURCE_NAMES if name in texts), None)
    counter = found is not None and all(parse_number(str(v)) is not None for v in found.values.tolist())
    return None if counter else found


def choose_columns(
    tables: list[SourceTable], ra: str | None, dec: str | None, name: str | None
) -> tuple[SourceTable, CoordinateColumns]:
    """Return the first table with coordinates and its columns.

    Parameters
    ----------
    tables
        Tables of one file, at least one.
    ra, dec, name
        Columns that the user names; None to look for them.

    Raises
    ------
    UnknownNameError
        A named column is in no table.
    SourceTableError
        NO_COORDINATES when nothing is usable, or only one of `ra` and `dec` is named.
    """
    if (ra is None) != (dec is None):
        raise SourceTableError(
            "one coordinate column is not enough",
            tables[0].label,
            "give both --ra and --dec",
            code="NO_COORDINATES",
        )
    for option, wanted in (("--ra", ra), ("--dec", dec), ("--name", name)):
        if wanted is not None:
            _demand(tables, wanted, option)
    for table in tables:
        if ra is not None and dec is not None:
            lon, lat = named_column(table, ra), named_column(table, dec)
            found = (lon, lat, _frame_of(lon)) if lon and lat else None
        else:
            found = guess_coordinates(table)
        label = _guess_name(table) if name is None else named_column(table, name)
        if found and (label or name is None):
            return table, CoordinateColumns(found[0], found[1], label, found[2])
    columns = ", ".join(dict.fromkeys(column for table in tables for column in table.names)) or "none"
    raise SourceTableError(
        f"no coordinate columns among {columns}",
        tables[0].label,
        "name them with --ra and --dec",
        code="NO_COORDINATES",
    )


def _frame_of(column: TableColumn) -> str:
    if "pos.galactic.lon" in _ucd_words(column) or _plain(column.name) in {"glon", "_glon", "gal_lon"}:
        return "galactic"
    return _equatorial_frame(column)
