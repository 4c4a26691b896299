"""Pictures: written, of the right size, names apart from each other, outliers found."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

from catalog.apertures.region import Region
from catalog.apertures.shape import Annulus, Circle
from catalog.errors import MissingFileError, SettingsError
from catalog.export import plots
from catalog.export.label_layout import place_labels
from catalog.export.plots import FieldAperture, comparison_picture, deviations, field_picture

EXTENT = (4000.0, 4064.0, 4000.0, 4064.0)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Collects each figure that is made."""
    made: list[Figure] = []
    original = plots._figure

    def collect(width: float, height: float) -> tuple[Any, Any]:
        figure, axes = original(width, height)
        made.append(figure)
        return figure, axes

    monkeypatch.setattr(plots, "_figure", collect)
    return made


def test_field(tmp_path: Path, figures: list[Figure]) -> None:
    counts = np.random.default_rng(1).poisson(0.3, (64, 64))
    counts[:, :] += (np.hypot(*np.mgrid[-32:32, -32:32]) < 3) * 40
    apertures = [
        FieldAperture("one_$1$", Region(Circle(4032, 4032, 4)), Region(Annulus(4032, 4032, 8, 16))),
        FieldAperture("two", shapely.box(4037, 4030, 4041, 4034)),
        FieldAperture("nowhere", None),
        FieldAperture("empty", shapely.Polygon()),
    ]
    path = field_picture(tmp_path / "field.png", counts, EXTENT, apertures, title="A field")
    picture = imread(path)
    assert picture.shape[0] > 800
    assert picture.shape[1] > 800
    assert picture[..., :3].std() > 0.05
    axes = figures[0].axes[0]
    assert [text.get_text() for text in axes.texts] == ["one_$1$", "two"]
    outlines = [line for line in axes.lines if len(line.get_xdata()) > 4]
    spans = sorted(float(np.ptp(line.get_xdata())) for line in outlines)
    # Square, circle, and the two edges of the ring.
    assert spans == pytest.approx([4, 8, 16, 32], rel=1e-3)


def test_field_of_nothing(tmp_path: Path) -> None:
    assert field_picture(tmp_path / "field.png", np.zeros((8, 8)), (0, 8, 0, 8), []).exists()


def test_names_keep_apart(tmp_path: Path) -> None:
    figure = Figure(figsize=(8, 8), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 100), ylim=(0, 100))
    rng = np.random.default_rng(5)
    points = np.concatenate([rng.normal(50, 6, (12, 2)), [[99, 99], [1, 1], [1, 99], [99, 1]]])
    figure.canvas.draw()
    names = [f"CXOU J{number:06d}.0-450000.0" for number in range(16)]
    texts = place_labels(axes, points, [6.0] * 16, names, color="k", halo="w")
    boxes = [text.get_window_extent(figure.canvas.get_renderer()) for text in texts]
    for first, second in combinations(boxes, 2):
        assert not first.overlaps(second)
    frame = axes.get_window_extent()
    for box in boxes:
        assert frame.x0 - 1 <= box.x0
        assert box.x1 <= frame.x1 + 1
        assert frame.y0 - 1 <= box.y0
        assert box.y1 <= frame.y1 + 1


def test_comparison(tmp_path: Path, figures: list[Figure]) -> None:
    rng = np.random.default_rng(2)
    x = 10 ** rng.uniform(-16, -13, 40)
    error = 0.1 * x
    y = x + rng.uniform(-2, 2, 40) * error
    y[3], y[7], y[9], y[11] = 10 * x[3], x[7] / 100, np.nan, 0.0
    error[11] = x[11]
    names = [f"s{number}" for number in range(40)]
    path = comparison_picture(
        tmp_path / "c.png",
        x,
        y,
        None,
        np.array([error, error]),
        xlabel="true",
        ylabel="measured",
        names=names,
    )
    assert imread(path).shape[0] > 800
    axes = figures[0].axes[0]
    assert sorted(text.get_text() for text in axes.texts) == ["s3", "s7"]
    assert "38 pairs" in figures[0].legends[0].get_title().get_text()
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_comparison_of_nothing(tmp_path: Path) -> None:
    nothing = np.array([])
    assert comparison_picture(tmp_path / "c.png", nothing, nothing, xlabel="x", ylabel="y").exists()


def test_deviations_take_the_side_that_faces_the_line() -> None:
    x, y = np.array([1.0, 1.0, 1.0]), np.array([3.0, 0.0, 1.0])
    found = deviations(x, y, (np.full(3, 0.1), np.full(3, 0.3)), (np.full(3, 0.4), np.full(3, 0.8)))
    # y above: x's upper and y's lower error; y below: x's lower and y's upper.
    assert found == pytest.approx([2 / np.hypot(0.3, 0.4), 1 / np.hypot(0.1, 0.8), 0.0])
    assert deviations(x, y, (np.zeros(3), np.zeros(3)), (np.zeros(3), np.zeros(3))).tolist() == [0, 0, 0]


def test_bad_targets(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        field_picture(tmp_path / "no" / "f.png", np.ones((2, 2)), (0, 2, 0, 2), [])
    with pytest.raises(SettingsError):
        field_picture(tmp_path / "f.xyz", np.ones((2, 2)), (0, 2, 0, 2), [])


def test_matplotlib_is_imported_late() -> None:
    code = "import sys, catalog.export.plots, catalog.export.selection; sys.exit('matplotlib' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
