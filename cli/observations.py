"""`srccat observations`: list, remove."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import JsonOption, ProjectOption
from cli.output import plural, print_json, print_table, say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="List and remove observations.", no_args_is_help=True)
    group.command("list")(list_command)
    group.command("remove")(remove)
    app.add_typer(group, name="observations")


def list_command(as_json: JsonOption = False, project: ProjectOption = None) -> None:
    """List the observations with their event files.

    Example: srccat observations list
    """
    from catalog.config import project_dir
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.manage_observations import list_observations

    with open_project(project_dir(project), read_only=True) as opened, opened.store.read() as connection:
        rows = list_observations(connection)
    if as_json:
        print_json([{"key": row.key, **vars(row)} for row in rows])
        return
    print_table(
        ("ObsID", "key", "object", "date", "live time (ks)", "extractions", "file"),
        (
            (
                row.obs_id,
                row.key,
                row.object,
                row.date_obs[:10],
                f"{row.livetime / 1000:.2f}",
                row.n_extractions,
                row.path,
            )
            for row in rows
        ),
    )
    say(plural(len(rows), "event list"))


def remove(
    observation: Annotated[
        str, typer.Argument(metavar="OBSID", help="ObsID, or the key of one event list as listed.")
    ],
    why: Annotated[
        str | None, typer.Option("--why", metavar="TEXT", help="Reason, kept in the table of runs.")
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Remove an observation and all that was measured in it.

    Example: srccat observations remove 4600 --why "wrong aspect"
    """
    from catalog.config import project_dir
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.manage_observations import remove_observation

    with open_project(project_dir(project)) as opened:
        found = remove_observation(opened, observation, why)
    number = sum(row.n_extractions for row in found)
    say(
        f"{', '.join(row.key for row in found)} removed with {plural(number, 'extraction')}; "
        "`srccat run` merges what is left"
    )
