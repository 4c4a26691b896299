"""Tables of any common format, read into plain columns, nothing interpreted yet.

FITS, VOTable, ECSV, IPAC and the machine-readable tables of journals are read by astropy.
"""

from __future__ import annotations

import gzip
import io
import re
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from catalog.errors import InputFileError, MissingFileError
from catalog.events.delimited_table import read_delimited
from catalog.events.table_column import SourceTable, TableColumn, make_column, unreadable

_NOT_SOURCES = {"EVENTS", "ASPSOL", "GTI"}
_ASTROPY_FORMATS = {
    r"\A#\s*%ECSV": "ascii.ecsv",
    r"Byte-by-byte Description": "ascii.mrt",
    r"\A\s*(\\.*\n\s*)*\|.*\|\s*\n": "ascii.ipac",
}


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, unpacked when it is gzipped.

    Raises
    ------
    MissingFileError
        MISSING_FILE when there is no such file.
    InputFileError
        UNREADABLE_TABLE for a folder, a file that may not be read or a damaged .gz.
    """
    if not path.exists():
        todo = "give a file without filter, and --ra, --dec" if "[" in path.name else "check the path"
        raise MissingFileError("no such source list", path, todo)
    if path.is_dir():
        raise unreadable("a folder is no source list", path, "give a file")
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(f"cannot be read ({error})", path, "check the file") from error


def decode_text(content: bytes, path: Path) -> str:
    """Return file content as text.

    Raises
    ------
    InputFileError
        UNREADABLE_TABLE when it is binary.
    """
    if b"\0" in content[:4096] or content[:4] == b"PAR1":
        raise unreadable("unknown binary format", path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_tables(content: bytes, path: Path) -> list[SourceTable]:
    """Return the tables of a file of any format but ds9's, in file order, wavdetect's SRCLIST first.

    Raises
    ------
    InputFileError
        UNREADABLE_TABLE when no table can be read.
    """
    if content[:6] == b"SIMPLE":
        return _fits_tables(content, path)
    text = decode_text(content, path)
    head = text[:4000]
    if re.search(r"<(\w+:)?VOTABLE", head):
        return _votable_tables(content, path)
    for pattern, kind in _ASTROPY_FORMATS.items():
        if re.search(pattern, head):
            return [_astropy_table(text, kind, path)]
    if head.lstrip().startswith("<"):
        raise unreadable("markup that is no VOTable", path)
    return [read_delimited(text, path)]


def _fits_frame(header: Any) -> str:
    system = str(header.get("RADESYS", header.get("RADECSYS", ""))).strip().lower()
    equinox = header.get("EQUINOX")
    if not system and isinstance(equinox, int | float) and equinox < 1984:
        return "fk4"
    return system if system in {"fk4", "fk5", "icrs"} else ""


def _fits_tables(content: bytes, path: Path) -> list[SourceTable]:
    from astropy.io import fits

    tables: list[SourceTable] = []
    try:
        # Source lists carry odd units and headers that astropy comments on; a cut-off file is found below.
        with warnings.catch_warnings(record=True) as caught, fits.open(io.BytesIO(content)) as hdus:
            warnings.simplefilter("always")
            for hdu in hdus:
                name = hdu.name.upper()
                if not isinstance(hdu, fits.BinTableHDU | fits.TableHDU) or name in _NOT_SOURCES:
                    continue
                frame, data, columns = _fits_frame(hdu.header), hdu.data, []
                for index, definition in enumerate(hdu.columns, 1):
                    ucd = str(hdu.header.get(f"TUCD{index}", ""))
                    values = data[definition.name] if data is not None else np.zeros(0)
                    null = definition.null
                    if null is not None and np.asarray(values).dtype.kind in "iu":
                        values = np.ma.masked_equal(values, int(null))
                    column = make_column(definition.name, values, str(definition.unit or ""), ucd, frame)
                    columns += [column] if column is not None else []
                tables.append(SourceTable(f"{path}[{hdu.name or len(tables) + 1}]", tuple(columns)))
    except (OSError, TypeError, ValueError, KeyError, IndexError) as error:
        raise unreadable(f"damaged FITS file ({error})", path, "fetch it again") from error
    if any("truncated" in str(warning.message).lower() for warning in caught):
        raise unreadable("truncated FITS file", path, "fetch it again")
    if not tables:
        raise unreadable(
            "FITS file without a table of sources", path, "give a file with a table of positions"
        )
    return sorted(tables, key=lambda table: not table.label.upper().endswith("[SRCLIST]"))


def _votable_tables(content: bytes, path: Path) -> list[SourceTable]:
    from astropy.io.votable import parse
    from astropy.io.votable.exceptions import VOTableSpecError

    tables: list[SourceTable] = []
    try:
        # Published tables break the VOTable standard in many harmless ways.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            document = parse(io.BytesIO(content), verify="ignore")
            systems = {system.ID: system for system in document.iter_coosys()}
            for number, table in enumerate(document.iter_tables(), 1):
                columns = []
                for field in table.fields:
                    frame = _coosys_frame(systems.get(field.ref), path)
                    unit = str(field.unit or "")
                    data = table.array[field.ID]
                    column = make_column(field.name or field.ID, data, unit, str(field.ucd or ""), frame)
                    columns += [column] if column is not None else []
                tables.append(SourceTable(f"{path}[{table.name or number}]", tuple(columns)))
    except (OSError, ValueError, TypeError, KeyError, IndexError, VOTableSpecError) as error:
        if isinstance(error, InputFileError):
            raise
        raise unreadable(f"damaged VOTable ({str(error).strip() or type(error).__name__})", path) from error
    if not tables:
        raise unreadable("VOTable without a table", path)
    return tables


def _coosys_frame(system: Any, path: Path) -> str:
    """Frame of a COOSYS element; only the standard equinoxes are known."""
    if system is None or not system.system:
        return ""
    name = str(system.system).lower()
    frame = {
        "eq_fk5": "fk5",
        "fk5": "fk5",
        "eq_fk4": "fk4",
        "fk4": "fk4",
        "icrs": "icrs",
        "galactic": "galactic",
    }.get(name, "")
    equinox = str(system.equinox or "").upper().lstrip("JB")
    if (frame == "fk5" and equinox not in {"", "2000", "2000.0"}) or (
        frame == "fk4" and equinox not in {"", "1950", "1950.0"}
    ):
        raise InputFileError(
            f"coordinates of equinox {system.equinox} in {frame}",
            path,
            "convert them to ICRS",
            code="UNSUPPORTED_FRAME",
        )
    return frame


def _astropy_table(text: str, kind: str, path: Path) -> SourceTable:
    from astropy.table import Table

    try:
        # Units outside the standards are common in journal tables and looked at later, as text.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = Table.read(text, format=kind)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OSError) as error:
        raise unreadable(f"damaged {kind[6:].upper()} table ({error})", path) from error
    columns: list[TableColumn] = []
    for name in table.colnames:
        mixin = table[name]
        if hasattr(mixin, "icrs"):  # a SkyCoord written by astropy
            sky = mixin.icrs
            found = (
                make_column(f"{name}.ra", sky.ra.deg, "deg"),
                make_column(f"{name}.dec", sky.dec.deg, "deg"),
            )
            columns += [column for column in found if column is not None]
            continue
        unit = str(getattr(mixin, "unit", None) or "")
        meta = getattr(mixin, "meta", None) or {}
        data = getattr(mixin, "value", mixin)
        column = make_column(str(name), data, unit, str(meta.get("ucd", "")))
        columns += [column] if column is not None else []
    return SourceTable(str(path), tuple(columns))
