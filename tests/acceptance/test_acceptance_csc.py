"""Energy fluxes against the Chandra Source Catalog 2.0, on four real observations."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from finished_catalogs import build

LEAST_NET_COUNTS = 15
LARGEST_THETA = 8.0


@pytest.fixture(scope="module")
def csc(tmp_path_factory, data_dir):
    """Four observations with the sources that the Chandra Source Catalog has there."""
    acis = data_dir / "real" / "acis"
    numbers = (11831, 11832, 15360, 15365)
    return build(
        tmp_path_factory.mktemp("csc") / "project",
        [acis / f"acisf{number}_repro_evt2.fits.gz" for number in numbers],
        [acis / f"csc2_{number}.ecsv" for number in numbers],
    )


def csc_sources(data_dir):
    """Rows of the lists by name; a source may be in two of them."""
    found = {}
    for path in sorted((data_dir / "real" / "acis").glob("csc2_*.ecsv")):
        for row in Table.read(path):
            found.setdefault(str(row["name"]), row)
    return found


def is_quiet(row):
    """Neither variable (between or within observations) nor confused, extended or piled up."""
    chances = [float(np.ma.filled(row[name], np.nan)) for name in ("P_inter", "P_intra")]
    return not any(chance > 0.9 for chance in chances) and str(row["flags"]) in ("-", "--")


def compare(csc, data_dir):
    """Rows (name, observations, theta, net counts, our flux, theirs) of the sources that enter."""
    listed = csc_sources(data_dir)
    rows = []
    for row in csc.merged:
        if not row["n_obs"] or row["theta_min"] > LARGEST_THETA:
            continue
        net = row["cnts_aper"] - row["cnts_aperbkg"] / row["bkg_ratio"]
        if net >= LEAST_NET_COUNTS and is_quiet(listed[row["label"]]):
            rows.append(
                (
                    row["label"],
                    row["n_obs"],
                    row["theta_min"],
                    net,
                    row["flux_aper_mean"],
                    float(listed[row["label"]]["F_b"]),
                )
            )
    return rows


def test_energy_flux_agrees(csc, data_dir):
    rows = compare(csc, data_dir)
    lines = [
        f"{name:24} {n_obs} obs  theta {theta:4.1f}  net {net:6.1f}  "
        f"{ours:.3e}  {theirs:.3e}  {ours / theirs:.2f}"
        for name, n_obs, theta, net, ours, theirs in rows
    ]
    ours, theirs = (np.array([row[column] for row in rows]) for column in (4, 5))
    ratio = ours.sum() / theirs.sum()
    table = "\n".join(["", *lines, f"{len(rows)} sources, ratio of sums {ratio:.3f}"])
    print(table)  # noqa: T201
    assert len(rows) >= 12, table
    assert 0.85 < ratio < 1.15, table
    # One bright source must not hide the others.
    assert 0.85 < np.median(ours / theirs) < 1.15, table


def test_each_source_agrees_within_its_error(csc, data_dir):
    rows = compare(csc, data_dir)
    listed = csc_sources(data_dir)
    by_name = {row["label"]: row for row in csc.merged}
    pulls = []
    for name, *_ in rows:
        row, other = by_name[name], listed[name]
        own = 0.5 * (row["flux_aper_hilim"] - row["flux_aper_lolim"])
        # Different events of partly the same observations: the errors are at least not larger than both.
        pulls.append((row["flux_aper_mean"] - other["F_b"]) / np.hypot(own, float(other["e_Fb"])))
    assert np.abs(pulls).max() < 3.0
    assert np.sqrt(np.mean(np.square(pulls))) < 1.3


def test_seen_by_two_observations(csc):
    """The fields of 11832 and 15365 overlap: what both see is one source with one merged value."""
    both = [row for row in csc.merged if row["n_obs"] == 2]
    assert len(both) >= 2
    for row in both:
        own = [item for item in csc.measurements if item["label"] == row["label"] and item["area_aper"]]
        assert {item["obs_id"] for item in own} <= {"11832", "15360", "15365"}
        assert row["cnts_aper"] == sum(item["cnts_aper"] for item in own)
