"""`srccat query`, `cone` and `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import POSITIONS, ProjectOption, RecipeOption, refuse_options
from cli.output import plural, print_table, say

if TYPE_CHECKING:
    from catalog.export.query import QueryResult

Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="table, csv, json or fits; else that of the suffix of --out, else table.",
    ),
]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="File instead of the screen.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("query")(query_command)
    app.command("cone", context_settings=POSITIONS)(cone_command)
    app.command("compare")(compare_command)


def query_command(
    statement: Annotated[
        str, typer.Argument(metavar="SQL", help="A SELECT; the views are catalog and detections.")
    ],
    format: Format = None,
    out: Out = None,
    project: ProjectOption = None,
) -> None:
    """Ask the catalog in SQL, read-only.

    Example: srccat query "SELECT name, flux_aper_b FROM catalog ORDER BY flux_aper_b DESC LIMIT 5"
    """
    from catalog.config import project_dir
    from catalog.export.query import query
    from catalog.stages.base.project import open_project

    chosen = _choose_format(format, out)
    with open_project(project_dir(project), read_only=True) as opened, opened.store.read() as connection:
        result = query(connection, statement)
    _show(result, chosen, out)


def cone_command(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RA DEC RADIUS", help="Position (ICRS) and radius with unit: 5\", 2', 0.1deg."
        ),
    ],
    recipe: RecipeOption = None,
    format: Format = None,
    out: Out = None,
    project: ProjectOption = None,
) -> None:
    """List the sources around a position, nearest first.

    Example: srccat cone 18:25:51.1 -14:48:22 30arcsec
    """
    from catalog.config import project_dir
    from catalog.errors import SettingsError
    from catalog.events.angle_text import parse_position, parse_radius
    from catalog.export.query import cone
    from catalog.stages.base.project import open_project

    chosen = _choose_format(format, out)
    refuse_options(words)
    if len(words) < 2:
        raise SettingsError("a cone needs a position and a radius", " ".join(words), "give RA DEC RADIUS")
    ra, dec = parse_position(" ".join(words[:-1]))
    radius = parse_radius(words[-1])
    with open_project(project_dir(project), read_only=True) as opened, opened.store.read() as connection:
        result = cone(connection, ra, dec, radius, recipe)
    _show(result, chosen, out)


def _choose_format(format: str | None, out: Path | None) -> str:
    from catalog.errors import SettingsError

    chosen = format or (out.suffix.lower().removeprefix(".") if out is not None else "table")
    if chosen not in ("table", "csv", "json", "fits"):
        raise SettingsError(
            "unknown format", chosen or out, "choose table, csv, json or fits", code="UNKNOWN_FORMAT"
        )
    if chosen == "fits" and out is None:
        raise SettingsError("FITS needs a file", "--format fits", "add --out FILE", code="UNKNOWN_FORMAT")
    if chosen == "table" and out is not None:
        raise SettingsError(
            "a table is for the screen", "--format table", "choose csv, json or fits", code="UNKNOWN_FORMAT"
        )
    return chosen


def _show(result: QueryResult, format: str, out: Path | None) -> None:
    if out is not None:
        result.write(out, format)
        say(f"{plural(len(result.rows), 'row')} in {out}")
    elif format in ("csv", "json"):
        typer.echo(result.as_csv() if format == "csv" else result.as_json() + "\n", nl=False)
    else:
        print_table(result.columns, result.rows)
        say(plural(len(result.rows), "row"))


def compare_command(
    first: Annotated[str, typer.Argument(metavar="RECIPE")],
    second: Annotated[str, typer.Argument(metavar="RECIPE")],
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="OUT.png", help="Draw the comparison.")
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Compare two recipes source by source and name the outliers.

    Example: srccat compare default srcflux --plot recipes.png
    """
    import numpy as np

    from catalog.config import project_dir
    from catalog.export.comparison import compare_recipes
    from catalog.stages.base.project import open_project

    with open_project(project_dir(project), read_only=True) as opened, opened.store.read() as connection:
        found = compare_recipes(connection, first, second)
    ratio = found.ratio[np.isfinite(found.ratio)]
    say(f"{found.quantity} of {plural(len(found.names), 'source')}, {second} over {first}")
    if len(ratio):
        low, middle, high = np.percentile(ratio, [16, 50, 84])
        say(f"median ratio {middle:.4f}, 68 % between {low:.4f} and {high:.4f}")
    outliers = found.outliers
    differ = "differs" if len(outliers) == 1 else "differ"
    line = "equality" if found.common_ratio == 1 else "the median ratio"
    say(f"{plural(len(outliers), 'source')} {differ} by more than 3 errors from {line}")
    if outliers:
        print_table(
            ("name", first, second, "ratio", "deviation", "counts", "reason"),
            (
                (
                    found.names[i],
                    f"{found.values[0, i]:.3e}",
                    f"{found.values[1, i]:.3e}",
                    f"{found.ratio[i]:.3f}",
                    f"{found.deviation[i]:+.1f}",
                    int(found.counts[i]),
                    found.reason(i) or "no flag tells",
                )
                for i in outliers
            ),
        )
    if plot is not None:
        from catalog.export.plots import comparison_picture

        comparison_picture(
            plot,
            found.values[0],
            found.values[1],
            found.errors[0],
            found.errors[1],
            xlabel=f"{first}: {found.quantity} (photon cm-2 s-1)",
            ylabel=f"{second}: {found.quantity} (photon cm-2 s-1)",
            names=found.names,
            title=f"{second} against {first}",
            far=np.isin(np.arange(len(found.names)), outliers),
            counts=found.counts,
            ratio=found.common_ratio,
        )
        say(f"picture {plot}")
