"""`srccat init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import ProjectOption, RecipesOption
from cli.output import say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init)


def init(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="Folder of the project.")] = None,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            metavar="URL",
            help="sqlite:///FILE or postgresql://...",
            show_default="sqlite:///srccat.db",
        ),
    ] = None,
    recipe: RecipesOption = None,
    project: ProjectOption = None,
) -> None:
    """Write srccat.toml and create the database.

    Example: srccat init mycatalog
    """
    from catalog.config import project_dir
    from catalog.stages.base.project import create_project, storage_remark

    where = project_dir(folder or project)
    recipes = create_project(where, database, recipe or ("default",))
    say(f"project {where}")
    say(f"recipes {', '.join(item.name for item in recipes)}")
    remark = storage_remark(where)
    if remark:
        say(remark)
    say("next: srccat add observations PATH..., srccat add sources FILE, srccat run")
