"""Reading and writing OGIP spectra of type I (Arnaud, George & Tennant 1992, OGIP/92-007)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from catalog.calibration.redistribution import Redistribution
from catalog.errors import InputFileError, MissingFileError

_WANTED = "give an OGIP spectrum of type I: extension SPECTRUM, columns CHANNEL and COUNTS"
_KEPT = ("OBS_ID", "OBJECT", "TELESCOP", "INSTRUME", "DETNAM", "GRATING", "DATE-OBS", "CREATOR")


@dataclass(frozen=True, eq=False)
class PhaFile:
    """A spectrum as a file has it.

    Attributes
    ----------
    counts
        Counts by channel, shape (n_channel,).
    exposure
        EXPOSURE, s.
    backscal
        BACKSCAL, a number or by channel.
    areascal
        AREASCAL, alike.
    first_channel
        Number of the first channel.
    grouping, quality
        OGIP's columns, shape (n_channel,); None where the file has none.
    background, arf, rmf
        Names in BACKFILE, ANCRFILE, RESPFILE; None for none.
    keywords
        Others of interest: OBS_ID, OBJECT and the like.
    path
        The file; its folder is where the names lead from.
    """

    counts: NDArray[np.float64] = field(repr=False)
    exposure: float
    backscal: float | NDArray[np.float64] = 1.0
    areascal: float | NDArray[np.float64] = 1.0
    first_channel: int = 1
    grouping: NDArray[np.int16] | None = field(default=None, repr=False)
    quality: NDArray[np.int16] | None = field(default=None, repr=False)
    background: str | None = None
    arf: str | None = None
    rmf: str | None = None
    keywords: Mapping[str, Any] = field(default_factory=dict)
    path: Path = Path("spectrum.pi")

    def named(self, kind: str) -> Path | None:
        """Path of the file that the header names as ``background``, ``arf`` or ``rmf``; None without one."""
        name = getattr(self, kind)
        return None if name is None else self.path.parent / name

    def ratio_to(self, background: PhaFile) -> NDArray[np.float64] | float:
        """Expected background counts in the background's file over those in this one, r.

        Product of EXPOSURE, BACKSCAL and AREASCAL of the background, over that of the source.
        """
        return (
            background.exposure
            * background.backscal
            * background.areascal
            / (self.exposure * self.backscal * self.areascal)
        )


def read_pha(path: str | Path) -> PhaFile:
    """Read a spectrum, gzipped or not.

    Counts come from COUNTS, else from RATE or COUNT_RATE times EXPOSURE.

    Raises
    ------
    MissingFileError
        When there is no such file.
    InputFileError
        PHA_FILE: it is no spectrum of type I, or what it says makes no sense.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError("no such spectrum", path, "give the path of an OGIP spectrum")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            with fits.open(path) as hdus:
                return _from_hdus(hdus, path)
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise _refusal(f"not a spectrum ({error})", path) from error


def _from_hdus(hdus: Any, path: Path) -> PhaFile:
    table = next(
        (
            hdu
            for hdu in hdus[1:]
            if hdu.name.upper() == "SPECTRUM" or hdu.header.get("HDUCLAS1") == "SPECTRUM"
        ),
        None,
    )
    if table is None:
        raise _refusal("no SPECTRUM extension", path)
    header, names = table.header, {name.upper() for name in table.columns.names}
    if "CHANNEL" not in names or np.ndim(table.data["CHANNEL"]) != 1 or "SPEC_NUM" in names:
        raise _refusal("a file of several spectra (type II), or without CHANNEL", path)
    exposure = float(header["EXPOSURE"])
    channel = np.asarray(table.data["CHANNEL"], dtype=np.int64)
    rate = next((name for name in ("RATE", "COUNT_RATE") if name in names), None)
    if "COUNTS" in names:
        counts = np.asarray(table.data["COUNTS"], dtype=float)
    elif rate is not None:
        counts = np.asarray(table.data[rate], dtype=float) * exposure
    else:
        raise _refusal("neither COUNTS nor RATE", path)
    if not np.isfinite(counts).all() or (counts < 0).any() or not exposure > 0:
        raise _refusal("counts that are negative or no numbers, or no EXPOSURE", path)
    if channel.size == 0 or (np.diff(channel) != 1).any():
        raise _refusal("channels that do not follow each other", path)
    return PhaFile(
        counts=counts,
        exposure=exposure,
        backscal=_scale(table, "BACKSCAL", path),
        areascal=_scale(table, "AREASCAL", path),
        first_channel=int(channel[0]),
        grouping=_flags(table, "GROUPING", names),
        quality=_flags(table, "QUALITY", names),
        background=_file_name(header.get("BACKFILE")),
        arf=_file_name(header.get("ANCRFILE")),
        rmf=_file_name(header.get("RESPFILE")),
        keywords={name: header[name] for name in _KEPT if header.get(name) not in (None, "")},
        path=path,
    )


