"""Place names beside points of a picture so that none covers another name or a marked point."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, radians, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIRECTIONS = (0, 45, -45, 90, -90, 135, -135, 180, 22, -22, 67, -67, 112, -112, 157, -157)
_STEPS = (0, 8, 18, 32, 50, 72, 100, 140)
_PADDING = 2.0

Box = tuple[float, float, float, float]


def place_labels(
    axes: Any,
    points: NDArray[np.float64],
    clearances: Sequence[float],
    names: Sequence[str],
    *,
    color: str,
    halo: str,
    avoid: NDArray[np.float64] | None = None,
    size: float = 8.0,
    droppable: bool = False,
) -> list[Any]:
    """Write each name near its point, with a thin line where it had to go further away.

    Parameters
    ----------
    axes
        Matplotlib axes of a figure with an Agg canvas; limits must be final.
    points
        Data coordinates to be named, shape (n, 2).
    clearances
        Radius in display pixels kept free around each point.
    names
        One name for each point.
    color, halo, size
        Of the text, of the rim around it, and in points.

    droppable
        Whether a name that would cover another one anywhere is left out.
    avoid
        Data coordinates of other marks that no name should cover, shape (m, 2).

    Returns
    -------
    list
        The text artists, in the order of the points, without names left out.
    """
    from matplotlib.patheffects import withStroke

    figure = axes.figure
    renderer = figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    places = axes.transData.transform(points)
    # A name may come closer to a neighbour than the neighbour's own name does, but never onto its middle.
    taken: list[Box] = [
        (x - 0.7 * c, y - 0.7 * c, x + 0.7 * c, y + 0.7 * c)
        for (x, y), c in zip(places, clearances, strict=True)
    ]
    if avoid is not None:
        taken += [(x - 4, y - 4, x + 4, y + 4) for x, y in axes.transData.transform(avoid)]
    artists = []
    for place, clearance, name in zip(places, clearances, names, strict=True):
        # A dollar sign in a name is no mathematics; the halo keeps lines from running into the letters.
        text = axes.text(0, 0, name, color=color, fontsize=size, transform=None, zorder=6, parse_math=False)
        text.set_path_effects([withStroke(linewidth=2.5, foreground=halo)])
        extent = text.get_window_extent(renderer)
        corner, distance, cost = _best_corner(place, clearance, extent.width, extent.height, taken, frame)
        if droppable and cost > 0:
            text.remove()
            continue
        # The extent's own offset from the anchor: text is drawn from its baseline.
        # Inches, not pixels: a vector format draws at a resolution of its own.
        text.set_transform(figure.dpi_scale_trans)
        text.set_position(((corner[0] - extent.x0) / figure.dpi, (corner[1] - extent.y0) / figure.dpi))
        text.set_clip_on(False)
        taken.append((corner[0], corner[1], corner[0] + extent.width, corner[1] + extent.height))
        if distance:
            _leader(axes, place, clearance, taken[-1], color)
        artists.append(text)
    return artists


def _best_corner(
    place: NDArray[np.float64], clearance: float, width: float, height: float, taken: list[Box], frame: Any
) -> tuple[tuple[float, float], int, float]:
    best: tuple[float, tuple[float, float], int] | None = None
    for step in _STEPS:
        for angle in _DIRECTIONS:
            reach = clearance + 5 + step
            x = place[0] + reach * cos(radians(angle))
            y = place[1] + reach * sin(radians(angle))
            # The side of the name nearest to the point faces it.
            x -= width * (1 - cos(radians(angle))) / 2
            y -= height * (1 - sin(radians(angle))) / 2
            box = (x, y, x + width, y + height)
            cost = sum(_overlap(box, other) for other in taken) + _outside(box, frame)
            if cost == 0:
                return (x, y), step, 0.0
            if best is None or cost < best[0]:
                best = (cost, (x, y), step)
    assert best is not None
    return best[1], best[2], best[0]


def _overlap(first: Box, second: Box) -> float:
    wide = min(first[2], second[2]) - max(first[0], second[0]) + _PADDING
    high = min(first[3], second[3]) - max(first[1], second[1]) + _PADDING
    return wide * high if wide > 0 and high > 0 else 0.0


def _outside(box: Box, frame: Any) -> float:
    excess = max(frame.x0 - box[0], 0) + max(box[2] - frame.x1, 0)
    excess += max(frame.y0 - box[1], 0) + max(box[3] - frame.y1, 0)
    return 1e3 * float(excess)


def _leader(axes: Any, place: NDArray[np.float64], clearance: float, box: Box, color: str) -> None:
    end = np.array([np.clip(place[0], box[0], box[2]), np.clip(place[1], box[1], box[3])])
    length = float(np.hypot(*(end - place)))
    if length <= clearance + 4:
        return
    start = place + (end - place) * clearance / length
    from matplotlib.lines import Line2D

    figure = axes.figure
    x, y = np.transpose([start, end]) / figure.dpi
    axes.add_artist(Line2D(x, y, transform=figure.dpi_scale_trans, color=color, lw=0.6, alpha=0.7, zorder=5))
