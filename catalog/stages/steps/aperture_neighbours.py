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
from catalog.measure.matched_backgrounds import LIGHT_LIMIT, LOCAL_LIMIT, light_reach
from catalog.measure.source_regions import circle_rule
from catalog.recipes.recipe import Recipe

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

_CONTOUR_REACH = 3.0
"""Radii of an aperture within which its contour lies, however long."""
_MARGIN = 1.01
"""On distances: those of the event list's own frame are a little different."""


def region_span(recipe: Recipe, radius: float, pixel_scale: float) -> float:
    """How far the regions of a source may reach, sky pixels; `pixel_scale` in arcsec."""
    span = MOST_GROWTH * recipe.background.outer * radius
    return span if recipe.background.kind == "annulus" else max(span, LIMIT / pixel_scale)


def region_neighbours(
    recipe: Recipe, x: Array, y: Array, radius: Array, mask: Array, pixel_scale: float
) -> list[Rows]:
    """Others that can change a source's regions, in ascending order.

    Parameters
    ----------
    recipe
        How regions are built.
    x, y, radius
        Positions and aperture radii in sky pixels, shape (n,); NaN for a source behind the telescope.
    mask
        Radii of the sources' masks, sky pixels, shape (n,).
    pixel_scale
        Arcsec per sky pixel.
    """
    found = _circle_neighbours(recipe, x, y, radius)
    kind, bright = recipe.background.kind, recipe.background.mask_bright
    known = np.flatnonzero(np.isfinite(radius))
    if kind == "matched" and bright:
        # Light, masks and the background that either is compared with depend on each other.
        return [known[known != i] if np.isfinite(radius[i]) else found[i] for i in range(len(x))]
    groups = _crowding_groups(x, y, radius) if kind == "matched" or recipe.aperture.kind == "contour" else []
    if kind != "annulus" and len(known):
        limit, local = _MARGIN * LIMIT / pixel_scale, _MARGIN * LOCAL_LIMIT / pixel_scale
        # Of a contour of much less than the mask's fraction all lies within the mask, else within this.
        reach = np.maximum(mask, _CONTOUR_REACH * radius)
        points = np.column_stack([x, y, reach])[known]
        if kind == "matched":
            near = _lit(points, radius[known] * pixel_scale, pixel_scale, local, _places(groups, known))
        elif bright:
            near = _within(points, np.full(len(known), 2 * limit + local))
        else:
            near = _within(points, np.full(len(known), limit))
        for i, rows in zip(known.tolist(), near, strict=True):
            found[i] = np.union1d(found[i], known[rows[known[rows] != i]])
    for group in groups:
        for i in group.tolist():
            found[i] = np.union1d(found[i], group[group != i])
    return found


def _places(groups: list[Rows], known: Rows) -> list[Rows]:
    return [np.searchsorted(known, group) for group in groups]


def _within(points: Array, distance: Array) -> list[Rows]:
    """Sources whose circles (x, y, radius), shape (n, 3), come within a distance (n,) of each."""
    tree = KDTree(points[:, :2])
    candidates = tree.query_ball_point(points[:, :2], distance + points[:, 2].max())
    found = []
    for i, rows in enumerate(candidates):
        near = np.sort(np.asarray(rows, dtype=np.intp))
        away = np.hypot(points[near, 0] - points[i, 0], points[near, 1] - points[i, 1])
        found.append(near[away < distance[i] + points[near, 2]])
    return found


def _lit(points: Array, radius: Array, pixel_scale: float, local: float, groups: list[Rows]) -> list[Rows]:
    """Sources that a matched background depends on.

    Those whose light is followed; their crowding groups, as these make the apertures that tell how bright
    each is; and all with a mask where the background about any of them is estimated.
    """
    group_of: dict[int, Rows] = {int(i): group for group in groups for i in group}
    tree = KDTree(points[:, :2])
    light: list[Rows] = []
    farthest = np.zeros(len(points))
    for i, rows in enumerate(tree.query_ball_point(points[:, :2], _MARGIN * LIGHT_LIMIT / pixel_scale)):
        near = np.asarray(rows, dtype=np.intp)
        away = np.hypot(points[near, 0] - points[i, 0], points[near, 1] - points[i, 1])
        lit = (away * pixel_scale < _MARGIN * light_reach(radius[i], radius[near])) | (near == i)
        farthest[i] = away[lit].max()
        light.append(near[lit])
    found = []
    for near, masked in zip(light, _within(points, farthest + local), strict=True):
        companions = [group_of[int(j)] for j in near if int(j) in group_of]
        found.append(np.unique(np.concatenate([near, masked, *companions])))
    return found


def region_groups(recipe: Recipe, x: Array, y: Array, radius: Array) -> list[Rows]:
    """Sources whose regions are found together; all where each background needs the light of others."""
    if recipe.background.kind == "matched":
        return [np.flatnonzero(np.isfinite(radius))]
    return [] if recipe.aperture.kind == "circle" else _crowding_groups(x, y, radius)


def _crowding_groups(x: Array, y: Array, radius: Array) -> list[Rows]:
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
