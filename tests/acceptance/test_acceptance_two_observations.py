"""Two real observations of one pointing, with sources from our own list."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from finished_catalogs import build

from catalog.flags import Flag

#: Sources of ObsIDs 4600 and 5341 (same pointing): RA, Dec (degrees ICRS), and whether it is constant. Made
#: for this test with a peak search in the summed events, 0.5-7 keV: boxes of 6 arcsec against boxes of one
#: arcmin, peaks of 10 and more events and 5 sigma; centroids in 2.5 arcsec. A selection of what was found.
POSITIONS = (
    (276.48628, -14.82000, True),
    (276.41212, -14.75154, True),
    (276.30762, -14.82285, True),
    (276.34136, -14.81553, True),
    (276.34933, -14.85094, True),
    (276.29717, -14.80340, True),
    (276.26507, -14.88139, True),
    (276.28474, -14.91459, True),
    (276.47262, -14.82963, True),
    (276.39066, -14.72813, True),
    (276.38280, -14.83483, False),
    (276.29759, -14.77832, False),
)


@pytest.fixture(scope="module")
def two_observations(tmp_path_factory, data_dir):
    """ObsIDs 4600 and 5341, the same pointing two days apart."""
    folder = tmp_path_factory.mktemp("two")
    path = folder / "positions.csv"
    path.write_text("ra,dec\n" + "".join(f"{ra},{dec}\n" for ra, dec, _ in POSITIONS))
    acis = data_dir / "real" / "acis"
    return build(
        folder / "project", [acis / f"acisf0{number}_repro_evt2.fits.gz" for number in (4600, 5341)], [path]
    )


def is_constant(row):
    """Whether a source is one of those that do not vary."""
    away = [np.hypot(row["ra"] - ra, row["dec"] - dec) for ra, dec, _ in POSITIONS]
    return POSITIONS[int(np.argmin(away))][2]


def read_events(data_dir, obs_id):
    """Sky pixels and energies as astropy reads them, and the WCS of the columns."""
    path = data_dir / "real" / "acis" / f"acisf{int(obs_id):05d}_repro_evt2.fits.gz"
    with fits.open(path) as hdus:
        data, header = hdus["EVENTS"].data, hdus["EVENTS"].header
        columns = [name.lower() for name in data.names]
        wcs = WCS(naxis=2)
        for axis, name in enumerate(("x", "y")):
            number = columns.index(name) + 1
            wcs.wcs.crpix[axis] = header[f"TCRPX{number}"]
            wcs.wcs.crval[axis] = header[f"TCRVL{number}"]
            wcs.wcs.cdelt[axis] = header[f"TCDLT{number}"]
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        return (
            np.asarray(data["x"], float),
            np.asarray(data["y"], float),
            np.asarray(data["energy"], float),
            wcs,
        )


@pytest.mark.parametrize("obs_id", ["4600", "5341"])
def test_counts_as_a_reader_of_the_file_finds_them(two_observations, data_dir, obs_id):
    x, y, energy, wcs = read_events(data_dir, obs_id)
    rows = [row for row in two_observations.measurements if row["obs_id"] == obs_id]
    assert len(rows) == 12
    checked = 0
    for row in rows:
        px, py = (float(value) for value in wcs.wcs_world2pix(row["ra"], row["dec"], 1))
        assert (row["x"], row["y"]) == pytest.approx((px, py), abs=0.01)
        inside = np.hypot(x - px, y - py) <= row["radius_aper"] / 0.492
        counts = np.count_nonzero(inside & (energy >= 500) & (energy < 7000))
        if not row["flags"] & Flag.NEIGHBOUR_EXCLUDED:
            assert row["cnts_aper"] == counts
            checked += 1
    assert checked > 8


def test_merged_values(two_observations):
    for merged in two_observations.merged:
        own = [row for row in two_observations.measurements if row["name"] == merged["name"]]
        assert merged["n_obs"] == len(own) == 2
        assert merged["cnts_aper"] == sum(row["cnts_aper"] for row in own)
        assert merged["livetime"] == pytest.approx(29.0e3, rel=0.03)
        low, high = sorted(row["photflux_aper"] for row in own)
        # A product of likelihoods with flat priors peaks between the peaks of its factors.
        assert low <= merged["photflux_aper"] <= high
        spread = np.hypot(*(0.5 * (row["photflux_aper_hilim"] - row["photflux_aper_lolim"]) for row in own))
        if is_constant(merged):
            assert high - low < 3 * spread
        else:
            assert high - low > 4 * spread


def test_same_pointing_gives_the_same_geometry(two_observations):
    for merged in two_observations.merged:
        first, second = [row for row in two_observations.measurements if row["name"] == merged["name"]]
        assert first["theta"] == pytest.approx(second["theta"], abs=0.01)
        assert first["chip_id"] == second["chip_id"]
        assert first["psf_frac_aper"] == pytest.approx(second["psf_frac_aper"], abs=2e-3)
        assert first["area_band"] == pytest.approx(second["area_band"], rel=2e-3)
        assert not merged["flags"] & Flag.EPOCH_RESPONSE_DIFFERS


def test_all_are_detected(two_observations):
    for merged in two_observations.merged:
        assert merged["log10_prob_no_source"] < -6
        assert merged["src_significance"] > 3
        assert merged["photflux_aper"] > merged["photflux_limit"]
