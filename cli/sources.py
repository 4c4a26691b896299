"""`srccat sources`: list, move, remove, rename, history."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import POSITIONS, JsonOption, ProjectOption, refuse_options
from cli.output import plural, print_json, print_table, say

Why = Annotated[str | None, typer.Option("--why", metavar="TEXT", help="Reason, kept in the history.")]
Chosen = Annotated[str, typer.Argument(metavar="SOURCE", help="Number, name or label of the source.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="List, move, remove and rename sources.", no_args_is_help=True)
    group.command("list")(list_command)
    group.command("move", context_settings=POSITIONS)(move)
    group.command("remove")(remove)
    group.command("rename")(rename)
    group.command("history")(history_command)
    app.add_typer(group, name="sources")


def list_command(as_json: JsonOption = False, project: ProjectOption = None) -> None:
    """List all sources.

    Example: srccat sources list
    """
    from catalog.config import project_dir
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.manage_sources import list_sources

    with open_project(project_dir(project), read_only=True) as opened, opened.store.read() as connection:
        rows = list_sources(connection)
    if as_json:
        print_json([vars(row) for row in rows])
        return
    print_table(
        ("id", "name", "ra", "dec", "label", "origin"),
        ((row.id, row.name, f"{row.ra:.7f}", f"{row.dec:+.7f}", row.label, row.origin) for row in rows),
    )
    say(plural(len(rows), "source"))


def move(
    source: Chosen,
    position: Annotated[list[str], typer.Argument(metavar="RA DEC", help="Sexagesimal or degrees, ICRS.")],
    why: Why = None,
    project: ProjectOption = None,
) -> None:
    """Move a source; the next run measures it anew.

    Example: srccat sources move 12 18:25:51.1 -14:48:22
    """
    from catalog.config import project_dir
    from catalog.events.angle_text import parse_position
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.manage_sources import move_source

    refuse_options(position)
    ra, dec = parse_position(" ".join(position))
    with open_project(project_dir(project)) as opened:
        row = move_source(opened, source, ra, dec, why)
    say(f"source {row.id} is now {row.name}; `srccat run` measures it anew")


def remove(source: Chosen, why: Why = None, project: ProjectOption = None) -> None:
    """Remove a source and all its measurements; its history stays.

    Example: srccat sources remove 12 --why "hot pixel"
    """
    from catalog.config import project_dir
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.manage_sources import remove_source

    with open_project(project_dir(project)) as opened:
        row = remove_source(opened, source, why)
    say(f"source {row.id} {row.name} removed; `srccat run` brings its neighbours up to date")


def rename(
    source: Chosen,
    label: Annotated[str, typer.Argument(help="New label.")],
    why: Why = None,
    project: ProjectOption = None,
) -> None:
    """Give a source another label; its name follows from its position.

    Example: srccat sources rename 12 "Star A"
    """
    from catalog.config import project_dir
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.manage_sources import rename_source

    with open_project(project_dir(project)) as opened:
        row = rename_source(opened, source, label, why)
    say(f"source {row.id} {row.name} has the label {row.label!r}")


def history_command(
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="Number, name or label.")] = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Show what happened to a source, or to all.

    Example: srccat sources history 12
    """
    from catalog.config import project_dir
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.manage_sources import history

    with open_project(project_dir(project), read_only=True) as opened, opened.store.read() as connection:
        rows = history(connection, source)
    if as_json:
        print_json([vars(row) for row in rows])
        return
    print_table(
        ("when", "name", "what", "from", "to", "by", "why"),
        (
            (
                f"{row.happened_at:%Y-%m-%d %H:%M}",
                row.name,
                row.action,
                row.old_value,
                row.new_value,
                row.user_name,
                row.why,
            )
            for row in rows
        ),
    )
