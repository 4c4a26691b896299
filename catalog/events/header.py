"""What the header of an event list says about the observation."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from catalog.errors import InputFileError
from catalog.events.detector import ACIS, Detector, detector_named

#: Chandra's mission time counts seconds (TT) from MJD 50814.0, 1998-01-01.
_MISSION_START = datetime(1998, 1, 1)
_ANCILLARY_KEYWORDS = (
    "ASOLFILE",
    "BPIXFILE",
    "MASKFILE",
    "MSKFILE",
    "DTFFILE",
    "FOVFILE",
    "PBKFILE",
    "FLTFILE",
)
_NO_FILE = {"", "none", "null", "/dev/null", "caldb"}


@dataclass(frozen=True)
class ObservationHeader:
    """Keywords of an observation. None where the header has no (usable) value.

    Attributes
    ----------
    obs_id
        Without leading zeros.
    obi_num, cycle, datamode
        With `obs_id` the natural key of an observation; cycle is P (primary) or S (secondary).
    date_obs, decimal_year
        Start of the observation, ISO and as year with fraction.
    tstart, tstop, ontime, livetime, exposure
        Seconds (mission time, TT).
    dtcor
        Live time over on time.
    livetime_by_chip
        Live time in s by CCD_ID, from LIVTIMEn.
    active_chips
        CCD_IDs with live time, or those of DETNAM where the header has no live times by chip; plates of the
        HRC (0 of the HRC-I, 1 to 3 of the HRC-S).
    ra_pnt, dec_pnt, roll_pnt, ra_nom, dec_nom, roll_nom
        Mean and nominal pointing, degrees ICRS.
    sim_x, sim_y, sim_z, dy_avg, dz_avg
        Position of the instrument module and its mean offsets, mm; `dth_avg` in degrees.
    frame_time, exposure_time
        TIMEDEL (with transfer) and EXPTIME of a frame, s; None for the HRC, which has no frames.
    first_row, rows
        Subarray: CHIPY of the first row and number of rows.
    ancillary
        Names of companion files by keyword, as written in the header.
    pix_adj, rand_sky
        How positions were moved within pixels: PIX_ADJ (EDSER, RANDOMIZE, NONE, CENTROID), RAND_SKY in
        pixels.
    data_class
        DATACLAS: OBSERVED or SIMULATED.
    fp_temp
        Temperature of the focal plane of ACIS, K.
    cti_app, cti_corrected
        CTI_APP (how charge transfer was corrected, by chip), and whether it was.
    """

    obs_id: str
    obi_num: int | None
    cycle: str
    datamode: str | None
    readmode: str | None
    telescope: str
    instrument: str
    detector: str | None
    grating: str | None
    object: str | None
    date_obs: str | None
    decimal_year: float
    tstart: float
    tstop: float
    ontime: float | None
    livetime: float | None
    exposure: float | None
    dtcor: float | None
    livetime_by_chip: Mapping[int, float]
    active_chips: tuple[int, ...]
    ra_pnt: float
    dec_pnt: float
    roll_pnt: float
    ra_nom: float | None
    dec_nom: float | None
    roll_nom: float | None
    sim_x: float | None
    sim_y: float | None
    sim_z: float | None
    dy_avg: float | None
    dz_avg: float | None
    dth_avg: float | None
    frame_time: float | None
    exposure_time: float | None
    first_row: int
    rows: int
    creator: str | None
    ascdsver: str | None
    content: str | None
    ancillary: Mapping[str, tuple[str, ...]]
    pix_adj: str | None = None
    rand_sky: float | None = None
    data_class: str | None = None
    fp_temp: float | None = None
    cti_app: str | None = None
    cti_corrected: bool = False

    @property
    def imager(self) -> Detector:
        """The detector."""
        return detector_named(self.instrument, self.detector) or ACIS


def parse_header(header: Mapping[str, Any], path: str | Path) -> ObservationHeader:
    """Read the keywords of an event table.

    Parameters
    ----------
    header
        Header of the EVENTS extension, completed by the primary header.
    path
        The file, for messages.

    Raises
    ------
    InputFileError
        MISSING_KEYWORD, naming the keyword that is missing or no number.
    """
    keys = _Keywords(header, path)
    livetimes = _numbered(header, "LIVTIME")
    detector = keys.text("DETNAM")
    tstart = keys.required_number("TSTART")
    date_obs = keys.text("DATE-OBS")
    ontime, livetime, exposure = keys.number("ONTIME"), keys.number("LIVETIME"), keys.number("EXPOSURE")
    dtcor = keys.number("DTCOR")
    instrument = keys.required_text("INSTRUME").upper()
    framed = instrument != "HRC"
    if livetime is None and exposure is None and not livetimes and (ontime is None or dtcor is None):
        raise keys.missing("LIVETIME")
    if dtcor is None and ontime and livetime is not None:
        dtcor = livetime / ontime
    return ObservationHeader(
        obs_id=keys.required_text("OBS_ID").lstrip("0") or "0",
        obi_num=keys.integer("OBI_NUM"),
        cycle=(keys.text("CYCLE") or "P").upper(),
        datamode=keys.text("DATAMODE"),
        readmode=keys.text("READMODE"),
        telescope=keys.required_text("TELESCOP"),
        instrument=instrument,
        detector=detector,
        grating=keys.text("GRATING"),
        object=keys.text("OBJECT"),
        date_obs=date_obs,
        decimal_year=decimal_year(date_obs, tstart),
        tstart=tstart,
        tstop=keys.required_number("TSTOP"),
        ontime=ontime,
        livetime=livetime,
        exposure=exposure,
        dtcor=dtcor,
        livetime_by_chip=livetimes,
        active_chips=_active_chips(livetimes, instrument, detector),
        ra_pnt=keys.required_number("RA_PNT"),
        dec_pnt=keys.required_number("DEC_PNT"),
        roll_pnt=keys.required_number("ROLL_PNT"),
        ra_nom=keys.number("RA_NOM"),
        dec_nom=keys.number("DEC_NOM"),
        roll_nom=keys.number("ROLL_NOM"),
        sim_x=keys.number("SIM_X"),
        sim_y=keys.number("SIM_Y"),
        sim_z=keys.number("SIM_Z"),
        dy_avg=keys.number("DY_AVG"),
        dz_avg=keys.number("DZ_AVG"),
        dth_avg=keys.number("DTH_AVG"),
        frame_time=keys.number("TIMEDEL") if framed else None,
        exposure_time=keys.number("EXPTIME") if framed else None,
        first_row=keys.integer("FIRSTROW") or 1,
        rows=keys.integer("NROWS") or 1024,
        creator=keys.text("CREATOR"),
        ascdsver=keys.text("ASCDSVER"),
        content=keys.text("CONTENT"),
        ancillary=ancillary_names(header),
        pix_adj=keys.text("PIX_ADJ"),
        rand_sky=keys.number("RAND_SKY"),
        data_class=keys.text("DATACLAS"),
        fp_temp=keys.number("FP_TEMP"),
        cti_app=keys.text("CTI_APP"),
        cti_corrected=header.get("CTI_CORR") is True,
    )


def ancillary_names(header: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Names of companion files by keyword; comma or blank separated lists are split, folders cut off."""
    found: dict[str, tuple[str, ...]] = {}
    for keyword in _ANCILLARY_KEYWORDS:
        value = header.get(keyword)
        if not isinstance(value, str):
            continue
        names = (name.strip().lstrip("@") for name in re.split(r"[,\s]+", value))
        kept = tuple(Path(name).name for name in names if name.lower() not in _NO_FILE)
        if kept:
            found[keyword] = kept
    return found


