"""Machine-readable tables, read back column by column; and the byte-by-byte description by its own rules."""

from __future__ import annotations

import re
from dataclasses import replace
from math import isclose
from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.table import Table
from hypothesis import example, given
from hypothesis import strategies as st

from catalog.export.mrt import LINE, mrt_bytes
from catalog.export.table import ExportTable
from catalog.export.writers import export_table
from catalog.schema.column import ColumnDefinition
from catalog.schema.registry import REGISTRY

ROW = re.compile(r"\s*(?:(\d+)- *)?(\d+) ([AIFE])(\d+)(?:\.(\d+))? +(\S+) +(\S+) +(.*)")


def one_column(definition: ColumnDefinition, values: np.ma.MaskedArray) -> ExportTable:
    label = ColumnDefinition("name", "text", "", "meta.id", "Name", mrt="Name")
    names = np.ma.MaskedArray([f"s{number}" for number in range(len(values))], mask=False)
    return ExportTable("catalog", "default", [label, definition], {"name": names, definition.name: values})


def read(table: ExportTable) -> Table:
    return Table.read(mrt_bytes(table).decode("ascii"), format="ascii.mrt")


def test_every_column_reads_back(table: ExportTable, tmp_path: Path) -> None:
    found = Table.read(export_table(table, tmp_path / "out.mrt"), format="ascii.mrt")
    assert found.colnames == [definition.label for definition in table.definitions]
    for definition in table.definitions:
        column, expected = found[definition.label], table.values[definition.name]
        null = np.ma.getmaskarray(expected)
        assert np.array_equal(np.ma.getmaskarray(np.ma.MaskedArray(column)), null), definition.name
        unit = units.Unit(definition.unit, format="fits") if definition.unit else None
        assert column.unit == unit, definition.name
        # The reader takes the limits away only where a null mark follows them.
        description = re.sub(r"^\[\S+\] ", "", column.description)
        assert description.startswith(definition.description), definition.name
        for cell, value in zip(np.ma.MaskedArray(column).tolist(), expected.tolist(), strict=True):
            if value is None:
                continue
            if definition.kind == "float":
                digits = definition.digits or 7
                near = {"rel_tol": 0.5001 * 10 ** (1 - digits), "abs_tol": 0.0}
                if digits < 0:
                    near = {"rel_tol": 0.0, "abs_tol": 0.5001 * 10**digits}
                assert isclose(cell, value, **near), definition.name
            elif definition.kind == "bool":
                assert cell == ("T" if value else "F")
            elif definition.kind == "text":
                assert cell == value.encode("ascii", "backslashreplace").decode()
            else:
                assert cell == value


def test_byte_by_byte(table: ExportTable) -> None:
    lines = mrt_bytes(table).decode("ascii").split("\n")
    assert lines[0].startswith("Title: ")
    assert lines[1].startswith("Authors:")
    assert lines[2].startswith("Table: ")
    rules = [number for number, line in enumerate(lines) if line and set(line) in ({"-"}, {"="})]
    described = [match for line in lines[rules[2] : rules[3]] if (match := ROW.fullmatch(line))]
    assert [match[7] for match in described] == [definition.label for definition in table.definitions]
    assert all(len(line) <= LINE for line in lines[: rules[-1]])
    data = lines[rules[-1] + 1 : -1]
    assert len(data) == len(table)
    end = 0
    for match in described:
        start = int(match[1] or match[2])
        assert start == end + 2 or end == 0
        end = int(match[2])
        assert end - start + 1 == int(match[4])
    assert {len(line) for line in data} == {end}


def test_flags_are_explained(table: ExportTable) -> None:
    text = mrt_bytes(table).decode("ascii")
    assert "  8 = bound_only: " in text
    assert "  1 = outside_fov: " in text
    assert "pileup" not in text
    assert text.count("(1)") > 1


