"""Spectra as OGIP files: Sherpa reads each set, groups it alike, and folds to the same counts."""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from catalog.calibration.arf_file import read_arf
from catalog.calibration.factory import open_calibration
from catalog.calibration.pha_file import read_pha
from catalog.calibration.redistribution import Redistribution
from catalog.calibration.rmf_file import read_rmf
from catalog.errors import MissingFileError, ProjectError
from catalog.export.ogip import NamedSpectrum, OgipFolder, merged_spectrum, observed_spectrum, used_in_merge
from catalog.measure.combined_spectrum import combine_spectra
from catalog.measure.spectra import ExtractedSpectrum, SpectralResponse
from catalog.stages.steps.stored_spectra import StoredSpectrum
from catalog.stats.spectral_grouping import GroupRule, group_counts

RATIO = 33.849566685797164


@pytest.fixture(scope="module")
def sherpa_io() -> Iterator[Any]:
    """Sherpa's reader, without its remarks on what is not installed."""
    logger = logging.getLogger("sherpa")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        io = pytest.importorskip("sherpa.astro.io")
        logger.setLevel(logging.ERROR)
        yield io
    logger.setLevel(level)


def rounded(matrix: Redistribution) -> Redistribution:
    """With energies in single precision, as the catalog keeps it."""
    names = ("energy_lo", "energy_hi", "channel_lo", "channel_hi")
    parts = {name: getattr(matrix, name).astype(np.float32).astype(float) for name in names}
    return dataclasses.replace(matrix, **parts)


@pytest.fixture(scope="module")
def matrix() -> Redistribution:
    return rounded(open_calibration().redistribution(3))


@pytest.fixture(scope="module")
def other_matrix() -> Redistribution:
    return rounded(open_calibration().redistribution(7))


def a_spectrum(matrix: Redistribution, counts: float = 300.0, seed: int = 1) -> ExtractedSpectrum:
    rng = np.random.default_rng(seed)
    energy = matrix.energy
    area = (500 * np.exp(-1 / energy**2 - energy / 8)).astype(np.float32).astype(float)
    response = SpectralResponse(matrix, area, np.clip(0.95 - 0.03 * energy, 0.1, 1.0), 0.97)
    shape = response.fold(np.diff(np.append(matrix.energy_lo, 12.0)) * energy**-1.7, 1.0)
    return ExtractedSpectrum(
        counts=rng.poisson(counts * shape / shape.sum()).astype(float),
        background=rng.poisson(0.2, 1024).astype(float),
        livetime=10987.654321,
        bkg_ratio=RATIO,
        response=response,
    )


def stored(spectrum: ExtractedSpectrum, obs_id: str = "4600", merged: bool | None = True) -> StoredSpectrum:
    return StoredSpectrum(
        source_id=7,
        extraction_id=70,
        run_id=1,
        name="CXOU J100027.51+195509.5",
        ra=150.1146,
        dec=19.9193,
        obs_id=obs_id,
        obi_num=0,
        detector="ACIS-01236",
        grating="NONE",
        date_obs="2004-07-09T01:02:03",
        tstart=2.0e8,
        tstop=2.0e8 + 12000,
        ra_pnt=150.0,
        dec_pnt=20.0,
        roll_pnt=30.0,
        chip_id=3,
        theta=5.5,
        phi=123.0,
        flags=0,
        merged=merged,
        spectrum=spectrum,
    )


def predicted(data: Any) -> np.ndarray:
    """Sherpa's counts by channel of a power law."""
    from sherpa.astro.instrument import Response1D
    from sherpa.models.basic import PowLaw1D

    model = PowLaw1D()
    model.gamma, model.ampl = 1.7, 1e-4
    data.ungroup()
    return np.asarray(Response1D(data)(model)(data.channel))


def our_own(spectrum: ExtractedSpectrum, *, psf_corrected: bool = True) -> np.ndarray:
    matrix = spectrum.response.redistribution
    photons = 1e-4 * (matrix.energy_hi**-0.7 - matrix.energy_lo**-0.7) / -0.7
    return spectrum.response.fold(photons, spectrum.livetime, psf_corrected=psf_corrected)


def assert_same(left: np.ndarray, right: np.ndarray) -> None:
    """Equal to 1e-6 in each channel that expects anything, and in all."""
    seen = right > 1e-9 * right.max()
    assert np.abs(left[seen] / right[seen] - 1).max() < 1e-6
    assert left.sum() == pytest.approx(right.sum(), rel=1e-6)


