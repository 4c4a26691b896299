"""`srccat export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import ProjectOption, RecipeOption
from cli.output import plural, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="File: .fits .vot .ecsv .csv .parquet .tex .mrt or .reg.")
    ],
    table: Annotated[str, typer.Option("--table", help="catalog or detections.")] = "catalog",
    recipe: RecipeOption = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="SQL", help='Condition, such as "src_significance_b > 3".'),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option("--columns", metavar="A,B,...", help="Columns in order; all unless given."),
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Write the catalog or its single detections to a file.

    Example: srccat export catalog.fits --where "src_significance_b > 3"
    """
    from catalog.config import project_dir
    from catalog.errors import SettingsError
    from catalog.export.selection import select_rows
    from catalog.export.writers import export_table, format_of
    from catalog.stages.project import open_project

    if table not in ("catalog", "detections"):
        raise SettingsError("unknown table", table, "choose catalog or detections", code="UNKNOWN_TABLE")
    format_of(out)
    chosen = [name.strip() for name in columns.split(",") if name.strip()] if columns is not None else None
    with open_project(project_dir(project), read_only=True) as opened, opened.store.read() as connection:
        rows = select_rows(
            connection, "catalog" if table == "catalog" else "detections", recipe, where, chosen
        )
    export_table(rows, out)
    size = f"{plural(len(rows), 'row')}, {plural(len(rows.definitions), 'column')}"
    say(f"{size} of {table} (recipe {rows.recipe}) in {out}")
    if "remark" in rows.metadata:
        say(rows.metadata["remark"])
