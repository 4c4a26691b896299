"""Exposure held against simulated fields: counts of every source, background across edges, aspect."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from astropy.table import Table


@pytest.fixture(scope="module")
def fields(exposure: ModuleType, request: pytest.FixtureRequest) -> dict[str, Any]:
    data: Path = request.getfixturevalue("data_dir")
    return {obs_id: exposure.load(data, obs_id) for obs_id in ("90002", "90040", "90041")}


@pytest.mark.parametrize(("obs_id", "most"), [("90002", 0.08), ("90041", 0.08)])
def test_counts_of_every_source(
    exposure: ModuleType, fields: dict[str, Any], data_dir: Path, obs_id: str, most: float
) -> None:
    """Area x exposure x the source's own spectrum, against counts of a ray trace of thousands of photons."""
    counts = exposure.expected_counts(data_dir, obs_id, fields[obs_id])
    known = counts.truth / counts.error > 25
    inner = known & ~counts.thermal & (counts.edge > exposure.INTERIOR_PIXELS)
    number, median, scatter, _ = counts.summary(inner)
    assert number > (50 if obs_id == "90002" else 5)
    assert median == pytest.approx(1.0, abs=0.015)
    assert scatter < 0.04
    # The table of areas ends at 9 arcmin; from 10 on what it is continued with decides, not the edge.
    edge = known & (counts.edge <= exposure.INTERIOR_PIXELS) & (counts.good > 0.05) & (counts.theta < 10.0)
    away = np.abs(counts.predicted / counts.truth - 1.0) - 2.5 * counts.error / counts.truth
    assert edge.sum() >= 4
    assert away[edge].max() < most


def test_the_source_that_dithers_over_the_outer_edge(
    exposure: ModuleType, fields: dict[str, Any], data_dir: Path
) -> None:
    truth = Table.read(data_dir / "simulated/collinder/truth.ecsv")
    row = truth[[str(note).startswith("on the outer chip edge") for note in truth["note"]]][0]
    counts = exposure.expected_counts(data_dir, "90002", fields["90002"])
    i = int(np.argmin(np.abs(counts.truth - row["expected_counts_90002"])))
    assert 0.3 < counts.good[i] < 0.7
    # At 11 arcmin: its neighbours inside the edge tell how good the area is there.
    beyond = (counts.theta > 10.0) & (counts.good > 0.95) & (counts.truth / counts.error > 25)
    area = float(np.median((counts.predicted / counts.truth)[beyond]))
    assert counts.predicted[i] / counts.truth[i] / area == pytest.approx(1.0, abs=0.08)
    assert area == pytest.approx(1.0, abs=0.12)


@pytest.mark.parametrize("obs_id", ["90040", "90041"])
def test_background_does_not_step_at_edges_and_gaps(
    exposure: ModuleType, fields: dict[str, Any], data_dir: Path, obs_id: str
) -> None:
    field = fields[obs_id]
    srcid = Table.read(data_dir / f"simulated/aciss/acisf{obs_id}_srcid.fits.gz", 1)["src_index"]
    steps = exposure.background_steps(field, None, np.asarray(srcid)[field.events.row])
    _, rate, error = steps.T
    assert np.all(np.abs(rate - 1.0) < 0.03 + 2.5 * error)
    together = np.average(rate[1:], weights=error[1:] ** -2.0)
    assert together == pytest.approx(1.0, abs=0.03 + 2 / np.sqrt(np.sum(error[1:] ** -2.0)))


@pytest.mark.parametrize("number", [None, 300, 60])
def test_aspect_from_events(exposure: ModuleType, fields: dict[str, Any], number: int | None) -> None:
    for field in fields.values():
        assert exposure.aspect_residual(field, number)[0] < 0.15
