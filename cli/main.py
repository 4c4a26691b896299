"""The command `srccat`: X-ray source catalogs from Chandra event files."""

from __future__ import annotations

import gc
import sys
from typing import Annotated, cast

import typer

from catalog import __version__
from catalog.errors import UserError
from cli import (
    add,
    database,
    demo,
    doctor,
    expmap,
    export,
    files,
    flags,
    init,
    lightcurves,
    limits,
    look,
    observations,
    recipe,
    regions,
    run,
    sources,
    spectra,
)
from cli.output import say, warn

# Typer carries its own copy of click or uses the installed one, by its version: the base class of all usage
# errors is reached through one that it always offers.
UsageProblem = cast(type[typer.BadParameter], typer.BadParameter.__mro__[2])

_INTERRUPTED = 130
_OBJECTS_BETWEEN_COLLECTIONS = 100_000

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
observations.register(app)
sources.register(app)
regions.register(app)
run.register(app)
export.register(app)
lightcurves.register(app)
spectra.register(app)
expmap.register(app)
files.register(app)
look.register(app)
limits.register(app)
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
    except UsageProblem as error:
        # A group without a command is asking for its help, which is the text of the error.
        helping = type(error).__name__ == "NoArgsIsHelpError"
        text = error.format_message()
        warn(text if helping else f"error[USAGE]: {' '.join(text.split())}; see `{_usage(words)} --help`")
        return 2
    except OSError as error:
        if debug:
            raise
        reason = error.strerror or type(error).__name__
        warn(f"error[SYSTEM]: {reason.lower()}: {error.filename}; check the path, its rights and space")
        return 2
    except (typer.Abort, KeyboardInterrupt):
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        # Some versions of Typer return this code, others let the interruption through.
        warn("interrupted: what was finished is stored; the same command goes on from there")
    return code if isinstance(code, int) else 0


def _usage(words: list[str]) -> str:
    names = {command.name for command in app.registered_commands}
    names |= {group.name for group in app.registered_groups}
    return f"srccat {words[0]}" if words and words[0] in names else "srccat"


def script() -> None:
    """Entry point of the installed command."""
    # Most of what a command makes are modules, which stay: to look through them for garbage takes half a
    # second.
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    code = main()
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    script()