def test_sherpa_reads_counts_scales_and_response(tmp_path, matrix, sherpa_io):
    item = observed_spectrum(stored(a_spectrum(matrix)))
    path = OgipFolder(tmp_path).write(item)
    data = sherpa_io.read_pha(str(path))
    background = data.get_background()
    assert np.array_equal(data.counts, item.spectrum.counts)
    assert np.array_equal(background.counts, item.spectrum.background)
    assert data.exposure == background.exposure == item.spectrum.livetime
    assert background.backscal / data.backscal == RATIO
    assert data.get_areascal() == background.get_areascal() == 1.0
    assert_same(predicted(data), our_own(item.spectrum))


def test_the_area_without_the_psf_fraction_stands_beside(tmp_path, matrix, sherpa_io):
    item = observed_spectrum(stored(a_spectrum(matrix)))
    path = OgipFolder(tmp_path).write(item)
    data = sherpa_io.read_pha(str(path))
    data.set_arf(sherpa_io.read_arf(str(path.with_name(f"{item.stem}_nopsf.arf"))))
    assert_same(predicted(data), our_own(item.spectrum, psf_corrected=False))


@pytest.mark.parametrize("rule", ["asca", "time", "counts"])
def test_a_combined_spectrum_with_two_redistributions(tmp_path, matrix, other_matrix, sherpa_io, rule):
    members = [
        stored(a_spectrum(matrix)),
        stored(dataclasses.replace(a_spectrum(other_matrix, seed=2), livetime=4000.0, bkg_ratio=8.0), "5341"),
    ]
    item = merged_spectrum(members, rule)
    data = sherpa_io.read_pha(str(OgipFolder(tmp_path).write(item)))
    background = data.get_background()
    assert data.counts.sum() == sum(member.spectrum.counts.sum() for member in members)
    combined = combine_spectra([member.spectrum for member in members], rule)
    assert background.counts.sum() == pytest.approx(combined.background.sum(), rel=1e-12)
    assert background.backscal / data.backscal == pytest.approx(combined.bkg_ratio, rel=1e-12)
    single = sum(our_own(member.spectrum) for member in members)
    assert_same(predicted(data), single)
    assert fits.getheader(tmp_path / f"{item.stem}.pi", 1)["OBS_ID"] == "4600,5341"


def test_what_the_merge_leaves_out_is_not_combined(matrix):
    kept, left_out = stored(a_spectrum(matrix)), stored(a_spectrum(matrix), "5341", merged=False)
    assert used_in_merge([kept, left_out]) == [kept]
    unknown = dataclasses.replace(kept, merged=None)
    assert used_in_merge([unknown]) == [unknown]


def test_groups_are_those_of_sherpa(tmp_path, matrix, sherpa_io):
    item = observed_spectrum(stored(a_spectrum(matrix, 800.0)))
    path = OgipFolder(tmp_path, GroupRule("counts", 15.0)).write(item)
    data = sherpa_io.read_pha(str(path))
    groups = group_counts(item.spectrum.counts, 15.0)
    grouped = data.apply_filter(data.counts, groupfunc=np.sum)
    assert np.array_equal(grouped, groups.sums(item.spectrum.counts))
    assert (grouped[:-1] >= 15).all()
    assert data.quality[-1] == 2
    # Left to itself, Sherpa finds the same groups where it has its grouping library.
    plain = sherpa_io.read_pha(str(OgipFolder(tmp_path).write(item)))
    try:
        plain.group_counts(15)
    except (ImportError, ModuleNotFoundError):
        return
    assert np.array_equal(plain.grouping, groups.grouping)


@pytest.mark.parametrize("rule", [GroupRule(), GroupRule("counts", 15.0), GroupRule("snr", 3.0)])
def test_a_spectrum_without_counts(tmp_path, matrix, sherpa_io, rule):
    empty = dataclasses.replace(a_spectrum(matrix), counts=np.zeros(1024), background=np.zeros(1024))
    item = observed_spectrum(stored(empty))
    data = sherpa_io.read_pha(str(OgipFolder(tmp_path, rule).write(item)))
    assert data.counts.sum() == 0
    assert data.get_background().backscal == RATIO
    assert_same(predicted(data), our_own(empty))


