"""AASTeX tables: structure, rounding by errors, bounds and escapes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from catalog.export.latex import latex_bytes
from catalog.export.latex_columns import escape, latex_columns
from catalog.export.selection import select_rows
from catalog.export.table import ExportTable
from catalog.export.writers import export_table
from catalog.store.door import Store


def rows_of(text: str) -> list[list[str]]:
    body = text.split("\\startdata\n")[1].split("\n\\enddata")[0]
    return [re.split(r" (?<!\\)& ", row.removesuffix(" \\\\")) for row in body.splitlines()]


def chosen(store: Store, *columns: str, view: str = "catalog") -> ExportTable:
    with store.read() as connection:
        return select_rows(connection, view, "default", columns=list(columns))  # type: ignore[arg-type]


def test_structure(table: ExportTable) -> None:
    text = latex_bytes(table).decode("utf-8")
    code = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    for opening in ("\\begin{deluxetable}", "\\tablehead{", "\\startdata", "\\enddata", "\\end{deluxetable}"):
        assert code.count(opening) == 1
    depth = 0
    for character in re.sub(r"\\[{}\\]", "", code):
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert len(re.findall(r"(?<!\\)\$", code)) % 2 == 0
    columns = re.search(r"begin\{deluxetable\}\{([lrc]+)\}", code)
    assert columns
    assert code.count("\\colhead{") == 2 * len(columns[1])
    rows = rows_of(code)
    assert len(rows) == len(table)
    assert {len(row) for row in rows} == {len(columns[1])}
    # A line end after every row but the last.
    assert code.count(" \\\\\n") == len(rows) - 1


def test_astropy_reads_it(table: ExportTable, tmp_path: Path) -> None:
    path = export_table(table, tmp_path / "out.tex")
    # Its reader knows heads of one line, without the units that its writer puts on a second.
    text = re.sub(r" \\\\ \\colhead.*", "}", path.read_text(encoding="utf-8"))
    found = Table.read(text, format="ascii.aastex")
    assert found.colnames == [column.head for column in latex_columns(table)]
    assert len(found) == len(table)


def test_default_columns(table: ExportTable) -> None:
    heads = [column.head for column in latex_columns(table)]
    if table.name == "catalog":
        assert heads == [
            "Name", "RAdeg", "DEdeg", "Nobs", r"theta\_mean", "Ct-b", "Cts-b", "FE-b", "Signif-b", r"f\_Src",
        ]  # fmt: skip
    else:
        assert heads == ["Name", "ObsID", "Band", "theta", "Ct", "Cts", "FE", "Signif", r"f\_Src"]


def test_triplet_becomes_one_column(sqlite_store: Store) -> None:
    names = ("src_cnts_aper_lolim_s", "src_cnts_aper_hilim_s", "src_cnts_aper_s")
    column = latex_columns(chosen(sqlite_store, *names))
    assert [item.head for item in column] == ["Cts-s"]
    # Counts 14 + 1000 n: value 1.1 n, errors sqrt(n) down and sqrt(n) + 1 up, two digits of the smaller.
    assert column[0].cells == [
        "$1115^{+33}_{-32}$",
        "$15.4^{+4.7}_{-3.7}$",
        "$<2.12$",
        "\\nodata",
    ]


def test_value_alone_takes_its_interval_along(sqlite_store: Store) -> None:
    alone = latex_columns(chosen(sqlite_store, "src_cnts_aper_s"))
    assert alone[0].cells[1] == "$15.4^{+4.7}_{-3.7}$"


def test_limit_alone_is_a_number(sqlite_store: Store) -> None:
    assert latex_columns(chosen(sqlite_store, "src_cnts_aper_lolim_s"))[0].cells[1] == "11.66"


def test_bound_needs_the_flag_of_its_band(sqlite_store: Store) -> None:
    both = latex_columns(chosen(sqlite_store, "src_cnts_aper_b", "src_cnts_aper_s"))
    assert both[0].cells[2].startswith("$3315^")
    assert both[1].cells[2] == "$<2.12$"


def test_power_of_ten_in_the_head(sqlite_store: Store) -> None:
    column = latex_columns(chosen(sqlite_store, "flux_aper_s"))[0]
    assert column.unit == "($10^{-15}$ erg cm$^{-2}$ s$^{-1}$)"
    # 15.4 counts times 2.7e-16; the bound 2.1234567 times the same.
    assert column.cells[1] == "$4.2^{+1.3}_{-1.0}$"
    assert column.cells[2] == "$<0.573$"


def test_hardness_is_never_a_bound(sqlite_store: Store) -> None:
    assert latex_columns(chosen(sqlite_store, "hard_hs"))[0].cells[2] == "$-0.51^{+0.41}_{-0.39}$"


def test_special_characters(sqlite_store: Store) -> None:
    text = latex_bytes(chosen(sqlite_store, "label", "name")).decode("utf-8")
    cells = [row[0] for row in rows_of(text)]
    assert cells == ["\\nodata", "Sgr A★ \\{core\\}", "-12", "X\\_3 \\& 50\\% \\$"]
    assert "CXOU J095541.40$-$691522.1" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b", r"a\_b"),
        ("100 %", r"100 \%"),
        ("\\x", r"\textbackslash{}x"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
        ("a < b > c", "a $<$ b $>$ c"),
        ("[1]", "{[}1]"),
        ("*", "{*}"),
        ("two\nlines", "two lines"),
    ],
)
def test_escape(text: str, expected: str) -> None:
    assert escape(text) == expected


def test_infinite_error_does_not_stop_the_table(table: ExportTable) -> None:
    name = "src_cnts_aper_hilim" if table.name == "detections" else "src_cnts_aper_hilim_b"
    upper = np.ma.MaskedArray(np.full(len(table), np.nan), mask=True)
    text = latex_bytes(replace(table, values={**table.values, name: upper})).decode("utf-8")
    assert "nan" not in text
