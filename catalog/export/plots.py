"""Pictures: a field with its apertures, and one set of measurements against another.

Matplotlib is imported when a picture is made, and only its figure objects are used: no window, no state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from catalog.apertures.region import Region
from catalog.errors import MissingFileError, ProjectError, SettingsError
from catalog.export.label_layout import place_labels

Array = NDArray[np.float64]

_SOURCE, _BACKGROUND, _LABEL = "#39d353", "#58b7ff", "#ffd866"
_POINT, _OUTLIER = "#1f4e79", "#c0392b"
_PALE = "0.75"
_DPI = 150
_PICTURES = (".png", ".pdf", ".svg")
_DECADES = 9


@dataclass(frozen=True)
class FieldAperture:
    """One source of a field picture.

    Attributes
    ----------
    name
        Written beside the source aperture.
    source, background
        Regions or geometries in sky pixels; None where there is none.
    """

    name: str
    source: Region | BaseGeometry | None
    background: Region | BaseGeometry | None = None


def field_picture(
    path: Path,
    counts: NDArray[Any],
    extent: tuple[float, float, float, float],
    apertures: Iterable[FieldAperture],
    *,
    title: str = "",
    pixel: str = "sky pixels",
) -> Path:
    """Draw the events of a field in a logarithmic scale, with its apertures and their names.

    Parameters
    ----------
    path
        File to write: .png, .pdf or .svg.
    counts
        Image of counts, shape (ny, nx), first row lowest Y.
    extent
        Outer edges of the image: x lowest, x highest, y lowest, y highest, in sky pixels.
    apertures
        Sources to draw.
    title
        Written above the picture.
    pixel
        Unit of the axes.

    Raises
    ------
    MissingFileError, ProjectError, SettingsError
        The folder is not there or cannot be written, or the suffix is none of these.
    """
    from matplotlib.colors import LogNorm

    figure, axes = _figure(8.4, 7.6)
    highest = max(float(np.max(counts, initial=1)), 2.0)
    # Empty pixels take the colour below the scale: the logarithm of nothing is not drawn.
    image = axes.imshow(
        np.ma.masked_less_equal(np.asarray(counts, dtype=float), 0),
        extent=extent,
        origin="lower",
        cmap="inferno",
        norm=LogNorm(0.5, highest),
        interpolation="nearest",
    )
    axes.set_facecolor("black")
    axes.set(xlabel=f"X ({pixel})", ylabel=f"Y ({pixel})", title=title, xlim=extent[:2], ylim=extent[2:])
    axes.ticklabel_format(useOffset=False, style="plain")
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.02)
    bar.set_label("counts per image pixel")
    _whole_numbers(bar, highest)
    drawn = list(apertures)
    for aperture in drawn:
        _outline(axes, aperture.background, _BACKGROUND, "dashed")
        _outline(axes, aperture.source, _SOURCE, "solid")
    _legend(axes, drawn)
    figure.canvas.draw()
    _name_apertures(axes, drawn)
    return _save(figure, path)


def comparison_picture(
    path: Path,
    x: Array,
    y: Array,
    xerr: Array | None = None,
    yerr: Array | None = None,
    *,
    xlabel: str,
    ylabel: str,
    names: Sequence[str] = (),
    title: str = "",
    outlier: float = 3.0,
    far: NDArray[np.bool_] | None = None,
    counts: Array | None = None,
    ratio: float = 1.0,
) -> Path:
    """Draw one quantity against another, log-log with error bars and the line of equality; name outliers.

    Parameters
    ----------
    path
        File to write: .png, .pdf or .svg.
    x, y
        Values of equal length. NaN is left out; zero and less appear as upper limits (arrow from value
        plus upper error) where that is positive.
    xerr, yerr
        Errors, shape (n,) or (2, n) for lower and upper; NaN counts as none.
    xlabel, ylabel
        With units.
    names
        One for each point, or none at all.
    title
        Written above the picture.
    outlier
        A point is named when it is off the line by more than this many combined errors.
    far
        Which points are off the line, shape (n,), where `outlier` does not decide.
    counts
        Colour of the points, shape (n,); one colour for all without.
    ratio
        Of y over x, that a second line is drawn at unless it is 1.

    Raises
    ------
    MissingFileError, ProjectError, SettingsError
        The folder is not there or cannot be written, or the suffix is none of these.
    """
    figure, axes = _figure(7.2, 7.0)
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    x_low, x_high = _both_sides(xerr, len(x))
    y_low, y_high = _both_sides(yerr, len(y))
    x_shown, x_limit = _limits(x, x_high)
    y_shown, y_limit = _limits(y, y_high)
    good = np.isfinite(x_shown) & np.isfinite(y_shown)
    if far is None:
        far = deviations(x, y, (x_low, x_high), (y_low, y_high)) > outlier
    far = good & far
    axes.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel, title=title, aspect="equal")
    _set_span(axes, np.concatenate([x_shown[good], y_shown[good]]))
    _draw_ratios(axes, ratio)
    bars = (_bars(x_shown, x_low, x_high, x_limit), _bars(y_shown, y_low, y_high, y_limit))
    within = f"within {outlier:g} errors"
    # Error bars would drown the colour of the points.
    usual = _POINT if counts is None else _PALE
    for chosen, color, label in ((good & ~far, usual, within), (far, _OUTLIER, "outlier")):
        if chosen.any():
            _points(axes, (x_shown, y_shown), bars, (x_limit, y_limit), chosen, color, label)
    if counts is not None and good.any():
        _colour(axes, x_shown, y_shown, good, np.asarray(counts, dtype=float))
    axes.grid(True, which="major", color="0.9", lw=0.6)
    summary = _summary(x, y, good & ~x_limit & ~y_limit, far)
    figure.legend(
        loc="outside lower center", ncols=4, frameon=False, fontsize=9, title=summary, title_fontsize=9
    )
    figure.canvas.draw()
    if len(names):
        _name_outliers(axes, np.column_stack([x_shown, y_shown]), good, far, names)
    return _save(figure, path)


def _draw_ratios(axes: Any, ratio: float) -> None:
    """The line of equality, and one at another ratio unless that is 1."""
    low, high = axes.get_xlim()
    axes.plot([low, high], [low, high], color="0.45", lw=1, zorder=1, label="equal")
    if ratio != 1:
        line = [ratio * low, ratio * high]
        axes.plot([low, high], line, color="0.45", lw=1, ls="--", zorder=1, label="median ratio")


def _name_outliers(
    axes: Any,
    shown: Array,
    good: NDArray[np.bool_],
    far: NDArray[np.bool_],
    names: Sequence[str],
) -> None:
    """Write the names of outliers, as many as find room."""
    chosen = [name for name, is_far in zip(names, far, strict=True) if is_far]
    place_labels(
        axes,
        shown[far],
        [6.0] * len(chosen),
        chosen,
        color=_OUTLIER,
        halo="white",
        avoid=shown[good],
        droppable=True,
    )


def _bars(shown: Array, lower: Array, upper: Array, limit: NDArray[np.bool_]) -> Array:
    """Error bars, shape (2, n): those that reach zero end at the edge of the axis, a limit has an arrow."""
    return np.where(limit, 0.35 * shown, [np.minimum(lower, 0.999 * shown), upper])


def _points(
    axes: Any,
    shown: tuple[Array, Array],
    bars: tuple[Array, Array],
    limits: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    chosen: NDArray[np.bool_],
    color: str,
    label: str,
) -> None:
    axes.errorbar(
        shown[0][chosen],
        shown[1][chosen],
        xerr=bars[0][:, chosen],
        yerr=bars[1][:, chosen],
        xuplims=limits[0][chosen],
        uplims=limits[1][chosen],
        fmt="o",
        ms=3.5,
        lw=0.9,
        color=color,
        alpha=0.85,
        label=label,
        zorder=3,
    )


def _colour(axes: Any, x: Array, y: Array, good: NDArray[np.bool_], counts: Array) -> None:
    """Points filled by their counts, over those of one colour that carry the error bars."""
    from matplotlib.colors import LogNorm

    # Brightest last: they are few, and lie at the upper end.
    order = np.flatnonzero(good)[np.argsort(counts[good], kind="stable")]
    highest = max(float(counts[order].max()), 10.0)
    dots = axes.scatter(
        x[order],
        y[order],
        c=np.maximum(counts[order], 1.0),
        s=16,
        cmap="viridis",
        norm=LogNorm(1.0, highest),
        zorder=4,
        linewidths=0,
    )
    bar = axes.figure.colorbar(dots, ax=axes, fraction=0.046, pad=0.02)
    bar.set_label("counts in the source aperture")
    _whole_numbers(bar, highest)


def deviations(x: Array, y: Array, x_errors: tuple[Array, Array], y_errors: tuple[Array, Array]) -> Array:
    """Distance |y - x| of each point from equality in combined errors, each on the side facing the other."""
    above = y > x
    total = np.hypot(np.where(above, x_errors[1], x_errors[0]), np.where(above, y_errors[0], y_errors[1]))
    difference = np.abs(y - x)
    return np.divide(difference, total, out=np.zeros_like(difference), where=total > 0)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _whole_numbers(bar: Any, highest: float) -> None:
    ticks = [
        factor * 10**power for power in range(_DECADES) for factor in (1, 3) if factor * 10**power <= highest
    ]
    bar.set_ticks(ticks, labels=[str(tick) for tick in ticks])
    bar.minorticks_off()


def _geometry(region: Region | BaseGeometry | None) -> BaseGeometry | None:
    geometry = region.geometry() if isinstance(region, Region) else region
    return None if geometry is None or geometry.is_empty else geometry


def _outline(axes: Any, region: Region | BaseGeometry | None, color: str, style: str) -> None:
    geometry = _geometry(region)
    if geometry is None:
        return
    for line in shapely.get_parts(shapely.boundary(geometry)):
        x, y = shapely.get_coordinates(line).T
        axes.plot(x, y, color=color, lw=1.1 if style == "solid" else 0.8, ls=style, zorder=4)


def _legend(axes: Any, drawn: list[FieldAperture]) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=_SOURCE, label="source aperture")]
    if any(_geometry(aperture.background) is not None for aperture in drawn):
        lines.append(Line2D([], [], color=_BACKGROUND, ls="dashed", label="background region"))
    if drawn:
        # Below the axes: inside, it would hide sources.
        axes.figure.legend(handles=lines, loc="outside lower center", ncols=2, frameon=False, fontsize=9)


def _name_apertures(axes: Any, drawn: list[FieldAperture]) -> None:
    points: list[tuple[float, float]] = []
    clearances, names = [], []
    for aperture in drawn:
        geometry = _geometry(aperture.source)
        if geometry is None:
            continue
        x0, y0, x1, y1 = geometry.bounds
        (left, low), (right, high) = axes.transData.transform([(x0, y0), (x1, y1)])
        points.append(((x0 + x1) / 2, (y0 + y1) / 2))
        clearances.append(max(right - left, high - low) / 2)
        names.append(aperture.name)
    place_labels(axes, np.reshape(points, (-1, 2)), clearances, names, color=_LABEL, halo="black")


def _both_sides(errors: Array | None, length: int) -> tuple[Array, Array]:
    if errors is None:
        return np.zeros(length), np.zeros(length)
    both = np.nan_to_num(np.broadcast_to(np.asarray(errors, dtype=float), (2, length)))
    return both[0], both[1]


def _limits(values: Array, upper: Array) -> tuple[Array, NDArray[np.bool_]]:
    is_limit = (values <= 0) & (values + upper > 0)
    shown = np.where(values > 0, values, np.where(is_limit, values + upper, np.nan))
    return shown, is_limit


def _set_span(axes: Any, values: Array) -> None:
    low, high = (values.min(), values.max()) if len(values) else (1.0, 10.0)
    axes.set(xlim=(low / 2, high * 2), ylim=(low / 2, high * 2))


def _summary(x: Array, y: Array, good: NDArray[np.bool_], far: NDArray[np.bool_]) -> str:
    if not good.any():
        return "no pair of measured values"
    median = float(np.median(y[good] / x[good]))
    return f"{good.sum()} pairs of measured values, median ratio {median:.3f}, {far.sum()} outliers"


def _save(figure: Any, path: Path) -> Path:
    if not path.parent.is_dir():
        raise MissingFileError("no such folder", path.parent, "create it first")
    if path.suffix.lower() not in _PICTURES:
        raise SettingsError(
            "no picture format of this suffix",
            path,
            f"give one of {' '.join(_PICTURES)}",
            code="UNKNOWN_FORMAT",
        )
    try:
        figure.savefig(path)
    except OSError as error:
        raise ProjectError("the picture cannot be written", path, "check the rights of the folder") from error
    return path
