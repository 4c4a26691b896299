"""Reading a table model of spectra (OGIP memo OGIP/92-009) and interpolating in it."""

from __future__ import annotations

import hashlib
import itertools
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from catalog.errors import CalibrationError, MissingFileError

Array = NDArray[np.float64]
_WANTED = "give a table model with extensions PARAMETERS, ENERGIES and SPECTRA"


@dataclass(frozen=True)
class TableParameter:
    """A parameter of a table model.

    Attributes
    ----------
    name, unit
        As in the file.
    start, lo, hi
        Value to begin with and limits.
    values
        Where the table has spectra, ascending; empty for an additional parameter, in which the spectrum is
        linear, and for the redshift.
    logarithmic
        Whether the table is interpolated in the logarithm of the parameter.
    """

    name: str
    start: float
    lo: float
    hi: float
    values: tuple[float, ...] = ()
    logarithmic: bool = False
    unit: str = ""


@dataclass(frozen=True, eq=False)
class TableModel:
    """Spectra on a grid of parameters.

    Attributes
    ----------
    name
        MODLNAME of the file.
    edges
        Limits of the energy bins in keV, shape (n_energy + 1,).
    parameters
        Interpolated parameters in the order of the grid, then additional ones, then the redshift if any.
    grid
        Photons per bin, shape (additional + 1, values of parameter 1, values of 2, ..., n_energy).
    redshift
        Whether the last parameter is the redshift.
    additive
        Whether it is a source of photons, not a factor.
    """

    name: str
    edges: Array
    parameters: tuple[TableParameter, ...]
    grid: Array = field(repr=False)
    redshift: bool = False
    additive: bool = True

    @cached_property
    def identity(self) -> str:
        """Name and hash of the content."""
        digest = hashlib.sha256(repr(self.parameters).encode())
        digest.update(self.edges.tobytes())
        digest.update(np.ascontiguousarray(self.grid).tobytes())
        return f"{self.name} {digest.hexdigest()[:16]}"

    @property
    def n_interpolated(self) -> int:
        """Number of parameters of the grid."""
        return self.grid.ndim - 2

    @cached_property
    def _cumulative(self) -> Array:
        zero = np.zeros((*self.grid.shape[:-1], 1))
        return np.concatenate([zero, np.cumsum(self.grid, axis=-1)], axis=-1)

    def photons(self, edges: Array, values: Array) -> Array:
        """Photons per bin of another grid, norm 1.

        Parameters
        ----------
        edges
            Limits of the bins in keV as observed, shape (n + 1,).
        values
            Shape (sets, parameters), in the order of `parameters`; beyond the table its ends are used.

        Returns
        -------
        ndarray
            photon cm-2 s-1 per bin, shape (sets, n); 0 outside the table's energies. A source at redshift z
            is shifted in energy and 1 / (1 + z) as many photons arrive.
        """
        return np.array([self._one(edges, row) for row in np.atleast_2d(values)])

    def _one(self, edges: Array, values: Array) -> Array:
        inner = self.n_interpolated
        table = self._cumulative
        for number in range(inner):
            low, share = self._place(self.parameters[number], float(values[number]))
            table = table[:, low] if share == 0 else (1 - share) * table[:, low] + share * table[:, low + 1]
        factors = np.concatenate([[1.0], values[inner : inner + self.grid.shape[0] - 1]])
        cumulative = factors @ table
        stretch = 1.0 + float(values[-1]) if self.redshift else 1.0
        return np.diff(np.interp(edges * stretch, self.edges, cumulative)) / stretch

    @staticmethod
    def _place(parameter: TableParameter, value: float) -> tuple[int, float]:
        """Interval of the grid and the share of its upper end."""
        points = np.asarray(parameter.values)
        if points.size == 1:
            return 0, 0.0
        value = min(max(value, points[0]), points[-1])
        low = min(int(np.searchsorted(points, value, side="right")) - 1, points.size - 2)
        ends = points[low : low + 2]
        if parameter.logarithmic:
            return low, float(np.log(value / ends[0]) / np.log(ends[1] / ends[0]))
        return low, float((value - ends[0]) / (ends[1] - ends[0]))


