"""Exposure maps and the files of the settings, from the command line to the numbers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from catalog.band import CSC_BANDS
from catalog.calibration.factory import open_calibration
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.measure.band_response import band_response
from catalog.measure.observed_field import load_observed_field
from cli.main import main

Run = Callable[..., tuple[int, str]]
OBS_ID = "70021"
DETECTIONS = (
    "SELECT s.label, d.{} FROM detections d JOIN source s ON s.id = d.source_id WHERE d.band = 'broad'"
)


@pytest.fixture
def srccat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.delenv("SRCCAT_PROJECT", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return call


@pytest.fixture
def project(srccat: Run, tmp_path: Path, observation: Any) -> Path:
    """A project with settings of the observation to come, nothing added."""
    assert srccat("init")[0] == 0
    shutil.copy(observation.bad_pixels, tmp_path / "bpix.fits")
    return tmp_path


def choose(project: Path, **files: str) -> None:
    lines = [f'[observation."{OBS_ID}"]', *(f"{name} = {value}" for name, value in files.items())]
    path = project / "srccat.toml"
    text = path.read_text().split(f'\n[observation."{OBS_ID}"]')[0]
    path.write_text(text + "\n" + "\n".join(lines) + "\n")


def good_fractions(srccat: Run) -> dict[str, float]:
    code, text = srccat("query", DETECTIONS.format("good_frac"), "--format", "csv")
    assert code == 0, text
    rows = [line.split(",") for line in text.split()[1:]]
    return {name: float(value) for name, value in rows}


def test_the_map_has_the_values_of_the_direct_computation(
    srccat: Run, project: Path, observation: Any
) -> None:
    choose(project, badpix='"bpix.fits"', mask=f'"{observation.mask}"')
    assert srccat("add", "observations", observation.events)[0] == 0
    code, text = srccat("expmap", "map.fits", "--obs", OBS_ID, "--band", "soft", "--bin", 16)
    assert code == 0, text
    with fits.open("map.fits", checksum=True) as hdus:
        image, header = hdus[0].data, hdus[0].header
    field = load_observed_field(
        observation.events,
        aspect_files=[observation.aspect],
        bad_pixel_file=observation.bad_pixels,
        mask_file=observation.mask,
    )
    row, column = (part.ravel() for part in np.indices(image.shape))
    world = WCS(header).celestial.all_pix2world(column, row, 0)
    x, y = field.events.sky_frame.to_sky(*world)
    theta, phi = field.events.pointing.off_axis(x, y)
    good = field.good_fraction(x, y)
    expected = np.zeros(x.size)
    chip = field.field_of_view.chip_at(x, y).ccd_id
    for number in range(4):
        on = (chip == number) & (good > 0)
        response = band_response(
            open_calibration(),
            number,
            field.events.header.decimal_year,
            theta[on],
            phi[on],
            [CSC_BANDS["soft"]],
            ReferenceSpectrum(),
            "spectrum",
        )
        expected[on] = response.area[:, 0] * field.live_time * good[on]
    assert (expected > 0).mean() > 0.2
    np.testing.assert_allclose(image.ravel(), expected, rtol=2e-6, atol=1e-3)
    assert header["BUNIT"] == "cm**2 s"
    assert (header["OBS_ID"], header["BAND"], header["BPIXFILE"]) == (OBS_ID, "soft", "bpix.fits")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("map.fits", "--obs", "1", "--band", "broad"), "UNKNOWN_OBSERVATION"),
        (("map.fits", "--obs", OBS_ID, "--band", "loud"), "SETTINGS"),
        (("map.png", "--obs", OBS_ID), "UNKNOWN_FORMAT"),
        (("nowhere/map.fits", "--obs", OBS_ID), "MISSING_FILE"),
        (("map.fits", "--obs", OBS_ID, "--recipe", "mine"), "UNKNOWN_RECIPE"),
    ],
)
def test_what_has_no_map_is_refused(
    srccat: Run, project: Path, observation: Any, words: tuple[str, ...], code: str
) -> None:
    assert srccat("add", "observations", observation.events)[0] == 0
    result, text = srccat("expmap", *words)
    assert result == 2
    assert f"error[{code}]" in text
    assert len(text.strip().splitlines()) == 1
    assert not list(project.glob("map*"))


def test_bad_pixels_and_mask_reach_the_catalog(srccat: Run, project: Path, observation: Any) -> None:
    """The files of the settings count, and what they do not touch stays the same."""
    assert srccat("add", "observations", observation.events)[0] == 0
    assert srccat("add", "sources", observation.sources)[0] == 0
    assert srccat("run", "--workers", 1)[0] == 0
    whole = good_fractions(srccat)
    assert set(whole.values()) == {1.0}
    choose(project, badpix='"bpix.fits"')
    assert srccat("run", "--workers", 1)[0] == 0
    bad = good_fractions(srccat)
    # 21 columns of 33 that the dither spans; 1500 s fill it unevenly.
    assert 0.2 < bad["s0"] < 0.6
    assert 0.4 < bad["s1"] < 0.95
    assert bad["s2"] == bad["s3"] == bad["s4"] == 1.0
    choose(project, badpix='"bpix.fits"', mask=f'"{observation.mask}"')
    assert srccat("run", "--workers", 1)[0] == 0
    masked = good_fractions(srccat)
    assert masked["s3"] == 0.0
    assert [masked[name] for name in ("s0", "s1", "s2", "s4")] == [
        bad[name] for name in ("s0", "s1", "s2", "s4")
    ]
    code, text = srccat("run", "--dry-run")
    assert code == 0
    assert "up to date" in text


@pytest.fixture
def wrong_files(observation: Any, project: Path, data_dir: Path) -> Path:
    """Files of another observation, or that do not fit, in the project folder."""
    with fits.open(observation.aspect) as hdus:
        table = hdus[1].data
        short = fits.BinTableHDU(table[: len(table) // 2], hdus[1].header)
        short.writeto(project / "short.fits")
        other = fits.BinTableHDU(table, hdus[1].header)
        other.header["OBS_ID"] = "70099"
        other.writeto(project / "other.fits")
    with fits.open(observation.bad_pixels) as hdus:
        for hdu in hdus[1:]:
            hdu.header["OBS_ID"] = "70099"
        hdus.writeto(project / "other_bpix.fits")
    Table({"SHAPE": ["Polygon"], "X": [[1.0, 2, 2]], "Y": [[1.0, 1, 2]]}).write(project / "far_fov.fits")
    shutil.copy(data_dir / "calibration/sources/hrcf24564_000N030_r0001_rmf3.fits.gz", project / "hrc.rmf.gz")
    world = {"CRVAL1": 151.0, "CRVAL2": 20.0, "CRPIX1": 1.0, "CRPIX2": 1.0, "CDELT1": -0.01, "CDELT2": 0.01}
    axes = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "BUNIT": "cm**2 s"}
    fits.PrimaryHDU(np.ones((9, 9)), fits.Header({**world, **axes})).writeto(project / "far_map.fits")
    return project


WRONG = [
    ("ASPECT_NOT_COVERING", {"aspect": '["short.fits"]'}),
    ("OTHER_OBSERVATION", {"aspect": '["other.fits"]'}),
    ("OTHER_OBSERVATION", {"badpix": '"other_bpix.fits"'}),
    ("OTHER_FIELD", {"fov": '"far_fov.fits"'}),
    ("MISSING_FILE", {"mask": '"nothing.fits"'}),
    ("SETTINGS", {"expmap": '"map.fits"'}),
    ("CALIBRATION_CHANNELS", {"rmf": '"hrc.rmf.gz"'}),
    ("EXPMAP_OTHER_FIELD", {"expmap": '{broad = "far_map.fits"}'}),
]


def refused(srccat: Run, project: Path, code: str, *words: object) -> None:
    """Refused in one line, and nothing written."""
    before = (project / "srccat.db").read_bytes()
    result, text = srccat(*words)
    assert (result, f"error[{code}]" in text) == (2, True), text
    assert len(text.strip().splitlines()) == 1
    assert (project / "srccat.db").read_bytes() == before


def test_files_that_do_not_belong_are_refused(srccat: Run, wrong_files: Path, observation: Any) -> None:
    for code, files in WRONG:
        choose(wrong_files, **files)
        refused(srccat, wrong_files, code, "add", "observations", observation.events)


def test_files_that_do_not_belong_end_a_run_before_it_begins(
    srccat: Run, wrong_files: Path, observation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named after the observation was added, without results and with them."""
    monkeypatch.delenv("CALDB", raising=False)
    assert srccat("add", "observations", observation.events)[0] == 0
    assert srccat("add", "sources", observation.sources)[0] == 0
    for finished in (False, True):
        choose(wrong_files)
        if finished:
            assert srccat("run", "--workers", 1)[0] == 0
        for code, files in WRONG:
            choose(wrong_files, **files)
            refused(srccat, wrong_files, code, "run", "--workers", 1)
    choose(wrong_files)
    assert "up to date" in srccat("run", "--workers", 1)[1]


