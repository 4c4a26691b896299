"""Options that commands share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        metavar="DIR",
        help="Project folder; by default $SRCCAT_PROJECT, else the current folder.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
RecipeOption = Annotated[
    str | None, typer.Option("--recipe", metavar="NAME", help="Recipe to show.", show_default=False)
]
RecipesOption = Annotated[
    list[str] | None,
    typer.Option("--recipe", metavar="NAME", help="Recipe; may be given several times.", show_default=False),
]
POSITIONS = {"ignore_unknown_options": True}
"""Context settings of commands whose arguments may begin with a minus sign, such as a declination."""


def refuse_options(words: Iterable[str]) -> None:
    """Refuse what `POSITIONS` lets through as an argument, but was meant as an option."""
    for word in words:
        if word.startswith("--"):
            raise typer.BadParameter(f"No such option: {word}")
