"""One page per source: its light curve over all observations on one broken time axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from catalog.errors import MissingFileError, ProjectError
from catalog.export.stored_curves import ObservedCurves

_RATE, _BLOCKS, _BAND, _ENERGY, _GAP = "#1f4e79", "#c0392b", "#9db8d2", "#3a7d44", "0.88"
_DPI = 150
_MOST_SIDE_BY_SIDE = 8
"""Observations in one row of a page."""


def light_curve_page(path: Path, observed: Sequence[ObservedCurves], summary: str = "") -> Path:
    """Draw the light curves of one source.

    Above, the rate in groups of equal signal to noise with its errors, the smoothed rate, the Bayesian blocks
    and the 3-sigma band of the Gregory-Loredo curve; below, the median energy. Times without exposure are
    shaded. Time runs in ks from the begin of each observation; panels are as wide as the observation is long,
    short ones a little wider.

    Parameters
    ----------
    path
        File to write: .png, .pdf or .svg.
    observed
        One or more observations in order of time.
    summary
        Second line of the title.

    Raises
    ------
    MissingFileError, ProjectError
        The folder is not there or cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not path.parent.is_dir():
        raise MissingFileError("no such folder", path.parent, "create it first")
    per_row = min(len(observed), _MOST_SIDE_BY_SIDE)
    n_rows = -(-len(observed) // per_row)
    figure = Figure(figsize=(max(8.0, 2.2 * per_row), 5.6 * n_rows), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    first = observed[0]
    low, high = first.energies
    figure.suptitle(
        f"{first.name}   {first.band}, {low:g}-{high:g} keV" + (f"\n{summary}" if summary else "")
    )
    limits = _rate_limits(observed)
    for i, part in enumerate(figure.subfigures(n_rows, 1, squeeze=False)[:, 0]):
        _draw_row(part, observed[i * per_row : (i + 1) * per_row], limits)
    try:
        figure.savefig(path)
    except OSError as error:
        raise ProjectError("the picture cannot be written", path, "check the rights of the folder") from error
    return path


def _draw_row(part: Any, observed: Sequence[ObservedCurves], limits: tuple[float, float]) -> None:
    spans = np.array([item.tstop - item.tstart for item in observed])
    axes = part.subplots(
        2,
        len(observed),
        sharex="col",
        sharey="row",
        squeeze=False,
        gridspec_kw={
            "width_ratios": np.maximum(spans, 0.25 * spans.max()),
            "height_ratios": (2.4, 1),
            "wspace": 0.03,
        },
    )
    for column, item in enumerate(observed):
        _draw_rates(axes[0, column], item)
        _draw_energies(axes[1, column], item)
        for row in (0, 1):
            _shade_gaps(axes[row, column], item)
            _break_axis(axes[row, column], column > 0, column < len(observed) - 1)
        axes[0, column].set_title(_caption(item), fontsize="small")
        axes[1, column].set_xlim(0.0, spans[column] / 1e3)
    axes[0, 0].set_ylim(*limits)
    axes[0, 0].set_ylabel("counts per ks in the aperture")
    axes[1, 0].set_ylabel("median energy (keV)")
    part.supxlabel("time since the begin of each observation (ks)", fontsize="medium")
    axes[0, -1].legend(loc="upper right", fontsize="x-small", framealpha=0.8)


def _caption(item: ObservedCurves) -> str:
    index = item.tests.get("var_index")
    return f"ObsID {item.obs_id}  {item.date_obs[:10]}\n" + (
        "no counts" if index is None else f"index {index}, {item.tests['cnts_timing']} counts"
    )


def _rate_limits(observed: Sequence[ObservedCurves]) -> tuple[float, float]:
    highest = [0.0]
    for item in observed:
        smooth = item.curves["smoothed"]["rate"]
        highest += smooth[np.isfinite(smooth)].tolist()
        grouped = item.curves["grouped"]
        upper = grouped["rate"] + grouped["rate_error"]
        highest += upper[np.isfinite(upper)].tolist()
        highest += item.curves["blocks"]["rate"].tolist()
    return 0.0, 1.2e3 * max(highest) or 1.0


def _draw_rates(axes: Any, item: ObservedCurves) -> None:
    begin = item.tstart
    if "gregory_loredo" in item.curves:
        odds = item.curves["gregory_loredo"]
        edges = (np.append(odds["time_min"], odds["time_max"][-1]) - begin) / 1e3
        axes.stairs(
            1e3 * odds["rate_hi"],
            edges,
            baseline=1e3 * odds["rate_lo"],
            fill=True,
            color=_BAND,
            alpha=0.6,
            label="Gregory-Loredo, 3 sigma",
        )
    blocks = item.curves["blocks"]
    edges = (np.append(blocks["time_min"], blocks["time_max"][-1]) - begin) / 1e3
    axes.stairs(1e3 * blocks["rate"], edges, baseline=None, color=_BLOCKS, lw=1.4, label="Bayesian blocks")
    smoothed = item.curves["smoothed"]
    middle = 0.5 * (smoothed["time_min"] + smoothed["time_max"])
    axes.plot((middle - begin) / 1e3, 1e3 * smoothed["rate"], color="0.25", lw=0.8, label="smoothed, S/N 4")
    grouped = item.curves["grouped"]
    middle = 0.5 * (grouped["time_min"] + grouped["time_max"])
    axes.errorbar(
        (middle - begin) / 1e3,
        1e3 * grouped["rate"],
        xerr=0.5e-3 * (grouped["time_max"] - grouped["time_min"]),
        yerr=1e3 * grouped["rate_error"],
        fmt="o",
        ms=3,
        lw=0.9,
        color=_RATE,
        label="groups of equal S/N",
    )
    times = item.curves["arrivals"]["time"] if "arrivals" in item.curves else np.empty(0)
    if 0 < times.size <= 500:
        axes.plot(
            (times - begin) / 1e3, np.full(times.size, 0.02), "|", color="0.3", ms=5,
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip


def _draw_energies(axes: Any, item: ObservedCurves) -> None:
    grouped = item.curves["grouped"]
    middle = 0.5 * (grouped["time_min"] + grouped["time_max"])
    axes.errorbar(
        (middle - item.tstart) / 1e3,
        grouped["median_energy"],
        xerr=0.5e-3 * (grouped["time_max"] - grouped["time_min"]),
        yerr=np.nan_to_num(grouped["median_energy_error"]),
        fmt="s",
        ms=3,
        lw=0.9,
        color=_ENERGY,
    )
    axes.set_ylim(*item.energies)


def _shade_gaps(axes: Any, item: ObservedCurves) -> None:
    good = item.good_times
    edges = [item.tstart, *np.ravel(np.column_stack([good.start, good.stop])).tolist(), item.tstop]
    for start, stop in zip(edges[0::2], edges[1::2], strict=True):
        if stop - start > 1e-4 * (item.tstop - item.tstart):
            axes.axvspan(
                (start - item.tstart) / 1e3, (stop - item.tstart) / 1e3, color=_GAP, lw=0, zorder=0.5
            )


def _break_axis(axes: Any, left: bool, right: bool) -> None:
    """Slanted strokes where the axis is broken."""
    stroke = {"marker": [(-0.5, -1), (0.5, 1)], "ms": 8, "ls": "none", "color": "k", "mec": "k", "mew": 1}
    stroke |= {"clip_on": False, "transform": axes.transAxes}
    for present, x, side in ((left, 0, "left"), (right, 1, "right")):
        if present:
            axes.spines[side].set_visible(False)
            axes.plot([x, x], [0, 1], **stroke)
    axes.tick_params(left=not left)
