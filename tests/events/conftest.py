"""Small event lists written on the spot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

START = 2.0e8
FORMATS = {"time": "D", "ccd_id": "I", "expno": "J", "chipx": "I", "chipy": "I", "detx": "E", "dety": "E"}
FORMATS |= {"x": "E", "y": "E", "energy": "E", "pi": "J", "grade": "I", "status": "32X"}

KEYWORDS: dict[str, Any] = {
    "TELESCOP": "CHANDRA",
    "INSTRUME": "ACIS",
    "DETNAM": "ACIS-0123",
    "OBS_ID": "00777",
    "OBI_NUM": 1,
    "DATAMODE": "FAINT",
    "READMODE": "TIMED",
    "GRATING": "NONE",
    "CONTENT": "EVT2",
    "DATE-OBS": "2004-07-02T00:00:00",
    "TSTART": START,
    "TSTOP": START + 10000.0,
    "ONTIME": 10000.0,
    "LIVETIME": 9870.0,
    "EXPOSURE": 9870.0,
    "DTCOR": 0.987,
    "RA_PNT": 150.0,
    "DEC_PNT": 20.0,
    "ROLL_PNT": 60.0,
    "RA_NOM": 150.0,
    "DEC_NOM": 20.0,
    "ROLL_NOM": 60.0,
    "SIM_X": -0.78,
    "SIM_Y": 0.0,
    "SIM_Z": -233.59,
    "DY_AVG": 0.0,
    "DZ_AVG": 0.0,
    "DTH_AVG": 0.0,
    "TIMEDEL": 3.24104,
    "EXPTIME": 3.2,
}

EventWriter = Callable[..., Path]


def columns(number: int, seed: int = 1) -> dict[str, np.ndarray]:
    """Random good events of one pointing without dither."""
    rng = np.random.default_rng(seed)
    detx, dety = rng.uniform(3100, 5000, (2, number))
    roll = np.radians(60.0)
    u, v = detx - 4096.5, dety - 4096.5
    energy = rng.uniform(200.0, 15000.0, number)
    return {
        "time": np.sort(rng.uniform(START + 1, START + 9999, number)),
        "ccd_id": rng.integers(0, 4, number),
        "expno": np.arange(number),
        "chipx": rng.integers(2, 1024, number),
        "chipy": rng.integers(2, 1024, number),
        "detx": detx,
        "dety": dety,
        "x": 4096.5 + np.cos(roll) * u + np.sin(roll) * v,
        "y": 4096.5 - np.sin(roll) * u + np.cos(roll) * v,
        "energy": energy,
        "pi": (energy / 14.6).astype(int) + 1,
        "grade": rng.choice([0, 2, 3, 4, 6], number),
        "status": np.zeros((number, 32), dtype=bool),
    }


def sky_keywords(names: list[str]) -> dict[str, Any]:
    """WCS keywords of columns x and y."""
    found: dict[str, Any] = {}
    lower = [name.lower() for name in names]
    for name, kind, value, step in (("x", "RA---TAN", 150.0, -1), ("y", "DEC--TAN", 20.0, 1)):
        if name in lower:
            number = lower.index(name) + 1
            found |= {f"TCTYP{number}": kind, f"TCRVL{number}": value, f"TCRPX{number}": 4096.5}
            found |= {f"TCDLT{number}": step * 1.3666666666667e-4, f"TCUNI{number}": "deg"}
    return found


@pytest.fixture
def event_columns() -> Callable[..., dict[str, np.ndarray]]:
    return columns


@pytest.fixture
def write_events(tmp_path: Path) -> EventWriter:
    """Write an event list: `data` columns, `keywords` changed (None removes), `gti` by chip (None: any)."""

    def write(
        name: str = "acisf00777_evt2.fits",
        data: Mapping[str, np.ndarray] | None = None,
        keywords: Mapping[str, Any] | None = None,
        gti: Mapping[int | None, list[tuple[float, float]]] | None = None,
        *,
        wcs: bool = True,
        extname: str = "EVENTS",
    ) -> Path:
        data = columns(200) if data is None else data
        table = fits.BinTableHDU.from_columns(
            [fits.Column(key, FORMATS[key.lower()], array=value) for key, value in data.items()], name=extname
        )
        cards = {**KEYWORDS, **(sky_keywords(list(data)) if wcs else {}), **(keywords or {})}
        for key, value in cards.items():
            if value is not None:
                table.header[key] = value
        hdus: list[Any] = [fits.PrimaryHDU(), table]
        whole = [(START, START + 10000.0)]
        for chip, intervals in (dict.fromkeys(range(4), whole) if gti is None else gti).items():
            start, stop = np.array(intervals, dtype=float).reshape(-1, 2).T
            hdu = fits.BinTableHDU.from_columns(
                [fits.Column("START", "D", array=start), fits.Column("STOP", "D", array=stop)], name="GTI"
            )
            if chip is not None:
                hdu.header["CCD_ID"] = chip
            hdus.append(hdu)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fits.HDUList(hdus).writeto(path, overwrite=True)
        return path

    return write
