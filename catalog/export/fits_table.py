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

from catalog.export.astropy_table import ascii_cells, ascii_only
from catalog.export.fits_checksum import data_sum, sign
from catalog.export.table import Column, ExportTable
from catalog.schema.column import ColumnDefinition

NULL_INTEGER = -(2**63)
"""TNULL of whole numbers: no count, number or flag takes it."""

_OF_COLUMN = re.compile(r"T(?:TYPE|FORM|UNIT|NULL|DISP)(\d+)")
_BLOCK = 2880
_ROWS = 300
"""Rows put together at a time: few enough to stay in the processor's cache."""


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
    """A column without its values, and these as the file takes them but for the order of bytes."""

    described: fits.Column
    values: NDArray[Any]
    type: str


def _column(definition: ColumnDefinition, values: Column) -> _FitsColumn:
    options: dict[str, Any] = {"name": definition.name, "unit": definition.unit or None}
    if definition.kind == "float":
        form, kind = "D", ">f8"
        # What no mask covers needs no copy.
        cells = values.data if _is_nan_where_masked(values) else values.filled(np.nan)
    elif definition.kind in ("int", "bigint"):
        form, kind = "K", ">i8"
        cells = values.filled(NULL_INTEGER)
        if definition.null or np.ma.getmaskarray(values).any():
            options["null"] = NULL_INTEGER
    elif definition.kind == "bool":
        form, kind = "L", "u1"
        truths = np.where(values.filled(False), ord("T"), ord("F")).astype(np.uint8)
        cells = np.where(np.ma.getmaskarray(values), np.uint8(0), truths)
    else:
        cells = ascii_cells(values.filled(""))
        width = max(cells.dtype.itemsize, 1)
        form, kind = f"{width}A", f"S{width}"
        values = np.ma.MaskedArray(cells, mask=False)
    described = fits.Column(format=form, disp=display_format(definition, values), **options)
    return _FitsColumn(described, cells, kind)


def _is_nan_where_masked(values: Column) -> bool:
    mask = np.ma.getmask(values)
    return mask is np.ma.nomask or bool(np.isnan(values.data[mask]).all())


def _data(table: ExportTable, columns: list[_FitsColumn]) -> Iterator[bytes]:
    """Rows as bytes in pieces of whole blocks, the last one filled with zeros."""
    rows = np.zeros(_ROWS, dtype=[(f"f{i}", column.type) for i, column in enumerate(columns)])
    fields = [rows[f"f{i}"] for i in range(len(columns))]
    rest = b""
    for start in range(0, len(table), _ROWS):
        number = min(_ROWS, len(table) - start)
        for cells, column in zip(fields, columns, strict=True):
            cells[:number] = column.values[start : start + number]
        piece = rest + rows[:number].tobytes()
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
