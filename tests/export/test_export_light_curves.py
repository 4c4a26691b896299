"""Light curves out of a finished project: FITS files that others read, and pages."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from sqlalchemy import select
from stingray import Lightcurve

from catalog.calibration.factory import open_calibration
from catalog.errors import MissingFileError, UnknownNameError
from catalog.export.light_curve_fits import write_light_curve
from catalog.export.light_curve_page import light_curve_page
from catalog.export.stored_curves import observed_curves, variability_summary
from catalog.measure.light_curves import net_rate
from catalog.schema.tables import Source
from catalog.simulate.demo_field import write_observation
from catalog.simulate.photons import simulate_field
from catalog.simulate.pointing_plan import PointingPlan
from catalog.simulate.source_model import SimulatedSource
from catalog.stages.base.project import create_project, open_project
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine.run import run
from cli.main import main

RA, DEC = 150.0, 20.0
PLANS = (
    PointingPlan("70031", RA, DEC, 30.0, 3000.0, "2016-06-01T12:00:00", pauses=((1000.0, 1500.0),)),
    PointingPlan("70032", RA + 0.02, DEC, 140.0, 2000.0, "2005-06-01T12:00:00"),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two observations, the later one added first; a bright source in both, one that nobody saw."""
    folder = tmp_path_factory.mktemp("timing")
    calibration = open_calibration()
    sources = [SimulatedSource("bright", RA + 0.01, DEC + 0.01, 4e-4)]
    for plan in PLANS:
        write_observation(folder / plan.obs_id, simulate_field(sources, plan, calibration, 3), plan)
    listed = folder / "sources.csv"
    listed.write_text(f"ra,dec,name\n{RA + 0.01},{DEC + 0.01},bright\n{RA + 3},{DEC},far\n")
    create_project(folder / "project")
    with open_project(folder / "project") as opened:
        add_observations(opened, [folder / plan.obs_id for plan in PLANS])
        add_sources(opened, listed)
        run(opened, workers=1)
    return folder / "project"


@pytest.fixture
def curves(project: Path):
    with open_project(project, read_only=True) as opened, opened.store.read() as connection:
        source_id = connection.scalars(select(Source.id).where(Source.label == "bright")).one()
        yield observed_curves(connection, source_id), variability_summary, connection, source_id


def test_observations_come_in_order_of_time(curves) -> None:
    observed, summary, connection, source_id = curves
    assert [item.obs_id for item in observed] == ["70032", "70031"]
    assert all(item.band == "broad" and item.energies == (0.5, 7.0) for item in observed)
    assert len(observed[1].good_times) == 2
    assert summary(connection, source_id, observed[0]).startswith("between observations: index")


def test_a_fits_file_says_what_the_database_does(curves, tmp_path) -> None:
    item = curves[0][1]
    path = write_light_curve(tmp_path, item)
    assert path.name.endswith("_70031_000_broad_lc.fits")
    with fits.open(path) as hdus:
        hdus.verify("exception")
        rate, header = hdus["RATE"].data, hdus["RATE"].header
        expected = {
            "HDUCLASS": "OGIP", "HDUCLAS1": "LIGHTCURVE", "HDUCLAS2": "NET", "HDUCLAS3": "RATE",
            "TELESCOP": "CHANDRA", "TIMESYS": "TT", "TIMEUNIT": "s", "MJDREF": 50814.0, "TIMEDEL": 100.0,
            "TIMEPIXR": 0.5, "E_MIN": 0.5, "E_MAX": 7.0, "OBS_ID": "70031",
        }  # fmt: skip
        assert {key: header[key] for key in expected} == expected
        assert header["VARINDEX"] == item.tests["var_index"]
        binned = item.curves["binned"]
        seen = binned["exposure"] > 0
        net, error, _ = net_rate(binned)
        np.testing.assert_array_equal(rate["RATE"], net[seen])
        np.testing.assert_array_equal(rate["ERROR"], error[seen])
        assert rate["COUNTS"].sum() == item.tests["cnts_timing"]
        np.testing.assert_array_equal(hdus["GTI"].data["START"], item.good_times.start)
        assert {"GROUPED", "SMOOTHED", "GREGORY_LOREDO", "BLOCKS", "ARRIVALS"} <= {hdu.name for hdu in hdus}
        # No bin lies in the pause, and time ascends.
        good = item.good_times
        assert (np.diff(rate["TIME"]) > 0).all()
        within = [(t + 50 > good.start).any() and (t - 50 < good.stop).any() for t in rate["TIME"]]
        assert all(within)
    table = Table.read(path, hdu="RATE")
    assert str(table["RATE"].unit) in ("ct / s", "count / s", "count s-1")


def test_stingray_reads_the_same_rates(curves, tmp_path) -> None:
    path = write_light_curve(tmp_path, curves[0][1])
    table = Table.read(path, hdu="RATE")
    partly = table["EXPOSURE"] < 0.99 * table.meta["TIMEDEL"]
    assert partly.any()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = Lightcurve.read(str(path), fmt="hea", skip_checks=True)
    np.testing.assert_allclose(np.asarray(read.time, float), table["TIME"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(np.asarray(read.countrate, float), table["RATE"], rtol=1e-12)


def test_pages(curves, tmp_path) -> None:
    observed = curves[0]
    page = light_curve_page(tmp_path / "page.png", observed, "a summary")
    assert page.stat().st_size > 20_000
    assert light_curve_page(tmp_path / "one.svg", observed[:1]).read_text().count("<svg") == 1
    light_curve_page(tmp_path / "many.png", list(observed) * 5)


def test_what_is_missing_is_said(curves, tmp_path) -> None:
    observed, _, connection, source_id = curves
    with pytest.raises(UnknownNameError, match="no light curve of this source in hard"):
        observed_curves(connection, source_id, band="hard")
    with pytest.raises(MissingFileError, match="no such folder"):
        write_light_curve(tmp_path / "nowhere", observed[0])
    with pytest.raises(MissingFileError, match="no such folder"):
        light_curve_page(tmp_path / "nowhere" / "a.png", observed)
    far = connection.scalars(select(Source.id).where(Source.label == "far")).one()
    with pytest.raises(UnknownNameError, match="stored are: none"):
        observed_curves(connection, far)


def test_commands(project: Path, tmp_path, capsys) -> None:
    words = ["--project", str(project), "--out", str(tmp_path / "curves")]
    assert main(["lightcurves", "export", "bright", *words]) == 0
    assert "2 files" in capsys.readouterr().out
    assert main(["lightcurves", "plot", "bright", *words, "--format", "pdf"]) == 0
    assert sorted(path.suffix for path in (tmp_path / "curves").iterdir()) == [".fits", ".fits", ".pdf"]
    capsys.readouterr()
    assert main(["lightcurves", "plot", "far", *words]) == 2
    assert "error[NO_LIGHT_CURVES]" in capsys.readouterr().err
    assert main(["lightcurves", "plot", "bright", *words, "--format", "gif"]) == 2
    query = "SELECT name FROM detections WHERE band = 'broad' AND var_index >= 6"
    assert main(["query", query, "--project", str(project)]) == 0
