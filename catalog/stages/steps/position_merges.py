"""Merges for positions: of each source, the observations that together place it best, and where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from catalog.band import widest_band
from catalog.measure.aperture_events import offset_position
from catalog.measure.merge_selection import SKY_PIXEL, position_error, select_for_position
from catalog.measure.position_spread import flat_variance, psf_variance
from catalog.stages.steps.property_rows import Measured, PropertyContext
from catalog.stages.steps.purpose_merges import PurposeMerge, purpose_merge

PURPOSE = "position"
METHOD = "mean"
"""Of the position: the mean of the events in the apertures."""


def position_merge(
    context: PropertyContext, members: Sequence[Measured], listed: tuple[float, float]
) -> PurposeMerge | None:
    """Choose observations by the error of the mean position of the widest band's events, greedily.

    The mean of the events of those chosen is given with the merge. None where no observation has counts:
    nothing places the source. `listed` is the position of the source, degrees ICRS.
    """
    bands = context.bands
    widest = widest_band(bands)
    n, m, ratio, east, north = (
        np.array([member.value(name)[widest] for member in members])
        for name in ("cnts_aper", "cnts_aperbkg", "bkg_ratio", "offset_east_aper", "offset_north_aper")
    )
    area = np.array([member.extraction.area_aper for member in members], dtype=float)
    of_psf = np.array(
        [
            psf_variance(
                context.calibration_of(context.fields[own.event_set_id]).psf,
                own.theta,
                own.phi,
                bands[widest].eff,
                float(np.sqrt(size / np.pi)),
            )
            for own, size in zip((member.extraction for member in members), area, strict=True)
        ]
    )
    spread = [np.column_stack([values, values]) / SKY_PIXEL**2 for values in (of_psf, flat_variance(area))]
    net = n - m / ratio
    used = select_for_position(n, net, *spread)
    if not used.any():
        return None
    ra, dec = offset_position(
        *listed, *(np.average(values[used], weights=n[used]) for values in (east, north))
    )
    error = position_error(n[used], net[used], *(values[used] for values in spread))
    position = {"method": METHOD, "ra": ra, "dec": dec, "error_radius": error}
    return replace(purpose_merge(PURPOSE, members, used), position=position)
