"""What the tests of the command line share: outcomes, the content of a database, the tree of commands."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(sys.executable).with_name("srccat")
RA, DEC = 161.0, -30.0
OBS_IDS = ("70101", "70102")
OUTSIDE = ("beside", "behind")
"""Labels of the sources that no observation sees."""
_ERROR_LINE = re.compile(r"error\[[A-Z0-9_]+\]: .+; .+\n")


@dataclass(frozen=True)
class Outcome:
    """What a command line gave."""

    code: int
    out: str
    err: str


Srccat = Callable[..., Outcome]
Done = Callable[..., str]


@dataclass(frozen=True)
class Field:
    """Folders of simulated observations, and a list of sources."""

    folder: Path
    sources: Path

    def events(self, number: int = 0) -> Path:
        (found,) = (self.folder / OBS_IDS[number]).glob("*evt2.fits.gz")
        return found


def run_script(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Call the installed command in a process of its own."""
    command = [str(SCRIPT), *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, **options)


def check_error(outcome: Outcome, code: str) -> None:
    """See that a command line ended as bad input must."""
    assert outcome.code == 2, outcome
    assert outcome.err.count("\n") == 1, outcome.err
    assert _ERROR_LINE.fullmatch(outcome.err), outcome.err
    assert outcome.err.startswith(f"error[{code}]: "), outcome.err
    assert "Traceback" not in outcome.err + outcome.out


def content(folder: Path) -> tuple[object, ...]:
    """Every row of every table, runs and surrogate ids included; the settings; the names of the files.

    A database that is none is given by its bytes.
    """
    names = sorted(path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm")))
    settings, database = folder / "srccat.toml", folder / "srccat.db"
    plain = settings.read_bytes() if settings.exists() else None
    if not database.exists():
        return names, plain, None
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        rows: object = tuple(connection.iterdump())
    except sqlite3.DatabaseError:
        rows = database.read_bytes()
    finally:
        connection.close()
    return names, plain, rows


def rows_of(folder: Path, statement: str) -> list[tuple[Any, ...]]:
    """Rows of a query, straight from the database file."""
    connection = sqlite3.connect(f"file:{folder / 'srccat.db'}?mode=ro", uri=True)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def change(folder: Path, statement: str) -> None:
    """Change the database file behind the back of srccat."""
    connection = sqlite3.connect(folder / "srccat.db")
    with connection:
        connection.execute(statement)
    connection.close()


def commands() -> dict[tuple[str, ...], Any]:
    """Commands of the app by their words, groups left out."""
    import typer

    from cli.main import app

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield words, command
        else:
            for name, child in inner.items():
                yield from walk(child, (*words, name))

    return dict(walk(typer.main.get_command(app), ()))


def parse(words: list[str]) -> tuple[str, ...]:
    """Parse the words after `srccat` without running anything; return those that name the command.

    Raises what the app raises: for an unknown command or option, a missing or a bad argument.
    """
    import typer

    from cli.main import app

    command, names, rest = typer.main.get_command(app), (), [word for word in words if word != "--debug"]
    context = typer.Context(command, info_name="srccat")
    while hasattr(command, "commands"):
        if not rest or rest[0] not in command.commands:
            raise LookupError(f"no command {' '.join([*names, *rest[:1]])}")
        command, names, rest = command.commands[rest[0]], (*names, rest[0]), rest[1:]
    options = {name for item in command.params for name in item.opts}
    # Some commands take words that begin with a minus sign for positions.
    unknown = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in options]
    if unknown:
        raise LookupError(f"srccat {' '.join(names)} has no option {unknown[0]}")
    command.make_context(names[-1], list(rest), parent=context)
    return names
