"""Merged counts and fluxes of isolated sources against the truth of simulations that are not ours.

Usage
-----
    python benchmarks/pulls.py DATA [PROJECT ...]

DATA is the folder that holds ``simulated/``. A PROJECT is a finished project on one of its fields; without
any, both fields are computed in temporary folders, which takes minutes.

A pull is (merged counts - expected counts) / error. The expected counts are those of the source's own
spectrum and light curve, from the truth table, without the streak of the frame transfer (live time over on
time), and with the PSF fraction of that spectrum: the recipe takes it at the band's effective energy, and
what that alone does is printed beside. The error is that of the expected counts and background in the
apertures, and that of the truth.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Row, Table
from sqlalchemy import text

from catalog.band import CSC_BANDS
from catalog.calibration.psf import PsfLibrary
from catalog.stages.base.project import create_project, open_project
from catalog.stages.base.work import field_inputs
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine.run import CORE_STAGES, run
from catalog.store.arrays import unpack

FIELDS = {"collinder": ("90001", "90002", "90003"), "orion": ("90010",)}
LEAST_COUNTS = 20.0
ISOLATION = 1.5
"""Least distance of another source of the list, in the sum of both aperture radii."""
OUTSIDE_STREAK = 0.98735
BAND = CSC_BANDS["broad"]
PARTS = np.arange(2.5, 100.0, 5.0)
"""Percentiles of the event energies that stand for the spectrum."""
SINGLE = """
SELECT s.label, o.obs_id, e.x, e.y, e.theta, e.phi, e.events_aper, e.radius_aper, e.near_edge, e.in_fov,
       e.good_frac, m.cnts_aper, m.cnts_aperbkg, m.psf_frac_aper, m.bkg_ratio, m.photflux_aper_mean,
       m.response_ratio, m.n_joint,
       m.area_band * e.livetime AS exposure
