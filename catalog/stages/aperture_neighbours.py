"""Which sources can change the regions of which, before the event list is opened."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from catalog.apertures.circles import neighbours
from catalog.apertures.shrinking import crowding_groups
from catalog.apertures.touching import MOST_GROWTH, is_dense
from catalog.measure.masked_backgrounds import LIMIT
from catalog.measure.source_regions import circle_rule
from catalog.recipes.recipe import Recipe

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


def region_span(recipe: Recipe, radius: float, pixel_scale: float) -> float:
    """How far the regions of a source may reach, sky pixels; `pixel_scale` in arcsec."""
    span = MOST_GROWTH * recipe.background.outer * radius
    return span if recipe.background.kind == "annulus" else max(span, LIMIT / pixel_scale)


def region_neighbours(recipe: Recipe, x: Array, y: Array, radius: Array, pixel_scale: float) -> list[Rows]:
    """Others that can change a source's regions, in ascending order.

    Parameters
    ----------
    recipe
        How regions are built.
    x, y, radius
        Positions and aperture radii in sky pixels, shape (n,); NaN for a source behind the telescope.
    pixel_scale
        Arcsec per sky pixel.
    """
    found = _circle_neighbours(recipe, x, y, radius)
    for group in region_groups(recipe, x, y, radius):
        for i in group.tolist():
            found[i] = np.union1d(found[i], group[group != i])
    if recipe.background.kind == "annulus":
        return found
    known = np.flatnonzero(np.isfinite(radius))
    if recipe.background.kind == "matched":
        # The light of all others is modelled, and how bright each is depends on those about it in turn.
        return [known[known != i] if np.isfinite(radius[i]) else found[i] for i in range(len(x))]
    points = np.column_stack([x, y])[known]
    # A mask may be as large again as the background that it is cut out of.
    reach = (2.0 if recipe.background.mask_bright else 1.0) * LIMIT / pixel_scale + 8 * radius[known]
    if len(known):
        for i, near in zip(known.tolist(), KDTree(points).query_ball_point(points, reach), strict=True):
            rows = known[np.asarray(near, dtype=np.intp)]
            found[i] = np.union1d(found[i], rows[rows != i])
    return found


def region_groups(recipe: Recipe, x: Array, y: Array, radius: Array) -> list[Rows]:
    """Sources whose regions are found together; all where each background needs the light of all others."""
    if recipe.background.kind == "matched":
        return [np.flatnonzero(np.isfinite(radius))]
    if recipe.aperture.kind == "circle":
        return []
    known = np.flatnonzero(np.isfinite(radius))
    return [known[group] for group in crowding_groups(x[known], y[known], radius[known]) if len(group) > 1]


def _circle_neighbours(recipe: Recipe, x: Array, y: Array, radius: Array) -> list[Rows]:
    """Others that can change a circle or an annulus; in a dense field the annulus may reach farther."""
    rule = circle_rule(recipe)
    found = neighbours(x, y, radius, rule)
    if recipe.crowding.method != "joint":
        return found
    table = np.column_stack([x, y, radius])
    wider = replace(rule, background_outer=MOST_GROWTH * rule.background_outer)
    far: list[Rows] | None = None
    for i, near in enumerate(found):
        if len(near) and is_dense((x[i], y[i], radius[i]), table[near], rule):
            far = neighbours(x, y, radius, wider) if far is None else far
            found[i] = far[i]
    return found
