"""Fixtures of the whole suite: where the test data lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")


def find_data_dir() -> Path | None:
    """The folder of real and simulated data, or None in a stranger's clone."""
    named = os.environ.get("SRCCAT_TEST_DATA")
    if named:
        return Path(named)
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return beside if beside.is_dir() else None


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of test data; a test that needs it is skipped only where there is none."""
    folder = find_data_dir()
    if folder is None:
        pytest.skip("no test data: set SRCCAT_TEST_DATA")
    assert folder.is_dir(), f"SRCCAT_TEST_DATA names no folder: {folder}"
    return folder
