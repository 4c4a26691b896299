"""The built wheel works away from the checkout: imports, creates a database, loads recipes, shows help."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

USE = """
import sys
from pathlib import Path
import catalog, migrations
from catalog.recipes.shipped import shipped_recipes
from catalog.store.door import Store
from catalog.store.engine import database_url, open_engine
from catalog.store.migrate import upgrade
from catalog.store.schema_version import check_revision
from sqlalchemy import text

environment, checkout = Path(sys.argv[1]), Path(sys.argv[2])
for package in (catalog, migrations):
    assert Path(package.__file__).is_relative_to(environment), package.__file__
assert not any(Path(entry).resolve() == checkout for entry in sys.path), sys.path
with Store(open_engine(database_url("sqlite:///catalog.db", Path.cwd()))) as store:
    upgrade(store.engine)
    check_revision(store.engine)
    with store.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM catalog")) == 0
print(*sorted(shipped_recipes()))
"""


def run(command: Sequence[str | Path], folder: Path) -> str:
    # Nothing of the checkout may reach the child: neither its folder nor PYTHONPATH.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, ROOT], ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, and this one's libraries behind it."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", folder], folder.parent)
    (site,) = folder.glob("lib/python*/site-packages")
    # A line in a .pth adds the folder alone: an editable install in it stays without effect.
    (site / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet"]
    run([*pip, "--force-reinstall", wheel], folder.parent)
    return folder


def test_the_wheel_holds_what_it_needs_and_no_more(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "catalog",
        "cli",
        "migrations",
    }
    for needed in (
        "catalog/recipes/presets/default.toml",
        "catalog/recipes/presets/srcflux.toml",
        "migrations/env.py",
        "migrations/versions/0001_first_schema.py",
    ):
        assert needed in names
    assert [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".nbc", ".nbi"))] == []
    in_checkout = {
        str(path.relative_to(ROOT))
        for room in ("catalog", "cli", "migrations")
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert in_checkout - set(names) == set()


def test_the_library_works_from_another_folder(environment: Path, tmp_path: Path) -> None:
    printed = run([environment / "bin" / "python", "-c", USE, environment, ROOT], tmp_path)
    assert printed.split() == sorted(path.stem for path in (ROOT / "catalog/recipes/presets").glob("*.toml"))
    assert [path.name for path in tmp_path.iterdir()] == ["catalog.db"]


def test_the_command_works_from_another_folder(environment: Path, tmp_path: Path) -> None:
    command = environment / "bin" / "srccat"
    assert command.exists()
    if find_spec("cli.main") is not None:
        assert "Usage" in run([command, "--help"], tmp_path)
