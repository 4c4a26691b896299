"""`srccat doctor`."""

from __future__ import annotations

from pathlib import Path

import typer

from cli.options import ProjectOption
from cli.output import print_table, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(project: ProjectOption = None) -> int:
    """Show versions, calibration, missing files and flares.

    Example: srccat doctor
    """
    from catalog.config import SETTINGS_FILE, project_dir
    from catalog.stages.contents.doctor import installation

    found = installation()
    print_table(("component", "version"), found.versions.items())
    for problem in found.problems:
        say(f"problem: {problem}")
    folder = project_dir(project)
    if project is None and not (folder / SETTINGS_FILE).exists():
        from catalog.calibration.factory import open_calibration

        say(f"calibration: {open_calibration().identity}")
        _caldb(None)
        say(f"no project in {folder}: `srccat init` makes one")
        return 1 if found.problems else 0
    healthy = _project(folder)
    return 0 if healthy and not found.problems else 1


def _caldb(folder: Path | None) -> None:
    """Data sets of the CALDB of the settings or of $CALDB, where one is named."""
    import os

    from catalog.calibration.caldb import listing
    from catalog.calibration.caldb_index import read_caldb_index
    from catalog.errors import UserError

    chosen = folder or os.environ.get("CALDB")
    if not chosen:
        return
    try:
        rows = listing(read_caldb_index(chosen))
    except UserError as error:
        say(f"CALDB: {error}")
        return
    print_table((f"CALDB {chosen}", "newest file", "version", "srccat"), rows)


def _project(folder: Path) -> bool:
    from catalog.stages.base.project import open_project, storage_remark
    from catalog.stages.contents.doctor import observation_health

    remark = storage_remark(folder)
    if remark:
        say(remark)
    with open_project(folder, read_only=True) as opened:
        say(f"database: {opened.store.where}")
        say(f"calibration: {opened.calibration().identity}")
        _caldb(opened.settings.calibration.caldb)
        health = observation_health(opened)
    for item in health:
        if item.problem is not None or item.flares is None:
            say(f"ObsID {item.obs_id}: {item.problem}")
            continue
        source = {"asol": "aspect solution", "events": "rebuilt from the events"}
        say(f"ObsID {item.obs_id}: aspect {source.get(item.aspect or '', item.aspect)}")
        if item.extrapolated:
            say("  effective area extrapolated beyond the calibration's dates")
        flares = item.flares
        say(f"  median rate of the field {flares.median_rate:.3f} count/s (0.5-7 keV)")
        if flares.intervals:
            say(
                f"  background flares: {flares.flare_time:.0f} s above 1.2 x median; exclude with "
                f'exclude_times under [observation."{item.obs_id}"]: '
                + ", ".join(f"[{start:.1f}, {stop:.1f}]" for start, stop in flares.intervals[:5])
                + (" ..." if len(flares.intervals) > 5 else "")
            )
    return all(item.problem is None for item in health)
