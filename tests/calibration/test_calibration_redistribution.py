"""Redistribution: reading, folding, areas of bands and at apparent energies."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from astropy.io import fits

from catalog.calibration.builtin import open_builtin_redistribution
from catalog.calibration.factory import open_calibration
from catalog.calibration.redistribution import Redistribution
from catalog.calibration.rmf_file import read_rmf
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.errors import CalibrationError, MissingFileError


def gaussian_response(width: float = 0.06) -> Redistribution:
    """True bins of 10 eV, channels of 14.6 eV, a gaussian of one width, normalised over the channels."""
    edges = np.linspace(0.3, 10.0, 971)
    bounds = np.arange(1025) * 0.0146
    middle = 0.5 * (edges[1:] + edges[:-1])
    channel = 0.5 * (bounds[1:] + bounds[:-1])
    matrix = np.exp(-0.5 * ((channel - middle[:, None]) / width) ** 2)
    matrix /= matrix.sum(axis=1, keepdims=True)
    return Redistribution(edges[:-1], edges[1:], bounds[:-1], bounds[1:], matrix.astype(np.float32))


def identity_response() -> Redistribution:
    edges = np.arange(10, 700) * 0.0146
    return Redistribution(
        edges[:-1], edges[1:], edges[:-1], edges[1:], np.eye(edges.size - 1, dtype=np.float32)
    )


def write_rmf(path, response: Redistribution, first: int, variable: bool, tlmin: bool = True) -> None:
    """An OGIP file with one or two groups per row and channels counted from `first`."""
    rows = [np.flatnonzero(row > 0) for row in response.matrix]
    starts, lengths, values = [], [], []
    for row, used in zip(response.matrix, rows, strict=True):
        cuts = np.flatnonzero(np.diff(used) > 1) + 1
        groups = np.split(used, cuts)
        starts.append(np.array([group[0] + first for group in groups], dtype=np.int16))
        lengths.append(np.array([group.size for group in groups], dtype=np.int16))
        values.append(row[used])
    number = np.array([len(start) for start in starts], dtype=np.int16)
    if variable:
        columns = [
            fits.Column("F_CHAN", "PI", array=np.array([*starts, None], dtype=object)[:-1]),
            fits.Column("N_CHAN", "PI", array=np.array([*lengths, None], dtype=object)[:-1]),
            fits.Column("MATRIX", "PE", array=np.array([*values, None], dtype=object)[:-1]),
        ]
    else:
        groups, longest = int(number.max()), max(value.size for value in values)

        def pad(items, width, kind):
            return np.array([np.pad(item, (0, width - item.size)) for item in items], dtype=kind)

        columns = [
            fits.Column("F_CHAN", f"{groups}I", array=pad(starts, groups, np.int16)),
            fits.Column("N_CHAN", f"{groups}I", array=pad(lengths, groups, np.int16)),
            fits.Column("MATRIX", f"{longest}E", array=pad(values, longest, np.float32)),
        ]
    head = [
        fits.Column("ENERG_LO", "D", array=response.energy_lo),
        fits.Column("ENERG_HI", "D", array=response.energy_hi),
        fits.Column("N_GRP", "I", array=number),
    ]
    matrix = fits.BinTableHDU.from_columns(head + columns, name="SPECRESP MATRIX")
    if tlmin:
        matrix.header["TLMIN4"] = first
    bounds = fits.BinTableHDU.from_columns(
        [
            fits.Column("CHANNEL", "I", array=np.arange(response.channel_lo.size) + first),
            fits.Column("E_MIN", "D", array=response.channel_lo),
            fits.Column("E_MAX", "D", array=response.channel_hi),
        ],
        name="EBOUNDS",
    )
    fits.HDUList([fits.PrimaryHDU(), matrix, bounds]).writeto(path)


@pytest.mark.parametrize("variable", [True, False])
@pytest.mark.parametrize("first", [0, 1])
def test_written_matrix_comes_back(tmp_path, variable, first):
    rng = np.random.default_rng(5)
    dense = rng.random((6, 30)).astype(np.float32)
    dense[:, 10:14] = 0.0
    dense[2, 10:14] = 0.5
    dense /= dense.sum(axis=1, keepdims=True)
    energy, bounds = np.linspace(1, 2, 7), np.linspace(0.5, 3, 31)
    response = Redistribution(energy[:-1], energy[1:], bounds[:-1], bounds[1:], dense)
    write_rmf(tmp_path / "a.rmf", response, first, variable)
    back = read_rmf(tmp_path / "a.rmf")
    assert back.first_channel == first
    assert np.array_equal(back.matrix, dense)
    assert np.allclose(back.channel_hi, bounds[1:])


def test_first_channel_off_by_one_is_noticed_or_shifts(tmp_path):
    response = gaussian_response()
    write_rmf(tmp_path / "a.rmf", response, 0, True, tlmin=False)
    with pytest.raises(CalibrationError, match="outside the channels") as caught:
        read_rmf(tmp_path / "a.rmf")
    assert caught.value.code == "CALIBRATION_FILE"


def test_files_that_are_no_rmf(tmp_path, data_dir):
    with pytest.raises(MissingFileError):
        read_rmf(tmp_path / "none.rmf")
    (tmp_path / "text.rmf").write_text("not FITS")
    for path in (tmp_path / "text.rmf", data_dir / "spectra" / "9774.arf"):
        with pytest.raises(CalibrationError) as caught:
            read_rmf(path)
        assert caught.value.code == "CALIBRATION_FILE"
        assert path.name in str(caught.value)


@pytest.mark.parametrize(
    "name", ["spectra/9774.rmf", "simulated/acis_synthetic.rmf.gz", "calibration/observed/qso.wrmf.gz"]
)
def test_real_matrices_are_normalised(data_dir, name):
    response = read_rmf(data_dir / name)
    sums = response.matrix.sum(axis=1)
    assert np.allclose(sums[response.energy > 0.5], 1.0, atol=2e-3)
    assert np.allclose(np.diff(response.channel_energy)[1:], 0.0146, atol=1e-4)


def test_synthetic_matrix_is_the_gaussian_it_says(data_dir):
    response = read_rmf(data_dir / "simulated" / "acis_synthetic.rmf.gz")
    row = int(np.argmin(np.abs(response.energy - 3.0)))
    weight = response.matrix[row]
    mean = np.average(response.channel_energy, weights=weight)
    sigma = np.sqrt(np.average((response.channel_energy - mean) ** 2, weights=weight))
    expected = np.sqrt(0.1**2 + 0.0036 * response.energy[row]) / 2.3548
    assert mean == pytest.approx(response.energy[row], abs=0.01)
    assert sigma == pytest.approx(expected, rel=0.02)


def test_folded_area_against_direct_sum():
    response = gaussian_response()
    spectrum = ReferenceSpectrum(1.7)
    area = 300.0 + 50.0 * np.sin(response.energy)
    total = 0.0
    for channel in range(response.channel_lo.size):
        if 0.5 <= response.channel_energy[channel] < 2.0:
            for row in range(response.energy.size):
                photons = float(spectrum.photons(response.energy_lo[row], response.energy_hi[row]))
                total += response.matrix[row, channel] * area[row] * photons
    expected = total / float(spectrum.photons(0.5, 2.0))
    assert float(response.folded_area(area, spectrum, 0.5, 2.0)) == pytest.approx(expected, rel=1e-6)
    both = response.folded_area(np.stack([area, 2 * area]), spectrum, 0.5, 2.0)
    assert both == pytest.approx([expected, 2 * expected], rel=1e-6)


def test_perfect_resolution_gives_the_area_itself():
    response = identity_response()
    area = 100.0 * response.energy
    spectrum = ReferenceSpectrum(2.0)
    at = np.array([0.5, 1.0, 4.0])
    assert np.allclose(response.folded_area_at(area, spectrum, at), 100.0 * at, rtol=1e-3)
    # integral of E x E^-2 over integral of E^-2
    expected = 100.0 * np.log(7 / 0.5) / (1 / 0.5 - 1 / 7)
    assert float(response.folded_area(area, spectrum, 0.5, 7.0)) == pytest.approx(expected, rel=0.01)
    assert np.isnan(response.folded_area_at(area, spectrum, 50.0))


def test_sum_of_energies_over_folded_area_is_the_flux():
    """The contract of c: events drawn from the reference spectrum give back its energy flux."""
    response = gaussian_response(0.08)
    spectrum = ReferenceSpectrum(1.7)
    area = 400.0 * np.exp(-((1.0 / response.energy) ** 4))
    counts = response.fold(area * spectrum.photons(response.energy_lo, response.energy_hi))
    band = response.in_band(0.5, 7.0)
    channel = response.channel_energy[band]
    summed = (counts[band] * channel / response.folded_area_at(area, spectrum, channel)).sum()
    assert summed * 1.602176634e-9 == pytest.approx(float(spectrum.energy_flux(0.5, 7.0)), rel=3e-3, abs=0)
    # The area at the apparent energy does not: below 0.8 keV it vanishes.
    naive = (counts[band] * channel / np.interp(channel, response.energy, area)).sum()
    assert naive > 1.2 * summed


def test_fold_keeps_photons_and_band_edges():
    response = gaussian_response()
    photons = np.zeros(response.energy.size)
    photons[300:500] = 1.0
    assert response.fold(photons).sum() == pytest.approx(200.0, rel=1e-6)
    mask = response.in_band(0.5, 2.0) | response.in_band(2.0, 7.0)
    assert np.array_equal(mask, response.in_band(0.5, 7.0))
    assert not (response.in_band(0.5, 2.0) & response.in_band(2.0, 7.0)).any()


@pytest.mark.parametrize(
    ("back", "name"), [(False, "acisi_aimpt_cy21.rmf.gz"), (True, "aciss_aimpt_cy18.rmf.gz")]
)
def test_packaged_matrix_keeps_the_original(data_dir, back, name):
    ours = open_builtin_redistribution(back)
    theirs = read_rmf(data_dir / "calibration" / "sources" / name)
    assert np.abs(ours.matrix - theirs.matrix).max() < 1e-5
    assert np.allclose(ours.matrix.sum(axis=1), theirs.matrix.sum(axis=1), atol=1e-5)
    area = 500.0 * np.exp(-1 / ours.energy**2)
    spectrum = ReferenceSpectrum()
    assert float(ours.folded_area(area, spectrum, 0.5, 7)) == pytest.approx(
        float(theirs.folded_area(area, spectrum, 0.5, 7)), rel=1e-5
    )


def test_pickle_and_identity():
    response = gaussian_response()
    again = pickle.loads(pickle.dumps(response))
    assert again.identity == response.identity
    assert gaussian_response(0.07).identity != response.identity
    with pytest.raises(CalibrationError):
        Redistribution(
            response.energy_lo, response.energy_hi, response.channel_lo[1:], response.channel_hi[1:],
            response.matrix,
        )  # fmt: skip


def test_the_redistribution_of_1999_is_that_of_its_file(data_dir):
    """Before the focal plane was cooled: front-illuminated chips alone, by the date of the observation."""
    base = open_calibration()
    early, later = (base.in_observation(None, year) for year in (1999.9, 2000.1))
    assert later.identity == base.identity
    assert early.redistribution(5) is base.redistribution(5)
    assert early.redistribution(3) is early.redistribution(8)
    assert "1999" in early.redistribution(3).identity
    original = read_rmf(data_dir / "calibration/sources/acisi_aimpt_cy0.rmf.gz")
    ours = early.redistribution(3)
    for energy in (0.5, 1.49, 4.0, 8.0, 10.9):
        theirs = original.matrix[int(np.argmin(np.abs(original.energy - energy)))]
        own = ours.matrix[int(np.argmin(np.abs(ours.energy - energy)))]
        mean, width = moments(theirs)
        assert moments(own) == (pytest.approx(mean, abs=0.6), pytest.approx(width, rel=0.02))
    # Beyond the file's energies the line moves on, and keeps its width.
    end, far = (ours.matrix[int(np.argmin(np.abs(ours.energy - energy)))] for energy in (10.9, 11.8))
    assert moments(far)[0] - moments(end)[0] == pytest.approx(0.9 / 0.0146, abs=1.5)
    assert (ours.matrix.sum(axis=1) > 0.95).all()


def moments(row):
    """Mean channel and standard deviation about the line."""
    channel = np.arange(row.size)
    near = row > 0.05 * row.max()
    mean = np.average(channel[near], weights=row[near])
    return float(mean), float(np.sqrt(np.average((channel[near] - mean) ** 2, weights=row[near])))
