"""Event lists that must not be measured: level 1, merged ones, those of other instruments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import InputFileError, UnsupportedDataError
from catalog.events.data_subspace import filtered_ranges
from catalog.events.detector import Detector, detector_of_header
from catalog.events.good_times import GoodTimes

if TYPE_CHECKING:
    from astropy.io import fits

_BAD_SHARE = 0.1
#: No observation of Chandra pauses for so long; an orbit, hence the longest observation, takes 64 h.
_LONGEST_PAUSE_S = 1.0e5
#: Dither stays within 40 arcsec peak to peak; other pointings or rolls scatter by far more (arcsec).
_WIDEST_DITHER = 100.0


def check_telescope(header: Mapping[str, Any], path: Path) -> Detector:
    """Refuse other telescopes and continuous clocking; return the detector.

    Raises
    ------
    InputFileError
        NOT_CHANDRA.
    UnsupportedDataError
        UNSUPPORTED_HRC, UNSUPPORTED_CONTINUOUS.
    """
    telescope = str(header.get("TELESCOP", "")).strip().upper()
    if telescope and telescope not in {"CHANDRA", "AXAF"}:
        raise InputFileError(
            f"events of {telescope}, not of Chandra", path, "give a Chandra event list", code="NOT_CHANDRA"
        )
    detector = detector_of_header(header)
    if detector is None:
        named = str(header.get("DETNAM", "")).strip() or "missing"
        raise UnsupportedDataError(
            f"events of the HRC with DETNAM {named}",
            path,
            "give event lists of HRC-I or HRC-S, with their full header",
            code="UNSUPPORTED_HRC",
        )
    if str(header.get("READMODE", "")).strip().upper().startswith("CONTINUOUS"):
        raise UnsupportedDataError(
            "continuous clocking (READMODE=CONTINUOUS) has no image",
            path,
            "leave this observation out",
            code="UNSUPPORTED_CONTINUOUS",
        )
    return detector


def check_single_header(header: Mapping[str, Any], path: Path) -> None:
    """Refuse a list whose header says that several observations were merged.

    Signs, each enough by itself: OBS_ID (or OBJECT, TITLE, DS_IDENT, SEQ_NUM, OBI_NUM, DATE-OBS) is the word
    "merged", which CIAO's merging writes where values differ; OBS_ID names more than one observation or is
    written twice with different values; none of RA_PNT, DEC_PNT, ROLL_PNT is there although RA_NOM is, since
    keywords that differ may be dropped.

    Raises
    ------
    InputFileError
        MERGED_EVENTS.
    """
    words = ("OBS_ID", "OBJECT", "TITLE", "DS_IDENT", "SEQ_NUM", "OBI_NUM", "DATE-OBS")
    said = [key for key in words if str(header.get(key, "")).strip().lower() in {"merged", "multiple"}]
    if said:
        raise _merged(f"{said[0]} is '{str(header.get(said[0])).strip()}'", path)
    identifiers = set(re.split(r"[\s,;+&|]+", str(header.get("OBS_ID", "")).strip()))
    if hasattr(header, "cards"):
        identifiers |= {str(value).strip() for value in _values(header, "OBS_ID")}
    if len(identifiers) > 1:
        raise _merged("OBS_ID names several observations", path)
    pointing = [header.get(key) for key in ("RA_PNT", "DEC_PNT", "ROLL_PNT")]
    if all(value is None for value in pointing) and header.get("RA_NOM") is not None:
        raise _merged("RA_PNT, DEC_PNT and ROLL_PNT are missing", path)


def check_single_times(good_times: GoodTimes, path: Path) -> None:
    """Refuse good times with a pause of more than a day: they are of several observations.

    Raises
    ------
    InputFileError
        MERGED_EVENTS.
    """
    pauses = good_times.start[1:] - good_times.stop[:-1]
    if pauses.size and float(pauses.max()) > _LONGEST_PAUSE_S:
        raise _merged(f"a pause of {pauses.max() / 86400.0:.1f} days in the good times", path)


def check_single_pointing(x_axis: NDArray[np.float64], y_axis: NDArray[np.float64], path: Path) -> None:
    """Refuse a list whose events imply optical axes further apart than any dither.

    Parameters
    ----------
    x_axis, y_axis
        Optical axis implied by each event (sky minus rotated detector coordinates), arcsec.

    Raises
    ------
    InputFileError
        MERGED_EVENTS.
    """
    for axis in (x_axis, y_axis):
        if axis.size >= 10:
            low, high = np.percentile(axis, [2.0, 98.0])
            if high - low > _WIDEST_DITHER:
                raise _merged("events of several pointings", path)


def check_level(header: Mapping[str, Any], bad: NDArray[np.bool_], path: Path) -> None:
    """Refuse level 1.

    CONTENT alone does not tell: lists reprocessed to level 2 keep CONTENT = EVT1 and HDUCLAS2 = ALL. Refused
    is a list of which more than a tenth has grades or status bits that level 2 drops, unless it calls itself
    EVT2; and a list named ``_evt1`` without a filter on grade.

    Parameters
    ----------
    header
        Header of the event table.
    bad
        Shape (n,), events that level 2 would not hold.
    path
        The file.

    Raises
    ------
    InputFileError
        LEVEL1.
    """
    graded = any(
        np.isfinite(limit) for ranges in filtered_ranges(header, "grade") for pair in ranges for limit in pair
    )
    share = float(np.mean(bad)) if bad.size else 0.0
    content = str(header.get("CONTENT", "")).strip().upper()
    named = re.search(r"evt1(?![0-9])", path.name.lower()) is not None
    if (share > _BAD_SHARE and content != "EVT2") or (named and not graded):
        reason = (
            f"{share:.0%} of the events have bad grades or status bits"
            if share > _BAD_SHARE
            else "by its name"
        )
        raise InputFileError(
            f"a level-1 event list ({reason})",
            path,
            "give the level-2 list (evt2), or reprocess it with chandra_repro",
            code="LEVEL1",
        )


def _values(header: fits.Header, keyword: str) -> list[object]:
    return [card.value for card in header.cards if card.keyword == keyword]


def _merged(reason: str, path: Path) -> InputFileError:
    return InputFileError(
        f"a merged event list ({reason})",
        path,
        "give the event list of each observation, srccat merges the results",
        code="MERGED_EVENTS",
    )
