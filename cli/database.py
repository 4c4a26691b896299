"""`srccat db`: upgrade, check and copy."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import ProjectOption
from cli.output import say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Upgrade, check and copy the database.", no_args_is_help=True)
    group.command("upgrade")(upgrade_command)
    group.command("check")(check)
    group.command("copy")(copy)
    app.add_typer(group, name="db")


def upgrade_command(project: ProjectOption = None) -> None:
    """Bring the database to the schema of this srccat.

    Example: srccat db upgrade
    """
    from catalog.config import project_dir
    from catalog.stages.base.project import upgrade_project

    before, after = upgrade_project(project_dir(project))
    say(f"schema {after}: up to date already" if before == after else f"schema {before} -> {after}")


def check(project: ProjectOption = None) -> None:
    """Check schema and integrity of the database.

    Example: srccat db check
    """
    from catalog.config import project_dir
    from catalog.stages.base.project import check_project

    for sentence in check_project(project_dir(project)):
        say(sentence)


def copy(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="Empty database: postgresql://user@host/name, or sqlite:///file.db in the project folder.",
        ),
    ],
    project: ProjectOption = None,
) -> None:
    """Copy the catalog into an empty database.

    Example: srccat db copy postgresql://me@localhost/survey
    """
    from catalog.config import SETTINGS_FILE, project_dir
    from catalog.stages.contents.copy_project import copy_project
    from cli.progress import progress

    rows = copy_project(project_dir(project), url, progress())
    say(f"{sum(rows.values())} rows of {sum(1 for number in rows.values() if number)} tables copied")
    say(f"to use the copy, set url in [database] of {SETTINGS_FILE}")
