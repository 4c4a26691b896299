"""Styled tables of merges against the rows they are made of."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from sqlalchemy import text

from catalog.export.styles.acis_extract import acis_extract_files, first_channel
from catalog.export.styles.srcflux import srcflux_files
from catalog.recipes.shipped import shipped_recipes

SINGLE = """
SELECT e.source_id, o.obs_id, e.in_fov, e.theta, e.area_aper, e.good_frac, e.cnts_per_frame, m.psf_frac_aper,
       m.exposure_area_aper, k.used, s.ra, s.dec
FROM extraction e JOIN source s ON s.id = e.source_id JOIN event_set v ON v.id = e.event_set_id
JOIN observation o ON o.id = v.observation_id JOIN measurement m ON m.extraction_id = e.id
JOIN band b ON b.id = m.band_id JOIN merge_member k ON k.extraction_id = e.id
JOIN merge g ON g.id = k.merge_id
WHERE b.band = 'medium' AND g.purpose = 'photometry'
"""


@pytest.fixture
def project(finished_project, copy_of):
    with copy_of(finished_project) as opened:
        yield opened


def query(project, statement):
    with project.store.read() as connection:
        return connection.execute(text(statement)).mappings().all()


def test_means_over_observations_are_weighted_by_exposure(project, tmp_path):
    """Not by live time, and an observation that does not see the source has no part in them."""
    with project.store.read() as connection:
        flat, _ = acis_extract_files(connection, shipped_recipes()["default"], tmp_path)
    table = fits.getdata(flat, 1)
    by_place = {(round(row["RA"], 9), round(row["Dec"], 9)): row for row in table}
    groups: dict[tuple[float, float], list] = {}
    for row in query(project, SINGLE):
        groups.setdefault((round(row["ra"], 9), round(row["dec"], 9)), []).append(row)
    several = 0
    for place, rows in groups.items():
        found, used = by_place[place], [row for row in rows if row["used"]]
        assert found["NumObservations"] == sum(row["in_fov"] for row in rows)
        assert found["NumMerged"] == len(used)
        if not used:
            assert np.isnan(found["PsfFraction"])
            continue
        several += len(used) > 1
        weight = np.array([row["exposure_area_aper"] for row in used])
        for name, column, unit in (
            ("PsfFraction", "psf_frac_aper", 1.0),
            ("SrcArea", "area_aper", 0.492**2),
            ("ExposureFraction", "good_frac", 1.0),
        ):
            mean = weight @ np.array([row[column] for row in used]) / weight.sum() / unit
            assert found[name] == pytest.approx(mean, rel=1e-9)
        assert found["Theta_Hi"] == max(row["theta"] for row in used)
        assert found["Theta_Lo"] <= found["Theta"] <= found["Theta_Hi"]
    assert several > 5


def test_energy_flux_is_photon_flux_at_the_observed_median_energy(project, tmp_path):
    with project.store.read() as connection:
        flat, photometry = acis_extract_files(connection, shipped_recipes()["default"], tmp_path)
    table = fits.getdata(flat, 1)
    expected = 1.602177e-9 * table["PhotonFlux_t"] * table["MedianEnergy_t"]
    known = np.isfinite(expected)
    assert known.sum() > 5
    np.testing.assert_allclose(table["EnergyFlux_t"][known], expected[known], rtol=1e-5)
    incident = fits.getdata(photometry, 1)
    assert not np.allclose(incident["ENERG_PCT50_OBSERVED"], incident["ENERG_PCT50_INCIDENT"], equal_nan=True)
    # The most convincing merge is at least as convincing as that for photometry in any one band.
    best = np.fmin.reduce([table[f"ProbNoSrc_{band}"] for band in "tsh"])
    assert (table["ProbNoSrc_MostValid"][known] <= best[known] * 1.0001 + 1e-300).mean() > 0.5


def test_net_counts_of_a_merge_are_the_sum_of_the_differences(project, tmp_path):
    """With unequal ratios the difference of the sums is the same only by the ratio that is given beside."""
    with project.store.read() as connection:
        _, photometry = acis_extract_files(connection, shipped_recipes()["default"], tmp_path)
    table = Table.read(photometry)
    rows = query(
        project,
        "SELECT s.name, b.lo, b.hi, SUM(m.cnts_aper - m.cnts_aperbkg / m.bkg_ratio) AS net, "
        "MAX(m.bkg_ratio) / MIN(m.bkg_ratio) AS spread FROM measurement m "
        "JOIN band b ON b.id = m.band_id JOIN extraction e ON e.id = m.extraction_id "
        "JOIN source s ON s.id = e.source_id JOIN merge_member k ON k.extraction_id = e.id "
        "JOIN merge g ON g.id = k.merge_id WHERE g.purpose = 'photometry' AND k.used GROUP BY 1, 2, 3",
    )
    found = {(row["CATALOG_NAME"].strip(), row["ENERG_LO"], row["ENERG_HI"]): row for row in table}
    assert max(row["spread"] for row in rows) > 1.02
    for row in rows:
        own = found[row["name"], row["lo"], row["hi"]]
        assert own["NET_CNTS"] == pytest.approx(row["net"], abs=1e-9)
        difference = own["SRC_CNTS"] - own["BKG_CNTS"] / own["BACKSCAL"]
        assert own["NET_CNTS"] == pytest.approx(difference, abs=1e-9)


def test_channels_of_bands():
    """A channel belongs to a band when its middle does: 0.5 keV lies in channel 35, 8 keV in channel 548."""
    assert first_channel(np.array([0.5])).tolist() == [35]
    assert (first_channel(np.array([2.0, 8.0])) - 1).tolist() == [137, 548]
    for energy in (0.5, 1.2, 2.0, 7.0, 8.0, 0.0073, 0.0219):
        first = int(first_channel(np.array([energy]))[0])
        assert (first - 0.5) * 0.0146 >= energy - 1e-9
        assert (first - 1.5) * 0.0146 < energy


def test_srcflux_merged_table_says_which_observations(project, tmp_path):
    with project.store.read() as connection:
        files = srcflux_files(connection, shipped_recipes()["default"], tmp_path / "out")
    (path,) = [path for path in files if path.name == "out_broad.flux"]
    table = Table.read(path)
    assert table["INSIDE_FOV"].shape == (len(table), 2)
    np.testing.assert_array_equal(table["INSIDE_FOV"].sum(axis=1), table["NUM_OBI"])
    assert {tuple(row) for row in table["INSIDE_FOV"]} >= {(True, True), (False, False)}
    assert table.meta["ABSPARAM"] == 0.0
