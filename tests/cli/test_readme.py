"""What README and documentation tell people to type exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from command_line import commands, parse

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(?:console|shell|sh|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def command_lines(page: str) -> list[list[str]]:
    """Words after `srccat` on the command lines of the console blocks of a page."""
    found = []
    for block in _BLOCK.findall(page):
        for line in block.replace("\\\n", " ").splitlines():
            match = re.match(r"\s*(?:\$ )?srccat\s+(.+)", line)
            if match:
                found.append(shlex.split(match[1], comments=True))
    return found


PAGES = sorted(path for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
LINES = [
    pytest.param(words, id=f"{path.name}: {' '.join(words)}")
    for path in PAGES
    for words in command_lines(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("words", LINES)
def test_command_line_of_a_page(words: list[str]) -> None:
    if words not in (["--help"], ["--version"]):
        assert parse(words) in commands()


@pytest.mark.parametrize(
    "line",
    [
        "mesure",
        "sources delete 3",
        "export",
        "export a.fits --format fits",
        "cone 10 20 5arcsec --recipie default",
        "run --workers many",
    ],
)
def test_the_check_refuses(line: str) -> None:
    with pytest.raises(Exception, match=r"(?i)no command|no option|missing|valid"):
        parse(line.split())


def test_command_lines_are_found() -> None:
    page = (
        '```console\n$ srccat init x  # here\nproject x\n$ srccat query \\\n "SELECT 1"\n```\n`srccat foo`\n'
    )
    assert command_lines(page) == [["init", "x"], ["query", "SELECT 1"]]


def test_page_of_commands_has_them_all() -> None:
    page = ROOT / "docs" / "commands.md"
    if not page.exists():
        pytest.skip("docs/commands.md is not written yet")
    text = page.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## srccat (.+)\n((?:.*\n)*?)(?=^## |\Z)", text, re.MULTILINE))
    known = {" ".join(words): command for words, command in commands().items()}
    assert set(sections) == set(known)
    for words, command in known.items():
        for item in command.params:
            if item.opts[0].startswith("--"):
                assert item.opts[0] in sections[words], f"{words} {item.opts[0]}: run tools/build_docs.py"
