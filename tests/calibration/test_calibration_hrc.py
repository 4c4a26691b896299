"""HRC areas: against the response they come from, against ACIS's mirror, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from catalog.calibration.hrc import WIDE, open_hrc_area, open_hrc_calibration
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.errors import CalibrationError


def test_the_response_of_2021_comes_back(data_dir):
    data = fits.getdata(data_dir / "calibration/sources/hrcf24564_000N030_r0001_arf3.fits.gz", 1)
    middle = 0.5 * (data["ENERG_LO"].astype(float) + data["ENERG_HI"])
    for energy in (0.15, 0.5, 1.0, 2.3, 6.0):
        near = np.abs(middle - energy) < 0.05
        ours = open_hrc_area("HRC-I").area(0, 2021.69, 5.9, 0.0, middle[near])
        assert ours.sum() == pytest.approx(data["SPECRESP"][near].sum(), rel=0.02), energy


def test_the_area_of_1999_is_the_mirror_of_acis_times_the_quantum_efficiency(data_dir):
    folder = data_dir / "calibration/sources"
    acis, qe = (
        fits.getdata(folder / name, 1) for name in ("acisi_aimpt_cy0.arf", "hrciD1999-07-22qeN0008.fits")
    )
    middle = 0.5 * (acis["ENERG_LO"].astype(float) + acis["ENERG_HI"])
    quantum = fits.getdata(folder / "acisD1997-04-17qeN0006.fits.gz", 4)
    energy = np.array([0.9, 1.5, 2.5, 4.0])
    mirror = np.interp(energy, middle, acis["SPECRESP"]) / np.interp(energy, quantum["ENERGY"], quantum["QE"])
    expected = mirror * np.interp(energy, qe["ENERGY"], qe["QE"])
    assert np.allclose(open_hrc_area("HRC-I").area(0, 1999.6, 0.4, 0.0, energy), expected, rtol=0.12)


def test_wide_band_area_declines_with_time_and_angle():
    calibration = open_hrc_calibration("HRC-I")
    matrix, spectrum = calibration.redistribution(0), ReferenceSpectrum(1.7)
    theta = np.array([0.0, 5.0, 15.0])
    early, late = (
        matrix.folded_area(calibration.area_curve(0, year, theta, 0.0), spectrum, *WIDE)
        for year in (2000.0, 2020.0)
    )
    assert np.allclose(late / early, 0.933, atol=0.01)
    assert (np.diff(early) < 0).all()
    # By hand: mean of the area over the photons of the model.
    edges = np.linspace(0.1, 10.0, 20_001)
    middle = 0.5 * (edges[1:] + edges[:-1])
    photons = spectrum.photons(edges[:-1], edges[1:])
    by_hand = (calibration.area(0, 2000.0, 0.0, 0.0, middle) * photons).sum() / photons.sum()
    assert float(early[0]) == pytest.approx(float(by_hand), rel=5e-3)
    assert float(matrix.folded_area(calibration.area_curve(0, 2000.0, 0.0, 0.0), spectrum, 0.5, 2.0)) == 0.0


def test_hrc_s_has_three_plates_and_one_date():
    area = open_hrc_area("HRC-S")
    values = [area.area(plate, 2005.0, 0.0, 0.0, [1.5])[0] for plate in (1, 2, 3)]
    assert np.ptp(values) == 0.0
    assert 150 < values[0] < 250
    assert area.extrapolated(2005.0)
    with pytest.raises(CalibrationError, match="plate"):
        area.area(0, 2005.0, 0.0, 0.0, [1.5])
    with pytest.raises(CalibrationError, match="plate"):
        open_hrc_area("HRC-I").area(1, 2005.0, 0.0, 0.0, [1.5])
