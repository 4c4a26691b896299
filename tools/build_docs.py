"""Write the generated pages of the documentation.

Usage
-----
    python tools/build_docs.py [DIR]       docs/ by default
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def commands_page() -> str:
    """Return the page of all commands, from their own help."""
    import typer

    from cli.main import app

    root = typer.main.get_command(app)
    parts = ["# Commands", "", "Generated from the help of each command by `tools/build_docs.py`.", ""]
    for words, command in _walk(root, ("srccat",)):
        context = typer.Context(command, info_name=" ".join(words))
        usage = " ".join(command.get_usage(context).split()).removeprefix("Usage: ")
        parts += [f"## {' '.join(words)}", "", "```", usage, "```", ""]
        parts += [line.strip() for line in (command.help or "").strip().splitlines()] + [""]
        rows = [record for record in (_record(item, context) for item in command.params) if record]
        if rows:
            parts += ["| | |", "|---|---|", *(f"| `{name}` | {text} |" for name, text in rows), ""]
    return "\n".join(parts)


def _walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield words, command
        return
    for name in inner:
        yield from _walk(inner[name], (*words, name))


def _record(item: Any, context: Any) -> tuple[str, str] | None:
    record = item.get_help_record(context)
    if record is None or item.name == "help":
        return None
    name, text = record
    return name.replace("|", "\\|"), " ".join(text.split()).replace("|", "\\|")


def main(folder: Path) -> None:
    """Write columns.md, flags.md and commands.md into a folder."""
    from catalog.export.documentation import columns_page, flags_page

    pages = {"columns.md": columns_page(), "flags.md": flags_page(), "commands.md": commands_page()}
    for name, page in pages.items():
        (folder / name).write_text(page, encoding="utf-8")
        print(folder / name)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs")
