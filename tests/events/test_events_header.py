from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

from catalog.events.data_subspace import filtered_ranges, table_references
from catalog.events.energy_cut import energy_cut
from catalog.events.event_list import read_event_list
from catalog.events.header import ancillary_names, decimal_year


@pytest.mark.parametrize("date", ["1999-07-23T00:00:00", "2004-02-29T12:00:00", "2023-12-31T23:59:59"])
def test_decimal_year_agrees_with_astropy(date: str) -> None:
    assert decimal_year(date, 0.0) == pytest.approx(Time(date, scale="tt").decimalyear, abs=1e-8)


def test_decimal_year_from_mission_time() -> None:
    seconds = (Time("2010-07-02T12:00:00", scale="tt").mjd - 50814.0) * 86400
    for date in (None, "Merged"):
        assert decimal_year(date, seconds) == pytest.approx(2010.5, abs=1e-6)


def test_companion_names_from_long_strings() -> None:
    header = fits.Header()
    names = [f"pcadf{number:09d}N003_asol1.fits" for number in range(6)]
    header["ASOLFILE"] = ",".join(names)
    header["BPIXFILE"] = "/a/b/acisf1_bpix1.fits"
    header["MASKFILE"] = "/dev/null"
    header["DTFFILE"] = "NONE"
    again = fits.Header.fromstring(header.tostring())
    assert ancillary_names(again) == {"ASOLFILE": tuple(names), "BPIXFILE": ("acisf1_bpix1.fits",)}


def test_header_of_an_archive_list(data_dir: Path) -> None:
    header = read_event_list(data_dir / "real/acis/acisf04600_repro_evt2.fits.gz").header
    assert (header.obs_id, header.obi_num, header.cycle, header.datamode) == ("4600", 1, "P", "FAINT")
    assert header.livetime_by_chip[6] == 0.0
    assert header.active_chips == (0, 1, 2, 3)
    assert (header.first_row, header.rows, header.frame_time) == (1, 1024, 3.24104)
    assert header.ancillary["ASOLFILE"] == ("pcadf205731198N003_asol1.fits",)
    assert header.dy_avg == pytest.approx(0.32814564824)


SUBSPACE: dict[str, Any] = {
    "DSTYP1": "time",
    "DSVAL1": "TABLE",
    "DSREF1": ":GTI3",
    "2DSREF1": ":GTI2",
    "DSTYP2": "ENERGY",
    "DSVAL2": "500:8000",
    "2DSVAL2": "300:2000,3000:7000",
    "DSTYP3": "grade",
    "DSVAL3": "0:0,2:2",
    "DSTYP4": "pi",
    "DSVAL4": ":100",
}


def test_data_subspace() -> None:
    assert filtered_ranges(SUBSPACE, "energy") == [((500, 8000),), ((300, 2000), (3000, 7000))]
    assert filtered_ranges(SUBSPACE, "grade") == [((0, 0), (2, 2))]
    assert filtered_ranges(SUBSPACE, "pi") == [((-math.inf, 100.0),)]
    assert filtered_ranges(SUBSPACE, "time") == []
    assert filtered_ranges(SUBSPACE, "phas") == []
    assert table_references(SUBSPACE) == ["GTI3", "GTI2"]


def test_energy_cut_from_the_header() -> None:
    none = np.empty(0)
    only = {key: value for key, value in SUBSPACE.items() if key[-1] == "2" or key.startswith("2DSVAL")}
    assert energy_cut(only, none) == (0.5, 7.0)
    assert energy_cut(SUBSPACE, none) == (0.5, pytest.approx(1.46))
    assert energy_cut({"DSTYP1": "energy", "DSVAL1": "0:1000000"}, none) is None
    assert energy_cut({"DSTYP1": "energy", "DSVAL1": "300:"}, none) == (0.3, math.inf)
    assert energy_cut({}, none) is None


def test_energy_cut_from_the_data() -> None:
    rng = np.random.default_rng(11)
    # Falling continuum with a soft turn-over and a particle background to 15 keV: no cut.
    whole = np.concatenate([rng.gamma(3.0, 0.5, 8000), rng.uniform(0.2, 15.0, 4000)])
    assert energy_cut({}, whole) is None
    cut = whole[(whole > 0.5) & (whole < 7.0)]
    found = energy_cut({}, cut)
    assert found == (pytest.approx(0.5, abs=0.011), pytest.approx(7.0, abs=0.011))
    assert energy_cut({}, whole[whole < 8.0]) == (0.0, pytest.approx(8.0, abs=0.011))
    assert energy_cut({}, cut[:50]) is None
    # The header says less than what happened.
    assert energy_cut({"DSTYP1": "energy", "DSVAL1": "300:10000"}, cut) == (
        0.3,
        pytest.approx(7.0, abs=0.011),
    )


def test_energy_cut_of_simulated_lists(data_dir: Path) -> None:
    for name in ("collinder/acisf90002", "aciss/acisf90041"):
        found = read_event_list(data_dir / f"simulated/{name}_evt2.fits.gz").energy_range
        assert found is not None
        assert found[0] == pytest.approx(0.3, abs=0.011)
        assert found[1] == pytest.approx(12.0, abs=0.011)
