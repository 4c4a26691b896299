"""The command line called in-process, and a small simulated project."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import DEC, OBS_IDS, OUTSIDE, RA, Done, Field, Outcome, Srccat


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in an empty folder, without a project in the environment."""
    monkeypatch.delenv("SRCCAT_PROJECT", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def srccat(capsys: pytest.CaptureFixture[str]) -> Srccat:
    """Call the command line within this process."""
    from cli.main import main

    def call(*words: object) -> Outcome:
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def done(srccat: Srccat) -> Done:
    """Call the command line, see that it succeeds, and return what it printed."""

    def call(*words: object) -> str:
        outcome = srccat(*words)
        assert outcome.code == 0, outcome
        assert "error[" not in outcome.err
        return outcome.out

    return call


@pytest.fixture(scope="session")
def field(tmp_path_factory: pytest.TempPathFactory) -> Field:
    """Two short observations of eight sources; a list of these and of two places that neither sees."""
    from catalog.calibration.factory import open_calibration
    from catalog.simulate.demo_field import write_observation
    from catalog.simulate.photons import simulate_field
    from catalog.simulate.pointing_plan import PointingPlan
    from catalog.simulate.source_model import SimulatedSource

    folder = tmp_path_factory.mktemp("field")
    rng = np.random.default_rng(11)
    radius, angle = 6 / 60 * np.sqrt(rng.random(8)), 2 * np.pi * rng.random(8)
    ra = RA + radius * np.cos(angle) / np.cos(np.radians(DEC))
    dec = DEC + radius * np.sin(angle)
    flux = 10 ** np.linspace(-3.3, -5, 8)
    places = list(zip(ra.tolist(), dec.tolist(), flux.tolist(), strict=True))
    sources = [SimulatedSource(f"s{i}", *place) for i, place in enumerate(places)]
    plans = (
        PointingPlan(OBS_IDS[0], RA, DEC, 30.0, 2500.0, "2009-06-01T12:00:00"),
        PointingPlan(OBS_IDS[1], RA + 0.01, DEC, 200.0, 1500.0, "2014-01-01T00:00:00"),
    )
    calibration = open_calibration()
    for plan in plans:
        write_observation(folder / plan.obs_id, simulate_field(sources, plan, calibration, 2), plan)
    rows = [f"{source.name},{source.ra!r},{source.dec!r}" for source in sources]
    rows += [f"{OUTSIDE[0]},{RA},{DEC + 2}", f"{OUTSIDE[1]},{RA + 170},{-DEC}"]
    path = folder / "list.csv"
    path.write_text("\n".join(["name,ra,dec", *rows]) + "\n")
    return Field(folder, path)


@pytest.fixture(scope="session")
def empty_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from cli.main import main

    folder = tmp_path_factory.mktemp("empty") / "project"
    assert main(["init", str(folder), "--recipe", "default", "--recipe", "srcflux"]) == 0
    return folder


@pytest.fixture(scope="session")
def finished_template(tmp_path_factory: pytest.TempPathFactory, empty_template: Path, field: Field) -> Path:
    from cli.main import main

    folder = tmp_path_factory.mktemp("finished") / "project"
    shutil.copytree(empty_template, folder)
    where = ["--project", str(folder)]
    assert main(["add", "observations", str(field.events(0)), *where]) == 0
    assert main(["add", "sources", str(field.sources), *where]) == 0
    assert main(["run", "--workers", "1", *where]) == 0
    return folder


@pytest.fixture
def empty(tmp_path: Path, empty_template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without observations and sources, named in the environment."""
    folder = shutil.copytree(empty_template, tmp_path / "project")
    monkeypatch.setenv("SRCCAT_PROJECT", str(folder))
    return folder


@pytest.fixture
def finished(tmp_path: Path, finished_template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one observation, ten sources and two recipes, all computed, named in the environment."""
    folder = shutil.copytree(finished_template, tmp_path / "project")
    monkeypatch.setenv("SRCCAT_PROJECT", str(folder))
    return folder
