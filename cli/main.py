"""The command `srccat`: X-ray source catalogs from Chandra event files."""

from __future__ import annotations

import sys
from typing import Annotated

import click
import typer

from catalog import __version__
from catalog.errors import UserError
from cli import add, database, demo, doctor, export, flags, init, look, recipe, run, sources
from cli.output import say, warn

app = typer.Typer(
    name="srccat",
    help="Build X-ray source catalogs from Chandra event files.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
init.register(app)
add.register(app)
sources.register(app)
run.register(app)
export.register(app)
look.register(app)
flags.register(app)
recipe.register(app)
database.register(app)
doctor.register(app)
demo.register(app)


def _version(asked: bool) -> None:
    if asked:
        say(f"srccat {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")] = False,
) -> None:
    """Build X-ray source catalogs from Chandra event files."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code: 0, 1 (some units failed) or 2 (bad input or use)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        code = app(words, prog_name="srccat", standalone_mode=False)
    except UserError as error:
        if debug:
            raise
        warn(f"error[{error.code}]: {error}")
        return 2
    except click.ClickException as error:
        warn(
            f"error[USAGE]: {' '.join(error.format_message().split())}; see `srccat {_command(words)}--help`"
        )
        return 2
    except (click.Abort, KeyboardInterrupt):
        warn("interrupted: what was finished is stored; the same command goes on from there")
        return 130
    return code if isinstance(code, int) else 0


def _command(words: list[str]) -> str:
    names: list[str] = []
    for word in words:
        if word.startswith("-") or len(names) == 2:
            break
        names.append(word)
    return "".join(f"{name} " for name in names[:1])


def script() -> None:
    """Entry point of the installed command."""
    sys.exit(main())


if __name__ == "__main__":
    script()
