"""Effective area from a CALDB tree, the pieces that do not depend on the gain.

area(E) = axial area (AXEFFA, all four shells) x vignetting (VIGNET) x quantum efficiency with filter (QE) x
transmission of the contamination (CONTAM). Formats, as read here:

AXEFFA    ENERG_LO, ENERG_HI (keV), EFFAREA (cm2): one row of vectors or a row per energy; bound SHELL(1111).
VIGNET    one row: ENERG_LO, ENERG_HI, THETA (arcmin), PHI (degrees), VIGNET (FITS axes energy, theta, phi).
QE        ENERGY (keV), QE: a row per energy; bound CCD_ID(n).
CONTAM    a row per component: ENERGY, MU; TIME (mission s), TAU0 and, where it varies over the chip, also
          TAU1 and FXY; N_ENERGY, N_TIME where padded. Depth: sum of MU(E) (TAU0(t) + TAU1(t) FXY). FXY is
          not used: without the pointing there is no place on the chip; TAU0 alone is taken. No real file was
          at hand to check this against.

Redistribution and point spread functions stay built in; QEU, REEF, FEF_PHA and P2_RESP are listed by `doctor`
and not used. Dead area of cosmic rays (2-4 % of front-illuminated chips) is not in it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import ArrayLike, NDArray

from catalog.calibration.caldb_index import IndexEntry, choose
from catalog.errors import CalibrationError

Array = NDArray[np.float64]

USED = ("AXEFFA", "VIGNET", "QE", "CONTAM")
LISTED = (*USED, "QEU", "REEF", "FEF_PHA", "P2_RESP", "DEADAREA", "GEOM", "AIMPTS")
_ALIASES = {"AXEFFA": ("AXEFFA", "EFFAREA"), "VIGNET": ("VIGNET",), "QE": ("QE",), "CONTAM": ("CONTAM",)}
_MISSION_START = 1998.0
_YEAR = 365.25 * 86400.0


@dataclass(frozen=True, eq=False)
class CaldbArea:
    """Area from the files that an index names; satisfies `AreaModel`."""

    entries: tuple[IndexEntry, ...]
    root: str

    @property
    def identity(self) -> str:
        """Folder, and the names and hashes of the files in use today."""
        chosen = [self._entry(name, 2100.0, 3) for name in USED]
        text = ", ".join(f"{entry.path.name} {_digest(entry)}" for entry in chosen)
        return f"area CALDB {self.root}: {text}"

    def area(
        self, chip_id: int, decimal_year: float, theta: ArrayLike, phi: ArrayLike, energy: ArrayLike
    ) -> Array:
        """Area in cm2, shape broadcast(theta, phi) + (n_energy,).

        Raises
        ------
        CalibrationError
            CALIBRATION_CHIP: no quantum efficiency of the chip. CALDB_FILE: a file of the index is missing or
            is not as described above.
        """
        energy = np.atleast_1d(np.asarray(energy, dtype=float))
        angle, azimuth = np.broadcast_arrays(np.asarray(theta, dtype=float), np.asarray(phi, dtype=float))
        axial = _on(energy, *_axial(self._entry("AXEFFA", decimal_year, chip_id)))
        quantum = _on(energy, *_efficiency(self._entry("QE", decimal_year, chip_id)))
        vignet = _vignetting(
            _vignet_table(self._entry("VIGNET", decimal_year, chip_id)), angle, azimuth, energy
        )
        depth = _depth(self._entry("CONTAM", decimal_year, chip_id), decimal_year, energy)
        return np.asarray(vignet * (axial * quantum * np.exp(-depth)))

    def extrapolated(self, decimal_year: float) -> bool:
        """Whether the date is after the last one of the contamination."""
        rows = _contamination(self._entry("CONTAM", decimal_year, 3))
        last = max(float(row[2].max()) for row in rows)
        return (decimal_year - _MISSION_START) * _YEAR > last

    def _entry(self, name: str, decimal_year: float, chip_id: int) -> IndexEntry:
        for alias in _ALIASES[name]:
            bounds: dict[str, int | str] = {"SHELL": "1111"} if name in ("AXEFFA", "VIGNET") else {}
            if name in ("QE", "CONTAM"):
                bounds["CCD_ID"] = chip_id
            found = choose(self.entries, alias, decimal_year, **bounds)
            if found is not None and (name not in ("QE", "CONTAM") or found.instrument == "ACIS"):
                return found
        raise CalibrationError(
            f"no {name} for chip {chip_id} at {decimal_year:.2f}",
            self.root,
            "install the whole CALDB, or use the built-in calibration",
            code="CALDB_FILE",
        )


def _on(energy: Array, nodes: Array, values: Array) -> Array:
    return np.interp(energy, nodes, values, left=0.0, right=0.0)


@lru_cache(maxsize=256)
def _digest(entry: IndexEntry) -> str:
    try:
        return sha256(entry.path.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise _bad(entry, str(error.strerror)) from error


def _bad(entry: IndexEntry, reason: str) -> CalibrationError:
    return CalibrationError(
        f"a file of the CALDB that cannot be used ({reason})",
        f"{entry.path}[{entry.extension}]",
        "install the CALDB again",
        code="CALDB_FILE",
    )


def _table(entry: IndexEntry) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            return fits.getdata(entry.path, entry.extension)
    except (OSError, IndexError) as error:
        raise _bad(entry, str(error)) from error


def _vector(entry: IndexEntry, table: Any, name: str) -> Array:
    try:
        return np.asarray(table[name], dtype=float).ravel()
    except (KeyError, TypeError, ValueError) as error:
        raise _bad(entry, f"no column {name}") from error


@lru_cache(maxsize=8)
def _axial(entry: IndexEntry) -> tuple[Array, Array]:
    """Energies and area on axis."""
    table = _table(entry)
    low, high = (_vector(entry, table, name) for name in ("ENERG_LO", "ENERG_HI"))
    return 0.5 * (low + high), _vector(entry, table, "EFFAREA")


@lru_cache(maxsize=32)
def _efficiency(entry: IndexEntry) -> tuple[Array, Array]:
    """Energies and quantum efficiency with filter."""
    table = _table(entry)
    return _vector(entry, table, "ENERGY"), _vector(entry, table, "QE")


@lru_cache(maxsize=4)
def _vignet_table(entry: IndexEntry) -> tuple[Array, Array, Array, Array]:
    """Energies, angles (arcmin), azimuths (degrees) and the relative area, shape (phi, theta, energy)."""
    table = _table(entry)
    low, high, theta, phi = (_vector(entry, table, name) for name in ("ENERG_LO", "ENERG_HI", "THETA", "PHI"))
    values = _vector(entry, table, "VIGNET")
    if values.size != low.size * theta.size * phi.size:
        raise _bad(entry, "VIGNET is not of energies x angles x azimuths")
    return 0.5 * (low + high), theta, phi, values.reshape(phi.size, theta.size, low.size)


def _vignetting(nodes: tuple[Array, Array, Array, Array], theta: Array, phi: Array, energy: Array) -> Array:
    """Relative area, linear in angle, azimuth (periodic) and energy, shape theta.shape + (n_energy,)."""
    at, angles, azimuths, values = nodes
    table = np.array([[np.interp(energy, at, row) for row in plane] for plane in values])
    place = np.clip(np.interp(theta, angles, np.arange(angles.size)), 0, angles.size - 1)
    i = np.minimum(place.astype(np.int64), angles.size - 2)
    a = (place - i)[..., None]
    around = np.append(azimuths, azimuths[0] + 360.0)
    turn = np.interp(np.mod(phi - azimuths[0], 360.0) + azimuths[0], around, np.arange(around.size))
    k = np.minimum(turn.astype(np.int64), azimuths.size - 1)
    b, other = (turn - k)[..., None], (k + 1) % azimuths.size
    near = (1 - a) * table[k, i] + a * table[k, i + 1]
    far = (1 - a) * table[other, i] + a * table[other, i + 1]
    return np.asarray((1 - b) * near + b * far)


@lru_cache(maxsize=16)
def _contamination(entry: IndexEntry) -> tuple[tuple[Array, Array, Array, Array], ...]:
    """Energies, MU, times and TAU0 of each component."""
    table = _table(entry)
    found = []
    for row in table:
        vectors = [_vector(entry, row, name) for name in ("ENERGY", "MU", "TIME", "TAU0")]
        names = {name.upper() for name in table.names}
        energies = int(row["N_ENERGY"]) if "N_ENERGY" in names else vectors[0].size
        times = int(row["N_TIME"]) if "N_TIME" in names else vectors[2].size
        found.append((vectors[0][:energies], vectors[1][:energies], vectors[2][:times], vectors[3][:times]))
    if not found:
        raise _bad(entry, "no components")
    return tuple(found)


def _depth(entry: IndexEntry, decimal_year: float, energy: Array) -> Array:
    """Optical depth at the centre of the filter; beyond the last time it grows as between the last two."""
    second = (decimal_year - _MISSION_START) * _YEAR
    total = np.zeros(energy.size)
    for nodes, absorption, time, tau in _contamination(entry):
        amount = float(np.interp(second, time, tau))
        if second > time[-1] and time.size > 1:
            amount += (second - time[-1]) * float((tau[-1] - tau[-2]) / (time[-1] - time[-2]))
        total += amount * np.interp(energy, nodes, absorption)
    return total


def listing(entries: tuple[IndexEntry, ...], decimal_year: float = 2100.0) -> list[tuple[str, str, str, str]]:
    """What a CALDB holds of each kind: (kind, newest file or "missing", version, "used" or "listed")."""
    rows = []
    for name in LISTED:
        aliases = _ALIASES.get(name, (name,))
        found = next((hit for alias in aliases if (hit := choose(entries, alias, decimal_year))), None)
        file = "missing" if found is None else found.path.name
        version = "" if found is None else found.version
        rows.append((name, file, version, "used" if name in USED else "listed"))
    return rows
