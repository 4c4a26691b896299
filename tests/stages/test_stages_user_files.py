"""The user's responses and PSF images of an observation or a source, and the blur of positions, in a run."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from sqlalchemy import select

from catalog.calibration.arf_file import AncillaryResponse, write_arf
from catalog.errors import CalibrationError, UnknownNameError
from catalog.schema.tables import BandRow, EventSet, Extraction, Measurement, Observation, Source
from catalog.stages.engine.run import run


def write_flat_arf(path, area):
    edges = np.linspace(0.2, 11.0, 541)
    return write_arf(path, AncillaryResponse(edges[:-1], edges[1:], np.full(540, area)))


def write_psf(path, ra, dec):
    """All light in a Gaussian of 0.4 arcsec."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [ra, dec], [51.0, 51.0]
    wcs.wcs.cdelt = [-0.1 / 3600, 0.1 / 3600]
    row, column = np.mgrid[:101, :101] - 50
    image = np.exp(-0.5 * (row**2 + column**2) * 0.01 / 0.16)
    fits.PrimaryHDU(image, wcs.to_header()).writeto(path)
    return path


def table(project, obs_id, band="broad"):
    """Measured values by label of the source."""
    with project.store.read() as connection:
        rows = connection.execute(
            select(Source.label, Measurement)
            .join(Extraction, Extraction.source_id == Source.id)
            .join(Measurement, Measurement.extraction_id == Extraction.id)
            .join(BandRow, BandRow.id == Measurement.band_id)
            .join(EventSet, EventSet.id == Extraction.event_set_id)
            .join(Observation, Observation.id == EventSet.observation_id)
            .where(Observation.obs_id == obs_id, BandRow.band == band)
        )
        return {row.label: row._mapping for row in rows}


def test_files_of_sources_and_observations_win(finished_project, copy_of, reopen, small_field, tmp_path):
    with copy_of(finished_project) as project:
        before = {obs: table(project, obs) for obs in ("70011", "70012")}
        inside = [label for label, row in before["70011"].items() if row["cnts_aper"]]
        own, imaged = inside[0], inside[1]
        number = int(imaged.removeprefix("src"))
        arf = write_flat_arf(tmp_path / "own.arf", 100.0)
        psf = write_psf(tmp_path / "psf.fits", small_field.ra[number], small_field.dec[number])
        settings = f"""
[observation."70011".source.{own}]
arf = "{arf}"
[observation."70011".source.{imaged}]
psf = "{psf}"
[observation."70012"]
arf = "{write_flat_arf(tmp_path / "all.arf", 300.0)}"
"""
        with reopen(project, settings) as again:
            run(again, workers=1)
            after = {obs: table(again, obs) for obs in ("70011", "70012")}
            counts = {item.stage: item.stale for item in run(again, workers=1).counts if item.stale}
            assert not counts
    live = before["70011"][own]
    changed = after["70011"][own]
    assert "own.arf" in changed["calibration"]
    assert changed["psf_frac_aper"] == live["psf_frac_aper"]
    # Flat 100 cm2 through the redistribution: area times live time times good fraction.
    assert changed["exposure_aper"] / 3000.0 == pytest.approx(100.0, rel=0.25)
    assert after["70011"][imaged]["psf_frac_aper"] > before["70011"][imaged]["psf_frac_aper"]
    assert after["70011"][imaged]["psf_frac_aper"] > 0.95
    others = set(inside) - {own, imaged}
    for label in others:
        for name in ("exposure_aper", "psf_frac_aper", "photflux_aper"):
            assert after["70011"][label][name] == before["70011"][label][name]
    assert all("all.arf" in row["calibration"] for row in after["70012"].values() if row["calibration"])


def test_unusable_files_are_refused_before_anything_is_written(finished_project, copy_of, tmp_path):
    text = tmp_path / "text.arf"
    text.write_text("no FITS")
    psf = tmp_path / "flat.fits"
    fits.PrimaryHDU(np.ones((5, 5))).writeto(psf)
    for settings, error in (
        (f'[observation."70011"]\narf = "{text}"\n', CalibrationError),
        (f'[observation."70011".source.src0]\npsf = "{psf}"\n', CalibrationError),
        ('[observation."70011".source.nobody]\n', UnknownNameError),
    ):
        with copy_of(finished_project, settings) as project:
            before = table(project, "70011")
            with pytest.raises(error):
                run(project, workers=1)
            assert table(project, "70011") == before


def test_the_blur_is_that_of_the_data_or_of_the_settings(finished_project, copy_of):
    with copy_of(finished_project) as project:
        with project.store.read() as connection:
            assert set(connection.scalars(select(EventSet.position_kind))) == {"simulated"}
        before = table(project, "70011")
    with copy_of(finished_project, "[calibration]\npsf_blur = 0.5\n") as project:
        run(project, workers=1)
        after = table(project, "70011")
    near = [label for label, row in before.items() if row["psf_frac_aper"]]
    values = [(before[label]["psf_frac_aper"], after[label]["psf_frac_aper"]) for label in near]
    assert any(abs(one - other) > 1e-4 for one, other in values)
