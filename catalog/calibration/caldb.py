"""Effective area from a CALDB tree, the pieces that do not depend on the gain.

area(E) = axial area (AXEFFA, all four shells) x vignetting (VIGNET) x quantum efficiency with filter (QE) x
its uniformity over the chip (QEU) x transmission of the contamination (CONTAM). Formats: `caldb_tables`;
radii of the PSF (REEF): `caldb_psf`; redistribution (FEF_PHA or ready matrices): `caldb_matrix`.

P2_RESP, of which no description was found, is listed by `doctor` and not used. What cosmic rays make dead is
taken off by the published law, not from the DEADAREA file: `live_share`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.calibration.builtin import BACK_ILLUMINATED
from catalog.calibration.caldb_index import IndexEntry, choose
from catalog.calibration.caldb_tables import (
    axial_area,
    contamination,
    digest,
    mission_seconds,
    quantum_efficiency,
    transmission,
    uniformity,
    vignetting_table,
)
from catalog.calibration.instrument_setup import InstrumentSetup, usual_setup
from catalog.errors import CalibrationError

Array = NDArray[np.float64]

NEEDED = ("AXEFFA", "VIGNET", "QE", "CONTAM")
AREA = (*NEEDED, "QEU")
LISTED = (*AREA, "REEF", "FEF_PHA", "MATRIX", "P2_RESP", "DEADAREA", "GEOM", "AIMPTS")
_ALIASES = {"AXEFFA": ("AXEFFA", "EFFAREA"), "MATRIX": ("MATRIX", "SPECRESP MATRIX", "RMF")}
_OF_CHIPS = ("QE", "QEU", "CONTAM")
_FUTURE = 2100.0
_LOST_PER_SECOND, _FULL_FRAME, _FIRST_ROW, _WHOLE_READING = 0.006508, 3.2, 0.18, 2.77


@dataclass(frozen=True, eq=False)
class CaldbArea:
    """Area from the files that an index names; satisfies `AreaModel`.

    Attributes
    ----------
    entries
        The index.
    root
        Folder of the CALDB.
    setup
        The observation: conditions of data sets, and where sources fall on the chips; None for the usual
        aimpoints and any condition.
    """

    entries: tuple[IndexEntry, ...]
    root: str
    setup: InstrumentSetup | None = None

    @cached_property
    def identity(self) -> str:
        """Folder, newest files, and a hash of all that areas of any date and chip can rest on."""
        kinds = {alias for kind in AREA for alias in aliases(kind)}
        used = [
            entry for entry in self.entries if entry.name in kinds and entry.instrument in ("ACIS", "TEL")
        ]
        files = {entry.path: digest(entry) for entry in used}
        together = sha256("".join(sorted(files.values())).encode()).hexdigest()[:12]
        newest = [self._entry(kind, _FUTURE, 3) for kind in NEEDED]
        text = ", ".join(entry.path.name for entry in newest)
        return f"area CALDB {self.root}: {text} and others {together}"

    def area(
        self, chip_id: int, decimal_year: float, theta: ArrayLike, phi: ArrayLike, energy: ArrayLike
    ) -> Array:
        """Area in cm2, shape broadcast(theta, phi) + (n_energy,).

        Raises
        ------
        CalibrationError
            CALIBRATION_CHIP: no quantum efficiency of the chip. CALDB_FILE: a file of the index is missing or
            is not as described in `caldb_tables`.
        """
        energy = np.atleast_1d(np.asarray(energy, dtype=float))
        angle, azimuth = np.broadcast_arrays(np.asarray(theta, dtype=float), np.asarray(phi, dtype=float))
        axial = _on(energy, *axial_area(self._entry("AXEFFA", decimal_year, chip_id)))
        quantum = _on(energy, *quantum_efficiency(self._entry("QE", decimal_year, chip_id)))
        nodes = vignetting_table(self._entry("VIGNET", decimal_year, chip_id))
        place = (self.setup or usual_setup(chip_id)).chip_pixels(chip_id, angle, azimuth)
        layers = contamination(self._entry("CONTAM", decimal_year, chip_id))
        passed = transmission(layers, mission_seconds(decimal_year), *place, energy)
        area = _vignetting(nodes, angle, azimuth, energy) * (axial * quantum) * passed
        area *= live_share(chip_id, place[1], self.setup)[..., None]
        spread = self._find("QEU", decimal_year, chip_id)
        return area if spread is None else np.asarray(area * uniformity(spread).at(*place, energy))

    @property
    def linear_angles(self) -> NDArray[np.float64] | None:
        """None: it depends on the place on the chip."""
        return None

    def extrapolated(self, decimal_year: float) -> bool:
        """Whether the date is after the last one of the contamination."""
        layers = contamination(self._entry("CONTAM", decimal_year, 3))
        return mission_seconds(decimal_year) > max(float(layer.time.max()) for layer in layers)

    def _find(self, kind: str, decimal_year: float, chip_id: int) -> IndexEntry | None:
        bounds: dict[str, float | str | None] = {"SHELL": "1111"} if kind in ("AXEFFA", "VIGNET") else {}
        entries = self.entries
        if kind in _OF_CHIPS:
            bounds = {"CCD_ID": chip_id, **({} if self.setup is None else self.setup.bounds)}
            entries = tuple(entry for entry in entries if entry.instrument == "ACIS")
        found = (choose(entries, alias, decimal_year, **bounds) for alias in aliases(kind))
        return next((entry for entry in found if entry is not None), None)

    def _entry(self, kind: str, decimal_year: float, chip_id: int) -> IndexEntry:
        found = self._find(kind, decimal_year, chip_id)
        if found is None:
            raise CalibrationError(
                f"no {kind} for chip {chip_id} at {decimal_year:.2f}",
                self.root,
                "install the whole CALDB, or use the built-in calibration",
                code="CALDB_FILE",
            )
        return found


def live_share(chip_id: int, chipy: Array, setup: InstrumentSetup | None) -> Array:
    """Share of the frames in which no cosmic ray made a place on a chip dead.

    A front-illuminated chip loses 0.6508 % a second for as long as the charge of a row is on it: the time of
    the frame, and that until the row is read, 2.77 s for the last of 1024. With 3.2 s it is 2.2 % at the
    read-out and 4 % at the other end (CXC, "ACIS Dead Area Correction", CALDB 3.3.0). Back-illuminated chips
    lose nothing.
    """
    if chip_id in BACK_ILLUMINATED:
        return np.ones(np.shape(chipy))
    exposure = _FULL_FRAME if setup is None or setup.exposure_time is None else setup.exposure_time
    first = 1 if setup is None else setup.first_row
    waiting = _FIRST_ROW + _WHOLE_READING * np.maximum(chipy - first, 0.0) / 1023.0
    return np.asarray(1.0 - _LOST_PER_SECOND * (exposure + waiting))


def aliases(kind: str) -> tuple[str, ...]:
    """Names under which an index may hold a kind."""
    return _ALIASES.get(kind, (kind,))


def _on(energy: Array, nodes: Array, values: Array) -> Array:
    return np.interp(energy, nodes, values, left=0.0, right=0.0)


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


def listing(
    entries: tuple[IndexEntry, ...], decimal_year: float = _FUTURE
) -> list[tuple[str, str, str, str]]:
    """What a CALDB holds of each kind: (kind, newest file or "missing", version, use)."""
    uses = {**dict.fromkeys(AREA, "area"), "REEF": "PSF radii"}
    uses |= {"FEF_PHA": "redistribution", "MATRIX": "redistribution"}
    rows = []
    for kind in LISTED:
        found = next((hit for alias in aliases(kind) if (hit := choose(entries, alias, decimal_year))), None)
        file = "missing" if found is None else found.path.name
        version = "" if found is None else found.version
        rows.append((kind, file, version, uses.get(kind, "not used")))
    return rows