def test_limits_and_null_mark(table: ExportTable) -> None:
    definition = ColumnDefinition("x", "float", "s", "time.duration", "Some time", digits=3)
    text = mrt_bytes(one_column(definition, np.ma.MaskedArray([1.0, 20.0, 3.0], mask=[0, 0, 1]))).decode()
    assert "[1.00/20.00]? Some time" in text
    text = mrt_bytes(one_column(definition, np.ma.MaskedArray([1.0, 20.0, 3.0], mask=False))).decode()
    assert "[1.00/20.00] Some time" in text


@pytest.mark.parametrize("kind", ["float", "int", "text", "bool"])
def test_nothing_but_null(kind: str) -> None:
    definition = ColumnDefinition("x", kind, "", "meta.number", "Nothing", 4 if kind == "float" else None)  # type: ignore[arg-type]
    dtype = {"float": float, "int": np.int64, "text": np.str_, "bool": bool}[kind]
    found = read(one_column(definition, np.ma.MaskedArray(np.zeros(3, dtype=dtype), mask=True)))
    assert np.ma.getmaskarray(np.ma.MaskedArray(found["x"])).all()


def test_digits_in_text_stay_text() -> None:
    definition = ColumnDefinition("obs_id", "text", "", "meta.id", "Observation")
    found = read(one_column(definition, np.ma.MaskedArray(["04600", "735"], mask=False)))
    assert found["obs_id"].tolist() == ["04600", "735"]


def test_a_line_that_goes_on_with_numbers() -> None:
    text = "Counts per frame in the brightest " + "3 x 3 sky pixels of the aperture, " * 12
    definition = ColumnDefinition("x", "int", "count", "phot.count", text.strip(), None)
    small = one_column(definition, np.ma.MaskedArray([1, 2], mask=False))
    lines = mrt_bytes(small).decode("ascii").split("-" * LINE)[2].splitlines()
    further = [line for line in lines if line.startswith(" " * 20)]
    assert len(further) > 5
    assert not any(line.strip()[0].isdigit() for line in further)
    found = read(small)
    assert found.colnames == ["Name", "x"]
    assert found["x"].description == f"[1/2] {text.strip()}"


@given(
    st.lists(
        st.tuples(st.floats(1e-17, 1e-3), st.floats(0, 1), st.floats(1, 1.01)), min_size=1, max_size=6
    ).map(np.array)
)
@example(np.array([[0.0012344, 0.5, 1.00004], [0.5, 0.00001, 1.0]]))
def test_a_value_stays_inside_its_interval(numbers: np.ndarray) -> None:
    value = numbers[:, 0]
    ends = {"": value, "_lolim": value * numbers[:, 1], "_hilim": value * numbers[:, 2]}
    values = {f"flux_aper{end}": np.ma.MaskedArray(array, mask=False) for end, array in ends.items()}
    found = read(ExportTable("detections", "default", [REGISTRY[name] for name in values], values))
    assert (found["b_FE"] <= found["FE"]).all()
    assert (found["FE"] <= found["B_FE"]).all()


@given(
    values=st.lists(
        st.one_of(st.none(), st.just(0.0), st.floats(1e-18, 1e12), st.floats(-1e6, -1e-6)),
        min_size=1,
        max_size=8,
    ),
    digits=st.integers(2, 9),
)
def test_floats_keep_their_digits(values: list[float | None], digits: int) -> None:
    definition = ColumnDefinition("x", "float", "", "meta.number", "A number", digits=digits)
    masked = np.ma.MaskedArray([value or 0.0 for value in values], mask=[value is None for value in values])
    found = np.ma.MaskedArray(read(one_column(definition, masked))["x"]).tolist()
    for cell, value in zip(found, values, strict=True):
        assert (cell is None) == (value is None)
        if value is not None and cell is not None:
            assert isclose(cell, value, rel_tol=0.5001 * 10 ** (1 - digits), abs_tol=0.0)


def test_control_characters_do_not_break_lines(table: ExportTable) -> None:
    names = np.ma.MaskedArray(["a\nb\tc"] * len(table), mask=False)
    found = read(replace(table, values={**table.values, "name": names}))
    assert set(found["Name"].tolist()) == {"a b c"}
