"""Merges for positions: of each source, the observations that together place it best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from catalog.measure.merge_selection import SKY_PIXEL, select_for_position
from catalog.measure.position_spread import flat_variance, psf_variance
from catalog.stages.property_rows import Measured, PropertyContext
from catalog.stages.purpose_merges import PurposeMerge, purpose_merge

PURPOSE = "position"


def position_merge(context: PropertyContext, members: Sequence[Measured]) -> PurposeMerge | None:
    """Choose observations by the error of the mean position of the widest band's events, greedily.

    None where no observation has counts: nothing places the source.
    """
    bands = context.bands
    widest = max(range(len(bands)), key=lambda j: bands[j].hi - bands[j].lo)
    n, m, ratio = (
        np.array([member.value(name)[widest] for member in members])
        for name in ("cnts_aper", "cnts_aperbkg", "bkg_ratio")
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
    used = select_for_position(n, n - m / ratio, *spread)
    return purpose_merge(PURPOSE, members, used) if used.any() else None
