"""Point spread functions with the encircled-energy radii of a CALDB (REEF).

One row of vectors: ECF (fractions), THETA (arcmin), PHI (degrees), ENERGY or ENERG_LO and ENERG_HI (keV),
and RADIUS (arcsec unless TUNIT says otherwise) with four axes, which CREFn names in FITS order (fastest
first), such as (ECF,ENERGY,THETA,PHI); without CREFn they are told apart by their sizes. Format: the note
N0002.txt beside the CXC's files of enclosed count fractions, after HEASARC memo CAL/GEN/92-020; no real
file was at hand.

The radii are taken as they are, as CIAO takes them: no blur of event positions is added. Images keep the
shape of the packaged ray trace, and are given these radii.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from astropy import units
from astropy.io import fits
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from catalog.calibration.caldb_index import IndexEntry, choose
from catalog.calibration.caldb_tables import column_names, digest, table_of, unusable, vector
from catalog.calibration.psf import PsfLibrary, open_psf_library
from catalog.calibration.psf_radii import interpolate_radii

Array = NDArray[np.float64]

_AXES = ("ECF", "THETA", "PHI", "ENERGY")


@dataclass(frozen=True, eq=False)
class EnclosedRadii:
    """Radii in arcsec, shape (n_theta, n_phi, n_energy, n_fraction), and the nodes."""

    theta: Array
    phi: Array
    energy: Array
    fraction: Array
    radius: Array


def caldb_psf(entries: tuple[IndexEntry, ...]) -> PsfLibrary:
    """The packaged library with the radii of the REEF of a CALDB; the packaged one where it has none."""
    entry = choose(entries, "REEF", 2100.0)
    return open_psf_library() if entry is None else with_radii(open_psf_library(), read_radii(entry), entry)


def read_radii(entry: IndexEntry) -> EnclosedRadii:
    """Read a REEF.

    Raises
    ------
    CalibrationError
        CALDB_FILE: it is missing or not as described above.
    """
    table, header = table_of(entry)
    names = column_names(table)
    if "RADIUS" not in names or len(table) != 1:
        raise unusable(entry, "no row with a column RADIUS")
    nodes = {name: vector(entry, table, name) for name in ("ECF", "THETA", "PHI")}
    if "ENERGY" in names:
        nodes["ENERGY"] = vector(entry, table, "ENERGY")
    else:
        nodes["ENERGY"] = 0.5 * (vector(entry, table, "ENERG_LO") + vector(entry, table, "ENERG_HI"))
    number = [name.upper() for name in table.names].index("RADIUS") + 1
    values = np.asarray(table["RADIUS"][0], dtype=float)
    order = _order(entry, values.shape, nodes, header, number)
    values = values.transpose([order.index(name) for name in ("THETA", "PHI", "ENERGY", "ECF")])
    unit = str(header.get(f"TUNIT{number}", "arcsec")).strip() or "arcsec"
    factor = float(units.Unit(unit).to(units.arcsec))
    sorting = {name: np.argsort(nodes[name]) for name in _AXES}
    values = values[np.ix_(*(sorting[name] for name in ("THETA", "PHI", "ENERGY", "ECF")))]
    sorted_nodes = {name: nodes[name][sorting[name]] for name in _AXES}
    if not (np.isfinite(values).all() and values.min() > 0):
        raise unusable(entry, "radii that are no positive numbers")
    return EnclosedRadii(
        sorted_nodes["THETA"], sorted_nodes["PHI"], sorted_nodes["ENERGY"], sorted_nodes["ECF"],
        factor * values,
    )  # fmt: skip


def _order(
    entry: IndexEntry, shape: tuple[int, ...], nodes: dict[str, Array], header: fits.Header, number: int
) -> list[str]:
    """Names of the axes of RADIUS, slowest first."""
    written = re.findall(
        r"\w+", str(header.get(f"CREF{number}", "")).upper().replace("ENERG_LO:ENERG_HI", "ENERGY")
    )
    named = [[("ENERGY" if name == "ENERG_LO" else name) for name in reversed(written)]] if written else []
    candidates = named or [list(order) for order in permutations(_AXES)]
    fitting = [
        order
        for order in candidates
        if sorted(order) == sorted(_AXES) and tuple(nodes[name].size for name in order) == shape
    ]
    if not fitting or (len(fitting) > 1 and len({nodes[name].size for name in _AXES}) < len(_AXES)):
        raise unusable(entry, "axes of RADIUS that cannot be told: give CREF of the column")
    return fitting[0]


def with_radii(library: PsfLibrary, known: EnclosedRadii, entry: IndexEntry) -> PsfLibrary:
    """A library with other radii on its nodes, which no blur widens.

    Linear in azimuth and the logarithm of the energy, held at the ends; a spline over the off-axis angle as
    for the packaged radii; monotone in the fraction, in proportion to its root below the first and with 1/r
    beyond the last.
    """
    at = np.interp(np.log(library.energy), np.log(known.energy), np.arange(known.energy.size))
    values = _between(known.radius, at, axis=2)
    turn = np.append(known.phi, known.phi[0] + 360.0)
    wrapped = np.concatenate([values, values[:, :1]], axis=1)
    azimuth = np.mod(library.phi - known.phi[0], 360.0) + known.phi[0]
    values = _between(wrapped, np.interp(azimuth, turn, np.arange(turn.size)), axis=1)
    curves = np.maximum.accumulate(_fractions(known.fraction, values, library.fraction), axis=-1)
    if known.theta.size > 1 and known.theta[0] == 0.0:
        held = np.clip(library.curve_theta, 0.0, known.theta[-1])
        radii = interpolate_radii(known.theta, curves, held)
    else:
        place = np.interp(library.curve_theta, known.theta, np.arange(known.theta.size))
        radii = _between(curves, place, axis=0).astype(np.float32)
    return library.with_table(radii, f"psf REEF {entry.path.name} {digest(entry)} on {library.name}")


def _between(values: Array, place: Array, axis: int) -> Array:
    """Values at fractional indices along an axis."""
    low = np.minimum(place.astype(np.int64), max(values.shape[axis] - 2, 0))
    high = np.minimum(low + 1, values.shape[axis] - 1)
    part = (place - low).reshape([-1 if k == axis else 1 for k in range(values.ndim)])
    return np.asarray(np.take(values, low, axis) * (1 - part) + np.take(values, high, axis) * part)


def _fractions(known: Array, radius: Array, wanted: Array) -> Array:
    inside = np.clip(wanted, known[0], known[-1])
    curve = (
        PchipInterpolator(known, radius, axis=-1)(inside)
        if known.size > 1
        else np.repeat(radius, wanted.size, -1)
    )
    below = np.sqrt(np.minimum(wanted / known[0], 1.0))
    beyond = np.maximum((1 - known[-1]) / (1 - wanted), 1.0)
    return np.asarray(curve * below * beyond)
