"""`srccat regions`: add, list, release, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import JsonOption, ProjectOption
from cli.output import plural, print_json, print_table, say

if TYPE_CHECKING:
    from catalog.stages.contents.stored_regions import RegionChoice, StoredRegion

Source = Annotated[
    str | None,
    typer.Option("--source", metavar="SOURCE", help="Number, name or label.", show_default=False),
]
Obs = Annotated[str | None, typer.Option("--obs", metavar="OBSID", help="Observation.", show_default=False)]
Role = Annotated[
    str | None,
    typer.Option("--role", metavar="ROLE", help="source or background.", show_default=False),
]
Recipe = Annotated[str | None, typer.Option("--recipe", metavar="NAME", help="Recipe.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Apertures drawn by hand: add, list, release, export.", no_args_is_help=True)
    group.command("add")(add)
    group.command("list")(list_command)
    group.command("release")(release)
    group.command("export")(export)
    app.add_typer(group, name="regions")


def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="ds9 or CIAO regions, text or FITS.")],
    source: Source = None,
    obs: Obs = None,
    role: Role = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe", metavar="NAME", help="Recipe; all unless given or tagged.", show_default=False
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take an aperture that seems to be another source's.")
    ] = False,
    note: Annotated[
        str | None, typer.Option("--note", metavar="TEXT", help="Remark to keep.", show_default=False)
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Measure in regions drawn by hand, until they are released.

    What the options leave out is taken from labels and tags of the file, as `regions export` writes them;
    regions that were not edited are left as they are.

    Example: srccat regions add edited.reg
    """
    from catalog.config import project_dir
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.user_regions import add_regions

    with open_project(project_dir(project)) as opened:
        report = add_regions(
            opened,
            file,
            source=source or "",
            obs_id=obs or "",
            role=role or "",
            recipe=recipe or "",
            force=force,
            note=note,
        )
    for remark in report.remarks:
        say(f"note: {remark}")
    unchanged = f", {report.unchanged} as they were" if report.unchanged else ""
    where = f" of {plural(len(report.sources), 'source')}" if report.added else ""
    then = "; `srccat run` measures in them" if report.added else ""
    say(f"{plural(report.added, 'region')}{where} drawn{unchanged}{then}")


def _choice(source: str | None, obs: str | None, role: str | None, recipe: str | None) -> RegionChoice:
    from catalog.stages.contents.stored_regions import RegionChoice

    return RegionChoice((source,) if source else (), obs, role, recipe)


def list_command(
    source: Source = None,
    obs: Obs = None,
    role: Role = None,
    recipe: Recipe = None,
    everything: Annotated[bool, typer.Option("--all", help="Computed regions too.")] = False,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """List the regions drawn by hand.

    Example: srccat regions list
    """
    from catalog.config import project_dir
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.listed_regions import describe, list_regions

    with open_project(project_dir(project), read_only=True) as opened:
        rows = list_regions(opened, _choice(source, obs, role, recipe), everything=everything)
    if as_json:
        columns = ("source_id", "name", "obs_id", "recipe", "role", "drawn", "waiting", "region_file", "note")
        print_json(
            [{**{name: getattr(row, name) for name in columns}, **row.region.to_dict()} for row in rows]
        )
        return
    print_table(
        ("source", "name", "obs_id", "recipe", "role", "shape", "area (pix)", "drawn", "from", "note"),
        (
            (
                row.source_id,
                row.label or row.name,
                row.obs_id,
                row.recipe,
                row.role,
                describe(row.region),
                f"{row.region.area:.1f}",
                _state(row),
                row.region_file,
                row.note,
            )
            for row in rows
        ),
    )
    say(plural(len(rows), "region"))


def _state(row: StoredRegion) -> str:
    if not row.drawn:
        return "no"
    if row.released:
        return "released"
    return "not measured yet" if row.waiting else "yes"


def release(
    source: Source = None,
    obs: Obs = None,
    role: Role = None,
    recipe: Recipe = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    project: ProjectOption = None,
) -> None:
    """Give up drawn regions: the next run computes them again.

    Example: srccat regions release --source 12 --obs 4600
    """
    from catalog.config import project_dir
    from catalog.errors import SettingsError
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.listed_regions import release_regions

    if not (everything or source or obs or role or recipe):
        raise SettingsError(
            "which regions?", "regions release", "give --source, --obs, --role, --recipe or --all"
        )
    with open_project(project_dir(project)) as opened:
        number = release_regions(opened, _choice(source, obs, role, recipe))
    say(f"{plural(number, 'region')} released" + ("; `srccat run` computes them again" if number else ""))


def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write: .reg (ds9) or .fits (CIAO).")],
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source", metavar="SOURCE", help="Source; may be given several times.", show_default=False
        ),
    ] = None,
    obs: Obs = None,
    role: Role = None,
    recipe: Recipe = None,
    frame: Annotated[
        str, typer.Option("--frame", metavar="NAME", help="icrs, or physical: sky pixels, exact.")
    ] = "icrs",
    markers: Annotated[bool, typer.Option(help="Crosses at the positions of the sources.")] = True,
    project: ProjectOption = None,
) -> None:
    """Write apertures, backgrounds and masks for ds9 or CIAO.

    Example: srccat regions export all.reg --obs 4600
    """
    from catalog.config import project_dir
    from catalog.export.region_files import export_regions
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.stored_regions import RegionChoice

    choice = RegionChoice(tuple(source or ()), obs, role, recipe)
    with open_project(project_dir(project), read_only=True) as opened:
        number = export_regions(opened, out, choice, frame=frame, markers=markers)
    say(f"{plural(number, 'region')} in {out}")