def _scale(table: Any, name: str, path: Path) -> float | NDArray[np.float64]:
    if name in {column.upper() for column in table.columns.names}:
        values = np.asarray(table.data[name], dtype=float)
        if not (values > 0).any():
            raise _refusal(f"{name} of 0 everywhere", path)
        return values
    value = float(table.header.get(name, 1.0))
    if not value > 0:
        raise _refusal(f"{name} of {value:g}", path)
    return value


def _flags(table: Any, name: str, names: set[str]) -> NDArray[np.int16] | None:
    if name not in names:
        return None
    values = np.asarray(table.data[name], dtype=np.int16)
    return values if name == "QUALITY" or (values != 0).any() else None


def _file_name(value: Any) -> str | None:
    text = str(value or "").strip()
    return None if text.lower() in ("", "none") else text


def check_channels_match(spectrum: PhaFile, response: Redistribution) -> None:
    """Refuse a redistribution whose channels are not those of a spectrum.

    Raises
    ------
    InputFileError
        PHA_CHANNELS, naming both.
    """
    size, first = spectrum.counts.size, spectrum.first_channel
    if size != response.channel_lo.size or first != response.first_channel:
        raise InputFileError(
            f"{size} channels from {first}, the redistribution {response.name} has "
            f"{response.channel_lo.size} from {response.first_channel}",
            spectrum.path,
            "use the redistribution made for this spectrum",
            code="PHA_CHANNELS",
        )


def write_pha(
    path: str | Path, spectrum: PhaFile, *, is_background: bool = False, overwrite: bool = False
) -> Path:
    """Write a spectrum and return its path; `spectrum.path` is not looked at.

    Whole counts are written as integers, others (a combined background) as reals. Either is Poisson.
    """
    counts = spectrum.counts
    whole = bool(np.array_equal(counts, np.rint(counts)))
    channels = spectrum.first_channel + np.arange(counts.size)
    columns = [
        fits.Column("CHANNEL", "J", array=channels.astype(np.int32)),
        fits.Column("COUNTS", "J" if whole else "D", unit="count", array=counts),
    ]
    for name, values in (("GROUPING", spectrum.grouping), ("QUALITY", spectrum.quality)):
        if values is not None:
            columns.append(fits.Column(name, "I", array=values))
    scales = {"BACKSCAL": spectrum.backscal, "AREASCAL": spectrum.areascal}
    columns += [
        fits.Column(name, "D", array=value) for name, value in scales.items() if isinstance(value, np.ndarray)
    ]
    table = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    table.header["TLMIN1"], table.header["TLMAX1"] = int(channels[0]), int(channels[-1])
    header: dict[str, Any] = {
        "TELESCOP": "CHANDRA",
        "INSTRUME": "ACIS",
        "FILTER": "NONE",
        "EXPOSURE": spectrum.exposure,
        **{name: value for name, value in scales.items() if not isinstance(value, np.ndarray)},
        "CORRSCAL": 1.0,
        "BACKFILE": spectrum.background or "none",
        "CORRFILE": "none",
        "RESPFILE": spectrum.rmf or "none",
        "ANCRFILE": spectrum.arf or "none",
        "HDUCLASS": "OGIP",
        "HDUCLAS1": "SPECTRUM",
        "HDUCLAS2": "BKG" if is_background else "TOTAL",
        "HDUCLAS3": "COUNT",
        "HDUCLAS4": "TYPE:I",
        "HDUVERS": "1.2.1",
        "HDUVERS1": "1.2.1",
        "PHAVERSN": "1992a",
        "CHANTYPE": "PI",
        "DETCHANS": counts.size,
        "POISSERR": True,
        "SYS_ERR": 0.0,
        "CREATOR": "srccat",
    }
    if spectrum.grouping is None:
        header["GROUPING"] = 0
    if spectrum.quality is None:
        header["QUALITY"] = 0
    # New keywords are appended unseen and the result is not verified: either takes half of the time.
    table.header.extend({**header, **spectrum.keywords}.items(), end=True)
    target = Path(path)
    hdus = fits.HDUList([fits.PrimaryHDU(), table])
    hdus.writeto(target, output_verify="ignore", overwrite=overwrite)
    return target


def _refusal(what: str, path: Path) -> InputFileError:
    return InputFileError(what, path, _WANTED, code="PHA_FILE")
