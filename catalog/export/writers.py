"""Write an export table: the suffix chooses the format, and the file appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from catalog.errors import MissingFileError, ProjectError, SettingsError
from catalog.export.ds9 import region_bytes
from catalog.export.fits_table import fits_gz_bytes, fits_pieces
from catalog.export.latex import latex_bytes
from catalog.export.mrt import mrt_bytes
from catalog.export.parquet import parquet_bytes
from catalog.export.table import ExportTable
from catalog.export.text_tables import csv_bytes, ecsv_bytes
from catalog.export.votable import votable_bytes

FORMATS: dict[str, Callable[[ExportTable], bytes | Iterator[bytes]]] = {
    ".fits": fits_pieces,
    ".fits.gz": fits_gz_bytes,
    ".vot": votable_bytes,
    ".xml": votable_bytes,
    ".ecsv": ecsv_bytes,
    ".csv": csv_bytes,
    ".parquet": parquet_bytes,
    ".tex": latex_bytes,
    ".mrt": mrt_bytes,
    ".reg": region_bytes,
}
"""Writer by suffix; each turns a table into the bytes of a file, at once or piece by piece."""


def format_of(path: Path) -> str:
    """Return the suffix of `FORMATS` that a path ends in.

    Raises
    ------
    SettingsError
        With code UNKNOWN_FORMAT when it ends in none.
    """
    name = path.name.lower()
    for suffix in FORMATS:
        if name.endswith(suffix) and name != suffix:
            return suffix
    raise SettingsError(
        "no format of this suffix", path, f"give one of {' '.join(FORMATS)}", code="UNKNOWN_FORMAT"
    )


def export_table(table: ExportTable, path: Path, overwrite: bool = True) -> Path:
    """Write a table to `path` in the format of its suffix, and return the path.

    Raises
    ------
    SettingsError
        Unknown suffix.
    MissingFileError
        The folder does not exist.
    ProjectError
        The folder cannot be written, or the file is there and `overwrite` is false (FILE_EXISTS).
    UserError
        A library that the format needs is not installed.
    """
    suffix = format_of(path)
    if not path.parent.is_dir():
        raise MissingFileError("no such folder", path.parent, "create it first")
    if path.is_dir():
        raise ProjectError("a folder, not a file", path, "give the name of a file")
    if path.exists() and not overwrite:
        raise ProjectError(
            "the file is there", path, "choose another name, or allow overwriting", code="FILE_EXISTS"
        )
    write_whole(path, FORMATS[suffix](table))
    return path


def write_whole(path: Path, content: bytes | Iterator[bytes]) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    ProjectError
        The folder cannot be written.
    """
    # Renamed only when complete: an interrupted export leaves what was there before.
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with beside.open("wb") as file:
                file.writelines([content] if isinstance(content, bytes) else content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise ProjectError(
            f"the file cannot be written ({error.strerror})", path, "check the rights and space of the folder"
        ) from error