FROM extraction e JOIN source s ON s.id = e.source_id JOIN event_set v ON v.id = e.event_set_id
JOIN observation o ON o.id = v.observation_id JOIN measurement m ON m.extraction_id = e.id
JOIN band b ON b.id = m.band_id WHERE b.band = 'broad'
"""
MERGED = """
SELECT s.label, g.n_obs, m.src_cnts_aper, m.src_cnts_aper_mean, m.photflux_aper, m.photflux_aper_mean
FROM merge g JOIN source s ON s.id = g.source_id JOIN merged_measurement m ON m.merge_id = g.id
JOIN band b ON b.id = m.band_id WHERE b.band = 'broad' AND g.purpose = 'photometry'
"""
Rows = list[Any]


def build(folder: Path, field: Path) -> Path:
    """Make a project on a simulated field and run it to the merged values."""
    create_project(folder)
    settings = folder / "srccat.toml"
    simulated = field.parent
    chosen = f'provider = "files"\narea_table = "{simulated}/acisi_area.ecsv"\n'
    chosen += f'rmf = "{simulated}/acis_synthetic.rmf.gz"'
    settings.write_text(settings.read_text().replace("\n[calibration]\n", f"\n[calibration]\n{chosen}\n"))
    with open_project(folder) as project:
        add_observations(project, [field])
        add_sources(project, field / "truth.ecsv")
        run(project, CORE_STAGES)
    return folder


def isolated(rows: Rows) -> dict[str, Rows]:
    """Measurements by source, of sources that are alone and well inside a chip in every observation.

    Alone: no other aperture near, and no photons of a neighbour worth a joint measurement.
    """
    by_source: dict[str, Rows] = {}
    bad: set[str] = set()
    for obs_id in {row.obs_id for row in rows}:
        own = [row for row in rows if row.obs_id == obs_id and row.in_fov and row.radius_aper]
        place = np.array([(row.x, row.y, row.radius_aper / 0.492) for row in own])
        for i, row in enumerate(own):
            apart = np.hypot(*(place[:, :2] - place[i, :2]).T) / (place[:, 2] + place[i, 2])
            apart[i] = np.inf
            if apart.min() < ISOLATION or (row.n_joint or 1) > 1 or row.near_edge or row.good_frac < 0.999:
                bad.add(row.label)
            by_source.setdefault(row.label, []).append(row)
    return {label: own for label, own in by_source.items() if label not in bad}


def own_fraction(row: Any, psf: PsfLibrary) -> float:
    """PSF fraction for the spectrum of the aperture's events, over that at the band's effective energy."""
    energy = unpack(row.events_aper)
    energy = energy[(energy >= BAND.lo) & (energy < BAND.hi)]
    where = row.theta, row.phi
    each = [
        float(psf.fraction_in_radius(*where, float(e), row.radius_aper)) for e in np.percentile(energy, PARTS)
    ]
    return (
        1.0
        / float(np.mean(1.0 / np.array(each)))
        / float(psf.fraction_in_radius(*where, BAND.eff, row.radius_aper))
    )


def error(own: Rows, truth: Row) -> float:
    """Error of the counts that a source with this truth gives, and of the truth."""
    variance = 0.0
    for row in own:
        counts = float(truth[f"expected_counts_{row.obs_id}"]) * OUTSIDE_STREAK
        background = row.cnts_aperbkg / row.bkg_ratio
        spread = row.psf_frac_aper * counts + background * (1 + 1 / row.bkg_ratio)
        variance += spread / row.psf_frac_aper**2
        variance += float(truth[f"expected_counts_err_{row.obs_id}"]) ** 2
    return float(np.sqrt(variance))


def compare(folder: Path, truth: Table) -> None:
    """Print what one project gives."""
    with open_project(folder) as project, project.store.read() as connection:
        single = connection.execute(text(SINGLE)).all()
        fields = field_inputs(connection, project.settings)
        psf = project.calibration().psf.with_blur(fields[0].psf_blur)
        merged = {row.label: row for row in connection.execute(text(MERGED))}
    known = {str(row["name"]): row for row in truth}
    pulls, wrong_energy, fluxes, plain = [], [], [], []
    for label, own in isolated(single).items():
        row, source = merged[label], known[label]
        truth_counts = (
            np.array([float(source[f"expected_counts_{item.obs_id}"]) for item in own]) * OUTSIDE_STREAK
        )
        if truth_counts.sum() < LEAST_COUNTS or row.n_obs != len(own):
            continue
        fraction = np.array([own_fraction(item, psf) for item in own])
        wrong_energy.append((row.src_cnts_aper - truth_counts.sum()) / error(own, source))
        expected = float(truth_counts @ fraction)
        pulls.append((row.src_cnts_aper - expected) / error(own, source))
        weight = np.array([item.exposure for item in own])
        flux = sum(
            w * float(source[f"photon_flux_{item.obs_id}"]) for w, item in zip(weight, own, strict=True)
        )
        ratio = row.photflux_aper / (flux / weight.sum())
        fluxes.append(ratio)
        # Area at the effective energy in place of the weighted one.
        plain.append(
            ratio * weight.sum() / sum(w / item.response_ratio for w, item in zip(weight, own, strict=True))
        )
    values = np.array(pulls)
    print(
        f"{folder.name}: {values.size} isolated sources of {LEAST_COUNTS:g} counts and more: pulls of merged "
        f"counts: mean {values.mean():+.3f} +- {values.std() / np.sqrt(values.size):.3f}, "
        f"standard deviation {values.std(ddof=1):.3f} (PSF fraction at the effective energy: mean "
        f"{np.mean(wrong_energy):+.3f})"
    )
    print(
        f"  photon flux over truth, median: weighted with the reference spectrum {np.median(fluxes):.3f}, "
        f"area at the effective energy {np.median(plain):.3f}"
    )


def main(arguments: list[str]) -> int:
    """Compare the projects given, or those of both fields."""
    data = Path(arguments[0]) / "simulated"
    tables = {name: Table.read(data / name / "truth.ecsv") for name in FIELDS}
    with tempfile.TemporaryDirectory() as folder:
        projects = [Path(argument) for argument in arguments[1:]]
        projects = projects or [build(Path(folder) / name, data / name) for name in FIELDS]
        for project in projects:
            with open_project(project) as opened, opened.store.read() as connection:
                obs_id = connection.execute(text("SELECT MIN(obs_id) FROM observation")).scalar_one()
            (name,) = [name for name, obs_ids in FIELDS.items() if obs_id in obs_ids]
            compare(project, tables[name])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
