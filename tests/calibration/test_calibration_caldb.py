"""A CALDB tree: a synthetic index over synthetic and real files; what is refused."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

from catalog.calibration.builtin import open_builtin_area
from catalog.calibration.caldb import CaldbArea, listing
from catalog.calibration.caldb_index import choose, read_caldb_index
from catalog.calibration.factory import open_calibration
from catalog.errors import CalibrationError

MISSION_SECOND = 365.25 * 86400.0


def index_file(path, rows):
    """rows: instrument, folder, file, kind, bounds, extension, start, quality."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bounds = np.array([list(row[4]) + ["NONE"] * (9 - len(row[4])) for row in rows])
    columns = [
        fits.Column("INSTRUME", "10A", array=[row[0] for row in rows]),
        fits.Column("DETNAM", "20A", array=["" for _ in rows]),
        fits.Column("CAL_DIR", "70A", array=[row[1] for row in rows]),
        fits.Column("CAL_FILE", "80A", array=[row[2] for row in rows]),
        fits.Column("CAL_CNAM", "20A", array=[row[3] for row in rows]),
        fits.Column("CAL_CBD", "630A", dim="(70,9)", array=bounds),
        fits.Column("CAL_XNO", "I", array=[row[5] for row in rows]),
        fits.Column("REF_TIME", "D", array=[Time(row[6]).mjd for row in rows]),
        fits.Column("CAL_QUAL", "I", array=[row[7] for row in rows]),
        fits.Column("CAL_DESC", "70A", array=[row[3].lower() for row in rows]),
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)


def vectors(path, **arrays):
    columns = [
        fits.Column(name, f"{value.size}E", array=value.reshape(1, -1)) for name, value in arrays.items()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)


@pytest.fixture
def caldb(tmp_path, data_dir):
    """Axial area and contamination of my own making, quantum efficiency and vignetting real."""
    sources, root = data_dir / "calibration" / "sources", tmp_path / "caldb"
    tel, acis = root / "data/chandra/default", root / "data/chandra/acis"
    edges = np.linspace(0.1, 12.0, 1191)
    area = 800.0 * np.exp(-edges[1:] / 6.0)
    for version, factor in (("N0007", 0.5), ("N0008", 1.0), ("N0009", 9.0)):
        vectors(
            tel / f"axeffa/hrmaD1996-12-20axeffa{version}.fits",
            ENERG_LO=edges[:-1], ENERG_HI=edges[1:], EFFAREA=factor * area,
        )  # fmt: skip
    (tel / "vignet").mkdir()
    shutil.copy(sources / "chandra_vignet.fits.gz", tel / "vignet/hrmaD1996-12-20vignetN0003.fits.gz")
    (acis / "qe").mkdir(parents=True)
    shutil.copy(sources / "acisD1997-04-17qeN0006.fits.gz", acis / "qe/acisD1997-04-17qeN0006.fits.gz")
    time = MISSION_SECOND * np.array([2.0, 12.0, 22.0])
    vectors(
        acis / "contam/acisD1999-08-13contamN0016.fits",
        ENERGY=edges[1:], MU=(edges[1:] / 0.67) ** -2.9, TIME=np.append(time, 0.0),
        TAU0=np.array([0.0, 1.0, 3.0, 99.0]), N_TIME=np.array([3.0]),
    )  # fmt: skip
    start, folder = "1996-12-20", "data/chandra/default"
    shells, axial = ("SHELL(1111)",), "hrmaD1996-12-20axeffa"
    rows = [
        ("TEL", f"{folder}/axeffa", f"{axial}N0007.fits", "AXEFFA", shells, 1, start, 0),
        ("TEL", f"{folder}/axeffa", f"{axial}N0008.fits", "AXEFFA", shells, 1, start, 0),
        ("TEL", f"{folder}/axeffa", f"{axial}N0009.fits", "AXEFFA", shells, 1, start, 5),
        ("TEL", f"{folder}/axeffa", f"{axial}N0009.fits", "AXEFFA", ("SHELL(1000)",), 1, start, 0),
        ("TEL", f"{folder}/vignet", "hrmaD1996-12-20vignetN0003.fits.gz", "VIGNET", shells, 1, start, 0),
    ]  # fmt: skip
    index_file(tel / "caldb.indx", rows)
    quantum = "acisD1997-04-17qeN0006.fits.gz"
    more = [
        ("ACIS", "data/chandra/acis/qe", quantum, "QE", (f"CCD_ID({chip})", "DATAMODE(FAINT,VFAINT)"),
         chip + 1, "1997-04-17", 0) for chip in range(10)
    ]  # fmt: skip
    name = "acisD1999-08-13contamN0016.fits"
    more.append(("ACIS", "data/chandra/acis/contam", name, "CONTAM", ("CCD_ID(0-9)",), 1, "1999-08-13", 0))
    index_file(acis / "caldb.indx", more)
    return root


