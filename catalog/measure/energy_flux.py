"""Energy flux: the mean energy fluence per net count, from the events or from the reference spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ERG_PER_KEV = 1.602176634e-9
LEAST_NET_COUNTS = 10.0
LARGEST_SHARE = 0.25


@dataclass(frozen=True)
class Fluence:
    """Sums over the events of one measurement, erg cm-2: source aperture, background region, largest term."""

    source: float
    background: float
    largest: float


def event_fluence(
    energy: NDArray[np.float32],
    background: NDArray[np.float32],
    lo: float,
    hi: float,
    by_channel: Array,
    channel_lo: Array,
) -> Fluence:
    """Sum of E_i / A_fold(E_i) over the events of a band.

    Parameters
    ----------
    energy, background
        Energies (keV) of the events in source aperture and background region.
    lo, hi
        Band, keV.
    by_channel, channel_lo
        Folded area of the reference spectrum by channel (cm2) and the channels' lower energies (keV).
        Dividing by the folded area, not by the ARF at the apparent energy, keeps the sum finite where few
        photons of that energy are detected but photons of higher energy are recorded.
    """

    def terms(values: NDArray[np.float32]) -> Array:
        chosen = values[(values >= lo) & (values < hi)].astype(float)
        channel = np.clip(np.searchsorted(channel_lo, chosen, side="right") - 1, 0, len(channel_lo) - 1)
        area = by_channel[channel]
        with np.errstate(divide="ignore", invalid="ignore"):
            term = chosen * ERG_PER_KEV / area
        return np.where(np.isfinite(term), term, 0.0)

    own = terms(energy)
    return Fluence(float(own.sum()), float(terms(background).sum()), float(own.max(initial=0.0)))


@dataclass(frozen=True)
class Conversion:
    """Energy flux per net count rate (or per photon flux), and where it comes from: events or model.

    Attributes
    ----------
    value
        Shape (k,).
    from_events
        Shape (k,), False where the reference spectrum's value was taken.
    """

    value: Array
    from_events: NDArray[np.bool_]


def conversion(net_counts: Array, fluence: Array, largest: Array, norm: Array, model: Array) -> Conversion:
    """Choose the conversion of each measurement (design, section 6).

    The events decide unless there are fewer than 10 net counts, one event makes up more than 25 % of the
    sum, or the sum is not positive; then the reference spectrum does.

    Parameters
    ----------
    net_counts
        Background-subtracted counts in the aperture.
    fluence, largest
        Background-subtracted sum over the events and its largest term, erg cm-2.
    norm
        What the sum is divided by: net counts, or net counts over area.
    model
        Conversion of the reference spectrum.
    """
    good = (
        (net_counts >= LEAST_NET_COUNTS) & (fluence > 0) & (largest <= LARGEST_SHARE * fluence) & (norm > 0)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return Conversion(np.where(good, fluence / norm, model), good)
