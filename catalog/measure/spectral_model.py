"""Models to fit: one or two components behind absorbing gas, for many parameter sets at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from catalog.calibration.absorption import MODELS, cross_section
from catalog.calibration.spectrum import ERG_PER_KEV
from catalog.calibration.table_model import TableModel
from catalog.errors import SettingsError
from catalog.measure.spectral_components import (
    BLACK_BODY,
    BREMSSTRAHLUNG,
    POWER_LAW,
    Component,
    FitParameter,
    nodes,
    thermal,
)
from catalog.measure.spectral_xspec import xspec_plasma

Array = NDArray[np.float64]

MODEL_NAMES = ("powerlaw", "blackbody", "bremsstrahlung", "thermal", "thermal2")
"""Models that can be asked for; the thermal ones need a table, or XSPEC."""

ABSORBERS = {"phabs": "phabs-angr", "tbabs": "phabs-wilm", "wabs": "wabs"}
"""Absorbers by the name of the XSPEC model that they are like."""

NH = FitParameter("nh", 0.1, 0.0, 100.0, "1e22 cm-2")
NORM = FitParameter("norm", 1e-5, 0.0, 1e3)
_SECOND_TEMPERATURE = 3.0
_FLUX_STEP = 0.005


@dataclass(frozen=True)
class FitModel:
    """A model: absorber times the sum of its components.

    Attributes
    ----------
    name
        One of `MODEL_NAMES`.
    components
        One or two.
    absorber
        Name of a cross section: ``phabs-angr``, ``phabs-wilm`` or ``wabs``.
    parameters
        nh, then of each component its own and its norm. The names of the second component end in 2.
    """

    name: str
    components: tuple[Component, ...]
    absorber: str
    parameters: tuple[FitParameter, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def norms(self) -> tuple[int, ...]:
        """Places of the norms."""
        return tuple(i for i, name in enumerate(self.names) if name in ("norm", "norm2"))

    @property
    def identity(self) -> str:
        """What a result depends on beyond the parameters' values."""
        return " ".join([self.name, self.absorber, *(part.identity for part in self.components)]).strip()

    def with_start(self, **values: float) -> FitModel:
        """The same model with other values to begin with (and to freeze at)."""
        changed = tuple(
            replace(item, start=float(values[item.name])) if item.name in values else item
            for item in self.parameters
        )
        return replace(self, parameters=changed)

    def bare(self, edges: Array, values: Array) -> Array:
        """Photons cm-2 s-1 per bin without the gas; shapes as in `photons`."""
        total: Array | float = 0.0
        place = 1
        for component in self.components:
            own = len(component.parameters)
            shape, norm = values[:, place : place + own], values[:, place + own : place + own + 1]
            total = total + norm * component.photons(edges, shape)
            place += own + 1
        return np.asarray(total)

    def photons(self, edges: Array, values: Array) -> Array:
        """Photons per bin.

        Parameters
        ----------
        edges
            Limits of the energy bins in keV, shape (n + 1,).
        values
            Parameters in the order of `parameters`, shape (sets, parameters).

        Returns
        -------
        ndarray
            photon cm-2 s-1 per bin, shape (sets, n).
        """
        return self.bare(edges, values) * self.transmission(edges, values[:, 0])

    def transmission(self, edges: Array, nh: Array) -> Array:
        """Share of photons that passes the gas, mean over each bin, shape (sets, n)."""
        depth = _depth(self.absorber, edges.tobytes())
        _, weight = nodes(edges)
        share = np.exp(-nh[:, None, None] * depth)
        return np.asarray((share * weight).sum(axis=-1) / weight.sum(axis=-1))

    def energy_flux(self, lo: float, hi: float, values: Array) -> tuple[Array, Array]:
        """Energy flux from `lo` to `hi` keV, absorbed and unabsorbed, erg cm-2 s-1, shape (sets,) each."""
        edges = np.linspace(lo, hi, int(np.ceil((hi - lo) / _FLUX_STEP)) + 1)
        energy = 0.5 * (edges[1:] + edges[:-1]) * ERG_PER_KEV
        bare = self.bare(edges, values)
        absorbed = bare * self.transmission(edges, values[:, 0])
        return (absorbed * energy).sum(axis=1), (bare * energy).sum(axis=1)


@lru_cache(maxsize=16)
def _depth(absorber: str, edges: bytes) -> Array:
    """Optical depth of 1e22 cm-2 at the nodes of a grid."""
    energy, _ = nodes(np.frombuffer(edges))
    return 1e22 * cross_section(absorber, energy)


def fit_model(
    name: str, absorber: str = "phabs-angr", tables: Sequence[TableModel] = (), nh: float = 0.1
) -> FitModel:
    """Return a model by name.

    Parameters
    ----------
    name
        One of `MODEL_NAMES`.
    absorber
        Cross section of the gas, or the name of the XSPEC model it is like (`ABSORBERS`).
    tables
        Table models of the user: the first serves the thermal models. Without one XSPEC does, where the
        user's Sherpa has it.
    nh
        Column to begin with, or to freeze at, 1e22 cm-2.

    Raises
    ------
    SettingsError
        Code UNKNOWN_MODEL for a name that is none, TABLE_MODEL for a thermal model without table and XSPEC.
    """
    absorber = ABSORBERS.get(absorber, absorber)
    for what, value, allowed in (
        ("spectral model", name, MODEL_NAMES),
        ("absorber", absorber, tuple(dict.fromkeys((*ABSORBERS, *MODELS)))),
    ):
        if value not in allowed:
            raise SettingsError(
                f"unknown {what}", value, f"choose one of {', '.join(allowed)}", code="UNKNOWN_MODEL"
            )
    gas = replace(NH, start=nh)
    simple = {"powerlaw": POWER_LAW, "blackbody": BLACK_BODY, "bremsstrahlung": BREMSSTRAHLUNG}
    if name in simple:
        parts: tuple[Component, ...] = (simple[name],)
    else:
        plasma = thermal(tables[0]) if tables else xspec_plasma()
        if plasma is None:
            raise SettingsError(
                "thermal models need a table of spectra, or a Sherpa with XSPEC",
                name,
                "set table_model under [spectrum] to an OGIP table model, for instance of APEC",
                code="TABLE_MODEL",
            )
        parts = (plasma,) * (2 if name == "thermal2" else 1)
    parameters = [gas]
    for number, part in enumerate(parts, start=1):
        suffix = "" if number == 1 else str(number)
        for item in (*part.parameters, replace(NORM, unit=part.norm_unit)):
            parameters.append(replace(item, name=item.name + suffix))
    model = FitModel(name, parts, absorber, tuple(parameters))
    return model.with_start(kt=0.7, kt2=_SECOND_TEMPERATURE) if name == "thermal2" else model
