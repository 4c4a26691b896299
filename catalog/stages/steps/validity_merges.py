"""Merges for validity: of each source, the observations that together speak most clearly for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from catalog.band import Band, widest_band
from catalog.measure.merge_selection import select_for_validity
from catalog.recipes.recipe import Recipe
from catalog.stages.steps.property_rows import Measured
from catalog.stages.steps.purpose_merges import PurposeMerge, purpose_merge

PURPOSE = "validity"


def validity_merge(recipe: Recipe, bands: Sequence[Band], members: Sequence[Measured]) -> PurposeMerge:
    """Choose observations by the widest band, greedily by PROB_NO_SOURCE; all bands are then merged alike.

    The choice makes the probability as small as it can: no photometry is taken from it.
    """
    widest = widest_band(bands)
    n, m, ratio = (
        np.array([member.value(name)[widest] for member in members])
        for name in ("cnts_aper", "cnts_aperbkg", "bkg_ratio")
    )
    return purpose_merge(PURPOSE, members, select_for_validity(n, m, ratio, recipe.merging.validity_counts))
