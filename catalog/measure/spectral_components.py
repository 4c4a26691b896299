"""Additive components of spectral models, with their parameters and limits.

Each component gives photons per bin of an energy grid for norm 1; the norm is linear and comes last. All of
them take many parameter sets at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import exprel

from catalog.calibration.models import black_body, bremsstrahlung
from catalog.calibration.table_model import TableModel
from catalog.errors import SettingsError

Array = NDArray[np.float64]

# Gauss-Legendre with two nodes is exact to 1e-7 in bins of 10 eV above 0.2 keV.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(2)

BLACK_BODY_NORM = 8.0525
"""Photons of a black body of norm 1 (luminosity 1e39 erg/s at 10 kpc): N E^2 / (kT^4 (exp(E/kT) - 1))."""


@dataclass(frozen=True)
class FitParameter:
    """A parameter: where a fit begins and how far it may go.

    Attributes
    ----------
    name
        Name in results, such as ``photon_index``.
    start
        Value at which a fit begins, and at which a frozen parameter stays.
    lo, hi
        Limits; a fit that ends at one is flagged.
    unit
        As text for tables.
    """

    name: str
    start: float
    lo: float
    hi: float
    unit: str = ""


@dataclass(frozen=True)
class Component:
    """An additive component.

    Attributes
    ----------
    name
        Such as ``powerlaw``.
    parameters
        Those of its shape, without the norm.
    norm_unit
        What norm 1 means.
    photons
        Called with the edges of the grid in keV, shape (n + 1,), and parameters, shape (sets, parameters);
        gives photons cm-2 s-1 per bin for norm 1, shape (sets, n).
    identity
        Hash of a table, empty for formulas.
    """

    name: str
    parameters: tuple[FitParameter, ...]
    norm_unit: str
    photons: Callable[[Array, Array], Array]
    identity: str = ""


def nodes(edges: Array) -> tuple[Array, Array]:
    """Energies and weights, shape (n, 2), that integrate over the bins between edges in keV."""
    half = 0.5 * np.diff(edges)
    middle = 0.5 * (edges[1:] + edges[:-1])
    return middle[:, None] + half[:, None] * _NODES, half[:, None] * _WEIGHTS


def _power_law(edges: Array, values: Array) -> Array:
    """Integral of E^-index: exact, also for index 1."""
    power = 1.0 - values[:, :1]
    ratio = np.log(edges[1:] / edges[:-1])
    return np.asarray(edges[:-1] ** power * ratio * exprel(power * ratio))


def _quadrature(density: Callable[[Array, float], Array], edges: Array, values: Array) -> Array:
    energy, weight = nodes(edges)
    return np.array([(density(energy, float(value)) * weight).sum(axis=1) for value in values[:, 0]])


def _black_body_density(energy: Array, temperature: float) -> Array:
    return BLACK_BODY_NORM / temperature**4 * black_body(energy, temperature)


def _bremsstrahlung_density(energy: Array, temperature: float) -> Array:
    at_one_kev = float(bremsstrahlung(np.array([1.0]), temperature)[0])
    return bremsstrahlung(energy, temperature) / at_one_kev


POWER_LAW = Component(
    "powerlaw",
    (FitParameter("photon_index", 1.7, -3.0, 10.0),),
    "photon cm-2 s-1 keV-1 at 1 keV",
    _power_law,
)
BLACK_BODY = Component(
    "blackbody",
    (FitParameter("kt", 0.5, 0.01, 20.0, "keV"),),
    "luminosity in 1e39 erg/s over (distance / 10 kpc)^2",
    partial(_quadrature, _black_body_density),
)
BREMSSTRAHLUNG = Component(
    "bremsstrahlung",
    (FitParameter("kt", 3.0, 0.05, 100.0, "keV"),),
    "photon cm-2 s-1 keV-1 at 1 keV",
    partial(_quadrature, _bremsstrahlung_density),
)


def thermal(table: TableModel) -> Component:
    """The component of a table model of thermal emission; its temperature is called `kt`.

    Raises
    ------
    SettingsError
        Code TABLE_MODEL: the table has no parameter that is a temperature, or is not additive.
    """
    if not table.additive:
        raise SettingsError(
            "the table model multiplies others", table.name, "give an additive one", code="TABLE_MODEL"
        )
    names = [_plain_name(parameter.name) for parameter in table.parameters]
    if "kt" not in names:
        raise SettingsError(
            f"the table model has no temperature (it has {', '.join(names)})",
            table.name,
            "give one with a parameter kT in keV",
            code="TABLE_MODEL",
        )
    parameters = tuple(
        FitParameter(name, own.start, own.lo, own.hi, own.unit)
        for name, own in zip(names, table.parameters, strict=True)
    )
    return Component("thermal", parameters, "norm of the table", table.photons, table.identity)


def _plain_name(name: str) -> str:
    plain = "".join(letter if letter.isalnum() else "_" for letter in name.strip().lower())
    return {"temperature": "kt", "temp": "kt", "tkev": "kt", "z": "redshift"}.get(plain, plain)
