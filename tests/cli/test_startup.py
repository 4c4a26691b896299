"""The command answers at once: nothing heavy is loaded before it is needed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import run_script

from catalog.stages.engine.stage_list import COMMON_STAGES

HEAVY = (
    "astropy",
    "numba",
    "numpy",
    "scipy",
    "sqlalchemy",
    "matplotlib",
    "pandas",
    "shapely",
    "alembic",
    "xraydb",
)


def loaded_by(statement: str) -> set[str]:
    """Top-level packages that a fresh interpreter has after a statement."""
    program = (
        f"{statement}\nimport sys\nprint('LOADED', *sorted({{name.split('.')[0] for name in sys.modules}}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    return set(found.stdout.rpartition("LOADED ")[2].split())


@pytest.mark.parametrize(
    "statement",
    [
        "import cli.main",
        "from cli.main import main; main(['--help'])",
        "from cli.main import main; main(['run', '--help'])",
        "from cli.main import main; main(['flags', 'explain', '72'])",
        "from cli.main import main; assert main(['measure']) == 2",
    ],
)
def test_nothing_heavy_is_loaded(statement: str) -> None:
    loaded = loaded_by(statement)
    assert "cli" in loaded
    assert not loaded & set(HEAVY)


def test_the_check_sees_what_is_loaded() -> None:
    assert loaded_by("import astropy.table, sqlalchemy") >= {"astropy", "sqlalchemy"}


def test_help_takes_less_than_half_a_second() -> None:
    best = 9.9
    for _ in range(5):
        start = time.perf_counter()
        found = run_script("--help")
        best = min(best, time.perf_counter() - start)
        assert found.returncode == 0
        assert found.stdout.startswith("Usage: srccat")
    assert best < 0.5, f"srccat --help takes {best:.2f} s"


def test_a_run_with_nothing_to_do_loads_no_compiler_and_no_reader_of_files(finished: Path) -> None:
    loaded = loaded_by("from cli.main import main; assert main(['run']) == 0")
    assert "sqlalchemy" in loaded
    assert not loaded & {"numba", "astropy", "xraydb"}


def test_planning_any_common_stage_loads_neither() -> None:
    stages = [f"catalog.stages.steps.{stage}" for stage in COMMON_STAGES]
    assert not loaded_by(f"import {', '.join(stages)}") & {"numba", "astropy", "xraydb"}
