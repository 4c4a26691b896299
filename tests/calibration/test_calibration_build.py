"""The packaged tables are what the tool makes of the sources today."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def rebuilt(data_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("tables")
    sources = data_dir / "calibration"
    subprocess.run(
        [
            sys.executable, str(ROOT / "tools" / "build_calibration.py"),
            "--sources", str(sources / "sources"), "--psf", str(sources / "psf"), "--out", str(out),
        ],
        check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return out


@pytest.mark.parametrize("name", ["area.npz", "redistribution.npz", "psf.npz"])
def test_tables_are_reproduced(rebuilt, name):
    packaged = files("catalog.calibration") / "data" / name
    with np.load(str(packaged)) as ours, np.load(rebuilt / name) as fresh:
        assert sorted(ours.files) == sorted(fresh.files)
        for key in ours.files:
            assert ours[key].dtype == fresh[key].dtype
            assert np.allclose(ours[key], fresh[key], rtol=1e-6, atol=1e-12), key


def test_size_of_the_package():
    folder = Path(str(files("catalog.calibration") / "data"))
    assert sum(path.stat().st_size for path in folder.iterdir()) < 6_000_000
