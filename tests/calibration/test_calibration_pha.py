"""Spectrum files: what is written comes back; real files as plain astropy has them; bad ones are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from catalog.calibration.pha_file import PhaFile, check_channels_match, read_pha, write_pha
from catalog.calibration.rmf_file import read_rmf
from catalog.errors import InputFileError, MissingFileError


def a_spectrum() -> PhaFile:
    counts = np.random.default_rng(1).poisson(0.5, 64).astype(float)
    return PhaFile(
        counts,
        12345.678,
        backscal=33.849566685797164,
        grouping=np.where(np.arange(64) % 4 == 0, 1, -1).astype(np.int16),
        quality=np.where(np.arange(64) > 59, 2, 0).astype(np.int16),
        background="one_bkg.pi",
        arf="one.arf",
        rmf="shared.rmf",
        keywords={"OBS_ID": "4600", "OBJECT": "CXOU J1"},
    )


def test_round_trip(tmp_path):
    spectrum = a_spectrum()
    again = read_pha(write_pha(tmp_path / "one.pi", spectrum))
    for name in ("counts", "grouping", "quality"):
        assert np.array_equal(getattr(again, name), getattr(spectrum, name))
    for name in ("exposure", "backscal", "areascal", "first_channel", "background", "arf", "rmf"):
        assert getattr(again, name) == getattr(spectrum, name)
    assert again.keywords["OBS_ID"] == "4600"
    assert again.named("arf") == tmp_path / "one.arf"


def test_keywords_of_the_standard(tmp_path):
    with fits.open(write_pha(tmp_path / "one.pi", a_spectrum())) as hdus:
        header, columns = hdus["SPECTRUM"].header, hdus["SPECTRUM"].columns
        wanted = {
            "HDUCLASS": "OGIP",
            "HDUCLAS1": "SPECTRUM",
            "HDUCLAS2": "TOTAL",
            "HDUCLAS3": "COUNT",
            "CHANTYPE": "PI",
            "DETCHANS": 64,
            "POISSERR": True,
            "AREASCAL": 1.0,
            "RESPFILE": "shared.rmf",
            "ANCRFILE": "one.arf",
            "BACKFILE": "one_bkg.pi",
            "TLMIN1": 1,
            "TLMAX1": 64,
        }
        assert {name: header[name] for name in wanted} == wanted
        assert columns.names == ["CHANNEL", "COUNTS", "GROUPING", "QUALITY"]
        assert columns["COUNTS"].format == "J"
        # Either a column or a keyword, never both.
        assert "GROUPING" not in header
        assert "QUALITY" not in header
    plain = dataclasses.replace(a_spectrum(), grouping=None, quality=None, background=None, arf=None)
    with fits.open(write_pha(tmp_path / "two.pi", plain, is_background=True)) as hdus:
        header = hdus["SPECTRUM"].header
        assert (header["GROUPING"], header["QUALITY"]) == (0, 0)
        assert (header["BACKFILE"], header["ANCRFILE"], header["HDUCLAS2"]) == ("none", "none", "BKG")
    again = read_pha(tmp_path / "two.pi")
    assert (again.grouping, again.background, again.named("arf")) == (None, None, None)


def test_counts_that_are_not_whole_and_scales_by_channel(tmp_path):
    scale = np.linspace(1.0, 2.0, 64)
    spectrum = dataclasses.replace(a_spectrum(), counts=np.linspace(0, 3, 64), backscal=scale)
    again = read_pha(write_pha(tmp_path / "one.pi", spectrum))
    assert np.array_equal(again.counts, spectrum.counts)
    assert np.array_equal(again.backscal, scale)


@pytest.mark.parametrize(
    ("name", "counts", "back", "ratio"),
    [
        ("9774", 4424, 1105, 22.194),
        ("3c273", 736, 216, 7.41176),
        ("obs1", 54, 44, 2.0),
        ("obs2", 35, 38, 2.0),
        ("obs3", 77, 76, 2.0),
        ("obs4", 43, 60, 2.0),
    ],
)
def test_real_files(data_dir, name, counts, back, ratio):
    source = read_pha(data_dir / "spectra" / f"{name}.pi")
    background = read_pha(source.named("background"))
    assert (source.counts.sum(), background.counts.sum()) == (counts, back)
    assert source.ratio_to(background) == pytest.approx(ratio, rel=1e-5)
    check_channels_match(source, read_rmf(source.named("rmf")))
    with fits.open(source.path) as hdus:
        table = hdus["SPECTRUM"]
        assert np.array_equal(source.counts, table.data["COUNTS"])
        assert source.exposure == table.header["EXPOSURE"]
    assert source.named("arf").is_file()


def test_the_grouping_of_a_real_file(data_dir):
    spectrum = read_pha(data_dir / "spectra" / "3c273.pi")
    with fits.open(spectrum.path) as hdus:
        groups = hdus["SPECTRUM"].data["GRP_NUM"].max()
    assert (spectrum.grouping == 1).sum() == groups
    assert read_pha(data_dir / "spectra" / "9774.pi").grouping is None


def test_channels_that_are_not_those_of_the_redistribution(data_dir, tmp_path):
    response = read_rmf(data_dir / "spectra" / "9774.rmf")
    with pytest.raises(InputFileError, match="64 channels from 1") as caught:
        check_channels_match(a_spectrum(), response)
    assert caught.value.code == "PHA_CHANNELS"
    shifted = PhaFile(np.zeros(1024), 1.0, first_channel=0)
    with pytest.raises(InputFileError, match="from 0"):
        check_channels_match(shifted, response)


def spoil(path: Path, **changes: object) -> Path:
    """A spectrum file with columns (arrays) or keywords (values, None to remove) changed."""
    write_pha(path, a_spectrum(), overwrite=True)
    with fits.open(path) as hdus:
        table = hdus["SPECTRUM"]
        columns, header = list(table.columns), table.header
        for name, value in changes.items():
            if isinstance(value, np.ndarray):
                columns = [item for item in columns if item.name != name]
                columns.append(
                    fits.Column(name, "D" if value.ndim == 1 else f"{value.shape[1]}D", array=value)
                )
            elif value is None:
                columns = [item for item in columns if item.name != name]
                header.remove(name, ignore_missing=True)
            else:
                header[name] = value
        kept = {name: header[name] for name in ("EXPOSURE", "BACKSCAL", "AREASCAL") if name in header}
        new = fits.BinTableHDU.from_columns(columns, name=str(changes.get("EXTNAME", "SPECTRUM")))
        new.header.update(kept)
        fits.HDUList([fits.PrimaryHDU(), new]).writeto(path.with_suffix(".bad"))
    return path.with_suffix(".bad")


@pytest.mark.parametrize(
    "changes",
    [
        {"EXTNAME": "EVENTS"},
        {"COUNTS": None},
        {"CHANNEL": None},
        {"COUNTS": np.full(64, -1.0)},
        {"COUNTS": np.full(64, np.nan)},
        {"CHANNEL": np.arange(64)[::-1].astype(float)},
        {"EXPOSURE": None},
        {"EXPOSURE": 0.0},
        {"BACKSCAL": 0.0},
        {"BACKSCAL": np.zeros(64)},
        {"SPEC_NUM": np.arange(64.0)},
    ],
    ids=str,
)
def test_bad_files_are_refused(tmp_path, changes):
    with pytest.raises(InputFileError) as caught:
        read_pha(spoil(tmp_path / "one.pi", **changes))
    assert caught.value.code == "PHA_FILE"


def test_what_is_no_file_or_no_fits(tmp_path):
    with pytest.raises(MissingFileError):
        read_pha(tmp_path / "none.pi")
    (tmp_path / "text.pi").write_text("no FITS file\n")
    with pytest.raises(InputFileError):
        read_pha(tmp_path / "text.pi")


def test_rates_become_counts(tmp_path):
    path = spoil(tmp_path / "one.pi", COUNTS=None, RATE=a_spectrum().counts / 12345.678)
    assert np.allclose(read_pha(path).counts, a_spectrum().counts)
