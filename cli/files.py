"""`srccat files`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import ProjectOption
from cli.output import plural, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("files")(files)


def files(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Numbers, names or labels of sources.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder to write to.", show_default=False)
    ],
    style: Annotated[
        str, typer.Option("--style", metavar="NAME", help="File names: srccat, srcflux or acis-extract.")
    ] = "srccat",
    obs: Annotated[
        str | None,
        typer.Option("--obs", metavar="OBSID", help="Observation; all unless given.", show_default=False),
    ] = None,
    band: Annotated[
        str | None,
        typer.Option(
            "--band", metavar="BAND", help="Band of images; the widest unless given.", show_default=False
        ),
    ] = None,
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="NAME", help="Recipe whose regions are taken.")
    ] = "default",
    merged: Annotated[
        bool, typer.Option("--merged", help="Also the files of all observations together.")
    ] = False,
    project: ProjectOption = None,
) -> None:
    """Write events, images, PSF and regions of sources.

    Example: srccat files 12 --out source12 --style acis-extract
    """
    from catalog.config import project_dir
    from catalog.export.source_files import write_source_files
    from catalog.stages.base.project import open_project

    with open_project(project_dir(project), read_only=True) as opened:
        found = write_source_files(
            opened, sources, out, style=style, obs_id=obs, recipe=recipe, band=band, merged=merged
        )
    for remark in found.remarks:
        say(f"note: {remark}")
    say(f"{plural(len(found.paths), 'file')} in {out}")
