"""The files of a CALDB from which areas are made, as arrays.

AXEFFA    ENERG_LO, ENERG_HI (keV), EFFAREA (cm2): one row of vectors or a row per energy.
VIGNET    one row: ENERG_LO, ENERG_HI, THETA (arcmin), PHI (degrees), VIGNET (FITS axes energy, theta, phi).
QE        ENERGY (keV), QE: a row per energy.
QEU       a row per energy: ENERGY, or ENERG_LO and ENERG_HI (keV), and the image QEU of relative efficiencies
          on the chip. Chip pixels of its columns and rows by 1CRPXn, 1CRVLn, 1CDLTn (and 2C...) of the
          column, else the image spans the chip. An image HDU holds for all energies.
CONTAM    a row per layer: ENERGY, MU; TIME (mission s), TAU0; where they are, TAU1 and the image FXY of the
          chip, COMPONENT and WEIGHT; N_ENERGY, N_TIME where vectors are padded. Depth of a layer:
          MU(E) (TAU0(t) + TAU1(t) FXY); layers of a component add up, and the transmissions of components are
          averaged with WEIGHT.

QE and VIGNET are as in real files. QEU is as that of the HRC is described, CONTAM as programs of others
read it (MARX, marx/data/utils/mkcontam.py): no real file of AXEFFA, QEU and CONTAM was at hand.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from catalog.calibration.caldb_index import IndexEntry
from catalog.errors import CalibrationError

Array = NDArray[np.float64]

_CHIP = 1024
_BLOCKS = 64
_MISSION_START = 1998.0
_YEAR = 365.25 * 86400.0


@dataclass(frozen=True, eq=False)
class ChipImages:
    """Images over a chip.

    Attributes
    ----------
    values
        Shape (n, rows, columns), blocks of pixels where the file has more than 64 x 64.
    first, step
        Chip pixel of the centre of the first column and row, and pixels from one to the next: (x, y).
    """

    values: Array
    first: tuple[float, float]
    step: tuple[float, float]

    def at(self, chipx: Array, chipy: Array) -> Array:
        """Values at chip pixels, linear between the centres, shape chipx.shape + (n,)."""
        rows, columns = (chipy - self.first[1]) / self.step[1], (chipx - self.first[0]) / self.step[0]
        place = [np.ravel(rows), np.ravel(columns)]
        found = [map_coordinates(image, place, order=1, mode="nearest") for image in self.values]
        return np.stack(found, axis=-1).reshape(*np.shape(rows), len(found))


@dataclass(frozen=True, eq=False)
class Uniformity:
    """Quantum efficiency relative to the mean of QE: energies in keV, shape (n,), and an image for each."""

    energy: Array
    images: ChipImages

    def at(self, chipx: Array, chipy: Array, energy: Array) -> Array:
        """Factors at chip pixels, linear between the energies, shape chipx.shape + energy.shape."""
        found = self.images.at(chipx, chipy)
        place = np.interp(energy, self.energy, np.arange(self.energy.size))
        low = np.minimum(place.astype(np.int64), max(self.energy.size - 2, 0))
        high = np.minimum(low + 1, self.energy.size - 1)
        return found[..., low] * (1 - (place - low)) + found[..., high] * (place - low)


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of the contamination; `pattern` is FXY in blocks of pixels, None where it is even."""

    component: int
    weight: float
    energy: Array
    absorption: Array
    time: Array
    even: Array
    uneven: Array
    pattern: ChipImages | None

    def depth(self, second: float, chipx: Array, chipy: Array, energy: Array) -> Array:
        """Optical depth at mission seconds, shape chipx.shape + energy.shape."""
        amount = np.full(np.shape(chipx), _carried_on(second, self.time, self.even))
        if self.pattern is not None:
            uneven = _carried_on(second, self.time, self.uneven)
            amount = amount + uneven * self.pattern.at(chipx, chipy)[..., 0]
        return np.asarray(amount[..., None] * np.interp(energy, self.energy, self.absorption))


def mission_seconds(decimal_year: float) -> float:
    """Seconds since 1998.0."""
    return (decimal_year - _MISSION_START) * _YEAR


def _carried_on(second: float, time: Array, value: Array) -> float:
    """Linear between the times; beyond the last one it grows as between the last two."""
    amount = float(np.interp(second, time, value))
    if second > time[-1] and time.size > 1:
        amount += (second - time[-1]) * float((value[-1] - value[-2]) / (time[-1] - time[-2]))
    return amount


def transmission(
    layers: tuple[Layer, ...], second: float, chipx: Array, chipy: Array, energy: Array
) -> Array:
    """Share of the photons that pass the contamination, shape chipx.shape + energy.shape."""
    depth: dict[int, Array] = {}
    for layer in layers:
        own = layer.depth(second, chipx, chipy, energy)
        depth[layer.component] = depth[layer.component] + own if layer.component in depth else own
    weights = {layer.component: layer.weight for layer in layers}
    passed = np.sum([weights[number] * np.exp(-value) for number, value in depth.items()], axis=0)
    return np.asarray(passed / sum(weights.values()))


