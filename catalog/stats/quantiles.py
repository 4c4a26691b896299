"""Quantiles of what remains of a distribution when the scaled background is subtracted."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from catalog.stats.posterior_summary import FloatArray

# Sums of weights differ from the fraction sought by rounding only when they are closer than this.
ROUNDING = 1e-12


def net_quantiles(
    source: ArrayLike, background: ArrayLike, background_weight: ArrayLike, fractions: ArrayLike
) -> FloatArray:
    """Quantiles of events in a source aperture less weighted events in a background aperture.

    The net cumulative distribution C(E) rises by 1 at each source event and falls by its weight at each
    background event, so that it may cross the level sought several times. The quantile is the mean of the
    first energy where C reaches the level and the last one until which C does not exceed it. Without
    background this is the usual quantile (the median of an even number of events is the mean of the middle
    two).

    Parameters
    ----------
    source, background
        Energies of the events of a band, one-dimensional.
    background_weight
        1 / ratio (source over background, area x exposure), one number or one per background event.
    fractions
        Parts of the net total, between 0 and 1.

    Returns
    -------
    array
        One energy per fraction; NaN where the net total is not positive or the fraction not in [0, 1].
    """
    energies = np.concatenate(
        [np.asarray(source, dtype=np.float64), np.asarray(background, dtype=np.float64)]
    )
    size = np.shape(source)[0]
    steps = np.ones(energies.size)
    steps[size:] = -np.asarray(background_weight, dtype=np.float64)
    # Events of one energy act together: the level between them is passed at no energy.
    places, index = np.unique(energies, return_inverse=True)
    cumulative = np.cumsum(np.bincount(index, weights=steps, minlength=places.size))
    wanted = np.asarray(fractions, dtype=np.float64)
    if cumulative.size == 0 or not cumulative[-1] > ROUNDING * energies.size:
        return np.full(wanted.shape, np.nan)
    total = cumulative[-1]
    values = np.full(wanted.size, np.nan)
    for position, fraction in enumerate(wanted.ravel()):
        if not 0.0 <= fraction <= 1.0:
            continue
        level = fraction * total
        slack = ROUNDING * energies.size
        first = np.flatnonzero(cumulative >= level - slack)[0]
        not_above = np.flatnonzero(cumulative <= level + slack)
        last = min(not_above[-1] + 1, places.size - 1) if not_above.size else 0
        values[position] = 0.5 * (places[first] + places[last])
    return values.reshape(wanted.shape)


def crossing_quantiles(net: ArrayLike, energies: ArrayLike, fractions: ArrayLike) -> FloatArray:
    """Quantiles of a net histogram by the crossing rule of the acis-extract recipe.

    c is the cumulative sum over its total, channel i reaches from i - 1/2 to i + 1/2. The quantile lies at
    the channel index midway between the upper edge of the first channel with c >= fraction and the upper edge
    of the last channel with c <= fraction (-1/2 if there is none); energies are interpolated linearly.

    Parameters
    ----------
    net
        Background-subtracted counts per channel of a band.
    energies
        Mid-energies of these channels, ascending.
    fractions
        Parts of the net total.

    Returns
    -------
    array
        One energy per fraction; NaN where the band has no more than 4 channels, the total is not positive or
        the fraction not in [0, 1].
    """
    counts = np.asarray(net, dtype=np.float64)
    wanted = np.asarray(fractions, dtype=np.float64)
    values = np.full(wanted.size, np.nan)
    if counts.size > 4 and counts.sum() > 0.0:
        cumulative = np.cumsum(counts) / counts.sum()
        for position, fraction in enumerate(wanted.ravel()):
            if not 0.0 <= fraction <= 1.0:
                continue
            first = np.flatnonzero(cumulative >= fraction - ROUNDING)[0] + 0.5
            not_above = np.flatnonzero(cumulative <= fraction + ROUNDING)
            last = not_above[-1] + 0.5 if not_above.size else -0.5
            values[position] = np.interp(0.5 * (first + last), np.arange(counts.size), np.asarray(energies))
    return values.reshape(wanted.shape)
