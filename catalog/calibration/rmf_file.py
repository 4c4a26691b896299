"""Reading and writing an OGIP redistribution matrix file (George et al. 1992, OGIP memo CAL/GEN/92-002)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.calibration.redistribution import Redistribution
from catalog.errors import CalibrationError, MissingFileError

_WANTED = "give an OGIP RMF with extensions MATRIX and EBOUNDS"


def read_rmf(path: str | Path) -> Redistribution:
    """Read a redistribution from an OGIP RMF, gzipped or not.

    N_GRP, F_CHAN, N_CHAN and MATRIX may be of fixed or variable length; the number of the first channel is
    TLMIN of F_CHAN (1 where it is missing, as OGIP says), else that of CHANNEL.

    Raises
    ------
    MissingFileError
        When there is no such file.
    CalibrationError
        When it is no RMF or its parts disagree (code CALIBRATION_FILE).
    """
    from astropy.io import fits

    path = Path(path)
    if not path.is_file():
        raise MissingFileError("no such redistribution file", path, "give the path of an OGIP RMF")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            with fits.open(path) as hdus:
                return _from_hdus(hdus, path)
    except (OSError, KeyError, IndexError, TypeError) as error:
        raise CalibrationError(
            f"not a redistribution file ({error})", path, _WANTED, code="CALIBRATION_FILE"
        ) from error


def _from_hdus(hdus: Any, path: Path) -> Redistribution:
    tables = {hdu.name.upper(): hdu for hdu in hdus[1:]}
    matrix_hdu = tables.get("MATRIX", tables.get("SPECRESP MATRIX"))
    bounds_hdu = tables.get("EBOUNDS")
    if matrix_hdu is None or bounds_hdu is None:
        raise CalibrationError("no MATRIX or no EBOUNDS extension", path, _WANTED, code="CALIBRATION_FILE")
    first = _first_channel(matrix_hdu)
    bounds = bounds_hdu.data
    rows = matrix_hdu.data
    matrix = np.zeros((len(rows), len(bounds)), dtype=np.float32)
    for number, row in enumerate(rows):
        _fill_row(matrix[number], row, first, path)
    sums = matrix.sum(axis=1, dtype=np.float64)
    if not np.isfinite(sums).all() or sums.min() < 0 or not 0.5 < sums.max() < 1.5:
        raise CalibrationError(
            f"rows of the matrix sum to {sums.min():.3g} to {sums.max():.3g}, not 1",
            path,
            "give a matrix without effective area",
            code="CALIBRATION_FILE",
        )
    return Redistribution(
        energy_lo=np.asarray(rows["ENERG_LO"], dtype=float),
        energy_hi=np.asarray(rows["ENERG_HI"], dtype=float),
        channel_lo=np.asarray(bounds["E_MIN"], dtype=float),
        channel_hi=np.asarray(bounds["E_MAX"], dtype=float),
        matrix=matrix,
        first_channel=first,
        name=f"rmf {path.name}",
    )


def _first_channel(hdu: Any) -> int:
    # Some writers store TLMIN as a string.
    column = [name.upper() for name in hdu.columns.names].index("F_CHAN") + 1
    return int(hdu.header.get(f"TLMIN{column}", 1))


def _fill_row(out: NDArray[np.float32], row: Any, first: int, path: Path) -> None:
    groups = int(row["N_GRP"])
    starts = np.atleast_1d(row["F_CHAN"])[:groups]
    lengths = np.atleast_1d(row["N_CHAN"])[:groups]
    values = np.atleast_1d(row["MATRIX"])
    used = 0
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        begin = int(start) - first
        chunk = values[used : used + int(length)]
        if begin < 0 or begin + int(length) > out.size or chunk.size != int(length):
            raise CalibrationError(
                "a channel group of the matrix lies outside the channels",
                path,
                "check TLMIN of F_CHAN and EBOUNDS",
                code="CALIBRATION_FILE",
            )
        out[begin : begin + int(length)] += chunk
        used += int(length)


def write_rmf(
    path: str | Path,
    response: Redistribution,
    *,
    keywords: Mapping[str, Any] | None = None,
    threshold: float = 1e-6,
    overwrite: bool = False,
) -> Path:
    """Write a redistribution as an OGIP RMF and return its path.

    Parameters
    ----------
    path
        File to write.
    response
        The redistribution.
    keywords
        Further header keywords of both extensions.
    threshold
        Values below it are left out, and the rest of the row scaled to its sum.
    overwrite
        Whether to replace a file.
    """
    from astropy.io import fits

    groups = [_row_groups(row.astype(float), threshold) for row in response.matrix]
    starts = np.empty(len(groups), dtype=object)
    lengths = np.empty(len(groups), dtype=object)
    values = np.empty(len(groups), dtype=object)
    for number, (begin, length, value) in enumerate(groups):
        starts[number] = (begin + response.first_channel).astype(np.int16)
        lengths[number] = length.astype(np.int16)
        values[number] = value.astype(np.float32)
    matrix = fits.BinTableHDU.from_columns(
        [
            fits.Column("ENERG_LO", "E", unit="keV", array=response.energy_lo),
            fits.Column("ENERG_HI", "E", unit="keV", array=response.energy_hi),
            fits.Column("N_GRP", "I", array=[len(begin) for begin, _, _ in groups]),
            fits.Column("F_CHAN", "PI()", array=starts),
            fits.Column("N_CHAN", "PI()", array=lengths),
            fits.Column("MATRIX", "PE()", array=values),
        ],
        name="MATRIX",
    )
    channels = response.first_channel + np.arange(response.channel_lo.size)
    bounds = fits.BinTableHDU.from_columns(
        [
            fits.Column("CHANNEL", "I", array=channels.astype(np.int16)),
            fits.Column("E_MIN", "E", unit="keV", array=response.channel_lo),
            fits.Column("E_MAX", "E", unit="keV", array=response.channel_hi),
        ],
        name="EBOUNDS",
    )
    common = {"TELESCOP": "CHANDRA", "INSTRUME": "ACIS", "FILTER": "NONE", "CHANTYPE": "PI",
              "HDUCLASS": "OGIP", "HDUCLAS1": "RESPONSE", "RMFVERSN": "1992a",
              "DETCHANS": channels.size, "CREATOR": "srccat",
              **(keywords or {})}  # fmt: skip
    matrix.header.update(
        {**common, "HDUCLAS2": "RSP_MATRIX", "HDUCLAS3": "REDIST", "HDUVERS": "1.3.0", "LO_THRES": threshold}
    )
    matrix.header["TLMIN4"], matrix.header["TLMAX4"] = int(channels[0]), int(channels[-1])
    matrix.header["NUMGRP"] = sum(len(begin) for begin, _, _ in groups)
    matrix.header["NUMELT"] = sum(value.size for _, _, value in groups)
    bounds.header.update({**common, "HDUCLAS2": "EBOUNDS", "HDUVERS": "1.2.0"})
    bounds.header["TLMIN1"], bounds.header["TLMAX1"] = int(channels[0]), int(channels[-1])
    target = Path(path)
    fits.HDUList([fits.PrimaryHDU(), matrix, bounds]).writeto(target, overwrite=overwrite)
    return target


def _row_groups(
    row: NDArray[np.float64], threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """First channels (from 0) and lengths of the runs above the threshold, and their values."""
    above = np.concatenate([[False], row > threshold, [False]])
    edges = np.flatnonzero(np.diff(above.astype(np.int8)))
    begin, end = edges[::2], edges[1::2]
    value = row[row > threshold]
    if value.size:
        value = value * (row.sum() / value.sum())
    return begin, end - begin, value
