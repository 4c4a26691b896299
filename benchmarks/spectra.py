"""Spectral fits of the simulated fields against what went into them.

Usage: python benchmarks/spectra.py collinder [FOLDER [COUNTS]]

Builds a project in FOLDER (or a temporary one) on ../shared/data/simulated, fits power laws to the
observations jointly and to combined spectra, and prints pulls of photon indices, ratios of fluxes, and the
difference between both ways. Sources of close pairs, whose apertures hold light of both, are left out.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.table import Table
from sqlalchemy import text

from catalog.recipes.recipe import Recipe
from catalog.stages.add_observations import add_observations
from catalog.stages.add_sources import add_sources
from catalog.stages.project import Project, create_project, open_project
from catalog.stages.recipe_store import add_recipe
from catalog.stages.run import run
from catalog.store.runs import begin_run, finish

DATA = Path(__file__).parents[2] / "shared" / "data" / "simulated"
LEAST_COUNTS = float(sys.argv[3]) if len(sys.argv) > 3 else 200.0
CORE = ("apertures", "extract", "photometry", "merge", "spectra")


def build(folder: Path, field: str) -> float:
    """Make the project and fit; return the seconds that the fits took."""
    create_project(folder)
    settings = folder / "srccat.toml"
    area, rmf = DATA / "acisi_area.ecsv", DATA / "acis_synthetic.rmf.gz"
    lines = f'\n[calibration]\nprovider = "files"\narea_table = "{area}"\nrmf = "{rmf}"\n'
    settings.write_text(settings.read_text().replace("\n[calibration]\n", lines))
    truth = Table.read(DATA / field / "truth.ecsv")
    table = folder / "truth.csv"
    truth["name", "ra", "dec"].write(table)
    with open_project(folder) as project:
        add_observations(project, sorted((DATA / field).glob("*evt2*")))
        add_sources(project, table)
        for name, scope in (("fit_joint", "joint"), ("fit_merged", "merged")):
            recipe = Recipe(name=name, model={"absorber": "wabs"}, spectral_fit={"scope": scope})
            with project.store.write() as writer:
                run_id = begin_run(writer, "recipe add", project.frozen_settings(), [])
                add_recipe(writer, run_id, recipe)
                finish(writer, run_id, "done", {})
        start = time.monotonic()
        recipes = ["fit_joint"] if field == "orion" else ["fit_joint", "fit_merged"]
        for recipe in recipes:
            run(project, CORE, [recipe])
        print(f"{time.monotonic() - start:.0f} s up to the spectra")
        start = time.monotonic()
        for recipe in recipes:
            print(run(project, ["spectral_fit"], [recipe]).reasons)
        return time.monotonic() - start


def fits(project: Project, recipe: str) -> dict[str, dict[str, float]]:
    """Fits of a recipe by the source's label."""
    with project.store.read() as connection:
        rows = connection.execute(
            text(
                "SELECT s.label, f.fit_cnts, f.fit_status, f.parameters, x.flux_fit, x.uflux_fit "
                "FROM spectral_fit f JOIN merge g ON g.id = f.merge_id JOIN source s ON s.id = g.source_id "
                "JOIN recipe r ON r.id = g.recipe_id JOIN spectral_flux x ON x.spectral_fit_id = f.id "
                "JOIN band b ON b.id = x.band_id WHERE b.band = 'broad' AND r.recipe = :recipe"
            ),
            {"recipe": recipe},
        ).all()
    found = {}
    for row in rows:
        index = json.loads(row.parameters)["photon_index"]
        found[row.label] = {
            "counts": row.fit_cnts,
            "flux": row.flux_fit,
            "ok": row.fit_status == "ok" and not index["frozen"],
            "index": index["value"],
            "lo": index["lo68"] or np.nan,
            "hi": index["hi68"] or np.nan,
        }
    return found


def compare(project: Project, field: str) -> None:
    """Print pulls and ratios."""
    truth = {row["name"]: row for row in Table.read(DATA / field / "truth.ecsv")}
    both = {recipe: fits(project, recipe) for recipe in ("fit_joint", "fit_merged")}
    for recipe, found in both.items():
        chosen = [
            (name, fit)
            for name, fit in found.items()
            if fit["ok"]
            and fit["counts"] > LEAST_COUNTS
            and truth[name]["model"] == "powerlaw"
            and not str(truth[name]["note"]).startswith("pair")
        ]
        steady = [(name, fit) for name, fit in chosen if not truth[name]["variable"]]
        for label, own in (("all", chosen), ("steady", steady)):
            if not own:
                continue
            pulls = np.array([_pull(fit, float(truth[name]["par"])) for name, fit in own])
            ratio = np.array([fit["flux"] / float(truth[name]["energy_flux"]) for name, fit in own])
            weight = np.array([fit["counts"] for _, fit in own])
            print(
                f"{recipe} {label}: {len(own)} sources, photon index pulls {np.nanmean(pulls):+.2f} "
                f"+- {np.nanstd(pulls):.2f} (median {np.nanmedian(pulls):+.2f}), flux ratio median "
                f"{np.median(ratio):.3f}, mean {ratio.mean():.3f}, "
                f"by counts {np.average(ratio, weights=weight):.3f}"
            )
            worst = sorted(zip(np.abs(pulls), own, strict=True), key=lambda item: -item[0])[:4]
            for pull, (name, fit) in worst:
                print(f"   {name}: {pull:.2f}, {fit['counts']:.0f} counts")
    if not both["fit_merged"]:
        return
    names = [
        name
        for name, fit in both["fit_joint"].items()
        if fit["counts"] > LEAST_COUNTS and fit["ok"] and both["fit_merged"][name]["ok"]
        and not truth[name]["variable"]
    ]  # fmt: skip
    shift = np.array(
        [
            (both["fit_joint"][name]["index"] - both["fit_merged"][name]["index"])
            / (0.5 * (both["fit_joint"][name]["hi"] - both["fit_joint"][name]["lo"]))
            for name in names
        ]
    )
    print(
        f"joint against combined: {len(names)} sources, "
        f"median |shift| {np.nanmedian(np.abs(shift)):.2f} sigma, mean {np.nanmean(shift):+.2f}, "
        f"largest {np.nanmax(np.abs(shift)):.2f}"
    )


def _pull(fit: dict[str, float], true: float) -> float:
    error = fit["index"] - fit["lo"] if fit["index"] > true else fit["hi"] - fit["index"]
    return (fit["index"] - true) / error


def main() -> None:
    field = sys.argv[1] if len(sys.argv) > 1 else "collinder"
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp()) / field
    if not (folder / "srccat.toml").exists():
        print(f"fits took {build(folder, field):.0f} s")
    with open_project(folder, read_only=True) as project:
        compare(project, field)


if __name__ == "__main__":
    main()