def test_a_caldb_that_cannot_be_used_ends_a_run_before_it_begins(
    srccat: Run, project: Path, observation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CALDB", raising=False)
    assert srccat("add", "observations", observation.events)[0] == 0
    assert srccat("add", "sources", observation.sources)[0] == 0
    settings = project / "srccat.toml"
    text = settings.read_text()
    (project / "empty").mkdir()
    for code, folder in (("CALDB_MISSING", ""), ("CALDB_MISSING", "none"), ("CALDB_INDEX", "empty")):
        chosen = '[calibration]\nprovider = "caldb"\n' + (f'caldb = "{folder}"\n' if folder else "")
        settings.write_text(text.replace("[calibration]\n", chosen, 1))
        refused(srccat, project, code, "run", "--workers", 1)


def test_a_field_of_view_cuts_the_field(srccat: Run, project: Path, observation: Any) -> None:
    """Only I3 is left: the source on I2 is outside."""
    field = load_observed_field(observation.events, aspect_files=[observation.aspect])
    outline = np.array(field.field_of_view.outlines[3].exterior.coords[:-1])
    Table({"SHAPE": ["Polygon"], "X": [outline[:, 0]], "Y": [outline[:, 1]]}).write(project / "fov.fits")
    choose(project, fov='"fov.fits"')
    assert srccat("add", "observations", observation.events)[0] == 0
    assert srccat("add", "sources", observation.sources)[0] == 0
    assert srccat("run", "--workers", 1)[0] == 0
    code, text = srccat("query", DETECTIONS.format("in_fov"), "--format", "csv")
    assert code == 0
    seen = dict(line.split(",") for line in text.split()[1:])
    assert {name for name, value in seen.items() if value in ("1", "True", "true")} == {
        "s0",
        "s1",
        "s2",
        "s3",
    }
