"""A small event list of the HRC: background over the plates, point sources, a dither."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits

from catalog.events.chip_geometry import focal_plane
from catalog.events.detector import DETECTORS
from catalog.events.header import parse_header
from catalog.events.sky_frame import SkyFrame

START, ON_TIME, LIVE_SHARE = 4.0e8, 4000.0, 0.98
SIM = {"HRC-I": (-1.04029259, 126.98549431), "HRC-S": (-1.42958579, 250.45597582)}
ACTIVE = {"HRC-I": (991.5, 15393.5, 991.5, 15393.5), "HRC-S": (500.5, 3600.5, 100.5, 16356.5)}


def write_hrc_events(
    path: Path,
    *,
    obs_id: str = "80030",
    detector: str = "HRC-I",
    pointing: tuple[float, float, float] = (150.0, 20.0, 50.0),
    sources: tuple[tuple[float, float, int], ...] = (),
    background: int = 30000,
    seed: int = 3,
) -> Path:
    """Write a list; `sources` are RA, Dec (degrees) and counts, spread by 0.3 arcsec."""
    rng = np.random.default_rng(seed)
    imager = DETECTORS[detector]
    ra, dec, roll = pointing
    step = float(np.degrees(imager.det_pixel_rad))
    header = _keywords(obs_id, detector, pointing)
    plane = focal_plane(parse_header(header, path))
    frame = SkyFrame(ra, dec, imager.det_axis, imager.det_axis, -step, step)
    low_x, high_x, low_y, high_y = ACTIVE[detector]
    chip = rng.choice(imager.chip_ids, background)
    x, y = rng.uniform(low_x, high_x, background), rng.uniform(low_y, high_y, background)
    cosine, sine = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    times = [rng.uniform(0.0, ON_TIME, background)]
    u, v = (a - imager.det_axis for a in plane.chip_to_det(chip, x, y))
    parts = [np.stack([chip, u, v])]
    for source_ra, source_dec, number in sources:
        time = rng.uniform(0.0, ON_TIME, number)
        sky = np.array(frame.to_sky(source_ra, source_dec)) - imager.det_axis
        offset = np.stack(_dither(time, step)) + rng.normal(0.0, 0.3 / 3600 / step, (2, number))
        a, b = sky[:, None] - offset
        u, v = cosine * a - sine * b, sine * a + cosine * b
        on = np.array([_chip_at(plane, imager.chip_ids, *place) for place in zip(u, v, strict=True)])
        parts.append(np.stack([on, u, v]))
        times.append(time)
    time = np.concatenate(times)
    chip, u, v = np.concatenate(parts, axis=1)
    order = np.argsort(time)
    time, chip, u, v = time[order], chip[order].astype(int), u[order], v[order]
    dx, dy = _dither(time, step)
    chipx, chipy = plane.det_to_chip(chip, u + imager.det_axis, v + imager.det_axis)
    columns = {
        "time": ("D", START + time), "chip_id": ("I", chip),
        "chipx": ("I", np.rint(chipx)), "chipy": ("I", np.rint(chipy)),
        "detx": ("E", u + imager.det_axis), "dety": ("E", v + imager.det_axis),
        "x": ("E", imager.det_axis + dx + cosine * u + sine * v),
        "y": ("E", imager.det_axis + dy - sine * u + cosine * v),
        "pha": ("I", rng.integers(0, 255, time.size)), "pi": ("I", rng.integers(0, 255, time.size)),
        "status": ("32X", np.zeros((time.size, 32), dtype=bool)),
    }  # fmt: skip
    table = fits.BinTableHDU.from_columns(
        [fits.Column(name, form, array=values) for name, (form, values) in columns.items()], name="EVENTS"
    )
    for number, (kind, value, sign) in enumerate((("RA---TAN", ra, -1), ("DEC--TAN", dec, 1)), start=7):
        table.header[f"TCTYP{number}"], table.header[f"TCRVL{number}"] = kind, value
        table.header[f"TCRPX{number}"], table.header[f"TCDLT{number}"] = imager.det_axis, sign * step
        table.header[f"TCUNI{number}"] = "deg"
    table.header.update(header)
    gti = fits.BinTableHDU.from_columns(
        [fits.Column("START", "D", array=[START]), fits.Column("STOP", "D", array=[START + ON_TIME])],
        name="GTI",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList([fits.PrimaryHDU(), table, gti]).writeto(path, overwrite=True)
    return path


def _dither(time: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Sky pixels by which the axis lies off the pointing: 8 arcsec each way."""
    size = 8.0 / 3600.0 / step
    return size * np.sin(2 * np.pi * time / 1000.0), size * np.sin(2 * np.pi * time / 707.1)


def _chip_at(plane, chips: tuple[int, ...], u: float, v: float) -> int:
    """The plate whose middle is nearest to a place in the detector plane."""
    imager = plane.detector
    away = []
    for chip in chips:
        x, y = plane.det_to_chip(chip, u + imager.det_axis, v + imager.det_axis)
        away.append(max(abs(x / imager.columns - 0.5), abs(y / imager.rows - 0.5)))
    return chips[int(np.argmin(away))]


def _keywords(obs_id: str, detector: str, pointing: tuple[float, float, float]) -> dict[str, object]:
    ra, dec, roll = pointing
    sim_x, sim_z = SIM[detector]
    live = ON_TIME * LIVE_SHARE
    return {
        "TELESCOP": "CHANDRA", "INSTRUME": "HRC", "DETNAM": detector, "OBS_ID": obs_id, "OBI_NUM": 0,
        "DATAMODE": "IMAGING", "GRATING": "NONE", "CONTENT": "EVT2", "DATE-OBS": "2010-09-04T14:00:00",
        "TSTART": START, "TSTOP": START + ON_TIME, "ONTIME": ON_TIME, "LIVETIME": live, "EXPOSURE": live,
        "DTCOR": LIVE_SHARE, "RA_PNT": ra, "DEC_PNT": dec, "ROLL_PNT": roll, "RA_NOM": ra, "DEC_NOM": dec,
        "ROLL_NOM": roll, "SIM_X": sim_x, "SIM_Y": 0.0, "SIM_Z": sim_z, "DY_AVG": 0.0, "DZ_AVG": 0.0,
        "DTH_AVG": 0.0, "TIMEDEL": 1.5625e-5,
    }  # fmt: skip
