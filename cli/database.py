"""`srccat db`: upgrade and check."""

from __future__ import annotations

import typer

from cli.options import ProjectOption
from cli.output import say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Upgrade and check the database.", no_args_is_help=True)
    group.command("upgrade")(upgrade_command)
    group.command("check")(check)
    app.add_typer(group, name="db")


def upgrade_command(project: ProjectOption = None) -> None:
    """Bring the database to the schema of this srccat.

    Example: srccat db upgrade
    """
    from catalog.config import project_dir
    from catalog.stages.project import upgrade_project

    before, after = upgrade_project(project_dir(project))
    say(f"schema {after}: up to date already" if before == after else f"schema {before} -> {after}")


def check(project: ProjectOption = None) -> None:
    """Check schema and integrity of the database.

    Example: srccat db check
    """
    from catalog.config import project_dir
    from catalog.stages.project import check_project

    for sentence in check_project(project_dir(project)):
        say(sentence)
