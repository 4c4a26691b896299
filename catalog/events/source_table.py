"""Tables of any common format, read into plain columns, nothing interpreted yet.

FITS and VOTable by astropy. Text tables (CSV, TSV, ECSV, ``|`` or blank separated, machine-readable tables of
the journals) are read with every cell as text, so that one bad cell can be named instead of turning its whole
column into strings.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import InputFileError, MissingFileError

_NOT_SOURCES = {"EVENTS", "ASPSOL", "GTI"}
_EMPTY_CELLS = {"", "nan", "null", "none", "n/a", "--", "-", "...", '""'}
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class TableColumn:
    """One column as the file has it.

    Attributes
    ----------
    name, unit, ucd
        As written; unit and ucd are "" when the file gives none.
    values
        Shape (rows,): floats or text. Integers are kept as floats only in numeric formats.
    missing
        Shape (rows,), True where the cell is empty, masked or NaN.
    frame
        Celestial frame that the file declares for this column (``fk5``, ``fk4``, ``galactic``, ``icrs``) or "".
    """

    name: str
    values: NDArray[Any]
    missing: NDArray[np.bool_]
    unit: str = ""
    ucd: str = ""
    frame: str = ""

    @property
    def is_text(self) -> bool:
        """Whether the cells are text."""
        return self.values.dtype.kind in "UO"


@dataclass(frozen=True)
class SourceTable:
    """Columns of one table of a file; `label` names file and table in messages."""

    label: str
    columns: tuple[TableColumn, ...]

    def __len__(self) -> int:
        return len(self.columns[0].values) if self.columns else 0

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]


def _unreadable(what: str, path: Path, todo: str = "give FITS, VOTable, CSV, ECSV or ds9 regions") -> InputFileError:
    return InputFileError(what, path, todo, code="UNREADABLE_TABLE")


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
        raise _unreadable("a folder is no source list", path, "give a file")
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(f"cannot be read ({error})", path, "check the file") from error


def decode_text(content: bytes, path: Path) -> str:
    """Return file content as text.

    Raises
    ------
    InputFileError
        UNREADABLE_TABLE when it is binary.
    """
    if b"\0" in content[:4096] or content[:4] == b"PAR1":
        raise _unreadable("unknown binary format", path)
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
    if "Byte-by-byte Description" in head[:4000] or re.match(r"#\s*%ECSV", head):
        kind = "ascii.ecsv" if head.lstrip("# ").startswith("%ECSV") else "ascii.mrt"
        return [_astropy_table(text, kind, path)]
    if head.lstrip().startswith("<"):
        raise _unreadable("markup that is no VOTable", path)
    return [_delimited_table(text, path)]


def _column(name: str, data: Any, unit: str = "", ucd: str = "", frame: str = "") -> TableColumn | None:
    """A column of scalars; None for vectors and for kinds that are neither number nor text."""
    array = np.ma.asanyarray(data)
    if array.ndim != 1 or array.dtype.kind not in "iufSUO":
        return None
    missing = np.array(np.ma.getmaskarray(array))
    plain = array.data if isinstance(array, np.ma.MaskedArray) else array
    if plain.dtype.kind in "SO":
        plain = np.array([v.decode("ascii", "replace") if isinstance(v, bytes) else str(v) for v in plain.tolist()], "U")
    values = np.asarray(plain)
    if values.dtype.kind == "U":
        values = np.char.strip(values) if values.size else values
        missing |= np.isin(np.char.lower(values), list(_EMPTY_CELLS)) if values.size else False
    else:
        # Whole numbers that are names stay whole: float64 would print 1 as 1.0.
        missing |= ~np.isfinite(values) & ~np.isinf(values) if values.dtype.kind == "f" else False
    return TableColumn(name, values, missing, unit, ucd, frame)


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
                    column = _column(definition.name, values, str(definition.unit or ""), ucd, frame)
                    columns += [column] if column is not None else []
                tables.append(SourceTable(f"{path}[{hdu.name or len(tables) + 1}]", tuple(columns)))
    except (OSError, TypeError, ValueError, KeyError, IndexError) as error:
        raise _unreadable(f"damaged FITS file ({error})", path, "fetch it again") from error
    if any("truncated" in str(warning.message).lower() for warning in caught):
        raise _unreadable("truncated FITS file", path, "fetch it again")
    if not tables:
        raise _unreadable("FITS file without a table of sources", path, "give a file with a table of positions")
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
                    column = _column(field.name or field.ID, data, unit, str(field.ucd or ""), frame)
                    columns += [column] if column is not None else []
                tables.append(SourceTable(f"{path}[{table.name or number}]", tuple(columns)))
    except (OSError, ValueError, TypeError, KeyError, IndexError, VOTableSpecError) as error:
        if isinstance(error, InputFileError):
            raise
        raise _unreadable(f"damaged VOTable ({str(error).strip() or type(error).__name__})", path) from error
    if not tables:
        raise _unreadable("VOTable without a table", path)
    return tables


def _coosys_frame(system: Any, path: Path) -> str:
    """Frame of a COOSYS element; only the standard equinoxes are known."""
    if system is None or not system.system:
        return ""
    name = str(system.system).lower()
    frame = {"eq_fk5": "fk5", "fk5": "fk5", "eq_fk4": "fk4", "fk4": "fk4", "icrs": "icrs", "galactic": "galactic"}.get(
        name, ""
    )
    equinox = str(system.equinox or "").upper().lstrip("JB")
    if (frame == "fk5" and equinox not in {"", "2000", "2000.0"}) or (
        frame == "fk4" and equinox not in {"", "1950", "1950.0"}
    ):
        raise InputFileError(
            f"coordinates of equinox {system.equinox} in {frame}", path, "convert them to ICRS", code="UNSUPPORTED_FRAME"
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
        raise _unreadable(f"damaged {kind[6:].upper()} table ({error})", path) from error
    columns = []
    for name in table.colnames:
        mixin = table[name]
        unit = str(getattr(mixin, "unit", None) or "")
        meta = getattr(mixin, "meta", None) or {}
        data = getattr(mixin, "value", mixin)
        column = _column(str(name), data, unit, str(meta.get("ucd", "")))
        columns += [column] if column is not None else []
    return SourceTable(str(path), tuple(columns))


def _delimiter(header: str) -> str:
    for candidate in ("\t", ",", ";", "|"):
        if candidate in header:
            return candidate
    return " "


def _split(lines: Sequence[str], delimiter: str) -> Iterator[list[str]]:
    if delimiter == " ":
        lines = [" ".join(line.split()) for line in lines]
    for fields in csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter != "\t"):
        yield [field.strip() for field in fields]


def _delimited_table(text: str, path: Path) -> SourceTable:
    """A text table with a line of column names, which may be commented; VizieR's lines of units and dashes too."""
    lines = [line for line in text.splitlines() if line.strip()]
    comments = [line.lstrip("# \t") for line in lines if line.lstrip().startswith("#")]
    body = [line.strip("\r\n") for line in lines if not line.lstrip().startswith("#")]
    if not body:
        raise InputFileError("no table in it", path, "give a file with sources", code="EMPTY_TABLE")
    delimiter = _delimiter(body[0])
    rows = list(_split(body, delimiter))
    header = rows[0]
    if any(_NUMBER.fullmatch(field) for field in header):
        commented = next(iter(_split(comments[-1:], _delimiter(comments[-1]))), []) if comments else []
        if len(commented) != len(header) and comments:
            commented = next(iter(_split(comments[-1:], delimiter)), [])
        if len(commented) != len(header):
            raise _unreadable("no line of column names at the top", path, "add one, such as: name,ra,dec")
        header, rows = commented, [commented, *rows]
    units = [""] * len(header)
    if len(rows) > 2 and all(re.fullmatch(r"-+", field) for field in rows[2] if field) and any(rows[2]):
        units, rows = rows[1] + [""] * len(header), [header, *rows[3:]]
    elif len(rows) > 1 and all(re.fullmatch(r"-+", field) for field in rows[1] if field) and any(rows[1]):
        rows = [header, *rows[2:]]
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(header):
            raise _unreadable(
                f"{len(row)} fields where the header has {len(header)}",
                path,
                f"correct data row {number}; quote fields that hold the separator",
            )
    cells = np.array(rows[1:], dtype="U").reshape(len(rows) - 1, len(header))
    found = [_column(name, cells[:, i], units[i]) for i, name in enumerate(header)]
    return SourceTable(str(path), tuple(column for column in found if column is not None))
