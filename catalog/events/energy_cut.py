"""Is an event list cut in energy? From the header, else from the energies themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.events.data_subspace import filtered_ranges

#: Width of a PI channel of ACIS, keV (PI = floor(E / 14.6 eV) + 1).
PI_CHANNEL_KEV = 0.0146
#: ACIS reports nothing above about 15 keV (pulse heights are clipped at 4095), so a cut above is none.
_HIGHEST = 14.0
#: Below this the event thresholds of the chips end a list by themselves.
_LOWEST = 0.25
_FEWEST_EVENTS = 100


def energy_cut(header: Mapping[str, Any], energy: NDArray[np.float64]) -> tuple[float, float] | None:
    """Energy range an event list was filtered to.

    Parameters
    ----------
    header
        Header of the event table: its data subspace (ENERGY in eV, PI in channels) is believed first.
    energy
        Shape (n,), keV: where the header is silent, a range whose ends are sharp counts as a cut.

    Returns
    -------
    tuple of float or None
        (lower, upper) in keV; an end without cut is 0 or inf. None when there is no cut at all.
    """
    written = _from_header(header)
    seen = _from_data(energy)
    if written is None:
        return seen
    # A filter made by other software leaves no trace in the header, so the data may be narrower still.
    lower, upper = written
    return (lower or seen[0], min(upper, seen[1])) if seen else written


def _from_header(header: Mapping[str, Any]) -> tuple[float, float] | None:
    lower, upper = 0.0, math.inf
    for low, high in _limits(header, "energy", 1e-3):
        lower, upper = max(lower, low), min(upper, high)
    for low, high in _limits(header, "pi", PI_CHANNEL_KEV):
        lower, upper = max(lower, low - PI_CHANNEL_KEV), min(upper, high)
    lower = lower if lower > 0.05 else 0.0
    upper = upper if upper < _HIGHEST else math.inf
    return (lower, upper) if lower or upper < math.inf else None


def _limits(header: Mapping[str, Any], column: str, unit: float) -> list[tuple[float, float]]:
    """Outer limits of each component: a chip filtered more tightly than others counts for all."""
    return [
        (min(low for low, _ in ranges) * unit, max(high for _, high in ranges) * unit)
        for ranges in filtered_ranges(header, column)
    ]


def _from_data(energy: NDArray[np.float64]) -> tuple[float, float] | None:
    if energy.size < _FEWEST_EVENTS:
        return None
    ordered = np.sort(energy)
    lower, upper = float(ordered[0]), float(ordered[-1])
    low = lower if lower > _LOWEST and _is_sharp(ordered - lower, lower) else 0.0
    high = upper if upper < _HIGHEST and _is_sharp(upper - ordered[::-1], _HIGHEST - upper) else math.inf
    if not low and high == math.inf:
        return None
    inside = ordered.size / max(upper - lower, 1e-6)
    return (_round_limit(low, inside, down=True), _round_limit(high, inside, down=False))


def _is_sharp(distance: NDArray[np.float64], room: float) -> bool:
    """Do the events stop at distance 0 although they are dense just inside?

    Compares the empty stretch beyond the end (at most 0.2 keV of it) with an equal stretch inside: if the
    density went on at half the rate, an empty stretch would have a chance below 1e-6.
    """
    stretch = min(room, 0.2)
    return bool(0.5 * np.count_nonzero(distance <= stretch) > 13.8)


def _round_limit(value: float, density: float, *, down: bool) -> float:
    """The roundest energy beyond the outermost event and within a few mean distances of events of it."""
    if value == 0.0 or math.isinf(value):
        return value
    slack = max(20.0 / density, 1e-3)
    for step in (0.5, 0.1, 0.05, 0.01):
        rounded = (math.floor(value / step) if down else math.ceil(value / step)) * step
        if abs(rounded - value) <= slack:
            return round(rounded, 6)
    return value