@lru_cache(maxsize=256)
def digest(entry: IndexEntry) -> str:
    """Hash of the file of an entry, 12 characters."""
    try:
        return sha256(entry.path.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise unusable(entry, str(error.strerror)) from error


def unusable(entry: IndexEntry, reason: str) -> CalibrationError:
    """The error of a file that is missing or not as described above."""
    return CalibrationError(
        f"a file of the CALDB that cannot be used ({reason})",
        f"{entry.path}[{entry.extension}]",
        "install the CALDB again",
        code="CALDB_FILE",
    )


def table_of(entry: IndexEntry) -> tuple[Any, fits.Header]:
    """Data and header of an entry's HDU."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            data, header = fits.getdata(entry.path, entry.extension, header=True)
    except (OSError, IndexError) as error:
        raise unusable(entry, str(error)) from error
    return data, header


def vector(entry: IndexEntry, table: Any, name: str) -> Array:
    """All values of a column, one after another."""
    try:
        return np.asarray(table[name], dtype=float).ravel()
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise unusable(entry, f"no column {name}") from error


def column_names(table: Any) -> set[str]:
    """Names of the columns, upper case; none of an image."""
    return {name.upper() for name in getattr(table, "names", None) or ()}


@lru_cache(maxsize=8)
def axial_area(entry: IndexEntry) -> tuple[Array, Array]:
    """Energies and area on axis."""
    table, _ = table_of(entry)
    low, high = (vector(entry, table, name) for name in ("ENERG_LO", "ENERG_HI"))
    return 0.5 * (low + high), vector(entry, table, "EFFAREA")


@lru_cache(maxsize=32)
def quantum_efficiency(entry: IndexEntry) -> tuple[Array, Array]:
    """Energies and quantum efficiency with filter."""
    table, _ = table_of(entry)
    return vector(entry, table, "ENERGY"), vector(entry, table, "QE")


@lru_cache(maxsize=4)
def vignetting_table(entry: IndexEntry) -> tuple[Array, Array, Array, Array]:
    """Energies, angles (arcmin), azimuths (degrees) and the relative area, shape (phi, theta, energy)."""
    table, _ = table_of(entry)
    low, high, theta, phi = (vector(entry, table, name) for name in ("ENERG_LO", "ENERG_HI", "THETA", "PHI"))
    values = vector(entry, table, "VIGNET")
    if values.size != low.size * theta.size * phi.size:
        raise unusable(entry, "VIGNET is not of energies x angles x azimuths")
    return 0.5 * (low + high), theta, phi, values.reshape(phi.size, theta.size, low.size)


@lru_cache(maxsize=16)
def uniformity(entry: IndexEntry) -> Uniformity:
    """Quantum efficiency over the chip."""
    table, header = table_of(entry)
    names = column_names(table)
    if not names:
        values = np.asarray(table, dtype=float)
        if values.ndim != 2:
            raise unusable(entry, "QEU is no image of the chip")
        return Uniformity(np.ones(1), _chip_images(values[None], header, ""))
    if "QEU" not in names:
        raise unusable(entry, "no column QEU")
    values = np.asarray(table["QEU"], dtype=float)
    if values.ndim != 3:
        raise unusable(entry, "QEU holds no images of the chip")
    if "ENERGY" in names:
        energy = vector(entry, table, "ENERGY")
    else:
        energy = 0.5 * (vector(entry, table, "ENERG_LO") + vector(entry, table, "ENERG_HI"))
    number = [name.upper() for name in table.names].index("QEU") + 1
    return Uniformity(energy, _chip_images(values, header, str(number)))


def _chip_images(values: Array, header: fits.Header, column: str) -> ChipImages:
    """Images with the chip pixels that the header gives them."""
    found = []
    for axis, size in ((1, values.shape[2]), (2, values.shape[1])):
        words = [f"{axis}{key}{column}" if column else f"{long}{axis}P" for key, long in _WORLD]
        step = float(header.get(words[2], _CHIP / size))
        pixel, value = float(header.get(words[0], 0.5)), float(header.get(words[1], 0.5))
        found.append((value + (1.0 - pixel) * step, step))
    (x, step_x), (y, step_y) = found
    # The dither spreads a source over 32 pixels: blocks of 16 hold all of it that matters.
    rows, columns = (size // _BLOCKS if size % _BLOCKS == 0 else 1 for size in values.shape[1:])
    parts = values.reshape(len(values), values.shape[1] // rows, rows, values.shape[2] // columns, columns)
    first = (x + 0.5 * (columns - 1) * step_x, y + 0.5 * (rows - 1) * step_y)
    return ChipImages(parts.mean(axis=(2, 4)), first, (columns * step_x, rows * step_y))


_WORLD = (("CRPX", "CRPIX"), ("CRVL", "CRVAL"), ("CDLT", "CDELT"))


@lru_cache(maxsize=16)
def contamination(entry: IndexEntry) -> tuple[Layer, ...]:
    """Layers of the contamination."""
    table, _ = table_of(entry)
    names = column_names(table)
    layers = tuple(_layer(entry, row, names) for row in table)
    if not layers:
        raise unusable(entry, "no components")
    return layers


def _layer(entry: IndexEntry, row: Any, names: set[str]) -> Layer:
    energy, absorption, time, even = (vector(entry, row, name) for name in ("ENERGY", "MU", "TIME", "TAU0"))
    energies = int(row["N_ENERGY"]) if "N_ENERGY" in names else energy.size
    times = int(row["N_TIME"]) if "N_TIME" in names else time.size
    patterned = {"TAU1", "FXY"} <= names
    pattern = None
    if patterned:
        image = vector(entry, row, "FXY")
        side = round(np.sqrt(image.size))
        if side * side != image.size:
            raise unusable(entry, "FXY is no square image of the chip")
        pattern = _chip_images(image.reshape(1, side, side), fits.Header(), "")
    return Layer(
        component=int(row["COMPONENT"]) if "COMPONENT" in names else 0,
        weight=float(row["WEIGHT"]) if "WEIGHT" in names else 1.0,
        energy=energy[:energies],
        absorption=absorption[:energies],
        time=time[:times],
        even=even[:times],
        uneven=vector(entry, row, "TAU1")[:times] if patterned else np.zeros(times),
        pattern=pattern,
    )
