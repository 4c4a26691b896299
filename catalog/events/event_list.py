"""Level-2 event lists: read, check, clean."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import InputFileError
from catalog.events import event_checks, event_columns
from catalog.events.energy_cut import energy_cut
from catalog.events.fits_file import is_table, open_fits
from catalog.events.good_times import (
    GoodTimes,
    all_good_times,
    good_times_of_file,
    missing_good_time_tables,
    reduce_good_times,
)
from catalog.events.header import ObservationHeader, parse_header
from catalog.events.pointing import Pointing, mean_pointing
from catalog.events.sky_frame import SkyFrame, parse_sky_frame

if TYPE_CHECKING:
    from astropy.io import fits

_REMEDY = "give a level-2 event list"


@dataclass(frozen=True, eq=False)
class EventList:
    """Events of one observation that survived cleaning, in the order of the file.

    Attributes
    ----------
    path, header, sky_frame
        The file, its observation, its projection.
    good_times
        By CCD_ID; a chip that is not there has no good time.
    energy_range
        (lower, upper) keV the list was cut to, None when not cut.
    dropped
        Number of events left out, by reason.
    row
        Shape (n,), 0-based row in the file.
    time, x, y, energy, ccd_id
        Shape (n,): s, sky pixels, keV, chip (CHIP_ID of the HRC).
    detx, dety, chipx, chipy, expno, pi, grade
        Shape (n,), or None when the file has no such column.
    """

    path: Path
    header: ObservationHeader
    sky_frame: SkyFrame
    good_times: Mapping[int, GoodTimes]
    energy_range: tuple[float, float] | None
    dropped: Mapping[str, int]
    row: NDArray[np.int64]
    time: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    energy: NDArray[np.float64]
    ccd_id: NDArray[np.int16]
    detx: NDArray[np.float32] | None = None
    dety: NDArray[np.float32] | None = None
    chipx: NDArray[np.int16] | None = None
    chipy: NDArray[np.int16] | None = None
    expno: NDArray[np.int32] | None = None
    pi: NDArray[np.int32] | None = None
    grade: NDArray[np.int16] | None = None

    def __len__(self) -> int:
        return int(self.time.size)

    @property
    def pointing(self) -> Pointing:
        """Mean pointing of the header."""
        return mean_pointing(self.header, self.sky_frame)

    @property
    def chips(self) -> tuple[int, ...]:
        """Chips with good time, sorted."""
        return tuple(sorted(chip for chip, times in self.good_times.items() if times.total() > 0))

    def all_good_times(self) -> GoodTimes:
        """Union over the chips."""
        return _union(self.good_times)

    def live_time(self, chip: int) -> float:
        """Live time of a chip in s: LIVTIMEn, else good time x DTCOR; 0 for a chip without good time."""
        times = self.good_times.get(chip)
        if times is None or not len(times):
            return 0.0
        known = self.header.livetime_by_chip.get(chip)
        if known is not None:
            return known
        return times.total() * (1.0 if self.header.dtcor is None else self.header.dtcor)

    def select(self, mask: NDArray[Any]) -> EventList:
        """The events of a boolean mask or of indices; everything else unchanged."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        chosen = {name: value[mask] for name, value in values.items() if isinstance(value, np.ndarray)}
        return replace(self, **chosen)


