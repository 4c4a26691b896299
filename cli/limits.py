"""`srccat limits`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import POSITIONS, ProjectOption, RecipeOption, refuse_options
from cli.output import print_json, print_table, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("limits", context_settings=POSITIONS)(limits)


def limits(
    words: Annotated[list[str], typer.Argument(metavar="RA DEC", help="Position (ICRS).")],
    recipe: RecipeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    project: ProjectOption = None,
) -> None:
    """Give detection limit and flux bound at any position.

    Example: srccat limits 10:18:55.5 -58:56:00
    """
    from dataclasses import asdict

    from catalog.config import project_dir
    from catalog.events.angle_text import parse_position
    from catalog.recipes.shipped import DEFAULT
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.limits import limits_at

    refuse_options(words)
    ra, dec = parse_position(" ".join(words))
    with open_project(project_dir(project), read_only=True) as opened:
        rows = limits_at(opened, ra, dec, recipe or DEFAULT)
    plain = [{name: None if value != value else value for name, value in asdict(row).items()} for row in rows]
    if as_json:
        print_json(plain)
    elif plain:
        print_table(list(plain[0]), [list(row.values()) for row in plain])
    else:
        say("no observation sees the position")