def decimal_year(date_obs: str | None, tstart: float) -> float:
    """Year with fraction from an ISO date or, where that cannot be read, from mission time in s."""
    try:
        date = datetime.fromisoformat(date_obs or "").replace(tzinfo=None)
    except ValueError:
        date = _MISSION_START + timedelta(seconds=tstart)
    first, following = datetime(date.year, 1, 1), datetime(date.year + 1, 1, 1)
    return date.year + (date - first) / (following - first)


def _active_chips(livetimes: Mapping[int, float], instrument: str, detector: str | None) -> tuple[int, ...]:
    if instrument == "HRC":
        plates = detector_named(instrument, detector)
        return () if plates is None else plates.chip_ids
    if livetimes:
        return tuple(sorted(chip for chip, seconds in livetimes.items() if seconds > 0))
    match = re.fullmatch(r"ACIS-(\d+)", (detector or "").upper())
    return tuple(sorted({int(digit) for digit in match.group(1)})) if match else ()


def _numbered(header: Mapping[str, Any], stem: str) -> dict[int, float]:
    values = {chip: _as_number(header.get(f"{stem}{chip}")) for chip in range(10)}
    return {chip: value for chip, value in values.items() if value is not None}


def _as_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


class _Keywords:
    """Typed access to a header; remembers the file for messages."""

    def __init__(self, header: Mapping[str, Any], path: str | Path) -> None:
        self._header = header
        self._path = path

    def text(self, name: str) -> str | None:
        value = self._header.get(name)
        if value is None or isinstance(value, bool):
            return None
        return str(value).strip() or None

    def number(self, name: str) -> float | None:
        return _as_number(self._header.get(name))

    def integer(self, name: str) -> int | None:
        value = self.number(name)
        return None if value is None else int(value)

    def required_text(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise self.missing(name)
        return value

    def required_number(self, name: str) -> float:
        value = self.number(name)
        if value is None:
            raise self.missing(name)
        return value

    def missing(self, name: str) -> InputFileError:
        return InputFileError(
            f"keyword {name} is missing or has no value",
            self._path,
            "give a level-2 event list with its full header",
            code="MISSING_KEYWORD",
        )
