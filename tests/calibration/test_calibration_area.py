"""Built-in areas, the user's area table, and the factory that joins the pieces."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.calibration.builtin import open_builtin_area
from catalog.calibration.factory import open_calibration
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.calibration.user_files import read_area_table
from catalog.errors import CalibrationError, MissingFileError


def read_arf(path):
    data = fits.getdata(path, 1)
    return 0.5 * (data["ENERG_LO"].astype(float) + data["ENERG_HI"]), data["SPECRESP"].astype(float)


def band_ratio(model, path, chip, year, theta, energy):
    middle, area = read_arf(path)
    near = np.abs(middle - energy) < 0.05
    return model.area(chip, year, theta, 0.0, middle)[near].sum() / area[near].sum()


@pytest.mark.parametrize(
    ("name", "chip", "year", "theta", "fracexpo"),
    [
        ("acisi_aimpt_cy21.arf", 3, 2020.368, 0.37, 0.96201574945489),
        ("aciss_aimpt_cy18.arf", 7, 2017.368, 0.20, 1.0),
    ],
)
def test_aimpoint_responses_come_back(data_dir, name, chip, year, theta, fracexpo):
    model, path = open_builtin_area(), data_dir / "calibration" / "sources" / name
    for energy in (0.7, 0.92, 1.0, 1.5, 2.3, 4.0, 6.4):
        ratio = band_ratio(model, path, chip, year, theta, energy) * fracexpo
        assert ratio == pytest.approx(1.0, abs=0.03), energy


@pytest.mark.parametrize(
    ("name", "chip", "year", "theta"),
    [
        ("qso.warf", 0, 2003.55, 4.8), ("acis_none.arf", 7, 2000.39, 0.6),
        ("chandra_acis_s.arf", 7, 2001.07, 1.0), ("obs1.arf", 7, 2006.25, 0.08),
        ("9774.arf", 7, 2007.93, 1.25),
    ],
)  # fmt: skip
def test_real_observations_of_the_same_generation(data_dir, name, chip, year, theta):
    model, path = open_builtin_area(), data_dir / "calibration" / "observed" / name
    assert band_ratio(model, path, chip, year, theta, 1.0) == pytest.approx(1.0, abs=0.15)
    assert band_ratio(model, path, chip, year, theta, 1.5) == pytest.approx(1.0, abs=0.07)
    for energy in (2.0, 4.0, 6.0):
        assert band_ratio(model, path, chip, year, theta, energy) == pytest.approx(1.0, abs=0.05)


@given(year=st.floats(1999.8, 2030), later=st.floats(0.1, 5), chip=st.integers(0, 9), theta=st.floats(0, 14))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_area_falls_with_time_and_angle(year, later, chip, theta):
    model = open_builtin_area()
    energy = np.linspace(0.5, 9.5, 60)
    now = model.area(chip, year, theta, 0.0, energy)
    assert (now >= 0).all()
    assert now.max() < 900
    assert (model.area(chip, year + later, theta, 0.0, energy) <= 1.002 * now + 1e-3).all()
    # The table of the mirror rises by up to 3 % beyond 5 arcmin at a few high energies: test below 5 keV.
    farther = model.area(chip, year, theta + 1, 0.0, energy)
    assert (farther <= 1.001 * now)[energy < 5].all()


def test_contamination_is_gradual_and_soft():
    model = open_builtin_area()
    years = np.arange(1999.7, 2024, 0.1)
    soft = np.array([np.interp(0.92, model.energy, model.transmission(year)) for year in years])
    assert soft[0] > 0.99
    assert np.abs(np.diff(np.log(soft))).max() < 0.03
    hard = np.interp(5.0, model.energy, model.transmission(2020.0))
    assert hard > 0.98


def test_front_and_back_illuminated_chips_differ_where_they_should():
    model = open_builtin_area()
    front, back = (model.area(chip, 2001.0, 0.3, 0.0, [0.5, 1.5, 8.0]) for chip in (3, 7))
    assert back[0] > 2.0 * front[0]
    assert back[1] == pytest.approx(front[1], rel=0.25)
    assert back[2] < front[2]


def test_vignetting_of_the_mirror_as_published():
    model = open_builtin_area()
    values = model.vignetting([2.0, 5.0, 10.0], [1.5, 6.4])
    assert np.allclose(values[:, 0], [0.990, 0.944, 0.854], atol=2e-3)
    assert np.allclose(values[:, 1], [0.969, 0.845, 0.616], atol=2e-3)
    assert np.allclose(model.vignetting(0.0, [1.0, 5.0]), 1.0)


def test_vignetting_against_the_ray_trace(data_dir):
    table = Table.read(data_dir / "simulated" / "hrma_area.ecsv")
    axis = table[table["theta_arcmin"] == 0]
    use = (axis["energy_keV"] > 0.5) & (axis["energy_keV"] < 6)
    for theta in (3, 5, 8, 10):
        here = table[table["theta_arcmin"] == theta]
        traced = np.array(here["area_cm2"] / axis["area_cm2"])[use]
        ours = open_builtin_area().vignetting(float(theta), np.array(axis["energy_keV"])[use])
        assert np.mean(ours / traced) == pytest.approx(1.0, abs=0.025)


@pytest.mark.parametrize("name", ["acisi_area.ecsv", "aciss/aciss_area.ecsv"])
def test_area_table_at_its_own_nodes(data_dir, name):
    path = data_dir / "simulated" / name
    model, table = read_area_table(path), Table.read(path)
    keys = {tuple(row) for row in table["date", "ccd_id", "theta_arcmin", "phi_deg"]}
    for date, chip, theta, phi in keys:
        pick = (table["date"] == date) & (table["ccd_id"] == chip) & (table["theta_arcmin"] == theta)
        pick &= table["phi_deg"] == phi
        found = model.area(
            int(chip), float(date), float(theta), float(phi), np.array(table["energy_keV"][pick])
        )
        assert np.allclose(found, table["area_cm2"][pick], rtol=1e-9, atol=1e-9)


def test_area_table_between_and_beyond_its_nodes(data_dir):
    model = read_area_table(data_dir / "simulated" / "acisi_area.ecsv")
    energy = np.array([1.025, 1.525, 4.025])
    first, second = (model.area(3, year, 3.0, 45.0, energy) for year in (2018.02, 2021.0))
    middle = model.area(3, (2018.02 + 2021.0) / 2, 3.0, 45.0, energy)
    assert np.allclose(middle, 0.5 * (first + second))
    assert np.array_equal(model.area(3, 1990.0, 3.0, 45.0, energy), first)
    # Beyond 9 arcmin the mirror, and the trend of the rest with the square of the angle, for 1.5 steps.
    optics = open_builtin_area()
    angles = np.array([6.0, 9.0, 11.0, 14.0, 16.0])
    bare = model.area(3, 2021.0, angles, 45.0, energy) / optics.vignetting(angles, energy)
    inner, last, outer, far, farther = bare
    assert np.allclose(np.log(outer / last), np.log(last / inner) * (121 - 81) / (81 - 36), rtol=2e-3)
    assert (outer < last)[:2].all()
    assert np.allclose(far, last * (last / inner) ** 1.5, rtol=5e-3)
    assert np.allclose(far, farther, rtol=1e-3)
    # At one angle the nearer azimuth: chip I0 at 225 deg has less area at 1 keV than I3 at 45 deg.
    near = model.area(3, 2021.0, 6.0, [50.0, 200.0], energy)
    assert np.allclose(near[0], model.area(3, 2021.0, 6.0, 45.0, energy))
    assert np.allclose(near[1], model.area(0, 2021.0, 6.0, 225.0, energy))
    assert not np.allclose(near[0], near[1])
    assert (model.area(3, 2021.0, 3.0, 45.0, [0.1, 11.0]) == 0).all()
    assert model.area(3, 2021.0, np.zeros((2, 1)), np.zeros(5), energy).shape == (2, 5, 3)


def test_expected_counts_of_the_simulation(data_dir):
    """Truth of 90003: flux x area x ONTIME against a boosted ray trace, power laws within 4 arcmin.

    expected_counts are of measured energies 0.5-7 keV; flux is of the same band, so the folded area applies.
    """
    simulated = data_dir / "simulated"
    calibration = open_calibration(
        "builtin", simulated / "acisi_area.ecsv", simulated / "acis_synthetic.rmf.gz"
    )
    truth = Table.read(simulated / "collinder" / "truth.ecsv")
    pick = (truth["model"] == "powerlaw") & (truth["theta_90003"] < 4.0) & (truth["edge_pix_90003"] > 40)
    ratio = []
    for row in truth[pick]:
        spectrum = ReferenceSpectrum(float(row["par"]), float(row["nh"]), "wabs")
        chip = int(row["ccd_90003"])
        curve = calibration.area_curve(chip, 2021.63, float(row["theta_90003"]), float(row["phi_90003"]))
        area = float(calibration.redistribution(chip).folded_area(curve, spectrum, 0.5, 7.0))
        ontime = 24940.0 / 0.987349
        ratio.append(area * float(row["photon_flux_90003"]) * ontime / float(row["expected_counts_90003"]))
    assert len(ratio) >= 15
    assert np.median(ratio) == pytest.approx(1.0, abs=0.02)


def test_a_table_without_date_azimuth_and_chip_serves_all(tmp_path):
    table = minimal_table()["theta_arcmin", "energy_keV", "area_cm2"]
    table.write(tmp_path / "plain.ecsv")
    model = read_area_table(tmp_path / "plain.ecsv")
    values = [model.area(chip, year, 1.0, phi, [2.0])[0] for chip in (0, 7) for year in (1999.0, 2030.0)
              for phi in (0.0, 200.0)]  # fmt: skip
    assert np.allclose(values, 200.0)
    assert not model.extrapolated(2040.0)


def minimal_table() -> Table:
    energy = np.tile([1.0, 2.0, 3.0], 2)
    return Table({
        "date": np.full(6, 2010.0), "theta_arcmin": np.repeat([1.0, 5.0], 3), "phi_deg": np.zeros(6),
        "ccd_id": np.full(6, 3), "chipx": np.zeros(6), "chipy": np.zeros(6),
        "energy_keV": energy, "area_cm2": 100.0 * energy,
    })  # fmt: skip


def test_area_tables_that_are_refused(tmp_path, data_dir):
    def refused(table, what):
        path = tmp_path / "bad.ecsv"
        table.write(path, overwrite=True)
        with pytest.raises(CalibrationError, match=what) as caught:
            read_area_table(path)
        assert caught.value.code == "CALIBRATION_FILE"
        assert "bad.ecsv" in str(caught.value)

    good = minimal_table()
    refused(good["date", "phi_deg", "ccd_id", "energy_keV"], "no column theta_arcmin, area_cm2")
    refused(good[:0], "no rows")
    refused(good[:-1], "not the same energies")
    for column, value, what in (("area_cm2", np.nan, "empty values"), ("area_cm2", -1.0, "negative")):
        bad = minimal_table()
        bad[column][2] = value
        refused(bad, what)
    bad = minimal_table()
    bad["date"] = ["2010"] * 5 + ["soon"]
    refused(bad, "not numeric")
    (tmp_path / "text.ecsv").write_text("nothing here")
    (tmp_path / "image.xyz").write_bytes(b"\x00\x01")
    for name in ("text.ecsv", "image.xyz"):
        with pytest.raises(CalibrationError, match=name):
            read_area_table(tmp_path / name)
    with pytest.raises(MissingFileError):
        read_area_table(tmp_path / "absent.ecsv")


def test_factory_and_identity(tmp_path, data_dir):
    builtin = open_calibration()
    rmf = data_dir / "simulated" / "acis_synthetic.rmf.gz"
    table = minimal_table()
    table.write(tmp_path / "area.ecsv")
    own = open_calibration("builtin", tmp_path / "area.ecsv", rmf)
    table["area_cm2"] *= 1.01
    table.write(tmp_path / "area.ecsv", overwrite=True)
    changed = open_calibration("builtin", tmp_path / "area.ecsv", rmf)
    identities = {builtin.identity, own.identity, changed.identity, open_calibration(rmf=rmf).identity}
    assert len(identities) == 4
    assert open_calibration().identity == builtin.identity
    assert "area.ecsv" in own.identity
    assert "acis_synthetic.rmf.gz" in own.identity
    assert own.area_curve(3, 2010.0, [1.0, 2.0], 0.0).shape == (2, own.energy_grid.size)
    assert np.array_equal(own.energy_grid, own.redistribution(7).energy)
    assert builtin.redistribution(3) is not builtin.redistribution(7)
    assert (builtin.area_extrapolated(2010.0), builtin.area_extrapolated(2025.0)) == (False, True)
    assert (own.area_extrapolated(2010.5), own.area_extrapolated(2013.0)) == (False, True)
    again = pickle.loads(pickle.dumps(builtin))
    assert again.identity == builtin.identity
    with pytest.raises(CalibrationError) as caught:
        open_calibration("caldb4")
    assert caught.value.code == "CALIBRATION_PROVIDER"
    for call in (builtin.redistribution, lambda chip: builtin.area(chip, 2010.0, 1.0, 0.0, 1.0)):
        with pytest.raises(CalibrationError) as caught:
            call(10)
        assert caught.value.code == "CALIBRATION_CHIP"
