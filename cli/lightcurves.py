"""`srccat lightcurves`: write and draw stored light curves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import ProjectOption, RecipeOption
from cli.output import make_folder, plural, say

if TYPE_CHECKING:
    from catalog.export.stored_curves import ObservedCurves

Chosen = Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Numbers, names or labels.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder; made when it is not there.")]
BandOption = Annotated[
    str | None, typer.Option("--band", help="Band; the widest with light curves unless given.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Write and draw light curves.", no_args_is_help=True)
    group.command("export")(export_command)
    group.command("plot")(plot_command)
    app.add_typer(group, name="lightcurves")


def export_command(
    sources: Chosen,
    out: Out = Path("lightcurves"),
    band: BandOption = None,
    recipe: RecipeOption = None,
    project: ProjectOption = None,
) -> None:
    """Write light curves as OGIP FITS files.

    Example: srccat lightcurves export 12 --out lightcurves
    """
    from catalog.export.light_curve_fits import write_light_curve

    found = _curves(sources, recipe, band, project)
    make_folder(out)
    paths = [write_light_curve(out, item) for _, _, observed in found for item in observed]
    for path in paths:
        say(str(path))
    say(plural(len(paths), "file"))


def plot_command(
    sources: Chosen,
    out: Out = Path("lightcurves"),
    band: BandOption = None,
    recipe: RecipeOption = None,
    format: Annotated[str, typer.Option("--format", help="png, pdf or svg.")] = "png",
    project: ProjectOption = None,
) -> None:
    """Draw one page of light curves for each source.

    Example: srccat lightcurves plot 12 --out pages
    """
    from catalog.errors import SettingsError
    from catalog.export.light_curve_page import light_curve_page

    if format not in ("png", "pdf", "svg"):
        raise SettingsError("unknown format", format, "choose png, pdf or svg", code="UNKNOWN_FORMAT")
    found = _curves(sources, recipe, band, project)
    make_folder(out)
    for stem, summary, observed in found:
        say(str(light_curve_page(out / f"{stem}_lightcurve.{format}", observed, summary)))


def _curves(
    words: list[str], recipe: str | None, band: str | None, project: Path | None
) -> list[tuple[str, str, list[ObservedCurves]]]:
    """File stem, summary and light curves of each source."""
    from catalog.config import project_dir
    from catalog.export.light_curve_fits import file_stem
    from catalog.export.stored_curves import observed_curves, variability_summary
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.manage_sources import find_source

    found = []
    with open_project(project_dir(project), read_only=True) as opened, opened.store.read() as connection:
        for word in words:
            source = find_source(connection, word)
            observed = observed_curves(connection, source.id, recipe, band)
            summary = variability_summary(connection, source.id, observed[0])
            found.append((file_stem(source.name), summary, observed))
    return found
