"""Open a FITS file for reading, and say in one sentence why it cannot be opened."""

from __future__ import annotations

import gzip
import io
import os
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.errors import InputFileError, MissingFileError

if TYPE_CHECKING:
    from astropy.io import fits

_BLOCK = 2880
_GZIP_MAGIC = b"\x1f\x8b"
_FITS_MAGIC = b"SIMPLE  ="
_REMEDY = "copy or download the file again"


@contextmanager
def open_fits(path: str | os.PathLike[str], *, complete: bool = True) -> Iterator[fits.HDUList]:
    """Open a FITS file (also gzipped) and close it afterwards.

    Checksums are not verified: healthy archive files carry blank checksum cards.

    Parameters
    ----------
    path
        The file.
    complete
        Decompress a gzipped file and check that nothing is missing at the end. False reads only what is
        asked for, enough for a look at headers.

    Yields
    ------
    astropy.io.fits.HDUList
        The open file.

    Raises
    ------
    MissingFileError
        MISSING_FILE: no such file.
    InputFileError
        NOT_FITS, TRUNCATED_FITS, or UNREADABLE_FILE.
    """
    # A large library, which commands without FITS files do not wait for.
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    where = Path(path)
    magic = _first_bytes(where)
    zipped = magic.startswith(_GZIP_MAGIC)
    if not zipped and not magic.startswith(_FITS_MAGIC):
        raise InputFileError("not a FITS file", where, "give a Chandra level-2 event list", code="NOT_FITS")
    with warnings.catch_warnings():
        # Archive headers hold axis names that astropy finds too long; the columns read well all the same.
        warnings.simplefilter("ignore", AstropyWarning)
        source = io.BytesIO(_decompress(where)) if zipped and complete else where
        try:
            hdus = fits.open(source, mode="readonly", memmap=False)
        except (OSError, ValueError, EOFError, zlib.error) as error:
            raise InputFileError(
                f"no FITS file ({_first_line(error)})",
                where,
                "give a Chandra level-2 event list",
                code="NOT_FITS",
            ) from error
        with hdus:
            if complete:
                size = source.getbuffer().nbytes if isinstance(source, io.BytesIO) else where.stat().st_size
                _check_complete(hdus, size, where)
            yield hdus


def is_table(hdu: Any) -> bool:
    """Whether an extension is a binary table."""
    from astropy.io import fits

    return isinstance(hdu, fits.BinTableHDU)


def check_observation(hdus: fits.HDUList, obs_id: str, path: Path, kind: str) -> None:
    """Refuse a file whose OBS_ID is another one than `obs_id` (without leading zeros).

    Raises
    ------
    InputFileError
        OTHER_OBSERVATION.
    """
    for hdu in hdus:
        written = str(hdu.header.get("OBS_ID", "")).strip().lstrip("0")
        if written.isdigit() and written != obs_id:
            raise InputFileError(
                f"{kind} of ObsID {written}, not of {obs_id}",
                path,
                f"give that of ObsID {obs_id}, or take it out of the settings",
                code="OTHER_OBSERVATION",
            )


def _first_bytes(where: Path) -> bytes:
    if not where.exists():
        raise MissingFileError("no such file", where, "check the path")
    if where.is_dir():
        raise InputFileError("a folder, not a FITS file", where, "give the event list in it", code="NOT_FITS")
    try:
        with where.open("rb") as stream:
            return stream.read(len(_FITS_MAGIC))
    except OSError as error:
        reason = error.strerror or _first_line(error)
        raise InputFileError(
            f"cannot be read ({reason})", where, "check the permissions", code="UNREADABLE_FILE"
        ) from error


def _decompress(where: Path) -> bytes:
    try:
        content = gzip.decompress(where.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputFileError(
            f"truncated or damaged gzip file ({_first_line(error)})", where, _REMEDY, code="TRUNCATED_FITS"
        ) from error
    if not content.startswith(_FITS_MAGIC):
        raise InputFileError(
            "a gzip file without a FITS file inside",
            where,
            "give a Chandra level-2 event list",
            code="NOT_FITS",
        )
    return content


def _check_complete(hdus: fits.HDUList, size: int, where: Path) -> None:
    """Refuse a file that ends before its last table does.

    The reader of astropy stops silently at an extension whose header is cut, so what follows the last
    extension is looked at too: nothing but padding may be there.
    """
    try:
        last = max((_end_of(hdus, index) for index in range(len(hdus))), default=0)
    except (OSError, ValueError, EOFError, TypeError, KeyError) as error:
        raise InputFileError(
            f"truncated FITS file ({_first_line(error)})", where, _REMEDY, code="TRUNCATED_FITS"
        ) from error
    if last > size:
        raise InputFileError(
            f"truncated FITS file ({size} bytes where the headers promise {last})",
            where,
            _REMEDY,
            code="TRUNCATED_FITS",
        )
    if size - last > 0 and (size % _BLOCK or size - last >= _BLOCK):
        raise InputFileError(
            f"truncated FITS file ({size - last} bytes after the last complete extension)",
            where,
            _REMEDY,
            code="TRUNCATED_FITS",
        )


def _end_of(hdus: fits.HDUList, index: int) -> int:
    info = hdus.fileinfo(index)
    return int(info["datLoc"] + info["datSpan"])


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
