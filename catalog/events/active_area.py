"""The area of each chip that can hold events: rows of a subarray, or what the plates of the HRC show."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from catalog.events.detector import Detector
from catalog.events.event_list import EventList
from catalog.events.header import ObservationHeader

Limits = tuple[float, float, float, float]
"""Lowest and highest CHIPX, lowest and highest CHIPY, at pixel edges."""

_FEWEST_EVENTS = 2000
_SHARE = 1e-3
_HRC_ACTIVE = {"HRC-I": (991.5, 15393.5, 991.5, 15393.5), "HRC-S": (0.5, 4096.5, 0.5, 16456.5)}
"""Where events do not tell: HRC-I as in MARX 5.5.3, whole plates of the HRC-S."""


def active_area(
    header: ObservationHeader, chips: Iterable[int], events: EventList | None = None
) -> tuple[tuple[int, int], dict[int, Limits]]:
    """Columns and rows at the edges without events, and the limits of the active area by chip.

    The outermost columns and rows of an ACIS chip hold no level-2 events, since an event needs its 3 x 3
    neighbours (5 rows in VFAINT mode). The limits of an HRC plate, which is smaller than its pixel numbers,
    are found from the events: background fills it to the edges.

    Parameters
    ----------
    header
        Of the event list.
    chips
        Chips with good time.
    events
        Cleaned events of the HRC; None for the limits of its plates as built.
    """
    detector = header.imager
    if detector.has_energies:
        very_faint = (header.datamode or "").upper().startswith("VFAINT")
        columns, rows = 1, 2 if very_faint else 1
        first, last = header.first_row, header.first_row + header.rows - 1
        whole = (0.5 + columns, detector.columns + 0.5 - columns, first - 0.5 + rows, last + 0.5 - rows)
        return (columns, rows), dict.fromkeys(chips, whole)
    return (0, 0), {chip: _plate(detector, chip, events) for chip in chips}


def _plate(detector: Detector, chip: int, events: EventList | None) -> Limits:
    built = _HRC_ACTIVE[detector.name]
    if events is None or events.chipx is None or events.chipy is None:
        return built
    here = events.ccd_id == chip
    if np.count_nonzero(here) < _FEWEST_EVENTS:
        return built
    low_x, high_x = _ends(events.chipx[here], detector.columns)
    low_y, high_y = _ends(events.chipy[here], detector.rows)
    return low_x, high_x, low_y, high_y


def _ends(values: NDArray[np.int16], number: int) -> tuple[float, float]:
    """Where the values begin and end: their density near an end is carried on in a straight line."""
    count = max(2, int(_SHARE * values.size))
    ordered = np.sort(values).astype(float)
    low = 2.0 * ordered[count - 1] - ordered[2 * count - 1]
    high = 2.0 * ordered[-count] - ordered[-2 * count]
    # A few stray events outside do not move the edge, nor do those of a bright source inside.
    low = min(max(low, ordered[0]), ordered[count - 1]) - 0.5
    high = max(min(high, ordered[-1]), ordered[-count]) + 0.5
    return max(float(low), 0.5), min(float(high), number + 0.5)
