"""The user's ARF, RMF and PSF image: what replaces what, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from catalog.calibration.arf_file import AncillaryResponse, write_arf
from catalog.calibration.factory import open_calibration
from catalog.calibration.psf import open_psf_library
from catalog.calibration.psf_image import read_psf_image
from catalog.calibration.redistribution import Redistribution
from catalog.calibration.rmf_file import write_rmf
from catalog.calibration.user_response import with_responses
from catalog.errors import CalibrationError, MissingFileError


def flat_arf(path, low=0.3, high=10.0, area=100.0, share=1.0):
    edges = np.linspace(low, high, 401)
    return write_arf(path, AncillaryResponse(edges[:-1], edges[1:], np.full(400, area), share))


def diagonal_rmf(path, low=0.3, high=10.0, channels=1024):
    edges = np.linspace(low, high, 401)
    bounds = 0.0146 * np.arange(channels + 1)
    matrix = np.zeros((400, channels), dtype=np.float32)
    place = np.searchsorted(bounds, 0.5 * (edges[1:] + edges[:-1])) - 1
    matrix[np.arange(400), np.minimum(place, channels - 1)] = 1.0
    return write_rmf(path, Redistribution(edges[:-1], edges[1:], bounds[:-1], bounds[1:], matrix))


def test_an_arf_of_a_source_is_taken_as_it_is(tmp_path):
    base = open_calibration()
    own = with_responses(base, flat_arf(tmp_path / "s.arf", share=0.8), None, of_source=True)
    area = own.area(3, 2004.0, np.array([0.0, 8.0]), 0.0, np.array([1.0, 5.0]))
    # FRACEXPO is divided out: it is in the exposure already.
    assert np.allclose(area, 125.0)
    assert "s.arf" in own.identity
    assert own.redistribution(3) is base.redistribution(3)


def test_an_arf_of_an_observation_is_moved_by_vignetting(tmp_path):
    base = open_calibration()
    own = with_responses(base, flat_arf(tmp_path / "o.arf"), None, of_source=False)
    area = own.area(3, 2004.0, np.array([0.0, 8.0]), 0.0, np.array([1.5, 6.0]))
    assert np.allclose(area[0], 100.0, rtol=1e-3)
    ratio = base.area(3, 2004.0, 8.0, 0.0, [1.5, 6.0]) / base.area(3, 2004.0, 0.0, 0.0, [1.5, 6.0])
    assert np.allclose(area[1] / area[0], ratio, rtol=2e-3)


def test_arf_and_rmf_of_one_grid_are_used_together(tmp_path):
    own = with_responses(
        open_calibration(), flat_arf(tmp_path / "a.arf"), diagonal_rmf(tmp_path / "a.rmf"), of_source=True
    )
    assert own.energy_grid.size == 400
    assert np.allclose(own.area_curve(7, 2010.0, 3.0, 0.0), 100.0)


@pytest.mark.parametrize(
    ("channels", "code"), [(512, "CALIBRATION_CHANNELS"), (4096, "CALIBRATION_CHANNELS")]
)
def test_other_channel_counts_are_refused(tmp_path, channels, code):
    path = diagonal_rmf(tmp_path / "other.rmf", channels=channels)
    with pytest.raises(CalibrationError, match=f"{channels} channels") as caught:
        with_responses(open_calibration(), None, path, of_source=True)
    assert caught.value.code == code
    assert "other.rmf" in str(caught.value)
    with pytest.raises(CalibrationError, match=f"{channels} channels"):
        open_calibration(rmf=path)


def test_an_arf_of_another_grid_is_refused(tmp_path):
    arf, rmf = flat_arf(tmp_path / "a.arf", high=9.0), diagonal_rmf(tmp_path / "a.rmf")
    with pytest.raises(CalibrationError, match=r"a\.arf with rmf a\.rmf") as caught:
        with_responses(open_calibration(), arf, rmf, of_source=True)
    assert caught.value.code == "CALIBRATION_GRID"
    short = flat_arf(tmp_path / "short.arf", high=5.0)
    with pytest.raises(CalibrationError, match="to 5 keV only"):
        with_responses(open_calibration(), short, None, of_source=True)


def psf_file(path, angle=0.0, handed=-1.0, shift=(0.0, 0.0), pixel=0.25, size=101):
    """An elongated Gaussian about 10.0, -60.0: sigma 2 arcsec to the north, 1 to the west, on the sky."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [10.0, -60.0]
    wcs.wcs.crpix = [0.5 * (size + 1) + shift[0], 0.5 * (size + 1) + shift[1]]
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    step = pixel / 3600
    wcs.wcs.cd = np.array([[handed * step * c, -step * s * handed], [step * s, step * c]])
    row, column = np.mgrid[:size, :size]
    ra, dec = wcs.wcs_pix2world(column.ravel(), row.ravel(), 0)
    west = -(ra - 10.0) * 3600 * np.cos(np.radians(-60.0))
    north = (dec + 60.0) * 3600
    image = np.exp(-0.5 * (west**2 + (north / 2.0) ** 2)).reshape(size, size)
    fits.PrimaryHDU(7.0 * image.astype(np.float32), wcs.to_header()).writeto(path)
    return path


