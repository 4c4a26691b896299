"""`srccat demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.output import say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the example.")] = Path(
        "srccat-demo"
    ),
) -> None:
    """Simulate a small field and build its catalog in one command.

    Example: srccat demo
    """
    from catalog.export.demo import run_demo
    from cli.progress import progress

    for line in run_demo(folder, track=progress()).lines():
        say(line)
