"""A source seen by two observations, one of them with a grating in place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from astropy.io import fits
from sqlalchemy import text

from catalog.flags import Flag
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine.run import run


@pytest.fixture
def with_grating(small_field, tmp_path) -> Path:
    """The second observation, with a grating in its header."""
    folder = tmp_path / "grating"
    shutil.copytree(small_field.observation(1), folder)
    (path,) = folder.glob("*evt2.fits.gz")
    with fits.open(path) as hdus:
        for hdu in hdus:
            if "GRATING" in hdu.header or hdu.name == "EVENTS":
                hdu.header["GRATING"] = "HETG"
        hdus.writeto(path, overwrite=True)
    return folder


def rows(project, statement):
    with project.store.read() as connection:
        return connection.execute(text(statement)).mappings().all()


def test_fluxes_are_those_of_the_other_observation(empty_project, copy_of, small_field, with_grating):
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(0), with_grating])
        add_sources(project, small_field.sources)
        assert run(project, workers=1).failed == 0
        single = {
            (row["source_id"], row["obs_id"]): row
            for row in rows(project, "SELECT * FROM detections WHERE band = 'broad'")
        }
        merged = [row for row in rows(project, "SELECT * FROM catalog") if row["n_obs"] == 2]
    assert len(merged) > 5
    for row in merged:
        imaging, grating = single[row["source_id"], "70011"], single[row["source_id"], "70012"]
        assert grating["flags"] & Flag.NO_RESPONSE
        assert grating["photflux_aper"] is None
        flags = row["flags_b"] & (Flag.NO_RESPONSE | Flag.PARTIAL_RESPONSE)
        assert flags == Flag.PARTIAL_RESPONSE
        assert row["cnts_aper_b"] == imaging["cnts_aper"] + grating["cnts_aper"]
        assert row["net_cnts_b"] == pytest.approx(imaging["net_cnts"] + grating["net_cnts"])
        names = ("photflux_aper_hilim", "mflux_aper", "flux2_aper", "mean_arf", "flux_aper_raw")
        tight = {"photflux_limit": imaging["photflux_limit"], **{name: imaging[name] for name in names}}
        if not imaging["flags"] & Flag.JOINT:
            assert {name: row[f"{name}_b"] for name in tight} == pytest.approx(tight, rel=1e-6, abs=1e-30)
            assert row["hard_hm"] == pytest.approx(imaging["hard_hm"], abs=1e-3)
        # Count rates with and without grating say nothing about the flux.
        assert row["var_inter_index_b"] is None