def test_without_background_and_without_response(tmp_path, matrix, sherpa_io):
    bare = dataclasses.replace(a_spectrum(matrix), background=None, bkg_ratio=None)
    path = OgipFolder(tmp_path).write(observed_spectrum(stored(bare)))
    assert not list(tmp_path.glob("*_bkg*"))
    assert sherpa_io.read_pha(str(path)).background_ids == []
    assert read_pha(path).background is None
    folder = tmp_path / "zeroth"
    folder.mkdir()
    grating = dataclasses.replace(a_spectrum(matrix), response=None)
    path = OgipFolder(folder).write(observed_spectrum(stored(grating)))
    assert sorted(item.suffix for item in folder.iterdir()) == [".pi", ".pi"]
    assert (read_pha(path).arf, read_pha(path).rmf) == (None, None)
    assert sherpa_io.read_pha(str(path)).get_arf() is None


def test_light_of_neighbours_stays_in_the_counts_and_is_told(tmp_path, matrix):
    plain = a_spectrum(matrix)
    lit = dataclasses.replace(plain, neighbours=np.linspace(0.0, 0.05, 1024))
    path = OgipFolder(tmp_path).write(observed_spectrum(stored(lit)))
    assert fits.getheader(path, 1)["NBRCNTS"] == pytest.approx(lit.neighbours.sum(), abs=1e-3)
    assert np.array_equal(read_pha(path).counts, plain.counts)
    both = OgipFolder(tmp_path).write(merged_spectrum([stored(lit), stored(plain, "4601")], "counts"))
    assert fits.getheader(both, 1)["NBRCNTS"] == pytest.approx(lit.neighbours.sum(), abs=1e-3)
    bare = OgipFolder(tmp_path).write(observed_spectrum(stored(plain, "4602")))
    assert "NBRCNTS" not in fits.getheader(bare, 1)


def test_a_background_with_a_response_of_its_own(tmp_path, matrix, other_matrix, sherpa_io):
    beside = SpectralResponse(other_matrix, np.linspace(10, 300, other_matrix.energy.size), np.ones(1024))
    spectrum = dataclasses.replace(a_spectrum(matrix), background_response=beside)
    path = OgipFolder(tmp_path).write(observed_spectrum(stored(spectrum)))
    background = read_pha(read_pha(path).named("background"))
    assert np.allclose(read_arf(background.named("arf")).area, beside.area, rtol=1e-6)
    assert np.array_equal(read_rmf(background.named("rmf")).matrix, other_matrix.matrix)
    assert sherpa_io.read_pha(str(path)).get_background().get_arf() is not None


def test_a_redistribution_is_written_once(tmp_path, matrix, other_matrix):
    folder = OgipFolder(tmp_path)
    for number, response in enumerate((matrix, matrix, other_matrix, matrix)):
        folder.write(observed_spectrum(stored(a_spectrum(response), str(number))))
    assert len(list(tmp_path.glob("*.rmf"))) == 2
    assert folder.written == len(list(tmp_path.iterdir())) == 4 * 4 + 2


def test_keywords_are_standard_fits(tmp_path, matrix):
    OgipFolder(tmp_path, GroupRule("counts", 15.0)).write(observed_spectrum(stored(a_spectrum(matrix))))
    for path in tmp_path.iterdir():
        with fits.open(path) as hdus:
            hdus.verify("exception")
            header = hdus[1].header
            assert len(set(header)) == len(header), path
            assert header["HDUCLASS"] == "OGIP"
            assert header["TELESCOP"] == "CHANDRA"
    arf = read_arf(next(tmp_path.glob("*_000.arf")))
    assert arf.fractional_exposure == pytest.approx(0.97)
    assert arf.keywords["EXPOSURE"] == 10987.654321


def test_folders_that_cannot_be_used(tmp_path, matrix):
    with pytest.raises(MissingFileError):
        OgipFolder(tmp_path / "none")
    item = NamedSpectrum("one", {}, a_spectrum(matrix))
    folder = OgipFolder(tmp_path)
    (tmp_path / "one.pi").mkdir()
    with pytest.raises(ProjectError, match="cannot be written"):
        folder.write(item)


def test_files_of_a_former_export_are_replaced(tmp_path, matrix):
    item = observed_spectrum(stored(a_spectrum(matrix)))
    first = OgipFolder(tmp_path).write(item)
    before = {path: Path(path).read_bytes() for path in tmp_path.iterdir()}
    assert OgipFolder(tmp_path).write(item) == first
    assert {path: Path(path).read_bytes() for path in tmp_path.iterdir()} == before