def read_event_list(
    path: str | os.PathLike[str],
    *,
    gti_file: str | os.PathLike[str] | None = None,
    exclude_times: Iterable[tuple[float, float]] = (),
) -> EventList:
    """Read a level-2 event list of ACIS or the HRC.

    Events with other grades than 0, 2, 3, 4, 6, with status bits, without position or energy, and outside the
    good times of their chip are left out and counted in `dropped`. Events of the HRC have no usable energies:
    all get that of the wide band, 1.5 keV.

    Parameters
    ----------
    path
        FITS file, also gzipped.
    gti_file
        FITS file with good time intervals (START, STOP) to intersect with those of the list.
    exclude_times
        (start, stop) in s of mission time, to leave out.

    Raises
    ------
    MissingFileError
        MISSING_FILE.
    InputFileError
        NOT_FITS, TRUNCATED_FITS, UNREADABLE_FILE, NO_EVENTS_TABLE, LEVEL1, MERGED_EVENTS, NO_ENERGY,
        MISSING_COLUMN, MISSING_KEYWORD, MISSING_WCS, NOT_CHANDRA, NO_GOOD_TIME, NO_GTI_TABLE.
    UnsupportedDataError
        UNSUPPORTED_HRC, UNSUPPORTED_CONTINUOUS.
    """
    where = Path(path)
    with open_fits(where) as hdus:
        events = _read(hdus, where)
    within = None if gti_file is None else read_gti_file(gti_file)
    exclude = GoodTimes.of(exclude_times)
    return events if within is None and not len(exclude) else restrict_times(events, within, exclude)


def read_event_header(path: str | os.PathLike[str]) -> ObservationHeader:
    """Keywords of an event list, its events left alone; raises as `read_event_list`."""
    where = Path(path)
    with open_fits(where, complete=False) as hdus:
        return parse_header(_events_table(hdus, where)[0], where)


def read_gti_file(path: str | os.PathLike[str]) -> GoodTimes:
    """Good times of a FITS file: the union of its GTI tables.

    Raises
    ------
    InputFileError
        NO_GTI_TABLE, or as `open_fits`.
    """
    with open_fits(path) as hdus:
        times = all_good_times(hdus)
    if times is None:
        raise InputFileError(
            "no GTI table with columns START and STOP", path, "give a good time file", code="NO_GTI_TABLE"
        )
    return times


def restrict_times(events: EventList, within: GoodTimes | None, exclude: GoodTimes | None) -> EventList:
    """Cut an event list in time; live times shrink by the ratio of good times, chip by chip.

    Raises
    ------
    InputFileError
        NO_GOOD_TIME: nothing is left.
    """
    reduced = reduce_good_times(events.good_times, within=within, exclude=exclude)
    kept = {chip: times.total() for chip, times in reduced.items()}
    before = {chip: times.total() for chip, times in events.good_times.items()}
    share = {chip: kept[chip] / before[chip] if before[chip] > 0 else 0.0 for chip in kept}
    overall = max(kept.values(), default=0.0) / max(max(before.values(), default=0.0), 1e-9)
    header = replace(
        events.header,
        livetime_by_chip={
            chip: seconds * share.get(chip, 0.0) for chip, seconds in events.header.livetime_by_chip.items()
        },
        active_chips=tuple(chip for chip in events.header.active_chips if kept.get(chip, 0.0) > 0),
        ontime=_scaled(events.header.ontime, overall),
        livetime=_scaled(events.header.livetime, overall),
        exposure=_scaled(events.header.exposure, overall),
    )
    if not any(kept.values()):
        raise _no_good_time(events.path, "the time filters leave nothing")
    inside = _inside(events.time, events.ccd_id, reduced)
    dropped = dict(events.dropped)
    if not inside.all():
        dropped["excluded time"] = dropped.get("excluded time", 0) + int(np.count_nonzero(~inside))
    return replace(events.select(inside), header=header, good_times=reduced, dropped=dropped)


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _read(hdus: fits.HDUList, path: Path) -> EventList:
    header, table = _events_table(hdus, path)
    detector = event_checks.check_telescope(header, path)
    event_checks.check_single_header(header, path)
    columns = event_columns.read_columns(table, path, detector)
    observation = parse_header(header, path)
    frame = parse_sky_frame(header, table.columns.names, path)
    flagged, misgraded = event_columns.status_set(table, detector), event_columns.misgraded(columns)
    event_checks.check_level(header, flagged | misgraded, path)
    good_times = _good_times(hdus, observation, columns["ccd_id"], path)
    event_checks.check_single_times(_union(good_times), path)
    _check_pointing(columns, mean_pointing(observation, frame), path)

    finite = np.logical_and.reduce([np.isfinite(columns[name]) for name in ("time", "x", "y", "energy")])
    inside = _inside(columns["time"], columns["ccd_id"], good_times)
    keep = np.ones(finite.shape, dtype=bool)
    dropped: dict[str, int] = {}
    reasons = {"status set": flagged, "bad grade": misgraded, "no position or energy": ~finite}
    for reason, fails in {**reasons, "outside good time": ~inside}.items():
        count = int(np.count_nonzero(keep & fails))
        if count:
            dropped[reason] = count
        keep &= ~fails
    kept = {
        name: values if keep.all() else values[keep] for name, values in columns.items() if values is not None
    }
    return EventList(
        path=path,
        header=observation,
        sky_frame=frame,
        good_times=good_times,
        energy_range=energy_cut(header, kept["energy"]) if detector.has_energies else None,
        dropped=dropped,
        row=np.flatnonzero(keep),
        **kept,
    )


