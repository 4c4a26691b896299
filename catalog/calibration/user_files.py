"""The user's own effective areas: a table of area against energy at some dates and positions."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
from astropy.io.registry import IORegistryError
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from catalog.calibration.builtin import BuiltinArea, open_builtin_area
from catalog.errors import CalibrationError, MissingFileError

COLUMNS = ("date", "theta_arcmin", "phi_deg", "ccd_id", "energy_keV", "area_cm2")
_OPTIONAL = ("date", "phi_deg", "ccd_id")
ANY_CHIP = -1
"""Chip of a table without the column ccd_id."""
ALL_DATES = 0.0
"""Date of a table without the column date."""

_FRONT_ARRAY = frozenset({0, 1, 2, 3})
_SAME_ANGLE = 0.05
_FARTHEST = 1.5
"""How far a trend is carried beyond the last node, in steps of the last two (in the angle's square)."""
_STEEPEST = (0.25, 1.25)
_OUTERMOST, _FINE = 40.0, 0.005
"""Arcmin: beyond all detectors, and between the angles of a map."""


@dataclass(frozen=True, eq=False)
class AreaTable:
    """Areas given on nodes (date, chip, off-axis angle, azimuth), one curve of area against energy each.

    Between the nodes of one date the curve divided by the built-in vignetting is interpolated linearly in the
    off-axis angle. Beyond the last node its logarithm goes on with the square of the angle as between the
    last two, which is how contamination that thickens outwards acts; vignetting carries the rest. Among nodes
    at one angle the nearest azimuth is taken. Which nodes serve a chip: its own; for a chip of ACIS-I all of
    ACIS-I, since contamination follows the distance from the centre of the array; else all, with the built-in
    ratio of quantum efficiencies. In time the curves are interpolated linearly and held outside the dates. A
    table without ccd_id, as one for the HRC, serves every chip as it is.

    Attributes
    ----------
    date, theta, phi, chip
        Of each node: decimal year, arcmin, degrees, chip id; shape (n_node,).
    energy
        Grid in keV, shape (n_energy,).
    curve
        Area in cm2, shape (n_node, n_energy).
    optics
        Built-in area, for its vignetting and chip ratios only.
    name, digest
        File name and hash of its bytes.
    """

    date: NDArray[np.float64]
    theta: NDArray[np.float64]
    phi: NDArray[np.float64]
    chip: NDArray[np.int64]
    energy: NDArray[np.float64]
    curve: NDArray[np.float64] = field(repr=False)
    optics: BuiltinArea = field(repr=False)
    name: str = "area table"
    digest: str = ""
    _made: dict[tuple[int, bytes], NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False)

    @property
    def identity(self) -> str:
        """File name and hash of its bytes, and of the vignetting it leans on."""
        return f"area {self.name} {self.digest} on {self.optics.identity}"

    def area(
        self, chip_id: int, decimal_year: float, theta: ArrayLike, phi: ArrayLike, energy: ArrayLike
    ) -> NDArray[np.float64]:
        """Effective area in cm2, shape broadcast(theta, phi) + (n_energy,); zero outside the energies."""
        energy = np.atleast_1d(np.asarray(energy, dtype=float))
        theta_all, phi_all = np.broadcast_arrays(np.asarray(theta, dtype=float), np.asarray(phi, dtype=float))
        dates = np.unique(self.date)
        place = float(np.interp(decimal_year, dates, np.arange(dates.size)))
        first = min(int(place), max(dates.size - 2, 0))
        part = place - first
        result = self._at_date(dates[first], chip_id, theta_all, phi_all) * (1.0 - part)
        if part > 0.0:
            result += self._at_date(dates[first + 1], chip_id, theta_all, phi_all) * part
        result *= self.optics.vignetting(theta_all, self.energy)
        return self._on_energies(result, energy)

    @property
    def is_dated(self) -> bool:
        """Whether the table has dates."""
        return bool(self.date[0] != ALL_DATES)

    @cached_property
    def linear_angles(self) -> NDArray[np.float64] | None:
        """Angles so close that the area is linear between them to 1e-6; None with several azimuths."""
        if np.unique(self.phi).size > 1:
            return None
        return np.unique(np.concatenate([np.arange(0.0, _OUTERMOST, _FINE), self.theta]))

    def extrapolated(self, decimal_year: float) -> bool:
        """Whether the date lies more than a year outside the table's dates.

        A table often has a single date, meant for the observation at hand; a year is what an area drifts
        little in.
        """
        return self.is_dated and not self.date.min() - 1.0 <= decimal_year <= self.date.max() + 1.0

    def _at_date(
        self, date: float, chip_id: int, theta: NDArray[np.float64], phi: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Curves without vignetting at positions, shape theta.shape + (n_energy,)."""
        nodes = np.flatnonzero(self.date == date)
        own = nodes[self.chip[nodes] == chip_id]
        array = nodes[np.isin(self.chip[nodes], list(_FRONT_ARRAY))]
        if chip_id in _FRONT_ARRAY and array.size:
            nodes = array
        elif own.size:
            nodes = own
        flat = self._flat(chip_id, nodes)
        order = np.argsort(self.theta[nodes], kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(self.theta[nodes][order]) > _SAME_ANGLE) + 1)
        angles = np.array([self.theta[nodes][group].mean() for group in groups])
        place = np.interp(theta, angles, np.arange(angles.size))
        lower = np.minimum(place.astype(np.int64), max(angles.size - 2, 0))
        part = (place - lower)[..., None]
        nearest = np.array([self._nearest(group, nodes, phi) for group in groups])
        below = np.take_along_axis(nearest, lower[None], axis=0)[0]
        above = np.take_along_axis(nearest, np.minimum(lower + 1, angles.size - 1)[None], axis=0)[0]
        inside = np.asarray((1.0 - part) * flat[below] + part * flat[above])
        if angles.size < 2 or not (theta > angles[-1]).any():
            return inside
        # The trend along the azimuth of the last node: another azimuth would add its own difference.
        outer = nearest[-1]
        inner = self._nearest(groups[-2], nodes, self.phi[nodes[outer]])
        trend = np.ones_like(inside)
        np.divide(flat[outer], flat[inner], out=trend, where=flat[inner] > 0)
        steps = (theta**2 - angles[-1] ** 2) / (angles[-1] ** 2 - angles[-2] ** 2)
        return np.asarray(inside * np.clip(trend, *_STEEPEST) ** np.clip(steps, 0.0, _FARTHEST)[..., None])

    def _flat(self, chip_id: int, nodes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Curves of nodes without vignetting, as of a chip, shape (len(nodes), n_energy); made once."""
        key = (chip_id, nodes.tobytes())
        if key not in self._made:
            bare = self.curve[nodes] / self.optics.vignetting(self.theta[nodes], self.energy)
            self._made[key] = bare * self._chip_ratio(chip_id, nodes)
        return self._made[key]

    def _nearest(
        self, group: NDArray[np.int64], nodes: NDArray[np.int64], phi: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Of the nodes at one angle the one nearest in azimuth, for each position."""
        away = np.abs((phi[..., None] - self.phi[nodes[group]] + 180.0) % 360.0 - 180.0)
        return np.asarray(group[np.argmin(away, axis=-1)])

    def _chip_ratio(self, chip_id: int, nodes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Quantum efficiency of a chip over those of the nodes' chips; 1 within ACIS-I."""
        ratio = np.ones((nodes.size, self.energy.size))
        for row, other in enumerate(self.chip[nodes].tolist()):
            if other not in (chip_id, ANY_CHIP) and not {other, chip_id} <= _FRONT_ARRAY:
                ratio[row] = self.optics.relative_efficiency(chip_id, other, self.energy)
        return ratio

    def _on_energies(self, curve: NDArray[np.float64], energy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Linear in energy; held for half a bin outside the grid, zero beyond."""
        place = np.interp(energy, self.energy, np.arange(self.energy.size))
        index = np.minimum(place.astype(np.int64), self.energy.size - 2)
        part = place - index
        value = (1.0 - part) * curve[..., index] + part * curve[..., index + 1]
        margin = 0.5001 * np.diff(self.energy)[[0, -1]]
        outside = (energy < self.energy[0] - margin[0]) | (energy > self.energy[-1] + margin[1])
        return np.where(outside, 0.0, value)


def read_area_table(path: str | Path) -> AreaTable:
    """Read a table (ECSV, or any other format that astropy recognises) of effective areas.

    Columns: date (decimal year), theta_arcmin, phi_deg, ccd_id, energy_keV (bin centres) and area_cm2, one
    row per node and energy; all nodes on the same energies. Without date the area holds for all dates,
    without phi_deg for all azimuths, without ccd_id for all chips. Dead time must not be in the area.

    Raises
    ------
    MissingFileError
        When there is no such file.
    CalibrationError
        When it is not such a table (code CALIBRATION_FILE).
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError("no such area table", path, "give the path of a table of effective areas")
    try:
        table = Table.read(path)
    except (OSError, ValueError, TypeError, IORegistryError) as error:
        raise _refusal(f"not a table that can be read ({error})", path) from error
    missing = [name for name in COLUMNS if name not in (*table.colnames, *_OPTIONAL)]
    if missing:
        raise _refusal(f"no column {', '.join(missing)}", path)
    try:
        columns: dict[str, NDArray[np.float64]] = {
            # Plain arrays: a column of a table is slow in every operation.
            name: np.array(np.ma.filled(np.ma.asarray(table[name], dtype=float), np.nan))
            for name in COLUMNS
            if name in table.colnames
        }
    except (ValueError, TypeError) as error:
        raise _refusal("a column is not numeric", path) from error
    if len(table) == 0 or not all(np.isfinite(values).all() for values in columns.values()):
        raise _refusal("no rows, or empty values", path)
    if (columns["area_cm2"] < 0).any() or (columns["energy_keV"] <= 0).any():
        raise _refusal("negative areas or energies", path)
    absent = {"date": ALL_DATES, "phi_deg": 0.0, "ccd_id": float(ANY_CHIP)}
    for name in set(_OPTIONAL) - set(columns):
        columns[name] = np.full(len(table), absent[name])
    return _from_columns(columns, path)


def _from_columns(columns: dict[str, NDArray[np.float64]], path: Path) -> AreaTable:
    keys = np.stack([columns[name] for name in ("date", "ccd_id", "theta_arcmin", "phi_deg")], axis=1)
    nodes, which = np.unique(keys, axis=0, return_inverse=True)
    energy = np.unique(columns["energy_keV"])
    if energy.size < 2 or len(keys) != len(nodes) * energy.size:
        raise _refusal("not the same energies at every date and position", path)
    curve = np.full((len(nodes), energy.size), np.nan)
    curve[which.ravel(), np.searchsorted(energy, columns["energy_keV"])] = columns["area_cm2"]
    if np.isnan(curve).any():
        raise _refusal("not the same energies at every date and position", path)
    return AreaTable(
        date=nodes[:, 0],
        theta=nodes[:, 2],
        phi=nodes[:, 3],
        chip=nodes[:, 1].astype(np.int64),
        energy=energy,
        curve=curve,
        optics=open_builtin_area(),
        name=path.name,
        digest=sha256(path.read_bytes()).hexdigest()[:16],
    )


def _refusal(what: str, path: Path) -> CalibrationError:
    todo = f"give a table with columns {', '.join(COLUMNS)}"
    return CalibrationError(what, path, todo, code="CALIBRATION_FILE")
