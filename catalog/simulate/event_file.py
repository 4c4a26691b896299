"""Write simulated events as a Chandra level-2 event list."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from catalog.events.chip_geometry import CHIP_SIZE
from catalog.events.pointing import DET_AXIS
from catalog.simulate.observation_keywords import observation_keywords
from catalog.simulate.photons import SimulatedEvents
from catalog.simulate.pointing_plan import PointingPlan

ELECTRONVOLT_PER_ADU = 4.0
"""Gain that PHA is made with."""

_NODE_WIDTH = CHIP_SIZE // 4
#: One of the pixel patterns (FLTGRADE) of each ASCA grade.
_PATTERNS = np.array([0, 255, 64, 8, 16, 255, 72, 255], dtype=np.int16)
#: Tiled detector coordinates (ACIS-2.0): TDET = offset + the chip axis named, with its sign, by CCD_ID.
_TILES = (
    (("y", 1, 3061), ("x", -1, 5132)),
    (("y", -1, 5132), ("x", 1, 4107)),
    (("y", 1, 3061), ("x", -1, 4086)),
    (("y", -1, 5132), ("x", 1, 3061)),
    *((("x", 1, 791 + 1042 * number), ("y", 1, 1702)) for number in range(6)),
)
#: Name, FITS format, unit, lowest and highest legal value.
_COLUMNS: tuple[tuple[str, str, str | None, float | None, float | None], ...] = (
    ("time", "D", "s", None, None),
    ("ccd_id", "I", None, 0, 9),
    ("node_id", "I", None, 0, 3),
    ("expno", "J", None, 0, 2147483647),
    ("chipx", "I", "pixel", 1, 1024),
    ("chipy", "I", "pixel", 1, 1024),
    ("tdetx", "I", "pixel", 1, 8192),
    ("tdety", "I", "pixel", 1, 8192),
    ("detx", "E", "pixel", 0.5, 8192.5),
    ("dety", "E", "pixel", 0.5, 8192.5),
    ("x", "E", "pixel", 0.5, 8192.5),
    ("y", "E", "pixel", 0.5, 8192.5),
    ("pha", "J", "adu", 0, 36855),
    ("energy", "E", "eV", 0.0, 1000000.0),
    ("pi", "J", "chan", 1, 1024),
    ("fltgrade", "I", None, 0, 255),
    ("grade", "I", None, 0, 7),
    ("status", "32X", None, None, None),
)


def write_event_list(path: Path, events: SimulatedEvents, plan: PointingPlan) -> None:
    """Write an event list with one good time table per chip.

    The same events give the same bytes; a name that ends in .gz is compressed.

    Parameters
    ----------
    path
        File to write; an old one is replaced.
    events, plan
        The events and their observation.
    """
    chips = sorted(plan.chips)
    tables = [_event_table(events, plan), *(_good_time_table(plan, chip) for chip in chips)]
    write_tables(path, tables, plan)


def write_tables(path: Path, tables: list[fits.BinTableHDU], plan: PointingPlan) -> None:
    """Write tables after a primary header of the observation; bytes depend on the content alone."""
    primary = fits.PrimaryHDU()
    for keyword in ("ORIGIN", "MISSION", "TELESCOP", "INSTRUME", "OBS_ID", "OBJECT", "DATE-OBS", "DATE-END"):
        primary.header[keyword] = observation_keywords(plan)[keyword]
    stream = io.BytesIO()
    fits.HDUList([primary, *tables]).writeto(stream)
    content = stream.getvalue()
    # Neither time nor name in the gzip header.
    path.write_bytes(gzip.compress(content, 6, mtime=0) if path.suffix == ".gz" else content)


def aspect_file_name(obs_id: str) -> str:
    """Name of the aspect solution without .gz, as in ASOLFILE."""
    return f"pcadf{int(obs_id):05d}_asol1.fits"


def event_file_name(obs_id: str) -> str:
    """Name of the event list without .gz."""
    return f"acisf{int(obs_id):05d}_evt2.fits"


def _event_table(events: SimulatedEvents, plan: PointingPlan) -> fits.BinTableHDU:
    values = _column_values(events, plan)
    columns = [
        fits.Column(name=name, format=form, unit=unit, array=values[name])
        for name, form, unit, _, _ in _COLUMNS
    ]
    table = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    header = table.header
    header.update(
        {
            "HDUNAME": "EVENTS",
            "HDUCLASS": "OGIP",
            "HDUCLAS1": "EVENTS",
            "HDUCLAS2": "ACCEPTED",
            "CONTENT": "EVT2",
            **observation_keywords(plan),
            "ASOLFILE": aspect_file_name(plan.obs_id),
            "PIX_ADJ": "EDSER",
            "RAND_SKY": 0.0,
            "CTI_CORR": False,
        }
    )
    for number, (_, _, _, lowest, highest) in enumerate(_COLUMNS, start=1):
        if lowest is not None:
            header[f"TLMIN{number}"], header[f"TLMAX{number}"] = lowest, highest
    _add_coordinates(header, plan)
    _add_data_subspace(header, sorted(plan.chips))
    return table


def _column_values(events: SimulatedEvents, plan: PointingPlan) -> dict[str, NDArray[Any]]:
    tdetx, tdety = _tiled(events)
    return {
        "time": plan.tstart + plan.frame_middle(events.frame),
        "ccd_id": events.ccd_id,
        "node_id": (events.chipx - 1) // _NODE_WIDTH,
        "expno": events.frame,
        "chipx": events.chipx,
        "chipy": events.chipy,
        "tdetx": tdetx,
        "tdety": tdety,
        "detx": events.detx,
        "dety": events.dety,
        "x": events.x,
        "y": events.y,
        "pha": np.rint(events.energy * 1000.0 / ELECTRONVOLT_PER_ADU).astype(np.int32),
        "energy": events.energy * 1000.0,
        "pi": events.channel,
        "fltgrade": _PATTERNS[events.grade],
        "grade": events.grade,
        "status": np.zeros((len(events), 32), dtype=bool),
    }


def _tiled(events: SimulatedEvents) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """TDETX, TDETY: all chips laid side by side without tilts."""
    tiled = np.zeros((2, len(events)), dtype=np.int16)
    for chip in np.unique(events.ccd_id).tolist():
        here = events.ccd_id == chip
        for row, (axis, sign, offset) in zip(tiled, _TILES[chip], strict=True):
            row[here] = offset + sign * (events.chipx if axis == "x" else events.chipy)[here]
    return tiled[0], tiled[1]


def _add_coordinates(header: fits.Header, plan: PointingPlan) -> None:
    """Projections of DET and SKY."""
    frame = plan.sky_frame
    numbers = {name: number for number, (name, *_) in enumerate(_COLUMNS, start=1)}
    axes = {
        "detx": ("LONG-TAN", 0.0, DET_AXIS, frame.dy),
        "dety": ("NPOL-TAN", 0.0, DET_AXIS, frame.dy),
        "x": ("RA---TAN", frame.ra, frame.x_ref, frame.dx),
        "y": ("DEC--TAN", frame.dec, frame.y_ref, frame.dy),
    }
    for name, (kind, value, pixel, step) in axes.items():
        number = numbers[name]
        for stem, content in {"TCTYP": kind, "TCRVL": value, "TCRPX": pixel, "TCDLT": step}.items():
            header[f"{stem}{number}"] = content
        header[f"TCUNI{number}"] = "deg"
    pairs = [("chip", "chipx,chipy"), ("tdet", "tdetx,tdety"), ("det", "detx,dety"), ("sky", "x,y")]
    for number, (name, members) in enumerate([*pairs, ("EQPOS", "RA,DEC")], start=1):
        header[f"MTYPE{number}"], header[f"MFORM{number}"] = name, members


def _add_data_subspace(header: fits.Header, chips: list[int]) -> None:
    """Filters the list has passed, one component per chip (ASC-FITS designers' guide)."""
    header.update(
        {
            "DSTYP1": "time",
            "DSFORM1": "D",
            "DSUNIT1": "s",
            "DSTYP2": "ccd_id",
            "DSFORM2": "I",
            "DSTYP3": "grade",
            "DSFORM3": "I",
        }
    )
    for number, chip in enumerate(chips, start=1):
        prefix = "" if number == 1 else str(number)
        header[f"{prefix}DSVAL1"], header[f"{prefix}DSREF1"] = "TABLE", f":GTI{chip}"
        header[f"{prefix}DSVAL2"] = f"{chip}:{chip}"
        header[f"{prefix}DSVAL3"] = "0:0,2:2,3:3,4:4,6:6"


def _good_time_table(plan: PointingPlan, chip: int) -> fits.BinTableHDU:
    times = plan.good_times(chip)
    columns = [
        fits.Column(name="START", format="D", unit="s", array=times.start),
        fits.Column(name="STOP", format="D", unit="s", array=times.stop),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="GTI")
    table.header.update(
        {
            "HDUNAME": f"GTI{chip}",
            "HDUCLASS": "OGIP",
            "HDUCLAS1": "GTI",
            "HDUCLAS2": "ALL",
            "CONTENT": "GTI",
            "CCD_ID": chip,
            **observation_keywords(plan),
        }
    )
    return table
