"""The example: simulate a field, build its catalog, export it, draw it, and compare it with the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from catalog.apertures.region import region_from_dict
from catalog.config import SETTINGS_FILE
from catalog.errors import ProjectError
from catalog.export.plots import FieldAperture, comparison_picture, field_picture
from catalog.export.selection import select_rows
from catalog.export.writers import export_table
from catalog.schema.tables import EventSet, Extraction, Observation, RegionRow, Source
from catalog.simulate.demo_field import DemoField, write_demo
from catalog.stages.base.field_cache import field_key, observed_field
from catalog.stages.base.project import Project, create_project, open_project
from catalog.stages.base.work import field_inputs
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine.run import Track, run
from catalog.stages.engine.run_report import RunReport

DATA = "data"
CATALOGS = (
    "catalog.fits",
    "catalog.vot",
    "catalog.ecsv",
    "catalog.csv",
    "catalog.tex",
    "catalog.mrt",
    "catalog.reg",
)
FIELD_PICTURE = "field.png"
FLUX_PICTURE = "fluxes.png"
_BRIGHT = 5.0
"""Significance from which a flux enters the comparison."""


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What the example made.

    Attributes
    ----------
    folder
        Project folder.
    report
        The run.
    n_sources, n_compared
        Sources in the catalog, and those compared with the truth.
    ratio
        Measured over true energy flux of those, shape (n_compared,).
    files
        What was written.
    """

    folder: Path
    report: RunReport
    n_sources: int
    n_compared: int
    ratio: NDArray[np.float64]
    files: tuple[Path, ...]

    def lines(self) -> list[str]:
        """Summary for people."""
        low, middle, high = np.percentile(self.ratio, [16, 50, 84])
        done = f"{self.report.computed} units computed, {self.report.failed} failed"
        return [
            f"{self.n_sources} sources in 3 observations; {done}",
            f"broad-band flux, measured over true, of {self.n_compared} sources above significance "
            f"{_BRIGHT:g}: median {middle:.3f}, 68 % between {low:.3f} and {high:.3f}",
            "",
            f"project    {self.folder}",
            f"catalog    {self.folder / 'srccat.db'}",
            *(f"{_kind(path):10s} {path}" for path in self.files),
            "",
            f"next: srccat query --project {self.folder} "
            '"SELECT name, flux_aper_b, src_significance_b FROM catalog ORDER BY flux_aper_b DESC LIMIT 5"',
        ]


def _kind(path: Path) -> str:
    return "picture" if path.suffix == ".png" else "table"


def run_demo(folder: Path, track: Track) -> DemoResult:
    """Make the example in a folder, or bring the one that is there up to date.

    Raises
    ------
    ProjectError
        The folder holds a project that is not the example, or cannot be written.
    """
    folder = folder.expanduser().resolve()
    if (folder / SETTINGS_FILE).exists() and not (folder / DATA / "truth.ecsv").exists():
        raise ProjectError("the folder holds another project", folder, "choose another folder")
    # The data come first: a project without them would be taken for another one after an interruption.
    try:
        field = write_demo(folder / DATA)
    except OSError as error:
        reason = error.strerror or "error"
        raise ProjectError(
            f"the example cannot be written ({reason})", folder, "choose another folder"
        ) from error
    if not (folder / SETTINGS_FILE).exists():
        create_project(folder)
    with open_project(folder) as project:
        add_observations(project, [path.parent.parent for path in field.event_files])
        add_sources(project, field.source_list)
        report = run(project, track=track)
        return _finish(project, field, report)


def _finish(project: Project, field: DemoField, report: RunReport) -> DemoResult:
    folder = project.folder
    files = [folder / name for name in (*CATALOGS, "detections.fits", FIELD_PICTURE, FLUX_PICTURE)]
    with project.store.read() as connection:
        table = select_rows(connection, "catalog")
        for name in CATALOGS:
            export_table(table, folder / name)
        export_table(select_rows(connection, "detections"), folder / "detections.fits")
    draw_field(project, folder / FIELD_PICTURE)
    true = _true_fluxes(field)
    label = [str(value) for value in table.values["label"]]
    flux, lower, upper = (
        table.values[name].filled(np.nan)
        for name in ("flux_aper_b", "flux_aper_lolim_b", "flux_aper_hilim_b")
    )
    truth = np.array([true[name] for name in label])
    comparison_picture(
        folder / FLUX_PICTURE,
        truth,
        flux,
        yerr=np.array([flux - lower, upper - flux]),
        xlabel="true flux, 0.5-7 keV (erg cm-2 s-1)",
        ylabel="measured flux, 0.5-7 keV (erg cm-2 s-1)",
        names=label,
        title="The example: measured against true flux",
    )
    bright = table.values["src_significance_b"].filled(0.0) >= _BRIGHT
    return DemoResult(
        folder=folder,
        report=report,
        n_sources=len(table),
        n_compared=int(bright.sum()),
        ratio=(flux / truth)[bright],
        files=tuple(files),
    )


def _true_fluxes(field: DemoField) -> dict[str, float]:
    """Energy flux of each source, its mean over the observations."""
    from astropy.table import Table

    truth = Table.read(field.truth, format="ascii.ecsv")
    names, fluxes = [str(name) for name in truth["name"]], np.asarray(truth["energy_flux"], dtype=float)
    return dict(zip(names, fluxes.tolist(), strict=True))


def draw_field(project: Project, path: Path, obs_id: str | None = None, recipe: str = "default") -> Path:
    """Draw the events of one observation (the first unless named) with its apertures."""
    with project.store.read() as connection:
        inputs = field_inputs(connection, project.settings)
        chosen = next(item for item in inputs if obs_id is None or item.scope.split("/")[0] == obs_id)
        rows = connection.execute(
            select(Source.id, Source.name, Source.label, RegionRow.role, RegionRow.shape)
            .join(Extraction, Extraction.source_id == Source.id)
            .join(RegionRow, RegionRow.extraction_id == Extraction.id)
            .join(EventSet, EventSet.id == Extraction.event_set_id)
            .join(Observation, Observation.id == EventSet.observation_id)
            .where(EventSet.id == chosen.event_set_id)
            .order_by(Source.id)
        ).all()
    regions: dict[int, dict[str, object]] = {}
    for row in rows:
        entry = regions.setdefault(row.id, {"name": row.label or row.name})
        entry[row.role] = region_from_dict(row.shape)
    field = observed_field(field_key(chosen))
    x, y = field.events.x, field.events.y
    extent = (float(x.min()), float(x.max()), float(y.min()), float(y.max()))
    bins = [np.linspace(low, high, 600) for low, high in (extent[:2], extent[2:])]
    counts = np.histogram2d(y, x, bins=[bins[1], bins[0]])[0]
    apertures = [
        FieldAperture(str(entry["name"]), entry.get("source"), entry.get("background"))
        for entry in regions.values()
    ]
    obs = chosen.scope.split("/")[0]
    return field_picture(
        path, counts, extent, apertures, title=f"ObsID {obs}: events and apertures ({recipe})"
    )
