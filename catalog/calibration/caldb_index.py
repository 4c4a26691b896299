"""The index of a CALDB tree: which file holds which data set from which date.

``$CALDB/data/chandra/<branch>/caldb.indx`` (a FITS table; branches ``default``, ``acis``, ``hrc``) has a row
per data set (HDU): INSTRUME, DETNAM, CAL_DIR, CAL_FILE, CAL_CNAM (kind), CAL_CBD (up to nine bounds such as
``CCD_ID(3)`` or ``SHELL(1111)``), CAL_XNO (extension), REF_TIME (start of validity, MJD), CAL_QUAL (0 good, 5
not to be used). Format: HEASARC memo CAL/GEN/92-008 and the indexing page of the Chandra CALDB.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astropy.io import fits
from astropy.time import Time

from catalog.errors import CalibrationError

BRANCHES = ("default", "acis", "hrc")
_GOOD = 0
_NUMBER = re.compile(r"-?\d+\.?\d*")
_RANGE = re.compile(r"(-?\d+\.?\d*)\s*-\s*(-?\d+\.?\d*)")


@dataclass(frozen=True)
class IndexEntry:
    """One data set.

    Attributes
    ----------
    name
        Kind (CAL_CNAM), upper case: AXEFFA, VIGNET, QE, QEU, CONTAM, REEF, ...
    instrument, detector
        As in the index.
    path, extension
        File, and number of the HDU in it.
    bounds
        Conditions (keyword, values as text), such as ("CCD_ID", "3").
    start
        First day of validity, MJD.
    description
        Text of the index.
    """

    name: str
    instrument: str
    detector: str
    path: Path
    extension: int
    bounds: tuple[tuple[str, str], ...]
    start: float
    description: str

    @property
    def version(self) -> str:
        """Version in the file's name, such as N0008."""
        found = re.search(r"N\d{4}", self.path.name)
        return found.group(0) if found else ""

    def admits(self, keyword: str, value: float | str | None) -> bool:
        """Whether a bound allows a value; without such a bound, and of an unknown value, everything does."""
        bound = dict(self.bounds).get(keyword)
        if bound is None or value is None:
            return True
        return any(_allows(part.strip(), value) for part in bound.split(","))


def _allows(part: str, value: float | str) -> bool:
    """Whether one item of a bound (a text, a number or a range such as ``151.5-158.5``) allows a value."""
    if isinstance(value, str):
        return part.strip("'\"").upper() == value.upper()
    limits = _RANGE.fullmatch(part)
    if limits:
        return float(limits[1]) <= value <= float(limits[2])
    return bool(_NUMBER.fullmatch(part)) and float(part) == value


def read_caldb_index(root: str | Path) -> tuple[IndexEntry, ...]:
    """Read the indices of all branches of a CALDB.

    Raises
    ------
    CalibrationError
        CALDB_MISSING: no such folder. CALDB_INDEX: no index in it, or one that cannot be read.
    """
    root = Path(root)
    if not root.is_dir():
        todo = "set [calibration] caldb or $CALDB"
        raise CalibrationError("no such CALDB folder", root, todo, code="CALDB_MISSING")
    base = root / "data" / "chandra"
    found = [base / branch / "caldb.indx" for branch in BRANCHES]
    found = [path for path in found if path.is_file()]
    if not found:
        raise CalibrationError(
            "a CALDB without an index",
            base,
            "there must be <branch>/caldb.indx for default and acis: install the CALDB's main tar files",
            code="CALDB_INDEX",
        )
    return tuple(entry for path in found for entry in _read_branch(path, root))


def _read_branch(path: Path, root: Path) -> list[IndexEntry]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            with fits.open(path) as hdus:
                rows = hdus[1].data
                names = {name.upper() for name in rows.names}
                return [_entry(row, names, root) for row in rows if int(row["CAL_QUAL"]) == _GOOD]
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise CalibrationError(
            f"a CALDB index that cannot be read ({error})",
            path,
            "install the CALDB again",
            code="CALDB_INDEX",
        ) from error


def _entry(row: Any, names: set[str], root: Path) -> IndexEntry:
    bounds: dict[str, str] = {}
    raw = row["CAL_CBD"]
    texts = [str(text) for text in raw] if not isinstance(raw, str) else re.findall(r"\w+\([^)]*\)", raw)
    for text in texts:
        for keyword, value in re.findall(r"(\w+)\(([^)]*)\)", text):
            bounds[keyword.upper()] = value.strip()
    return IndexEntry(
        name=str(row["CAL_CNAM"]).strip().upper(),
        instrument=str(row["INSTRUME"]).strip().upper(),
        detector=str(row["DETNAM"]).strip().upper() if "DETNAM" in names else "",
        path=root / str(row["CAL_DIR"]).strip() / str(row["CAL_FILE"]).strip(),
        extension=int(row["CAL_XNO"]),
        bounds=tuple(bounds.items()),
        start=float(row["REF_TIME"]),
        description=str(row["CAL_DESC"]).strip() if "CAL_DESC" in names else "",
    )


def choose(
    entries: Sequence[IndexEntry], name: str, decimal_year: float, **bounds: float | str | None
) -> IndexEntry | None:
    """The data set of a kind for a date: among those whose bounds allow it the one that began last.

    Bounds are matched by keyword (CCD_ID, FP_TEMP in K, DATAMODE, ...); None for what is not known. Of two
    that began together the higher version is taken. None when there is none.
    """
    day = float(Time(decimal_year, format="jyear").mjd)
    fitting = [
        entry
        for entry in entries
        if entry.name == name
        and entry.start <= day
        and all(entry.admits(keyword, value) for keyword, value in bounds.items())
    ]
    return max(fitting, key=lambda entry: (entry.start, entry.version), default=None)
