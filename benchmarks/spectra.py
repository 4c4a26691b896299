"""Spectral fits of the simulated fields against what went into them.

Usage: python benchmarks/spectra.py [FOLDER [COUNTS]]

Builds projects in FOLDER (or a temporary one) on ../shared/data/simulated: `collinder` (three observations),
`orion` and `aciss` (two). Fits power laws to all steady sources that are power laws and have more than COUNTS
(200) true counts, close pairs among them, to the observations jointly and to combined spectra. Prints the
pull of each photon index, the ratio of each flux to the true one, the means, and how far both ways differ.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from catalog.errors import UnknownNameError
from catalog.measure.spectral_fit import SpectralFitResult
from catalog.recipes.recipe import Recipe
from catalog.stages.base.project import create_project, open_project
from catalog.stages.base.recipe_store import add_recipe, stored_recipes
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.contents.live_fits import FitRequest, fit_source
from catalog.stages.contents.manage_sources import find_source
from catalog.stages.engine.run import run
from catalog.store.runs import begin_run, finish

DATA = Path(__file__).parents[2] / "shared" / "data" / "simulated"
FIELDS = {"collinder": "acisi_area.ecsv", "orion": "acisi_area.ecsv", "aciss": "aciss/aciss_area.ecsv"}
RECIPE = "simulated"
CORE = ("apertures", "extract", "photometry", "merge", "spectra")
SCOPES = ("joint", "merged")


@dataclass(frozen=True)
class Fitted:
    """A source with its fits by scope."""

    field: str
    truth: dict[str, float]
    name: str
    note: str
    fits: dict[str, SpectralFitResult]

    def pull(self, scope: str) -> float:
        """Deviation of the photon index in units of its error on that side."""
        index = self.fits[scope].parameter("photon_index")
        end = index.lo68 if index.value > self.truth["par"] else index.hi68
        return np.nan if end is None else (index.value - self.truth["par"]) / abs(index.value - end)

    def ratio(self, scope: str) -> float:
        """Flux from 0.5 to 7 keV over the true one."""
        flux = next(item.flux for item in self.fits[scope].fluxes if item.band == "broad")
        return flux / self.truth["energy_flux"]


def build(folder: Path, field: str) -> None:
    """Make the project up to the spectra."""
    create_project(folder)
    settings = folder / "srccat.toml"
    area, rmf = DATA / FIELDS[field], DATA / "acis_synthetic.rmf.gz"
    lines = f'\n[calibration]\nprovider = "files"\narea_table = "{area}"\nrmf = "{rmf}"\n'
    settings.write_text(settings.read_text().replace("\n[calibration]\n", lines))
    table = folder / "truth.csv"
    Table.read(DATA / field / "truth.ecsv")["name", "ra", "dec"].write(table)
    with open_project(folder) as project:
        add_observations(project, sorted((DATA / field).glob("*evt2*")))
        add_sources(project, table)
        with project.store.write() as writer:
            run_id = begin_run(writer, "recipe add", project.frozen_settings(), [])
            add_recipe(writer, run_id, Recipe(name=RECIPE, model={"absorber": "wabs"}))
            finish(writer, run_id, "done", {})
        start = time.monotonic()
        run(project, CORE, [RECIPE])
        print(f"{field}: {time.monotonic() - start:.0f} s up to the spectra")


def fit_field(folder: Path, field: str, least: float) -> list[Fitted]:
    """Fit the power laws of a field."""
    truth = Table.read(DATA / field / "truth.ecsv")
    columns = [name for name in truth.colnames if name.startswith("actual_counts")]
    rows = [
        row
        for row in truth
        if row["model"] == "powerlaw"
        and not row["variable"]
        and sum(float(row[name]) for name in columns if np.isfinite(row[name])) > least
    ]
    found, start = [], time.process_time()
    with open_project(folder, read_only=True) as project, project.store.read() as connection:
        recipe = stored_recipes(connection, [RECIPE])[0]
        for row in rows:
            source = find_source(connection, row["name"])
            try:
                fits = {
                    scope: fit_source(connection, project, recipe, source.id, FitRequest(scope=scope))[
                        0
                    ].result
                    for scope in SCOPES
                }
            except UnknownNameError as error:
                print(f"{field} {row['name']}: {error}")
                continue
            plain = {name: float(row[name]) for name in ("par", "energy_flux")}
            found.append(Fitted(field, plain, str(row["name"]), str(row["note"]), fits))
    seconds = (time.process_time() - start) / max(len(SCOPES) * len(found), 1)
    print(f"{field}: {len(found)} sources, {seconds:.2f} s of processor time for each fit")
    return found


def report(found: list[Fitted]) -> None:
    """Print sources, pulls and ratios."""
    for item in found:
        fit = item.fits["joint"]
        print(
            f"  {item.field} {item.name}: {fit.net_counts:.0f} counts, pull {item.pull('joint'):+.2f}, "
            f"flux {item.ratio('joint'):.3f}, {fit.status}   {item.note}"
        )
    for field in FIELDS:
        _summary(f"{field}, joint", [item for item in found if item.field == field], "joint")
    for scope in SCOPES:
        _summary(f"all, {scope}", found, scope)
    shift = [_shift(item) for item in found]
    print(f"joint against combined: median {np.median(shift):.2f} sigma, largest {max(shift):.2f}")


def _summary(name: str, found: list[Fitted], scope: str) -> None:
    pulls = np.array([item.pull(scope) for item in found])
    ratios = np.array([item.ratio(scope) for item in found])
    counts = np.array([item.fits[scope].net_counts for item in found])
    good = np.isfinite(pulls)
    spread = float(pulls[good].std(ddof=1))
    print(
        f"{name}: {len(found)} sources, pulls {_mean(pulls[good])}, "
        f"standard deviation {spread:.2f} +- {spread / np.sqrt(2.0 * good.sum()):.2f}; flux ratio mean "
        f"{_mean(ratios)}, median {np.median(ratios):.3f}, by counts "
        f"{np.average(ratios, weights=counts):.3f}"
    )


def _mean(values: NDArray[np.float64]) -> str:
    return f"{values.mean():.3f} +- {values.std(ddof=1) / np.sqrt(values.size):.3f}"


def _shift(item: Fitted) -> float:
    joint, merged = (item.fits[scope].parameter("photon_index") for scope in SCOPES)
    if joint.lo68 is None or joint.hi68 is None:
        return 0.0
    return abs(joint.value - merged.value) / (0.5 * (joint.hi68 - joint.lo68))


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    least = float(sys.argv[2]) if len(sys.argv) > 2 else 200.0
    found = []
    for field in FIELDS:
        if not (folder / field / "srccat.toml").exists():
            build(folder / field, field)
        found += fit_field(folder / field, field, least)
    report(found)


if __name__ == "__main__":
    main()
