"""The instrumental background: particles, evenly spread over the chips.

A toy spectrum with the main features of front-illuminated chips: events per keV are constant, on top
come fluorescence lines of silicon, gold and nickel. It is recorded energy, not folded through mirror and
filters, hence not vignetted. No flares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.simulate.detector import Placement
from catalog.simulate.pointing_plan import PointingPlan
from catalog.simulate.response import ChannelSampler

BACKGROUND_RATE = 0.3
"""Counts per s and chip between 0.5 and 7 keV."""

CONTINUUM_KEV = (0.2, 14.9)
"""Recorded energies: from the event threshold to the last channel."""

_CONTINUUM_PER_KEV = 0.04
#: Energy in keV of Si K, Au M, Ni K and Au L, and counts per s and chip, for a rate of `BACKGROUND_RATE`.
_LINES = ((1.74, 0.010), (2.12, 0.030), (7.47, 0.025), (9.70, 0.035))


@dataclass(frozen=True, eq=False)
class BackgroundEvents:
    """Events of one chip: frame, place and channel (PI), shape (n,) each."""

    frame: NDArray[np.int64]
    placed: Placement
    channel: NDArray[np.int32]


def draw_background(
    plan: PointingPlan, chip: int, rate: float, sampler: ChannelSampler, rng: np.random.Generator
) -> BackgroundEvents:
    """Background events of a chip.

    Parameters
    ----------
    plan
        The observation.
    chip
        CCD_ID.
    rate
        Counts per s of live time between 0.5 and 7 keV.
    sampler
        Redistribution of the chip, which gives the lines their width and the continuum its channels.
    rng
        Random numbers.
    """
    frames = np.flatnonzero(plan.good_frames(chip))
    scale = rate / BACKGROUND_RATE * plan.live_time(chip)
    width = CONTINUUM_KEV[1] - CONTINUUM_KEV[0]
    continuum = rng.uniform(*CONTINUUM_KEV, rng.poisson(scale * _CONTINUUM_PER_KEV * width))
    strengths = rng.poisson(scale * np.array([strength for _, strength in _LINES]))
    lines = np.repeat([energy for energy, _ in _LINES], strengths)
    channel = np.concatenate([sampler.channel_of(continuum), sampler.draw(sampler.bin_of(lines), rng)])
    size = channel.size

    low_x, high_x, low_y, high_y = plan.pixel_limits
    placed = Placement(
        np.full(size, chip, dtype=np.int16),
        rng.uniform(low_x - 0.5, high_x + 0.5, size),
        rng.uniform(low_y - 0.5, high_y + 0.5, size),
    )
    return BackgroundEvents(rng.choice(frames, size), placed, channel)
