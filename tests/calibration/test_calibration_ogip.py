"""Response files: what is written comes back, in our reader and in plain astropy; real files too."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from astropy.io import fits

from catalog.calibration.arf_file import AncillaryResponse, check_grid, read_arf, write_arf
from catalog.calibration.redistribution import Redistribution
from catalog.calibration.rmf_file import read_rmf, write_rmf
from catalog.errors import CalibrationError, MissingFileError


def an_arf() -> AncillaryResponse:
    edges = np.linspace(0.3, 9.0, 201)
    return AncillaryResponse(
        edges[:-1],
        edges[1:],
        500 * np.exp(-1 / edges[1:] ** 2),
        0.93,
        {"OBS_ID": "4600", "EXPOSURE": 11036.0},
    )


def a_response() -> Redistribution:
    """Two separate groups per row and channels from 0: the harder cases of the format."""
    edges, channels = np.linspace(0.3, 3.0, 41), np.linspace(0.0, 3.2, 129)
    middle = 0.5 * (edges[1:] + edges[:-1])
    centres = 0.5 * (channels[1:] + channels[:-1])
    main = np.exp(-0.5 * ((centres - middle[:, None]) / 0.05) ** 2)
    escape = 0.02 * np.exp(-0.5 * ((centres - middle[:, None] + 1.0) / 0.02) ** 2)
    matrix = main + escape
    matrix /= matrix.sum(axis=1, keepdims=True)
    return Redistribution(edges[:-1], edges[1:], channels[:-1], channels[1:], matrix.astype(np.float32), 0)


def test_arf_round_trip(tmp_path):
    arf = an_arf()
    path = write_arf(tmp_path / "one.arf", arf)
    again = read_arf(path)
    assert np.allclose(again.area, arf.area, rtol=1e-6)
    assert np.allclose(again.energy_lo, arf.energy_lo, rtol=1e-6)
    assert again.fractional_exposure == pytest.approx(0.93)
    assert again.keywords["OBS_ID"] == "4600"
    with fits.open(path) as hdus:
        header = hdus["SPECRESP"].header
        assert [header[name] for name in ("HDUCLASS", "HDUCLAS1", "HDUCLAS2")] == [
            "OGIP",
            "RESPONSE",
            "SPECRESP",
        ]
        assert hdus["SPECRESP"].columns["SPECRESP"].unit == "cm**2"
        assert hdus["SPECRESP"].data["SPECRESP"].sum() == pytest.approx(arf.area.sum(), rel=1e-6)
    with pytest.raises(OSError):
        write_arf(path, arf)


def test_rmf_round_trip(tmp_path):
    response = a_response()
    path = write_rmf(tmp_path / "one.rmf", response, keywords={"OBS_ID": "4600"})
    again = read_rmf(path)
    assert again.first_channel == 0
    assert np.abs(again.matrix - response.matrix).max() < 3e-6
    assert np.allclose(again.matrix.sum(axis=1), response.matrix.sum(axis=1), atol=1e-6)
    assert np.allclose(again.channel_hi, response.channel_hi, rtol=1e-6)
    with fits.open(path) as hdus:
        rows = hdus["MATRIX"].data
        assert rows["N_GRP"].max() >= 2
        row = int(np.argmax(rows["N_GRP"]))
        assert len(rows["MATRIX"][row]) == int(np.sum(rows["N_CHAN"][row]))
        assert hdus["MATRIX"].header["NUMELT"] == sum(len(value) for value in rows["MATRIX"])
        # By hand from the columns: the channel with the most probability is where the matrix has it.
        first = int(rows["F_CHAN"][row][-1])
        peak = first + int(np.argmax(rows["MATRIX"][row][-int(rows["N_CHAN"][row][-1]) :]))
        assert peak == int(np.argmax(response.matrix[row]))


@pytest.mark.parametrize("name", ["9774", "obs1"])
def test_real_responses_survive_a_round_trip(data_dir, tmp_path, name):
    arf, response = (
        read_arf(data_dir / "spectra" / f"{name}.arf"),
        read_rmf(data_dir / "spectra" / f"{name}.rmf"),
    )
    check_grid(arf, response.energy_lo, response.energy_hi, name)
    again = read_arf(write_arf(tmp_path / "a.arf", arf))
    assert np.array_equal(again.area, arf.area)
    matrix = read_rmf(write_rmf(tmp_path / "a.rmf", response))
    assert matrix.first_channel == response.first_channel
    assert np.abs(matrix.matrix - response.matrix).max() < 2e-5
    photons = np.exp(-response.energy) * arf.area
    assert np.allclose(matrix.fold(photons)[30:500], response.fold(photons)[30:500], rtol=2e-3)


def test_grids_that_differ_are_refused():
    arf = an_arf()
    check_grid(arf, arf.energy_lo, arf.energy_hi, "its own")
    for low, high in (
        (arf.energy_lo[1:], arf.energy_hi[1:]),
        (arf.energy_lo + 0.02, arf.energy_hi + 0.02),
    ):
        with pytest.raises(CalibrationError, match="energies from") as caught:
            check_grid(arf, low, high, "another.rmf")
        assert caught.value.code == "CALIBRATION_GRID"


def test_bad_arfs_are_refused(tmp_path, data_dir):
    with pytest.raises(MissingFileError):
        read_arf(tmp_path / "none.arf")
    text = tmp_path / "text.arf"
    text.write_text("no FITS")
    with pytest.raises(CalibrationError, match="not an effective area file"):
        read_arf(text)
    with pytest.raises(CalibrationError, match="no SPECRESP"):
        read_arf(data_dir / "spectra" / "9774.pi")
    arf = an_arf()
    wrong = write_arf(tmp_path / "negative.arf", dataclasses.replace(arf, area=-arf.area))
    with pytest.raises(CalibrationError, match="negative"):
        read_arf(wrong)
