"""`srccat flags`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.output import print_table, say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="What flag values mean.", no_args_is_help=True)
    group.command("explain")(explain)
    group.command("list")(list_flags)
    app.add_typer(group, name="flags")


def explain(value: Annotated[str, typer.Argument(metavar="N", help="A flag value.")]) -> None:
    """Say what each bit of a flag value means.

    Example: srccat flags explain 72
    """
    from catalog.errors import SettingsError
    from catalog.flags import decode

    try:
        found = decode(int(value))
    except ValueError as error:
        raise SettingsError(
            "not a flag value", f"{value} ({error})", "see `srccat flags list`", code="FLAG_VALUE"
        ) from None
    if not found:
        say("0: no caveat")
    for definition in found:
        say(f"{definition.value} {definition.name}: {definition.sentence}")


def list_flags() -> None:
    """List all flags.

    Example: srccat flags list
    """
    from catalog.flags import FLAGS

    print_table(("value", "name", "meaning"), ((flag.value, flag.name, flag.sentence) for flag in FLAGS))
