"""`srccat add observations` and `srccat add sources`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import POSITIONS, JsonOption, ProjectOption, refuse_options
from cli.output import plural, print_json, say

if TYPE_CHECKING:
    from catalog.stages.contents.add_observations import Found


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Add observations or sources.", no_args_is_help=True)
    group.command("observations")(observations)
    group.command("sources", context_settings=POSITIONS)(sources)
    app.add_typer(group, name="add")


def observations(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="Event files, archive or repro folders, globs."),
    ],
    role: Annotated[
        str, typer.Option("--role", help="What the event lists are for: photometry, validation or spectral.")
    ] = "photometry",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the event list of an observation that is there.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what is found.")] = False,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Add Chandra level-2 event lists with their companion files.

    Example: srccat add observations 4600 5341/repro
    """
    from catalog.config import project_dir
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.add_observations import add_observations

    with open_project(project_dir(project)) as opened:
        found = add_observations(opened, paths, role=role, replace=replace, dry_run=dry_run)
    if as_json:
        print_json([_plain(item) for item in found])
        return
    for item in found:
        _describe(item)
    say(f"{plural(len(found), 'event list')} found" if dry_run else _summary(found))


def _summary(found: list[Found]) -> str:
    counts = {
        outcome: sum(item.outcome == outcome for item in found)
        for outcome in ("added", "replaced", "unchanged")
    }
    return ", ".join(f"{number} {outcome}" for outcome, number in counts.items() if number) or "nothing found"


def _describe(item: Found) -> None:
    files = item.files
    say(f"ObsID {files.obs_id}: {files.events} ({item.outcome})")
    companions = {
        "aspect": ", ".join(str(path) for path in files.aspect),
        "bad pixels": files.bad_pixels,
        "mask": files.mask,
        "dead time": files.dead_time,
        "field of view": files.field_of_view,
    }
    for kind, path in companions.items():
        if path:
            say(f"  {kind}: {path}")
    for kind, consequence in files.missing.items():
        say(f"  no {kind}: {consequence}")
    if item.n_events is not None:
        say(f"  {plural(item.n_events, 'event')}")
    for reason, number in (item.dropped or {}).items():
        say(f"  {plural(number, 'event')} dropped: {reason}")
    if item.energy_range is not None:
        lo, hi = item.energy_range
        say(f"  energies cut to {lo:g}-{hi:g} keV: bands that reach outside are flagged")
    if item.good_time_doubt is not None:
        say(f"  {item.good_time_doubt}: variability tests are flagged timing_doubtful")


def _plain(item: Found) -> dict[str, object]:
    files = item.files
    return {
        "obs_id": files.obs_id,
        "events": str(files.events),
        "outcome": item.outcome,
        "aspect": [str(path) for path in files.aspect],
        "bad_pixels": files.bad_pixels and str(files.bad_pixels),
        "mask": files.mask and str(files.mask),
        "dead_time": files.dead_time and str(files.dead_time),
        "field_of_view": files.field_of_view and str(files.field_of_view),
        "missing": dict(files.missing),
        "n_events": item.n_events,
        "dropped": item.dropped,
        "energy_range": item.energy_range,
        "good_time_doubt": item.good_time_doubt,
    }


def sources(
    file: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE", help='FITS, VOTable, CSV, ECSV or ds9 list; or one position "RA DEC".'
        ),
    ],
    ra: Annotated[str | None, typer.Option("--ra", metavar="COL", help="Column of right ascension.")] = None,
    dec: Annotated[str | None, typer.Option("--dec", metavar="COL", help="Column of declination.")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="COL", help="Column of names.")] = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Add a list of positions; the same list again adds nothing.

    Examples: srccat add sources list.csv; srccat add sources "18 25 51.1 -14:48:22"
    """
    from catalog.config import project_dir
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.add_sources import add_sources

    refuse_options(file)
    # An unquoted position arrives as several words.
    listed = file[0] if len(file) == 1 or Path(file[0]).exists() else " ".join(file)
    with open_project(project_dir(project)) as opened:
        result = add_sources(opened, listed, ra=ra, dec=dec, name=name)
        tolerance = opened.settings.sources.match_tolerance
    if as_json:
        print_json(
            {
                "origin": result.origin,
                "n_listed": result.n_listed,
                "n_added": result.n_added,
                "n_known": result.n_known,
                "near": [vars(pair) for pair in result.near],
                "skipped": result.skipped,
            }
        )
        return
    for sentence in result.skipped:
        say(f"skipped: {sentence}")
    for pair in result.near:
        verb = "added all the same" if pair.added else "taken for it, not added"
        say(f'row {pair.row} lies {pair.separation:.2f}" from {pair.name} (tolerance {tolerance:g}"): {verb}')
    for collision in result.collisions:
        say(f"equal names {collision.name}: lengthened to {', '.join(dict.fromkeys(collision.names))}")
    say(f"{plural(result.n_added, 'source')} added, {result.n_known} known already, from {result.origin}")
