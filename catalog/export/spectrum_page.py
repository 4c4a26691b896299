"""One page per fit: data, model and residuals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from catalog.errors import MissingFileError, ProjectError
from catalog.measure.spectral_curves import SpectrumCurves

_COLOURS = ("#1f4e79", "#c0392b", "#3a7d44", "#8e5ea2", "#b8860b", "#4b5563")
_DPI = 150
_TICKS = (0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0)


def spectrum_page(path: Path, curves: Sequence[SpectrumCurves], title: str, lines: Sequence[str]) -> Path:
    """Draw a fit: above net counts with errors, model and background, below residuals in units of errors.

    Parameters
    ----------
    path
        File to write: .png, .pdf or .svg.
    curves
        One or more spectra.
    title
        First line.
    lines
        What was found, at the right side of the page.

    Raises
    ------
    MissingFileError, ProjectError
        The folder is not there or cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not path.parent.is_dir():
        raise MissingFileError("no such folder", path.parent, "create it first")
    figure = Figure(figsize=(9.5, 6.0), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    axes = figure.subplots(
        2, 2, sharex="col", gridspec_kw={"height_ratios": [3, 1], "width_ratios": [3.2, 1], "hspace": 0.0}
    )
    for row in (0, 1):
        axes[row, 1].axis("off")
    axes[0, 1].text(0.0, 1.0, "\n".join(lines), va="top", fontsize=8, linespacing=1.5)
    for number, item in enumerate(curves):
        _draw(axes[0, 0], axes[1, 0], item, _COLOURS[number % len(_COLOURS)])
    _dress(axes[0, 0], axes[1, 0], curves)
    try:
        figure.savefig(path)
    except OSError as error:
        raise ProjectError("the picture cannot be written", path, "check the rights of the folder") from error
    return path


def _draw(above: Any, below: Any, item: SpectrumCurves, colour: str) -> None:
    middle = np.sqrt(item.lo * item.hi)
    across = [middle - item.lo, item.hi - middle]
    style = {"fmt": "none", "ecolor": colour, "elinewidth": 1.0}
    above.errorbar(middle, item.rate, yerr=item.error, xerr=across, label=item.name, **style)
    edges = np.append(item.fine_lo, item.fine_hi[-1])
    above.stairs(item.model, edges, color=colour, linewidth=1.1, alpha=0.75)
    if (item.background > 0).any():
        outline = np.append(item.lo, item.hi[-1])
        above.stairs(item.background, outline, color=colour, linewidth=0.8, linestyle=":")
    below.errorbar(middle, item.residual, yerr=1.0, xerr=across, **style)


def _dress(above: Any, below: Any, curves: Sequence[SpectrumCurves]) -> None:
    above.set_xscale("log")
    positive = np.concatenate([np.append(item.rate[item.rate > 0], item.model.max()) for item in curves])
    positive = positive[positive > 0]
    if positive.size:
        above.set_yscale("log")
        above.set_ylim(0.3 * positive.min(), 3.0 * positive.max())
    above.set_ylabel("net counts s$^{-1}$ keV$^{-1}$")
    behind = any((item.background > 0).any() for item in curves)
    if behind:
        above.plot([], [], color="0.4", linewidth=0.8, linestyle=":", label="background, neighbours")
    if behind or len(curves) > 1:
        above.legend(fontsize=8, frameon=False)
    low, high = min(item.lo[0] for item in curves), max(item.hi[-1] for item in curves)
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    below.set_xlim(low, high)
    below.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    below.minorticks_off()
    below.axhline(0.0, color="0.5", linewidth=0.8)
    below.set_xlabel("energy (keV)")
    below.set_ylabel("residual ($\\sigma$)")
