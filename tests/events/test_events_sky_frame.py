from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import InputFileError
from catalog.events.event_list import read_event_list
from catalog.events.pointing import Pointing
from catalog.events.sky_frame import SkyFrame, parse_sky_frame

STEP = 1.3666666666667e-4


@given(
    ra=st.floats(0, 359.99),
    dec=st.floats(-89.9, 89.9),
    x=st.floats(-4000, 12000),
    y=st.floats(-4000, 12000),
)
def test_agrees_with_wcslib(ra: float, dec: float, x: float, y: float) -> None:
    frame = SkyFrame(ra, dec, 4096.5, 4000.0, -STEP, STEP)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [ra, dec], [4096.5, 4000.0], [-STEP, STEP]
    expected = wcs.wcs_pix2world(x, y, 1)
    lon, lat = frame.to_world(x, y)
    assert float(lat) == pytest.approx(float(expected[1]), abs=1e-9)
    shift = (float(lon) - float(expected[0]) + 180) % 360 - 180
    assert shift * np.cos(np.radians(float(lat))) == pytest.approx(0, abs=1e-9)
    back = frame.to_sky(lon, lat)
    assert float(back[0]) == pytest.approx(x, abs=1e-6)
    assert float(back[1]) == pytest.approx(y, abs=1e-6)
    forth = wcs.wcs_world2pix(lon, lat, 1)
    assert float(back[0]) == pytest.approx(float(forth[0]), abs=1e-6)


def test_the_far_side_of_the_sky_is_nan() -> None:
    frame = SkyFrame(10.0, 20.0, 0.0, 0.0, -STEP, STEP)
    assert np.isnan(frame.to_sky([190.0], [-20.0])[0]).all()
    assert frame.pixel_scale_arcsec == pytest.approx(0.492)
    assert pickle.loads(pickle.dumps(frame)) == frame


def test_columns_in_any_case_and_missing_keywords() -> None:
    header = {"TCTYP2": "RA---TAN", "TCRVL2": 1.0, "TCRPX2": 2.0, "TCDLT2": -STEP, "TCUNI2": "deg"}
    header |= {"TCTYP3": "DEC--TAN", "TCRVL3": 3.0, "TCRPX3": 4.0, "TCDLT3": STEP}
    assert parse_sky_frame(header, ["time", "X", "Y"], "f") == SkyFrame(1.0, 3.0, 2.0, 4.0, -STEP, STEP)
    for change in ({"TCTYP2": "RA---SIN"}, {"TCRVL3": "bad"}, {"TCDLT3": 0.0}, {"TCUNI2": "rad"}):
        with pytest.raises(InputFileError) as caught:
            parse_sky_frame({**header, **change}, ["time", "X", "Y"], "f")
        assert caught.value.code == "MISSING_WCS"


@given(st.floats(0, 360), st.floats(-3000, 3000), st.floats(-3000, 3000))
def test_sky_and_det_are_inverse_and_keep_lengths(roll: float, dx: float, dy: float) -> None:
    pointing = Pointing(4100.0, 4090.0, roll, 0.492)
    detx, dety = pointing.sky_to_det(4100 + dx, 4090 + dy)
    assert np.hypot(detx - 4096.5, dety - 4096.5) == pytest.approx(np.hypot(dx, dy), abs=1e-6)
    x, y = pointing.det_to_sky(detx, dety)
    assert (float(x), float(y)) == (pytest.approx(4100 + dx, abs=1e-6), pytest.approx(4090 + dy, abs=1e-6))
    theta, phi = pointing.off_axis(4100 + dx, 4090 + dy)
    assert 0 <= float(phi) < 360
    assert float(theta) == pytest.approx(np.hypot(dx, dy) * 0.492 / 60, rel=2e-4, abs=1e-9)


@pytest.mark.parametrize("obs_id", ["11831", "11832", "15360", "15365"])
def test_off_axis_angles_of_catalog_sources(data_dir: Path, obs_id: str) -> None:
    events = read_event_list(data_dir / f"real/acis/acisf{obs_id}_repro_evt2.fits.gz")
    table = Table.read(data_dir / f"real/acis/csc2_{obs_id}.ecsv")
    x, y = events.sky_frame.to_sky(table["ra"], table["dec"])
    theta, phi = events.pointing.off_axis(x, y)
    np.testing.assert_allclose(x, table["x"], atol=1e-6)
    np.testing.assert_allclose(y, table["y"], atol=1e-6)
    np.testing.assert_allclose(theta, table["theta"], atol=1e-6)
    np.testing.assert_allclose(phi, table["phi"], atol=1e-6)


def test_off_axis_angles_of_simulated_sources(data_dir: Path) -> None:
    table = Table.read(data_dir / "simulated/aciss/truth.ecsv")
    events = read_event_list(data_dir / "simulated/aciss/acisf90041_evt2.fits.gz")
    theta, phi = events.pointing.off_axis(*events.sky_frame.to_sky(table["ra"], table["dec"]))
    np.testing.assert_allclose(theta, table["theta_90041"], atol=3e-4)
    np.testing.assert_allclose((phi - table["phi_90041"] + 180) % 360 - 180, 0, atol=1e-3)