def read_table_model(path: str | Path) -> TableModel:
    """Read a table model, gzipped or not.

    Raises
    ------
    MissingFileError
        When there is no such file.
    CalibrationError
        When it is no table model, or its grid is not complete (code TABLE_MODEL).
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError("no such table model", path, "give the path of an OGIP table model")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            with fits.open(path) as hdus:
                return _from_hdus(hdus, path)
    except (OSError, KeyError, IndexError, TypeError) as error:
        raise CalibrationError(f"not a table model ({error})", path, _WANTED, code="TABLE_MODEL") from error


def _from_hdus(hdus: Any, path: Path) -> TableModel:
    primary = hdus[0].header
    rows = hdus["PARAMETERS"].data
    energies, spectra = hdus["ENERGIES"].data, hdus["SPECTRA"].data
    header = hdus["PARAMETERS"].header
    inner, added = int(header["NINTPARM"]), int(header.get("NADDPARM", 0))
    low, high = (np.asarray(energies[name], dtype=float) for name in ("ENERG_LO", "ENERG_HI"))
    if not (high > low).all() or not np.allclose(low[1:], high[:-1], rtol=1e-5):
        raise CalibrationError("energies do not follow each other", path, _WANTED, code="TABLE_MODEL")
    _refuse_unknown(primary, path)
    parameters = [_parameter(row, number < inner) for number, row in enumerate(rows)]
    redshift = _truth(primary.get("REDSHIFT", False))
    if redshift:
        parameters.append(TableParameter("redshift", 0.0, 0.0, 10.0))
    return TableModel(
        name=str(primary.get("MODLNAME", path.stem)).strip(),
        edges=np.append(low, high[-1]),
        parameters=tuple(parameters),
        grid=_grid(spectra, parameters[:inner], added, low.size, path),
        redshift=redshift,
        additive=_truth(primary.get("ADDMODEL", True)),
    )


def _refuse_unknown(primary: Any, path: Path) -> None:
    """Refuse what would change the spectra and is not followed here."""
    several, scaled = int(primary.get("NXFLTEXP", 1)) > 1, _truth(primary.get("ESCALE", False))
    what = "several spectra for each set of parameters" if several else "a scale of energies as a parameter"
    if several or scaled:
        raise CalibrationError(f"the table has {what}", path, "give a table without", code="TABLE_MODEL")


def _parameter(row: Any, interpolated: bool) -> TableParameter:
    values = np.asarray(row["VALUE"], dtype=float)[: int(row["NUMBVALS"]) if interpolated else 0]
    lo, hi = float(row["MINIMUM"]), float(row["MAXIMUM"])
    names = getattr(row, "array", row).dtype.names
    return TableParameter(
        name=str(row["NAME"]).strip(),
        start=float(row["INITIAL"]),
        lo=max(lo, float(values[0])) if interpolated else lo,
        hi=min(hi, float(values[-1])) if interpolated else hi,
        values=tuple(float(value) for value in values),
        logarithmic=interpolated and int(row["METHOD"]) == 1,
        unit=str(row["UNITS"]).strip() if "UNITS" in names else "",
    )


def _grid(spectra: Any, inner: list[TableParameter], added: int, n_energy: int, path: Path) -> Array:
    """Sort the rows onto the grid; a row that is missing or there twice is an error."""
    columns = ["INTPSPEC", *(f"ADDSP{number:03d}" for number in range(1, added + 1))]
    names = {name.upper(): name for name in spectra.dtype.names}
    columns = [names.get(name, names.get(name.replace("ADDSP", "ADDSPEC"), name)) for name in columns]
    flux = np.array([np.asarray(spectra[name], dtype=float) for name in columns])
    if not np.isfinite(flux).all():
        raise CalibrationError("spectra that are no numbers", path, _WANTED, code="TABLE_MODEL")
    if flux.shape[2] != n_energy:
        raise CalibrationError(
            f"spectra of {flux.shape[2]} values for {n_energy} energies", path, _WANTED, code="TABLE_MODEL"
        )
    values = np.asarray(spectra["PARAMVAL"], dtype=float).reshape(flux.shape[1], -1)[:, : len(inner)]
    sizes = [len(parameter.values) for parameter in inner]
    grid = np.full((len(columns), *sizes, flux.shape[2]), np.nan)
    for number, row in enumerate(values):
        place = tuple(
            int(np.abs(np.asarray(parameter.values) - value).argmin())
            for parameter, value in zip(inner, row.tolist(), strict=True)
        )
        for spectrum in range(len(columns)):
            grid[(spectrum, *place)] = flux[spectrum, number]
    for place in itertools.product(*(range(size) for size in sizes)):
        if np.isnan(grid[(0, *place)]).any():
            wanted = ", ".join(
                f"{parameter.name} {parameter.values[i]:g}" for parameter, i in zip(inner, place, strict=True)
            )
            raise CalibrationError(f"no spectrum at {wanted}", path, "complete it", code="TABLE_MODEL")
    return grid


def _truth(value: Any) -> bool:
    return value in (True, "T", "TRUE", "true", 1)
