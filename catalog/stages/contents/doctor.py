"""`doctor`: versions, calibration, missing companions, background flares."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from catalog import __version__
from catalog.errors import UserError
from catalog.measure.background_flares import FlareReport, find_flares
from catalog.stages.base.field_cache import field_key, observed_field
from catalog.stages.base.project import Project
from catalog.stages.base.work import field_inputs
from catalog.store.runs import library_versions

PACKAGES = ("catalog", "cli", "migrations")


@dataclass(frozen=True)
class Installation:
    """What is installed.

    Attributes
    ----------
    versions
        srccat, Python and libraries.
    problems
        Sentences on packages that are not ours.
    """

    versions: dict[str, str]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class ObservationHealth:
    """State of one event set.

    Attributes
    ----------
    obs_id, path
        Which.
    aspect
        Where the aspect comes from: asol or events; None when the list cannot be read.
    flares
        Background flares; None when the list cannot be read.
    problem
        Why the list cannot be read, else None.
    extrapolated
        Whether the effective area is extrapolated beyond the calibration's dates.
    """

    obs_id: str
    path: Path
    aspect: str | None
    flares: FlareReport | None
    problem: str | None
    extrapolated: bool


def installation() -> Installation:
    """Look at what is installed; the three packages have plain names that another project could take."""
    folders = {name: _folder(name) for name in PACKAGES}
    home = folders["catalog"].parent
    problems = [
        f"package {name!r} comes from {folder}, not from srccat in {home}: uninstall what brought it"
        for name, folder in folders.items()
        if folder.parent != home
    ]
    return Installation({"srccat": __version__, **library_versions()}, tuple(problems))


def _folder(name: str) -> Path:
    module = import_module(name)
    return Path(str(module.__file__)).resolve().parent


def observation_health(project: Project) -> list[ObservationHealth]:
    """Read each event list again and look for what a user should know before trusting its numbers."""
    calibration = project.calibration()
    with project.store.read() as connection:
        inputs = field_inputs(connection, project.settings)
    found = []
    for item in inputs:
        obs_id = item.scope.split("/")[0]
        extrapolated = item.calibration(calibration).area_extrapolated(item.decimal_year)
        try:
            field = observed_field(field_key(item))
        except UserError as error:
            found.append(ObservationHealth(obs_id, item.path, None, None, str(error), extrapolated))
            continue
        flares = find_flares(field.events)
        found.append(ObservationHealth(obs_id, item.path, field.histogram.source, flares, None, extrapolated))
    return found
