"""Photo-electric absorption by interstellar gas: cross section per hydrogen atom.

Two families: `wabs`, the polynomials of Morrison & McCammon (1983, ApJ 270, 119, table 2), and `phabs`, the
sum
over elements of tabulated photo-absorption cross sections with a set of abundances.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.errors import SettingsError

AVOGADRO = 6.02214076e23

ABUNDANCES: dict[str, dict[str, float]] = {
    "angr": {
        "H": 1.0, "He": 9.77e-2, "C": 3.63e-4, "N": 1.12e-4, "O": 8.51e-4, "Ne": 1.23e-4, "Na": 2.14e-6,
        "Mg": 3.80e-5, "Al": 2.95e-6, "Si": 3.55e-5, "S": 1.62e-5, "Cl": 3.16e-7, "Ar": 3.63e-6, "Ca":
        2.29e-6,
        "Cr": 4.68e-7, "Fe": 4.68e-5, "Co": 8.32e-8, "Ni": 1.78e-6,
    },
    "wilm": {
        "H": 1.0, "He": 9.77e-2, "C": 2.40e-4, "N": 7.59e-5, "O": 4.90e-4, "Ne": 8.71e-5, "Na": 1.45e-6,
        "Mg": 2.51e-5, "Al": 2.14e-6, "Si": 1.86e-5, "S": 1.23e-5, "Cl": 1.32e-7, "Ar": 2.57e-6, "Ca":
        1.58e-6,
        "Cr": 3.24e-7, "Fe": 2.69e-5, "Co": 8.32e-8, "Ni": 1.12e-6,
    },
}  # fmt: skip
"""Number of atoms per hydrogen atom: Anders & Grevesse (1989), Wilms et al. (2000)."""

MODELS = ("phabs-angr", "phabs-wilm", "wabs")

# Lower limit of each interval (keV) and c0, c1, c2 of sigma E^3 = c0 + c1 E + c2 E^2 in 1e-24 cm2 keV^3.
_WABS = np.array([
    (0.030, 17.3, 608.1, -2150.0), (0.100, 34.6, 267.9, -476.1), (0.284, 78.1, 18.8, 4.3),
    (0.400, 71.4, 66.8, -51.4), (0.532, 95.5, 145.8, -61.1), (0.707, 308.9, -380.6, 294.0),
    (0.867, 120.6, 169.3, -47.7), (1.303, 141.3, 146.8, -31.5), (1.840, 202.7, 104.7, -17.0),
    (2.471, 342.7, 18.7, 0.0), (3.210, 352.2, 18.7, 0.0), (4.038, 433.9, -2.4, 0.75),
    (7.111, 629.0, 30.9, 0.0), (8.331, 701.2, 25.2, 0.0),
])  # fmt: skip


def cross_section(model: str, energy: ArrayLike) -> NDArray[np.float64]:
    """Photo-absorption cross section per hydrogen atom.

    Parameters
    ----------
    model
        "wabs", "phabs-angr" or "phabs-wilm".
    energy
        keV, any shape; 0.1 to 10 (wabs from 0.03; its last polynomial is continued above 10).

    Returns
    -------
    ndarray
        cm2, shape of `energy`.

    Raises
    ------
    SettingsError
        For an unknown model.
    """
    energy = np.asarray(energy, dtype=float)
    if model == "wabs":
        index = np.clip(np.searchsorted(_WABS[:, 0], energy, side="right") - 1, 0, None)
        c0, c1, c2 = (_WABS[index, column] for column in (1, 2, 3))
        return np.asarray((c0 + c1 * energy + c2 * energy**2) / energy**3 * 1e-24)
    if model not in MODELS:
        raise SettingsError("unknown absorption model", model, f"choose one of {', '.join(MODELS)}")
    log_energy, log_sigma = _phabs_table(model.removeprefix("phabs-"))
    return np.asarray(np.exp(np.interp(np.log(energy), log_energy, log_sigma)))


@cache
def _phabs_table(abundances: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logarithms of energy (keV) and cross section (cm2): 4000 points, finer than the table's own edges."""
    # Late import: the cross-section database takes a second to load and most runs have nH = 0.
    import xraydb

    energy = np.geomspace(0.1, 15.0, 4000)
    sigma = np.zeros_like(energy)
    for element, abundance in ABUNDANCES[abundances].items():
        mass = xraydb.atomic_mass(element)
        sigma += abundance * xraydb.mu_elam(element, energy * 1e3, kind="photo") * mass / AVOGADRO
    return np.log(energy), np.log(sigma)
