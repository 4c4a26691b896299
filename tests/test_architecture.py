"""The house rules that a program can check."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [path for room in ("catalog", "cli") for path in sorted((ROOT / room).rglob("*.py"))]
VAGUE = {"utils", "util", "helpers", "helper", "misc", "common", "tools"}


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1


def broad_handlers(path: Path) -> Iterator[int]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        names = {item.id if isinstance(item, ast.Name) else None for item in caught if item is not None}
        if node.type is None or names & {"Exception", "BaseException"}:
            yield node.lineno


def test_there_is_something_to_check() -> None:
    assert len(FILES) > 30


def test_no_file_is_long() -> None:
    assert {str(path.relative_to(ROOT)): lines(path) for path in FILES if lines(path) > 500} == {}


def test_no_vague_names() -> None:
    found = [str(path) for path in FILES if {path.stem, path.parent.name} & VAGUE]
    assert found == []


def test_a_function_fits_a_screen() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{name}": length
        for path in FILES
        for name, length in functions(path)
        if length > 80
    }
    assert long == {}


def test_at_most_one_place_catches_everything() -> None:
    found = [f"{path.relative_to(ROOT)}:{line}" for path in FILES for line in broad_handlers(path)]
    assert len(found) <= 1, found


def test_every_package_says_what_it_is() -> None:
    for path in FILES:
        if path.name == "__init__.py":
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("try: pass\nexcept Exception: pass", [2]),
        ("try: pass\nexcept: pass", [2]),
        ("try: pass\nexcept (ValueError, BaseException): pass", [2]),
        ("try: pass\nexcept ValueError: pass", []),
    ],
)
def test_the_search_for_broad_handlers(tmp_path: Path, code: str, expected: list[int]) -> None:
    path = tmp_path / "code.py"
    path.write_text(code)
    assert list(broad_handlers(path)) == expected
