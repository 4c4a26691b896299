"""Catalogs of the HRC, alone and together with ACIS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hrc_event_file import LIVE_SHARE, ON_TIME, write_hrc_events

from catalog.calibration.hrc import open_hrc_calibration
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.errors import UserError
from catalog.export.exposure_map import write_exposure_map
from catalog.flags import Flag
from catalog.stages.base.project import open_project
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.limits import limits_at
from catalog.stages.engine.run import run
from catalog.store.door import Store

COUNTS = 800


def rows(store: Store, sql: str) -> list[dict[str, Any]]:
    with store.read() as connection:
        return [dict(row._mapping) for row in connection.exec_driver_sql(sql)]


@pytest.fixture(scope="module")
def hrc_list(small_field, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first source of the small field with 800 counts, and background."""
    place = (float(small_field.ra[1]), float(small_field.dec[1]), COUNTS)
    folder = tmp_path_factory.mktemp("hrc_list")
    return write_hrc_events(folder / "hrcf80030_evt2.fits", sources=(place,), background=20000)


@pytest.fixture(scope="module")
def mixed(finished_project: Path, hrc_list: Path, tmp_path_factory: pytest.TempPathFactory):
    """Two ACIS observations that were done, and one of the HRC added; and what was there before."""
    import shutil

    folder = tmp_path_factory.mktemp("mixed") / "project"
    shutil.copytree(finished_project, folder)
    with open_project(folder) as project:
        before = rows(project.store, "SELECT * FROM measurement ORDER BY id")
        add_observations(project, [hrc_list])
        report = run(project, workers=1)
        yield project, report, before


def test_only_the_new_observation_is_measured(mixed) -> None:
    project, report, before = mixed
    stale = {count.scope.split("/")[0] for count in report.counts if count.stale}
    assert stale == {"80030", "all"}
    assert report.failed == 0
    kept = rows(project.store, "SELECT * FROM measurement ORDER BY id")[: len(before)]
    assert kept == before


def test_the_hrc_has_the_wide_band_alone(mixed) -> None:
    project, _, _ = mixed
    found = rows(project.store, "SELECT obs_id, band, count(*) AS n FROM detections GROUP BY obs_id, band")
    bands: dict[str, set[str]] = {}
    for row in found:
        bands.setdefault(row["obs_id"], set()).add(row["band"])
    assert bands["80030"] == {"wide"}
    assert all("wide" not in bands[obs_id] for obs_id in bands if obs_id != "80030")


def test_counts_and_flux_of_a_source(mixed) -> None:
    project, _, _ = mixed
    sql = "SELECT * FROM detections WHERE obs_id = '80030' AND in_fov ORDER BY src_cnts_aper DESC"
    best = rows(project.store, sql)[0]
    error = 0.5 * (best["src_cnts_aper_hilim"] - best["src_cnts_aper_lolim"])
    # The list has no wings: its counts lie within an arcsecond, so all are in the aperture.
    assert best["cnts_aper"] - best["cnts_aperbkg"] / best["bkg_ratio"] == pytest.approx(
        COUNTS, abs=3 * error
    )
    assert best["livetime"] == pytest.approx(ON_TIME * LIVE_SHARE)
    assert best["cnts_per_frame"] is None
    assert best["flux_method"] == "model"
    assert "wide band of the HRC" in best["calibration"]
    assert not best["flags"] & int(Flag.BAND_OUTSIDE_CALIBRATION | Flag.BAND_OUTSIDE_DATA)
    calibration, spectrum = open_hrc_calibration("HRC-I"), ReferenceSpectrum()
    curve = calibration.area_curve(0, 2010.67, best["theta"], best["phi"])
    area = float(calibration.redistribution(0).folded_area(curve, spectrum, 0.1, 10.0))
    expected = best["src_cnts_aper"] / (area * best["livetime"] * best["good_frac"])
    assert best["photflux_aper"] == pytest.approx(expected, rel=2e-3)
    mean = spectrum.energy_conversion(0.1, 10.0)
    assert best["flux_aper"] == pytest.approx(best["photflux_aper"] * mean, rel=1e-6, abs=0)


def test_merged_values_and_the_flag_of_bands_without_observation(mixed) -> None:
    project, _, _ = mixed
    found = rows(project.store, "SELECT * FROM catalog ORDER BY source_id")
    both = [row for row in found if row["n_obs"] and row["cnts_aper_w"] is not None]
    assert both
    for row in both:
        assert row["src_cnts_aper_w"] is not None
        assert row["flags"] & int(Flag.BAND_NOT_MEASURED) == 0
        if row["cnts_aper_b"] is None:
            assert row["flags_b"] & int(Flag.BAND_NOT_MEASURED)
            assert row["photflux_aper_b"] is None
    acis_only = [row for row in found if row["cnts_aper_w"] is None and row["cnts_aper_b"] is not None]
    assert all(row["flags_w"] & int(Flag.BAND_NOT_MEASURED) for row in acis_only)
    assert any(row["n_obs"] == 3 for row in both)


def test_properties_and_variability_of_mixed_catalogs(mixed) -> None:
    project, _, _ = mixed
    report = run(project, ["properties", "variability", "merged_properties", "merged_variability"], workers=1)
    assert report.failed == 0
    found = rows(project.store, "SELECT * FROM catalog WHERE n_obs = 3")
    assert found
    for row in found:
        assert row["net_cnts_w"] is not None
        assert row["net_cnts_b"] is not None
        assert row["energ_mean_observed_w"] is None
        assert row["mflux_aper_w"] is None or row["mflux_aper_w"] >= 0
        assert row["hard_hm"] is not None
    spread = rows(project.store, "SELECT * FROM detections WHERE obs_id = '80030' AND var_index IS NOT NULL")
    assert spread
    assert all(row["flux_aper_raw"] is None for row in spread)


def test_limits_and_exposure_map(mixed, small_field, tmp_path: Path) -> None:
    project, _, _ = mixed
    found = limits_at(project, float(small_field.ra[1]) + 0.01, float(small_field.dec[1]), "default")
    here = [row for row in found if row.obs_id == "80030"]
    assert [row.band for row in here] == ["wide"]
    assert here[0].photflux_limit > 0
    image = write_exposure_map(project, tmp_path / "e.fits", "80030", "wide", binning=64)
    assert np.isfinite(image.values).all()
    with pytest.raises(UserError) as caught:
        write_exposure_map(project, tmp_path / "e.fits", "80030", "broad")
    assert caught.value.code == "BAND_NOT_MEASURED"


def test_redistribution_of_an_hrc_observation_is_refused(
    copy_of, empty_project: Path, hrc_list: Path, data_dir
):
    rmf = data_dir / "simulated/acis_synthetic.rmf.gz"
    with copy_of(empty_project, f'[observation."80030"]\nrmf = "{rmf}"\n') as project:
        add_observations(project, [hrc_list])
        with pytest.raises(UserError) as caught:
            run(project, workers=1)
    assert caught.value.code == "CALIBRATION_CHANNELS"
    assert "HRC" in str(caught.value)
