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
    style: Annotated[
        str,
        typer.Option(
            "--style",
            metavar="NAME",
            help="csc; srcflux (OUT is its outroot: .flux tables); acis-extract (OUT is a folder).",
        ),
    ] = "csc",
    project: ProjectOption = None,
) -> None:
    """Write the catalog or its single detections to a file.

    Example: srccat export catalog.fits --where "src_significance_b > 3"
    """
    from catalog.config import project_dir
    from catalog.errors import SettingsError
    from catalog.export.selection import select_rows
    from catalog.export.writers import export_table, format_of
    from catalog.stages.base.project import open_project

    if style != "csc":
        _export_styled(out, style, recipe, where, columns, project)
        return
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


def _export_styled(
    out: Path, style: str, recipe: str | None, where: str | None, columns: str | None, project: Path | None
) -> None:
    from catalog.config import project_dir
    from catalog.errors import SettingsError
    from catalog.export.styles.acis_extract import acis_extract_files
    from catalog.export.styles.srcflux import srcflux_files
    from catalog.export.writers import FORMATS
    from catalog.recipes.shipped import DEFAULT
    from catalog.stages.base.project import open_project
    from catalog.stages.base.recipe_store import stored_recipes

    styles = {"srcflux": srcflux_files, "acis-extract": acis_extract_files}
    if style not in styles:
        raise SettingsError("unknown style", style, f"choose csc, {', '.join(styles)}", code="UNKNOWN_STYLE")
    if where is not None or columns is not None:
        raise SettingsError(
            "a style has its own rows and columns", f"--style {style}", "leave --where and --columns out"
        )
    if out.name.lower().endswith(tuple(FORMATS)):
        raise SettingsError(
            f"style {style} writes several files",
            out,
            "give a folder, or for srcflux how their names begin",
            code="SEVERAL_FILES",
        )
    with open_project(project_dir(project), read_only=True) as opened, opened.store.read() as connection:
        known = {stored.recipe.name: stored.recipe for stored in stored_recipes(connection)}
        name = recipe or (style if style in known else DEFAULT)
        chosen = stored_recipes(connection, [name])[0].recipe
        written = styles[style](connection, chosen, out)
    for path in written:
        say(str(path))
    say(f"{len(written)} files in style {style} (recipe {chosen.name})")
