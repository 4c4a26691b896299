"""Outliers of a comparison: which they are, why, and how they are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from catalog.export.comparison import Comparison
from catalog.export.label_layout import place_labels
from catalog.export.plots import comparison_picture
from catalog.flags import Flag


def comparison() -> Comparison:
    return Comparison(
        "one",
        "other",
        "photflux_aper, 0.5-7 keV",
        ("a", "b", "c", "d"),
        np.array([[1.0, 1.0, 1.0, 0.0], [1.2, 6.0, 0.1, 5.0]]),
        np.array([[0.1, 0.5, 0.2, 1.0], [0.2, 1.0, 0.1, 1.0]]),
        np.array([10.0, 300.0, 40.0, 2.0]),
        np.array(
            [0, int(Flag.JOINT | Flag.NEAR_EDGE), int(Flag.VARIABLE | Flag.BOUND_ONLY), 0], dtype=np.int64
        ),
    )


def test_outliers_worst_first_with_their_reason() -> None:
    found = comparison()
    assert found.outliers == [1, 3, 2]
    assert [found.reason(row) for row in range(4)] == ["", "crowding, edge", "variable", ""]
    assert found.ratio[1] == 6.0
    assert np.isnan(found.ratio[3])


def test_outliers_are_those_off_the_ratio_that_all_share() -> None:
    """Areas weighed differently scale all fluxes; one of twenty differs for a reason of its own."""
    first = np.linspace(1.0, 2.0, 20)
    second = 0.7 * first
    second[7] *= 1.5
    table = Comparison(
        *("one", "other", "x"),
        tuple(f"s{i}" for i in range(20)),
        np.array([first, second]),
        np.full((2, 20), 0.05),
        np.full(20, 100.0),
        np.zeros(20, dtype=np.int64),
    )
    assert table.common_ratio == pytest.approx(0.7)
    assert table.outliers == [7]
    assert table.deviation[7] == pytest.approx(0.5 * 0.7 * first[7] / 0.05)
    assert comparison().common_ratio == 1.0


def test_names_left_out_rather_than_written_over_each_other() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3, 3), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    figure.canvas.draw()
    points = np.full((60, 2), 0.5)
    names = [f"source {k}" for k in range(60)]
    written = place_labels(axes, points, [4.0] * 60, names, color="red", halo="white", droppable=True)
    assert 5 < len(written) < 60
    renderer = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in written]
    for i, first in enumerate(boxes):
        assert not any(first.overlaps(other) for other in boxes[i + 1 :])


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_picture_with_counts(tmp_path: Path, suffix: str) -> None:
    found = comparison()
    path = comparison_picture(
        tmp_path / f"both{suffix}",
        found.values[0],
        found.values[1],
        found.errors[0],
        found.errors[1],
        xlabel="one",
        ylabel="other",
        names=found.names,
        far=np.array([False, True, True, False]),
        counts=found.counts,
        ratio=0.7,
    )
    assert path.stat().st_size > 5000
