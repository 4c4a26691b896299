"""`srccat spectra`: stored spectra as files; fits are in `spectral_fits`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import spectral_fits
from cli.options import ProjectOption, RecipeOption
from cli.output import make_folder, plural, say, warn

Chosen = Annotated[list[str] | None, typer.Argument(metavar="SOURCE...", help="Numbers, names or labels.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder; made when it is not there.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Write, fit and draw spectra.", no_args_is_help=True)
    group.command("export")(export_command)
    spectral_fits.register(group)
    app.add_typer(group, name="spectra")


def export_command(
    sources: Chosen = None,
    out: Out = Path("spectra"),
    every: Annotated[bool, typer.Option("--all", help="All sources.")] = False,
    obs: Annotated[
        list[str] | None, typer.Option("--obs", metavar="OBSID", help="Only this ObsID; may be repeated.")
    ] = None,
    merged: Annotated[
        bool, typer.Option("--merged", help="One spectrum per source, its observations combined.")
    ] = False,
    group: Annotated[
        str, typer.Option("--group", metavar="RULE", help="none, counts:15, snr:3 or snr:2-20.")
    ] = "none",
    background: Annotated[
        str | None,
        typer.Option("--background", metavar="RULE", help="Combining: asca, time or counts."),
    ] = None,
    recipe: RecipeOption = None,
    project: ProjectOption = None,
) -> None:
    """Write spectra with ARF, RMF and background as OGIP files.

    Each redistribution is written once, whoever shares it. The stage `spectra` must have run.

    Example: srccat spectra export 12 --out spectra --group counts:15
    """
    from catalog.config import project_dir
    from catalog.errors import SettingsError, UnknownNameError
    from catalog.export.ogip import OgipFolder
    from catalog.export.spectra_selection import named_spectra, select_spectra, why_without_spectrum
    from catalog.measure.combined_spectrum import parse_background_rule
    from catalog.stages.base.project import open_project
    from catalog.stats.spectral_grouping import parse_group_rule

    rule = parse_group_rule(group)
    if bool(sources) == every:
        raise SettingsError(
            "name sources, or give --all", "srccat spectra export", "one of the two", code="NO_SOURCE"
        )
    with open_project(project_dir(project), read_only=True) as opened, opened.store.read() as connection:
        selection = select_spectra(connection, sources or None, recipe, obs or None)
        combine = parse_background_rule(background or selection.recipe.recipe.spectra.combine)
        without = why_without_spectrum(connection, selection)
        if without and len(without) == len(selection.source_ids):
            name, reason = next(iter(without.items()))
            raise UnknownNameError(f"no spectrum ({reason})", name, "see `srccat status`", code="NO_SPECTRUM")
        make_folder(out)
        folder, number = OgipFolder(out, rule), 0
        for item in named_spectra(connection, selection, combine if merged else None):
            path = folder.write(item)
            number += 1
            if not every:
                say(str(path))
    for name, reason in without.items():
        warn(f"{name}: no spectrum ({reason})")
    say(f"{plural(number, 'spectrum').replace('spectrums', 'spectra')} in {plural(folder.written, 'file')}")
