"""Circles about sources that backgrounds keep out of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FAINTEST = 0.1
"""Light of a source, in background, down to which it is masked."""


def bright_radius(
    enclosed: Callable[[Array], Array], counts: float, background: float, start: float, limit: float
) -> float:
    """Radius from which on the light of a source is faint against the background.

    Parameters
    ----------
    enclosed
        Fraction of the source's photons within radii.
    counts
        Counts of the source, all of its photons.
    background
        Background counts per area, in squares of the unit of radii.
    start, limit
        Smallest and largest radius of the answer.

    Returns
    -------
    float
        `start` for a source that is faint there, or where no background is known.
    """
    if counts <= 0 or background <= 0:
        return start
    edges = np.geomspace(start, limit, 41)
    light = counts * np.diff(enclosed(edges)) / (np.pi * np.diff(edges**2))
    bright = np.flatnonzero(light > FAINTEST * background)
    return float(edges[bright[-1] + 1]) if len(bright) else start
