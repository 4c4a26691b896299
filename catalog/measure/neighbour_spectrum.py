"""The light of neighbours in an aperture, channel by channel.

How many counts of each neighbour an aperture holds is known from the photometry, band by band. Over the
channels of a band they are spread as the neighbour's own spectrum, smoothed by a line through few vertices:
single counts taken as expected ones would pull a fit towards them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalog.measure.spectral_lines import smooth_line

Array = NDArray[np.float64]

_LO, _HI = 0.3, 10.0
"""keV: channels in which a line is drawn; there is no light beyond."""
_PER_VERTEX, _MOST_VERTICES = 20.0, 24


class BandLight(NamedTuple):
    """Counts of a neighbour in one band, keV.

    Attributes
    ----------
    lo, hi
        Limits of the band.
    counts
        Expected in the aperture; less than 0 where the scaled background holds more of the neighbour than
        the aperture.
    """

    lo: float
    hi: float
    counts: float


def smooth_net(counts: Array, background: Array | None, ratio: float | None, energy: Array) -> Array:
    """Net counts of a source by channel as a line, shape (n_channel,), none negative.

    Parameters
    ----------
    counts, background
        Counts in its aperture and in its background region, shape (n_channel,); None without a background.
    ratio
        Background of the region over that of the aperture.
    energy
        Middle of each channel, keV, ascending.
    """
    inside = (energy > _LO) & (energy < _HI)
    found = np.zeros(counts.size)
    found[inside] = smooth_line(counts[inside], energy[inside], _PER_VERTEX, _MOST_VERTICES)
    if background is not None and ratio is not None:
        found[inside] -= smooth_line(background[inside], energy[inside], _PER_VERTEX, _MOST_VERTICES) / ratio
    return np.maximum(found, 0.0)


def neighbour_counts(shape: Array, energy: Array, light: Sequence[BandLight]) -> Array:
    """Expected counts of one neighbour by channel, shape (n_channel,).

    Parameters
    ----------
    shape
        Net counts of the neighbour, see `smooth_net`.
    energy
        Middle of each channel, keV.
    light
        What the photometry found. Each channel follows the narrowest band that holds it, one in no band those
        beside it.
    """
    share = np.full(energy.size, np.nan)
    for lo, hi, counts in sorted(light, key=lambda item: item.hi - item.lo):
        inside = (energy >= lo) & (energy < hi)
        total = float(shape[inside].sum())
        if total > 0:
            share[inside & np.isnan(share)] = counts / total
    known = np.isfinite(share)
    if not known.any():
        return np.zeros(energy.size)
    return np.asarray(shape * np.interp(energy, energy[known], share[known]))
