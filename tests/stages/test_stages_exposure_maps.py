"""The user's exposure maps: they win over the built-in exposure, band by band, and say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from catalog.calibration.exposure_image import read_exposure_image
from catalog.errors import UserError
from catalog.export.exposure_map import write_exposure_map
from catalog.flags import Flag
from catalog.stages.base.project import Project
from catalog.stages.engine.run import run

OBS = "70011"


def detections(project: Project, band: str, obs_id: str = OBS) -> dict[int, dict[str, Any]]:
    sql = f"SELECT * FROM detections WHERE obs_id = '{obs_id}' AND band = '{band}' AND in_fov"
    with project.store.read() as connection:
        return {row.source_id: dict(row._mapping) for row in connection.exec_driver_sql(sql)}


@pytest.fixture(scope="module")
def own_map(finished_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in map of the broad band."""
    from catalog.stages.base.project import open_project

    path = tmp_path_factory.mktemp("maps") / "broad.fits"
    with open_project(finished_project) as project:
        write_exposure_map(project, path, OBS, "broad", binning=6)
    return path


def changed(path: Path, name: str, factor: float = 1.0, **keywords: object) -> Path:
    out = path.with_name(name)
    with fits.open(path) as hdus:
        hdus[0].data = hdus[0].data * np.float32(factor)
        hdus[0].header.update(keywords)
        hdus.writeto(out, overwrite=True)
    return out


def settings(path: Path) -> str:
    return f'[observation."{OBS}"]\nexpmap = {{broad = "{path}"}}\n'


def test_own_map_gives_back_the_built_in_values(copy_of, finished_project: Path, own_map: Path) -> None:
    with copy_of(finished_project) as project:
        before = detections(project, "broad")
    with copy_of(finished_project, settings(own_map)) as project:
        run(project, ["photometry"], workers=1)
        after = detections(project, "broad")
    checked = 0
    for source_id, old in before.items():
        new = after[source_id]
        if old["photflux_aper"] and old["good_frac"] > 0.98:
            assert new["photflux_aper"] == pytest.approx(old["photflux_aper"], rel=0.01)
            assert new["exposure_area_aper"] == pytest.approx(old["exposure_area_aper"], rel=0.01)
            assert new["exposure_area_aperbkg"] == pytest.approx(old["exposure_area_aperbkg"], rel=0.02)
            checked += 1
        assert new["src_cnts_aper"] == old["src_cnts_aper"]
    assert checked >= 5


def test_a_map_wins_in_its_band_and_observation_only(copy_of, finished_project: Path, own_map: Path) -> None:
    double = changed(own_map, "double.fits", 2.0)
    with copy_of(finished_project) as project:
        before = {
            key: detections(project, *key) for key in (("broad", OBS), ("soft", OBS), ("broad", "70012"))
        }
    with copy_of(finished_project, settings(double)) as project:
        report = run(project, ["apertures", "extract", "photometry", "merge"], workers=1)
        after = {key: detections(project, *key) for key in before}
    assert not report.failed
    assert {count.stage for count in report.counts if count.stale} == {"photometry", "merge"}
    flux = 0
    for source_id, old in before["broad", OBS].items():
        new = after["broad", OBS][source_id]
        if old["photflux_aper"] and old["good_frac"] > 0.98:
            for name in ("photflux_aper", "photflux_limit", "flux_aper"):
                assert new[name] == pytest.approx(0.5 * old[name], rel=0.015, abs=0.0), name
            assert new["src_rate_aper"] == old["src_rate_aper"]
            assert new["flux_method"] == old["flux_method"]
            assert "exposure map double.fits" in new["calibration"]
            flux += new["flux_method"] == "events"
    assert flux
    kept = ("photflux_aper", "flux_aper", "calibration", "exposure_area_aperbkg")
    for key in (("soft", OBS), ("broad", "70012")):
        for source_id, old in before[key].items():
            assert [after[key][source_id][name] for name in kept] == [old[name] for name in kept]


def test_no_exposure_on_the_map(copy_of, finished_project: Path, own_map: Path) -> None:
    """A map that is empty but for the middle: sources outside have no flux, counts stay."""
    path = own_map.with_name("middle.fits")
    with fits.open(own_map) as hdus:
        rows, columns = hdus[0].data.shape
        v, u = np.mgrid[:rows, :columns]
        far = np.hypot(u - columns / 2, v - rows / 2) > 0.2 * rows
        hdus[0].data[far] = 0.0
        hdus.writeto(path)
    with copy_of(finished_project, settings(path)) as project:
        run(project, ["photometry"], workers=1)
        found = detections(project, "broad")
    lost = [
        row for row in found.values() if row["src_cnts_aper"] is not None and row["photflux_aper"] is None
    ]
    assert lost
    assert all(row["flux_aper"] is None and row["exposure_aper"] is None for row in lost)
    assert all(row["flags"] & int(Flag.NO_EXPOSURE) for row in lost)
    assert any(row["photflux_aper"] is not None for row in found.values())


@pytest.mark.parametrize(
    ("keywords", "code"),
    [
        ({"OBS_ID": "4600"}, "EXPMAP_OTHER_FIELD"),
        ({"OBS_ID": "merged", "CRVAL1": 151.0}, "EXPMAP_OTHER_FIELD"),
        ({"CTYPE1": "X", "CTYPE2": "Y"}, "CALIBRATION_FILE"),
    ],
)
def test_maps_that_are_refused(copy_of, finished_project: Path, own_map: Path, keywords, code: str) -> None:
    bad = changed(own_map, "bad.fits", 1.0, **keywords)
    with copy_of(finished_project, settings(bad)) as project, pytest.raises(UserError) as caught:
        run(project, workers=1)
    assert caught.value.code == code
    assert "bad.fits" in str(caught.value)


def test_a_map_of_a_band_that_no_recipe_has(copy_of, finished_project: Path, own_map: Path) -> None:
    chosen = settings(own_map).replace("broad =", "brod =")
    with copy_of(finished_project, chosen) as project, pytest.raises(UserError) as caught:
        run(project, workers=1)
    assert caught.value.code == "UNKNOWN_BAND"


@pytest.mark.parametrize(
    ("unit", "factor", "is_area"),
    [
        ("cm**2*s*count/photon", 1.0, False),
        ("cm**2 s", 1e-6, False),
        ("cm**2*count/photon", 1.0, True),
        ("cm2", 1e-3, True),
        ("", 1.0, False),
        ("", 1e-4, True),
    ],
)
def test_units(own_map: Path, unit: str, factor: float, is_area: bool) -> None:
    """CIAO's mkexpmap writes either; without a unit the size of the values decides."""
    image = read_exposure_image(changed(own_map, "unit.fits", factor, BUNIT=unit))
    assert image.is_area == is_area
    ra, dec = 150.0, 20.0
    at = float(image.exposure(ra + 0.02, dec + 0.02, 1000.0))
    assert at == pytest.approx(float(image.image.at(ra + 0.02, dec + 0.02)) * (1000.0 if is_area else 1.0))
    assert float(image.exposure(ra + 5.0, dec, 1000.0)) == 0.0
