"""`srccat expmap`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import ProjectOption
from cli.output import say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("expmap")(expmap)


def expmap(
    out: Annotated[Path, typer.Argument(metavar="OUT.fits", help="FITS image to write.")],
    obs: Annotated[str, typer.Option("--obs", metavar="OBSID", help="Observation.", show_default=False)],
    band: Annotated[
        str, typer.Option("--band", metavar="BAND", help="broad, soft, ... or lo:hi:eff in keV.")
    ] = "broad",
    bin: Annotated[
        int | None, typer.Option("--bin", min=1, max=64, help="Sky pixels per image pixel; 2 arcsec.")
    ] = None,
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="NAME", help="Recipe whose weighting of the area is taken.")
    ] = "default",
    project: ProjectOption = None,
) -> None:
    """Write the exposure map of an observation in a band (cm2 s).

    Example: srccat expmap broad.fits --obs 4600 --band broad
    """
    from catalog.config import project_dir
    from catalog.export.exposure_map import write_exposure_map
    from catalog.stages.base.project import open_project

    with open_project(project_dir(project), read_only=True) as opened:
        image = write_exposure_map(opened, out, obs, band, recipe=recipe, binning=bin)
    rows, columns = image.values.shape
    say(f"{out}: {columns} x {rows} pixels, at most {float(image.values.max()):.4g} cm2 s")
