"""FITS: a binary table with nulls, display formats and checksums, and with TCOMM and TUCD."""

from __future__ import annotations

import gzip
from io import BytesIO
from typing import Any

import numpy as np
from astropy.io import fits

from catalog.export.astropy_table import ascii_only
from catalog.export.table import Column, ExportTable
from catalog.schema.column import ColumnDefinition

NULL_INTEGER = -(2**63)
"""TNULL of whole numbers: no count, number or flag takes it."""


def fits_bytes(table: ExportTable) -> bytes:
    """Return a FITS file with the table in its first extension.

    NULL is NaN in floats, TNULL in whole numbers, the empty string in text and a zero byte in logicals.
    """
    columns = [_column(definition, table.values[definition.name]) for definition in table.definitions]
    extension = fits.BinTableHDU.from_columns(columns, name=table.name.upper())
    _mark_null_logicals(extension, table)
    _describe_columns(extension.header, table)
    _describe_table(extension.header, table)
    buffer = BytesIO()
    fits.HDUList([fits.PrimaryHDU(), extension]).writeto(buffer, checksum=True)
    return buffer.getvalue()


def fits_gz_bytes(table: ExportTable) -> bytes:
    """Return the FITS file compressed by gzip."""
    return gzip.compress(fits_bytes(table), mtime=0)


def _column(definition: ColumnDefinition, values: Column) -> fits.Column:
    options: dict[str, Any] = {"name": definition.name, "unit": definition.unit or None}
    if definition.kind == "float":
        form, array = "D", values.filled(np.nan)
    elif definition.kind in ("int", "bigint"):
        form, array = "K", values.filled(NULL_INTEGER)
        if definition.null or np.ma.getmaskarray(values).any():
            options["null"] = NULL_INTEGER
    elif definition.kind == "bool":
        form, array = "L", values.filled(False)
    else:
        array = np.array([ascii_only(text) for text in values.filled("")], dtype=np.str_).astype(np.bytes_)
        form = f"{max(array.dtype.itemsize, 1)}A"
    return fits.Column(format=form, disp=display_format(definition, array), array=array, **options)


def display_format(definition: ColumnDefinition, array: np.ndarray[Any, Any]) -> str:
    """Return TDISP: width and digits in which to show the column."""
    if definition.kind == "bool":
        return "L1"
    if definition.kind in ("text", "time"):
        return f"A{max(array.dtype.itemsize, 1)}"
    if definition.kind in ("int", "bigint"):
        shown = array[array != NULL_INTEGER]
        return f"I{max((len(str(number)) for number in shown.tolist()), default=1)}"
    digits = definition.digits or 7
    if digits < 0:
        return f"F{-digits + 6}.{-digits}"
    # Sign, point and a three-digit exponent beside the digits.
    return f"G{digits + 7}.{digits}"


def _mark_null_logicals(extension: fits.BinTableHDU, table: ExportTable) -> None:
    for definition in table.definitions:
        null = np.ma.getmaskarray(table.values[definition.name])
        if definition.kind == "bool" and null.any():
            raw = np.rec.recarray.field(extension.data, definition.name)
            raw[:] = np.where(
                null, 0, np.where(table.values[definition.name].filled(False), ord("T"), ord("F"))
            )


def _describe_columns(header: fits.Header, table: ExportTable) -> None:
    for number, definition in enumerate(table.definitions, start=1):
        after = max(
            (
                f"{key}{number}"
                for key in ("TTYPE", "TFORM", "TUNIT", "TNULL", "TDISP")
                if f"{key}{number}" in header
            ),
            key=header.index,
        )
        header.set(f"TUCD{number}", definition.ucd, after=after)
        header.set(f"TCOMM{number}", ascii_only(definition.description), after=after)


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
