"""Energy fluxes of four real observations against the Chandra Source Catalog 2.0, in four bands.

Usage
-----
    python benchmarks/csc.py [--data ../shared/data]

Prints tables of ratios by net broad-band counts and off-axis angle; docs/statistics.md keeps them. Variable
(P > 0.9), confused and flagged sources are left out, and those whose listed flux is 0 in the band. Exits
with 1 when the broad sums differ by more than 7 % and also by more than 2 sigma.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.table import Table
from sqlalchemy import text

from catalog.stages.base.project import create_project, open_project
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine.run import run

NUMBERS = (11831, 11832, 15360, 15365)
BANDS = {
    "broad": ("F_b", "Fb", "b"),
    "soft": ("Fs", "Fs", "s"),
    "medium": ("Fm", "Fm", "m"),
    "hard": ("Fh", "Fh", "h"),
}
GATED = "net >= 15, theta < 8'"
CLASSES = (
    ("any net, theta < 8'", -np.inf, np.inf, 0, 8),
    ("net < 5, theta < 8'", -np.inf, 5, 0, 8),
    ("net 5-15, theta < 8'", 5, 15, 0, 8),
    ("net >= 15, theta < 4'", 15, np.inf, 0, 4),
    ("net >= 15, theta 4-8'", 15, np.inf, 4, 8),
    (GATED, 15, np.inf, 0, 8),
    ("net >= 15, theta 8-10'", 15, np.inf, 8, 10),
)


def listed_sources(folder: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for path in sorted(folder.glob("csc2_*.ecsv")):
        for row in Table.read(path):
            found.setdefault(str(row["name"]), dict(zip(row.colnames, row, strict=True)))
    return found


def number(value: object) -> float:
    return float(np.ma.filled(np.ma.asarray(value, dtype=float), np.nan))


def is_quiet(row: dict[str, object]) -> bool:
    chances = [number(row[name]) for name in ("P_inter", "P_intra")]
    return not any(chance > 0.9 for chance in chances) and str(row["flags"]) in ("-", "--")


def measured(acis: Path, folder: Path) -> list[dict[str, object]]:
    create_project(folder)
    with open_project(folder) as project:
        add_observations(project, [acis / f"acisf{n}_repro_evt2.fits.gz" for n in NUMBERS])
        for n in NUMBERS:
            add_sources(project, acis / f"csc2_{n}.ecsv")
        run(project, ("apertures", "extract", "photometry", "merge"))
        with project.store.read() as connection:
            return [dict(row._mapping) for row in connection.execute(text("SELECT * FROM catalog"))]


def compare(rows: list[dict[str, object]], listed: dict[str, dict[str, object]], band: str) -> np.ndarray:
    """Rows of net counts, theta, our mean, our mode, our error, their flux, their error."""
    flux, error, suffix = BANDS[band][0], f"e_{BANDS[band][1]}", BANDS[band][2]
    found = []
    for row in rows:
        other = listed.get(str(row["label"]))
        if other is None or not row["n_obs"] or not is_quiet(other):
            continue
        if band != "broad" and bool(other[f"missing_{suffix}"]):
            continue
        if row[f"flux_aper_mean_{suffix}"] is None:
            continue
        net = row["cnts_aper_b"] - row["cnts_aperbkg_b"] / row["bkg_ratio_b"]
        half = 0.5 * (row[f"flux_aper_hilim_{suffix}"] - row[f"flux_aper_lolim_{suffix}"])
        mean, mode = row[f"flux_aper_mean_{suffix}"], row[f"flux_aper_{suffix}"]
        found.append((net, row["theta_min"], mean, mode, half, number(other[flux]), number(other[error])))
    return np.array(found, dtype=float)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    acis = parser.parse_args().data / "real" / "acis"
    with tempfile.TemporaryDirectory() as folder:
        rows = measured(acis, Path(folder) / "project")
    listed = listed_sources(acis)
    good = True
    print("| band | sources | number | sum of means / sum | 1 sigma | sum of modes / sum | median ratio |")
    print("|---|---|---|---|---|---|---|")
    for band in BANDS:
        table = compare(rows, listed, band)
        for title, least, most, near, far in CLASSES:
            net, theta = table[:, 0], table[:, 1]
            own = table[(net >= least) & (net < most) & (theta >= near) & (theta < far) & (table[:, 5] > 0)]
            if not len(own):
                continue
            total = own[:, 5].sum()
            ratio = own[:, 2].sum() / total
            sigma = np.sqrt((own[:, 4] ** 2).sum() + np.nansum(own[:, 6] ** 2)) / total
            modes, median = own[:, 3].sum() / total, np.median(own[:, 2] / own[:, 5])
            print(
                f"| {band} | {title} | {len(own)} | {ratio:.3f} | {sigma:.3f} | {modes:.3f} | {median:.2f} |"
            )
            if band == "broad" and title == GATED:
                good = abs(ratio - 1) < max(0.07, 2 * sigma)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