def test_the_area_is_the_product_of_the_pieces(caldb, data_dir):
    model = open_calibration("caldb", caldb=caldb)
    energy = np.array([0.7, 1.5, 4.0])
    sources = data_dir / "calibration" / "sources"
    for chip in (3, 7):
        table = fits.getdata(sources / "acisD1997-04-17qeN0006.fits.gz", chip + 1)
        quantum = np.interp(energy, table["ENERGY"], table["QE"])
        # 2015.0 is 17 years after 1998: halfway between tau 1 and 3.
        # On axis I3 is near its upper end: 3.9 % of it is dead.
        live = 1.0 if chip == 7 else 1 - 0.039
        expected = live * 800 * np.exp(-energy / 6) * quantum * np.exp(-2.0 * (energy / 0.67) ** -2.9)
        ours = model.area(chip, 2015.0, 0.0, 0.0, energy)
        assert np.allclose(ours, expected, rtol=0.01)
    assert "N0008" in model.identity
    assert "N0009" not in model.identity


def test_vignetting_is_that_of_the_built_in_table(caldb):
    model, own = open_calibration("caldb", caldb=caldb), open_builtin_area()
    energy, theta = np.array([1.5, 4.5, 6.4]), np.array([2.0, 5.0, 10.0])
    azimuths = np.arange(0.0, 360.0, 30.0)
    ours = model.area(3, 2005.0, theta[:, None], azimuths, energy).mean(axis=1)
    ratio = ours / model.area(3, 2005.0, 0.0, 0.0, energy)
    assert np.allclose(ratio, own.vignetting(theta, energy), rtol=0.01)
    around = model.area(3, 2005.0, 8.0, np.array([-10.0, 350.0, 710.0]), energy)
    assert np.allclose(around, around[0])


def test_growth_goes_on_after_the_last_date(caldb):
    model = open_calibration("caldb", caldb=caldb)
    assert not model.area_extrapolated(2015.0)
    assert model.area_extrapolated(2021.0)
    now, later = (float(model.area(3, year, 0.0, 0.0, [0.67])[0]) for year in (2020.0, 2025.0))
    assert np.log(now / later) == pytest.approx(1.0, rel=0.02)


def test_choice_by_date_bounds_and_quality(caldb):
    entries = read_caldb_index(caldb)
    assert choose(entries, "AXEFFA", 2010.0, SHELL="1111").version == "N0008"
    assert choose(entries, "AXEFFA", 1990.0, SHELL="1111") is None
    assert choose(entries, "QE", 2010.0, CCD_ID=7).extension == 8
    assert choose(entries, "QE", 2010.0, CCD_ID=12) is None
    assert choose(entries, "CONTAM", 2010.0, CCD_ID=5).version == "N0016"
    found = {row[0]: row for row in listing(entries)}
    assert found["QE"][2:] == ("N0006", "area")
    assert found["REEF"][1] == "missing"
    assert found["AXEFFA"][3] == "area"
    assert found["P2_RESP"] == ("P2_RESP", "missing", "", "not used")


def test_a_caldb_without_an_index_is_refused(tmp_path, monkeypatch):
    with pytest.raises(CalibrationError, match="without an index") as caught:
        open_calibration("caldb", caldb=tmp_path)
    assert caught.value.code == "CALDB_INDEX"
    with pytest.raises(CalibrationError, match="no such CALDB folder"):
        open_calibration("caldb", caldb=tmp_path / "none")
    monkeypatch.delenv("CALDB", raising=False)
    with pytest.raises(CalibrationError, match="no CALDB is named") as caught:
        open_calibration("caldb")
    assert caught.value.code == "CALDB_MISSING"
    broken = tmp_path / "data/chandra/acis/caldb.indx"
    broken.parent.mkdir(parents=True)
    broken.write_text("no FITS")
    with pytest.raises(CalibrationError, match="cannot be read"):
        read_caldb_index(tmp_path)


def test_a_file_that_the_index_names_but_is_not_there(caldb, monkeypatch):
    monkeypatch.setenv("CALDB", str(caldb))
    (caldb / "data/chandra/acis/contam/acisD1999-08-13contamN0016.fits").unlink()
    model = open_calibration("caldb")
    with pytest.raises(CalibrationError, match="cannot be used") as caught:
        model.area(3, 2010.0, 0.0, 0.0, [1.0])
    assert caught.value.code == "CALDB_FILE"
    assert "contamN0016" in str(caught.value)


def test_a_kind_that_is_missing_is_named(caldb):
    entries = tuple(entry for entry in read_caldb_index(caldb) if entry.name != "CONTAM")
    with pytest.raises(CalibrationError, match="no CONTAM for chip 3"):
        CaldbArea(entries, str(caldb)).area(3, 2010.0, 0.0, 0.0, [1.0])