@pytest.mark.parametrize(("angle", "handed"), [(0.0, -1.0), (37.0, -1.0), (0.0, 1.0)])
def test_psf_images_turn_to_the_sky(tmp_path, angle, handed):
    image = read_psf_image(psf_file(tmp_path / "p.fits", angle, handed, shift=(3.0, -2.0)))
    stamp = image.at(10.0, -60.0).stamp(3.0, 40.0, 1.0, 12.0)
    assert stamp.image.sum() == pytest.approx(1.0)
    west, north = np.meshgrid(stamp.dx, stamp.dy)
    assert (stamp.image * west).sum() == pytest.approx(0.0, abs=0.02)
    assert np.sqrt((stamp.image * west**2).sum()) == pytest.approx(1.0, rel=0.03)
    assert np.sqrt((stamp.image * north**2).sum()) == pytest.approx(2.0, rel=0.03)
    beside = image.at(10.0 - 2.0 / 3600 / np.cos(np.radians(60)), -60.0).stamp(0, 0, 1.0)
    # The source lies 2 arcsec west of the light: the light is east of it.
    assert (beside.image * np.meshgrid(beside.dx, beside.dy)[0]).sum() == pytest.approx(-2.0, abs=0.05)
    assert stamp.fraction_in_circle(0, 0, 30.0) == pytest.approx(1.0, abs=1e-6)


def test_bad_psf_images_are_refused(tmp_path):
    image = read_psf_image(psf_file(tmp_path / "p.fits"))
    with pytest.raises(CalibrationError, match="does not lie in the PSF image") as caught:
        image.at(11.0, -60.0)
    assert caught.value.code == "PSF_IMAGE_POSITION"
    with pytest.raises(MissingFileError):
        read_psf_image(tmp_path / "none.fits")
    fits.PrimaryHDU(np.ones((5, 5))).writeto(tmp_path / "flat.fits")
    with pytest.raises(CalibrationError, match="no celestial"):
        read_psf_image(tmp_path / "flat.fits")
    fits.PrimaryHDU(np.ones(5)).writeto(tmp_path / "line.fits")
    with pytest.raises(CalibrationError, match="two axes"):
        read_psf_image(tmp_path / "line.fits")


def test_a_library_stamp_as_image_gives_its_fractions(tmp_path):
    stamp = open_psf_library().stamp(4.0, 60.0, 1.5, 0.0)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [200.0, 30.0]
    wcs.wcs.crpix = [65.0, 65.0]
    wcs.wcs.cdelt = [-stamp.pixel / 3600, stamp.pixel / 3600]
    fits.PrimaryHDU(stamp.image, wcs.to_header()).writeto(tmp_path / "s.fits")
    own = read_psf_image(tmp_path / "s.fits").at(200.0, 30.0).stamp(0, 0, 1)
    for dx, dy, radius in ((0, 0, 2.0), (1.0, 0.5, 1.5), (-2.0, 0.0, 2.0)):
        expected = stamp.fraction_in_circle(dx, dy, radius) / stamp.fraction_inside
        assert own.fraction_in_circle(dx, dy, radius) == pytest.approx(expected, abs=5e-3)
