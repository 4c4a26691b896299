"""Plasma emission from XSPEC, where the user's Sherpa is built with it (that of the package index is not)."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.measure.spectral_components import Component, FitParameter

Array = NDArray[np.float64]

MODULE = "sherpa.astro.xspec"


def xspec_plasma() -> Component | None:
    """XSPEC's model `apec` as a component; None where there is no XSPEC.

    The abundances are those that XSPEC is set to; the redshift is 0.
    """
    try:
        xspec = import_module(MODULE)
    except ImportError:
        return None
    return Component(
        "thermal",
        (FitParameter("kt", 1.0, 0.05, 60.0, "keV"), FitParameter("abundance", 1.0, 0.0, 5.0, "solar")),
        "1e-14 cm-5 integral of n_e n_H dV over 4 pi D^2",
        partial(_photons, xspec),
        f"XSPEC {xspec.get_xsversion()} apec {xspec.get_xsabund()}",
    )


def _photons(xspec: Any, edges: Array, values: Array) -> Array:
    model = xspec.XSapec()
    low, high = edges[:-1], edges[1:]
    return np.array([model.calc([kt, abundance, 0.0, 1.0], low, high) for kt, abundance in values.tolist()])