def _events_table(hdus: fits.HDUList, path: Path) -> tuple[fits.Header, fits.BinTableHDU]:
    """The event table, with the cards of the primary header where its own header lacks them."""
    if "EVENTS" not in hdus or not is_table(hdus["EVENTS"]):
        raise InputFileError("no EVENTS table", path, _REMEDY, code="NO_EVENTS_TABLE")
    table = hdus["EVENTS"]
    header = table.header.copy()
    for card in hdus[0].header.cards:
        if card.keyword and card.keyword not in header and card.keyword not in {"COMMENT", "HISTORY"}:
            header[card.keyword] = card.value
    return header, table


def _union(good_times: Mapping[int, GoodTimes]) -> GoodTimes:
    return GoodTimes.of(pair for times in good_times.values() for pair in times.intervals)


def _good_times(
    hdus: fits.HDUList, header: ObservationHeader, ccd_id: NDArray[np.int16], path: Path
) -> dict[int, GoodTimes]:
    lost = missing_good_time_tables(hdus)
    if lost:
        raise InputFileError(
            f"the GTI table {lost[0]} named in the header is missing",
            path,
            "copy or download the file again",
            code="TRUNCATED_FITS",
        )
    chips = sorted({*header.active_chips, *np.unique(ccd_id).tolist()})
    good_times = good_times_of_file(hdus, chips)
    if good_times is None:
        whole = GoodTimes.of([(header.tstart, header.tstop)])
        good_times = dict.fromkeys(chips, whole)
    live = [
        header.livetime_by_chip.get(chip, header.livetime if header.livetime is not None else 1.0)
        for chip, times in good_times.items()
        if times.total() > 0
    ]
    if not any(seconds > 0 for seconds in live):
        raise _no_good_time(path, "empty GTI tables" if not live else "LIVETIME is 0")
    return good_times


def _check_pointing(columns: event_columns.Columns, pointing: Pointing, path: Path) -> None:
    """Compare the optical axis that a sample of events implies, where the list has detector coordinates."""
    if "detx" not in columns or "dety" not in columns:
        return
    step = max(1, columns["x"].size // 10000)
    x, y, detx, dety = (columns[name][::step] for name in ("x", "y", "detx", "dety"))
    expected_x, expected_y = pointing.det_to_sky(detx, dety)
    known = np.isfinite(x + y + detx + dety)
    scale = pointing.pixel_scale_arcsec
    away = scale * (x - expected_x)[known], scale * (y - expected_y)[known]
    event_checks.check_single_pointing(*away, path)


def _inside(
    time: NDArray[np.float64], ccd_id: NDArray[np.int16], good_times: Mapping[int, GoodTimes]
) -> NDArray[np.bool_]:
    inside = np.zeros(time.shape, dtype=bool)
    for chip, times in good_times.items():
        on_chip = ccd_id == chip
        inside[on_chip] = times.contains(time[on_chip])
    return inside


def _no_good_time(path: Path, reason: str) -> InputFileError:
    return InputFileError(
        f"no good time ({reason})",
        path,
        "leave this observation out or check its filters",
        code="NO_GOOD_TIME",
    )
