"""`srccat spectra export`: what it writes, and what it says to bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from catalog.calibration.pha_file import read_pha
from catalog.calibration.rmf_file import read_rmf

pytestmark = pytest.mark.usefixtures("finished")


@pytest.fixture
def spectra(finished, done):
    done("run", "spectra", "--workers", "1")


@pytest.mark.usefixtures("spectra")
def test_one_source(done):
    out = done("spectra", "export", "s0", "--out", "one", "--group", "counts:15").splitlines()
    path = Path(out[0])
    assert path.parent == Path("one")
    assert out[-1] == "1 spectrum in 5 files"
    spectrum = read_pha(path)
    assert spectrum.counts.sum() > 30
    sums = np.add.reduceat(spectrum.counts, np.flatnonzero(spectrum.grouping == 1))
    assert (sums[:-1] >= 15).all()
    for kind in ("background", "arf", "rmf"):
        assert spectrum.named(kind).is_file()


@pytest.mark.usefixtures("spectra")
def test_all_sources_share_what_is_the_same(done, srccat):
    said = srccat("spectra", "export", "--all", "--out", "all")
    assert said.code == 0
    names = [path.name for path in Path("all").glob("*.pi") if not path.stem.endswith("_bkg")]
    assert said.out == f"{len(names)} spectra in {4 * len(names) + 1} files\n"
    assert len(list(Path("all").glob("*.rmf"))) == 1
    done("spectra", "export", "--all", "--merged", "--background", "asca", "--out", "merged")
    merged = [read_pha(path) for path in Path("merged").glob("*_merged.pi")]
    assert len(merged) == len(names)
    assert {read_rmf(item.named("rmf")).channel_lo.size for item in merged} == {1024}


@pytest.mark.usefixtures("spectra")
def test_a_recipe_with_responses_of_the_background(done):
    out = done("spectra", "export", "s0", "--recipe", "srcflux", "--out", "one").splitlines()
    background = read_pha(read_pha(Path(out[0])).named("background"))
    assert background.named("arf").is_file()


@pytest.mark.usefixtures("spectra")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), "NO_SOURCE"),
        (("s0", "--all"), "NO_SOURCE"),
        (("nobody",), "UNKNOWN_SOURCE"),
        (("s0", "--obs", "1"), "UNKNOWN_OBSERVATION"),
        (("s0", "--group", "counts"), "GROUPING"),
        (("s0", "--merged", "--background", "sum"), "BACKGROUND_RULE"),
        (("s0", "--recipe", "none"), "UNKNOWN_RECIPE"),
        (("beside",), "NO_SPECTRUM"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_writes_nothing(srccat, words, code):
    said = srccat("spectra", "export", *words, "--out", "none")
    assert said.code == 2
    assert said.err.startswith(f"error[{code}]: ")
    assert said.err.count("\n") == 1
    assert not Path("none").exists()


def test_before_the_stage_has_run(srccat):
    said = srccat("spectra", "export", "s0")
    assert said.code == 2
    assert "srccat run spectra" in said.err


@pytest.mark.usefixtures("spectra")
def test_a_folder_that_cannot_be_made(srccat):
    Path("file").write_text("")
    assert srccat("spectra", "export", "s0", "--out", "file/inside").err.startswith("error[")


@pytest.mark.usefixtures("spectra")
def test_a_source_without_spectrum_is_named_and_the_others_are_written(srccat):
    from command_line import OUTSIDE

    said = srccat("spectra", "export", "s0", OUTSIDE[0], "--out", "some")
    assert said.code == 0
    assert "no spectrum (" in said.err
    assert said.out.splitlines()[-1] == "1 spectrum in 5 files"
