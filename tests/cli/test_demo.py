"""The example: whole path, repeated, interrupted, and not over somebody's project."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from command_line import Done, Srccat, check_error, content

from cli.main import main

FILES = ("fits", "vot", "ecsv", "csv", "tex", "mrt", "reg")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the example, made once."""
    folder = tmp_path_factory.mktemp("demo") / "example"
    assert main(["demo", str(folder)]) == 0
    return folder


def test_second_call_computes_nothing(example: Path, done: Done) -> None:
    before = content(example)
    printed = done("demo", example)
    assert re.search(r"^60 sources in 3 observations; 0 units computed, 0 failed$", printed, re.MULTILINE)
    assert content(example) == before
    median = float(re.search(r"median (\d\.\d+)", printed)[1])
    assert 0.9 < median < 1.1
    # What it says to have written is there, and what it proposes works.
    named = [
        Path(line.split(maxsplit=1)[1]) for line in printed.splitlines() if line[:7] in ("table  ", "picture")
    ]
    assert {path.name for path in named} >= {*(f"catalog.{suffix}" for suffix in FILES), "detections.fits"}
    assert {"field.png", "fluxes.png"} <= {path.name for path in named}
    for path in (*named, example / "srccat.db"):
        assert path.stat().st_size > 500, path
    proposal = re.search(r'^next: srccat query --project (\S+) "(.*)"$', printed, re.MULTILINE)
    assert done("query", proposal[2], "--project", proposal[1]).count("CXOU J") == 5


def test_fluxes_are_those_that_were_simulated(example: Path) -> None:
    """The comparison that the example prints, made again from its files."""
    truth = Table.read(example / "data" / "truth.ecsv")
    true = dict(zip(truth["name"], truth["energy_flux"], strict=True))
    rows = fits.getdata(example / "catalog.fits", 1)
    assert len(rows) == len(true) == 60
    bright = rows[rows["src_significance_b"] > 5]
    ratios = [row["flux_aper_b"] / true[row["label"]] for row in bright]
    assert len(ratios) > 30
    assert 0.9 < statistics.median(ratios) < 1.1
    inside = [row["flux_aper_lolim_b"] <= true[row["label"]] <= row["flux_aper_hilim_b"] for row in bright]
    # 68 % intervals of true statistics; the pair, the edge and the spectra leave some room.
    assert 0.45 < np.mean(inside) < 0.9


def test_pictures_are_pictures(example: Path) -> None:
    from matplotlib.image import imread

    for name in ("field.png", "fluxes.png"):
        picture = imread(example / name)
        assert min(picture.shape[:2]) > 300
        assert picture[..., :3].std() > 0.02


def test_everything_is_up_to_date(example: Path, done: Done) -> None:
    assert "everything is up to date" in done("status", "--project", example)
    assert "integrity ok" in done("db", "check", "--project", example)


def test_another_project_is_refused(empty: Path, srccat: Srccat) -> None:
    before = content(empty)
    check_error(srccat("demo", empty), "PROJECT")
    assert content(empty) == before


def test_interrupted_before_its_data_are_written(
    tmp_path: Path, srccat: Srccat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of an interrupted example is not taken for somebody's project."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("catalog.simulate.demo_field.write_observation", stop)
        assert srccat("demo", tmp_path / "example").code == 130
    assert not (tmp_path / "example" / "srccat.toml").exists()
