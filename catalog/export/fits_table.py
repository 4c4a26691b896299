"""FITS: a binary table with nulls, display formats and checksums, and with TCOMM and TUCD."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from catalog.export.astropy_table import ascii_only
from catalog.export.fits_checksum import data_sum, sign
from catalog.export.table import Column, ExportTable
from catalog.schema.column import ColumnDefinition

NULL_INTEGER = -(2**63)
"""TNULL of whole numbers: no count, number or flag takes it."""

_OF_COLUMN = re.compile(r"T(?:TYPE|FORM|UNIT|NULL|DISP)(\d+)")
_BLOCK = 2880
_ROWS = 5000


def fits_bytes(table: ExportTable) -> bytes:
    """Return a FITS file with the table in its first extension."""
    return b"".join(fits_pieces(table))


def fits_pieces(table: ExportTable) -> Iterator[bytes]:
    """Give a FITS file with the table in its first extension, piece by piece: it may be larger than memory.

    NULL is NaN in floats, TNULL in whole numbers, the empty string in text and a zero byte in logicals.
    """
    columns = [_column(definition, table.values[definition.name]) for definition in table.definitions]
    described = [column.described for column in columns]
    header = _describe_columns(
        fits.BinTableHDU.from_columns(described, name=table.name.upper()).header, table
    )
    header["NAXIS2"] = len(table)
    _describe_table(header, table)
    sign(header, data_sum(_data(table, columns)))
    primary = fits.PrimaryHDU()
    sign(primary.header, 0)
    yield primary.header.tostring().encode("ascii")
    yield header.tostring().encode("ascii")
    yield from _data(table, columns)


def fits_gz_bytes(table: ExportTable) -> bytes:
    """Return the FITS file compressed by gzip."""
    return gzip.compress(fits_bytes(table), mtime=0)


@dataclass(frozen=True)
class _FitsColumn:
    """A column without its values, and these as the file takes them."""

    described: fits.Column
    values: Column
    type: str
    null: Any

    def cells(self, part: slice) -> NDArray[Any]:
        chosen = self.values[part]
        if self.type == "u1":
            truths = np.where(chosen.filled(False), ord("T"), ord("F"))
            return np.where(np.ma.getmaskarray(chosen), 0, truths)
        return chosen.filled(self.null)


def _column(definition: ColumnDefinition, values: Column) -> _FitsColumn:
    null: Any
    options: dict[str, Any] = {"name": definition.name, "unit": definition.unit or None}
    if definition.kind == "float":
        form, kind, null = "D", ">f8", np.nan
    elif definition.kind in ("int", "bigint"):
        form, kind, null = "K", ">i8", NULL_INTEGER
        if definition.null or np.ma.getmaskarray(values).any():
            options["null"] = NULL_INTEGER
    elif definition.kind == "bool":
        form, kind, null = "L", "u1", 0
    else:
        text = np.array([ascii_only(cell) for cell in values.filled("")], dtype=np.str_).astype(np.bytes_)
        width = max(text.dtype.itemsize, 1)
        form, kind, null = f"{width}A", f"S{width}", b""
        values = np.ma.MaskedArray(text, mask=False)
    described = fits.Column(format=form, disp=display_format(definition, values), **options)
    return _FitsColumn(described, values, kind, null)


def _data(table: ExportTable, columns: list[_FitsColumn]) -> Iterator[bytes]:
    """Rows as bytes in pieces of whole blocks, the last one filled with zeros."""
    row = np.dtype([(f"f{i}", column.type) for i, column in enumerate(columns)])
    rest = b""
    for start in range(0, len(table), _ROWS):
        part = slice(start, min(start + _ROWS, len(table)))
        rows = np.zeros(part.stop - part.start, dtype=row)
        for i, column in enumerate(columns):
            rows[f"f{i}"] = column.cells(part)
        piece = rest + rows.tobytes()
        whole = len(piece) // _BLOCK * _BLOCK
        rest = piece[whole:]
        yield piece[:whole]
    if rest:
        yield rest.ljust(_BLOCK, b"\0")


def display_format(definition: ColumnDefinition, values: Column) -> str:
    """Return TDISP: width and digits in which to show the column."""
    if definition.kind == "bool":
        return "L1"
    if definition.kind in ("text", "time"):
        return f"A{max(values.dtype.itemsize, 1)}"
    if definition.kind in ("int", "bigint"):
        shown = values.compressed()
        ends = (int(shown.min()), int(shown.max())) if shown.size else (0,)
        return f"I{max(len(str(number)) for number in ends)}"
    digits = definition.digits or 7
    if digits < 0:
        return f"F{-digits + 6}.{-digits}"
    # Sign, point and a three-digit exponent beside the digits.
    return f"G{digits + 7}.{digits}"


def _describe_columns(header: fits.Header, table: ExportTable) -> fits.Header:
    """Return the header with TCOMM and TUCD after the other keywords of each column."""
    cards: list[fits.Card] = []
    current = 0
    for card in [*header.cards, None]:
        found = _OF_COLUMN.fullmatch(card.keyword) if card is not None else None
        number = int(found[1]) if found else 0
        if current and number != current:
            definition = table.definitions[current - 1]
            cards.append(fits.Card(f"TCOMM{current}", ascii_only(definition.description)))
            cards.append(fits.Card(f"TUCD{current}", definition.ucd))
        current = number
        if card is not None:
            cards.append(card)
    # All at once: a header looks through all its cards for each that is set.
    return fits.Header(cards)


def _describe_table(header: fits.Header, table: ExportTable) -> None:
    header["LONGSTRN"] = ("OGIP 1.0", "long texts go on in CONTINUE cards")
    header["RECIPE"] = (ascii_only(table.recipe), "recipe of all rows")
    header["CREATOR"] = (table.metadata.get("creator", "srccat"), "software that wrote the file")
    if "date" in table.metadata:
        header["DATE"] = (table.metadata["date"], "UTC when the table was selected")
    for number, run in enumerate(table.runs, start=1):
        header[f"RUN{number}"] = ascii_only(run)
    header["RADESYS"] = ("ICRS", "frame of ra and dec")
    for key in ("where", "remark"):
        if key in table.metadata:
            header.add_comment(f"{key}: {ascii_only(table.metadata[key])}")
