"""Variability of a simulated cluster: the sources that vary are found, the constant ones are not."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from finished_catalogs import build
from sqlalchemy import text

from catalog.flags import Flag
from catalog.stages.base.project import open_project
from catalog.stages.engine.run import run

CONSTANT = 12
"""Number of bright constant sources beside the special ones."""


@pytest.fixture(scope="module")
def truth(data_dir):
    return Table.read(data_dir / "simulated" / "collinder" / "truth.ecsv")


@pytest.fixture(scope="module")
def tested(tmp_path_factory, data_dir, truth):
    """Tests in the broad band, by source and observation, and merged by source."""
    simulated = data_dir / "simulated"
    files = f'area_table = "{simulated}/acisi_area.ecsv"\nrmf = "{simulated}/acis_synthetic.rmf.gz"\n'
    special = truth["kind"] == "special"
    steady = np.flatnonzero(~special & ~truth["variable"])
    bright = steady[np.argsort(truth["photon_flux"][steady])[::-1][:CONSTANT]]
    chosen = np.union1d(np.flatnonzero(special), bright)
    folder = tmp_path_factory.mktemp("variability")
    rows = [f"{row['name']},{row['ra']},{row['dec']}" for row in truth[chosen]]
    path = folder / "list.csv"
    path.write_text("\n".join(["name,ra,dec", *rows]) + "\n")
    build(folder / "project", [simulated / "collinder"], [path], f'provider = "files"\n{files}')
    with open_project(folder / "project") as project:
        assert run(project, ("variability", "merged_variability"), workers=1).failed == 0
        with project.store.read() as connection:
            single = connection.execute(
                text(
                    "SELECT s.label, d.obs_id, d.var_index, d.var_index_net, d.flags FROM detections d "
                    "JOIN source s ON s.id = d.source_id WHERE d.band = 'broad' AND d.var_index IS NOT NULL"
                )
            ).all()
            merged = connection.execute(
                text(
                    "SELECT s.label, c.var_intra_index_b AS intra, c.var_inter_index_b AS inter, "
                    "c.var_inter_log10_pvalue_b AS p, c.flags_b AS flags FROM catalog c "
                    "JOIN source s ON s.id = c.source_id"
                )
            ).all()
    return {(row.label, row.obs_id): row for row in single}, {row.label: row for row in merged}


def named(truth, words):
    (name,) = [str(row["name"]) for row in truth if words in str(row["note"])]
    return name


def test_the_flare_is_found_in_its_observation(tested, truth):
    single, merged = tested
    name = named(truth, "flares in one ObsID")
    indices = {obs_id: row.var_index for (label, obs_id), row in single.items() if label == name}
    assert indices["90001"] >= 7
    assert max(indices["90002"], indices["90003"]) <= 2
    assert merged[name].intra >= 7
    assert merged[name].flags & Flag.VARIABLE


def test_the_period_is_seen_as_variability(tested, truth):
    single, _ = tested
    name = named(truth, "sinusoidal")
    assert min(row.var_index for (label, _), row in single.items() if label == name) >= 7


def test_the_source_of_three_fluxes_varies_between_observations_only(tested, truth):
    single, merged = tested
    name = named(truth, "1:0.3:15")
    assert merged[name].p < -6
    assert merged[name].inter >= 9
    assert max(row.var_index for (label, _), row in single.items() if label == name) <= 2


def test_the_dither_over_the_edge_is_no_variability(tested, truth):
    single, merged = tested
    name = named(truth, "outer chip edge")
    assert single[name, "90002"].flags & Flag.NEAR_EDGE
    assert single[name, "90002"].var_index <= 2
    assert merged[name].inter <= 5


def test_constant_sources_are_constant(tested, truth):
    """Of 36 detections one false alarm may happen, and of the merged ones none: the areas are exact."""
    single, merged = tested
    constant = {str(row["name"]) for row in truth if not row["variable"]} & set(merged)
    assert len(constant) >= CONSTANT
    indices = [row.var_index_net for (label, _), row in single.items() if label in constant]
    assert len(indices) > 25
    assert sum(index >= 6 for index in indices) <= 1
    assert max(merged[name].inter for name in constant) <= 5
