"""Energies below and above which the windows of a chip let nothing through."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from catalog.events.fits_file import open_fits

WIDEST = (40, 3200)
"""Limits (PHA) that leave all events of the usual bands: lower thresholds are 20 to 38, 3200 is 13 keV."""

_EV_PER_PHA = 4.4
_FEWEST = 30
_NEAR = 1.3


def energy_limits(path: Path, pulse_heights: Mapping[int, tuple[int, int]]) -> dict[int, tuple[float, float]]:
    """Lowest and highest energy (keV) that the windows of chips leave.

    Parameters
    ----------
    path
        The event list, whose columns `pha` and `energy` tell the gain near a limit; without 30 events there
        4.4 eV a step are taken.
    pulse_heights
        Lowest and highest PHA that is kept, by chip; chips that keep all of the usual bands are left out of
        the result.
    """
    narrow = {
        chip: (low, high)
        for chip, (low, high) in pulse_heights.items()
        if low > WIDEST[0] or high < WIDEST[1]
    }
    if not narrow:
        return {}
    with open_fits(path) as hdus:
        table = hdus["EVENTS"].data
        names = {name.lower() for name in table.names}
        known = {"pha", "energy", "ccd_id"} <= names
        chips = np.asarray(table["ccd_id"]) if known else np.zeros(0)
        heights = np.asarray(table["pha"], dtype=float) if known else np.zeros(0)
        energies = np.asarray(table["energy"], dtype=float) if known else np.zeros(0)

    def energy(chip: int, limit: int) -> float:
        near = (chips == chip) & (heights > limit / _NEAR) & (heights < limit * _NEAR)
        step = float(np.median(energies[near] / heights[near])) if near.sum() >= _FEWEST else _EV_PER_PHA
        return limit * step / 1000.0

    return {
        chip: (
            energy(chip, low) if low > WIDEST[0] else 0.0,
            energy(chip, high) if high < WIDEST[1] else np.inf,
        )
        for chip, (low, high) in narrow.items()
    }
