"""Printing: tables and sentences for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer


def say(text: str = "") -> None:
    """Print a line."""
    typer.echo(text)


def warn(text: str) -> None:
    """Print a line to standard error."""
    typer.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    say(json.dumps(value, indent=1, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under aligned heads, as wide as they need; None is a dash."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    listed = [[_cell(value) for value in row] for row in rows]
    for i, name in enumerate(columns):
        numeric = all(_is_number(row[i]) for row in listed) and bool(listed)
        # Text, so that brackets are no markup.
        head = Text(name)
        table.add_column(head, justify="right" if numeric else "left", overflow="fold", no_wrap=True)
    for row in listed:
        table.add_row(*(Text(cell) for cell in row))
    # A pipe or file gets whole lines: wrapping to 80 columns would break them for the reader.
    width = None if sys.stdout.isatty() else max(80, _width(columns, listed))
    Console(width=width, highlight=False).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e-3 or abs(value) >= 1e6 else f"{value:.7g}"
    return str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == "-"
    return True


def _width(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    lengths = [max([len(name), *(len(row[i]) for row in rows)]) for i, name in enumerate(columns)]
    return sum(lengths) + 2 * len(lengths) + 2


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: 1 source, 2 sources."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def make_folder(folder: Path) -> None:
    """Make a folder that is not there.

    Raises
    ------
    ProjectError
        It cannot be made.
    """
    from catalog.errors import ProjectError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise ProjectError("the folder cannot be made", folder, "name another") from None
