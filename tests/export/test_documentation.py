"""The generated pages are those that the registries give now."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.export.documentation import columns_page, flags_page
from catalog.flags import FLAGS
from catalog.schema.registry import REGISTRY
from catalog.schema.tables import METADATA
from catalog.schema.views import VIEW_NAMES, view_columns

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(("name", "page"), [("columns.md", columns_page), ("flags.md", flags_page)])
def test_page_is_fresh(name: str, page: object) -> None:
    assert callable(page)
    assert (DOCS / name).read_text(encoding="utf-8") == page(), f"run tools/build_docs.py: {name} is stale"


def test_every_column_is_there() -> None:
    page = columns_page()
    for view in VIEW_NAMES:
        section = page.split(f"## View `{view}`")[1].split("\n## ")[0]
        for column in view_columns(view):
            base = column.definition.name.rpartition("_")[0]
            assert f"`{column.definition.name}`" in section or f"`{base}_<b>`" in section, (
                column.definition.name
            )
    for name, table in METADATA.tables.items():
        section = page.split(f"### Table `{name}`\n")[1].split("\n### ")[0]
        for column in table.columns:
            assert f"| `{column.name}` | " in section
            assert REGISTRY[column.name].description.replace("|", "\\|") in section


def test_tables_are_rectangular() -> None:
    for page in (columns_page(), flags_page()):
        for block in page.split("\n\n"):
            bars = {line.replace("\\|", "").count("|") for line in block.splitlines() if line.startswith("|")}
            assert len(bars) <= 1


def test_every_flag_is_there() -> None:
    for flag in FLAGS:
        assert f"| {flag.bit} | {flag.value} | `{flag.name}` | {flag.sentence} |" in flags_page()
