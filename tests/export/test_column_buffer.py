"""Columns filled while rows arrive: the same whatever the parts, however many rows were expected."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.export.column_buffer import ColumnBuffer, fill_value
from catalog.export.selection import select_rows
from catalog.schema.column import ColumnDefinition
from catalog.schema.views import view_columns
from catalog.store.door import Store

CELLS = {
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "int": st.integers(-(2**62), 2**62),
    "bool": st.booleans(),
    "text": st.sampled_from(["", "a", "Sgr A*", "α Cen", "x" * 20]),
}
DEFINITIONS = {item.definition.kind: item.definition for item in view_columns("detections")}


def filled(
    definition: ColumnDefinition, cells: list[object], parts: list[int], expected: int
) -> np.ma.MaskedArray:
    buffer = ColumnBuffer(definition, expected)
    start = 0
    for stop in (*parts, len(cells)):
        if stop > start:
            buffer.extend(tuple(cells[start:stop]))
            start = stop
    return buffer.column()


@pytest.mark.parametrize("kind", CELLS)
@given(data=st.data())
def test_cells_come_back_whatever_the_parts(kind: str, data: st.DataObject) -> None:
    cells = data.draw(st.lists(st.none() | CELLS[kind], max_size=30) | st.lists(st.none(), max_size=5))
    parts = sorted(data.draw(st.lists(st.integers(1, 30), max_size=4)))
    expected = data.draw(st.integers(0, 40))
    definition = DEFINITIONS[kind]
    column = filled(definition, cells, [part for part in parts if part < len(cells)], expected)
    assert column.tolist() == cells
    assert column.dtype.kind == {"float": "f", "int": "i", "bool": "b", "text": "U"}[kind]
    under = column.data[np.ma.getmaskarray(column)]
    assert (np.isnan(under) if kind == "float" else under == fill_value(definition)).all()
    if None not in cells:
        assert np.ma.getmask(column) is np.ma.nomask
    widths = [len(str(cell)) for cell in cells if cell is not None]
    if kind == "text":
        assert column.dtype == np.dtype(f"U{max([1, *widths])}")


def test_floats_of_null_alone_take_no_memory() -> None:
    column = filled(DEFINITIONS["float"], [None] * 1000, [10], 5)
    assert column.strides == (0,)
    assert column.mask.all()


def test_a_condition_that_is_never_the_same_twice(store: Store) -> None:
    for _ in range(5):
        with store.read() as connection:
            found = select_rows(connection, "detections", "default", where="random() > 0.4")
        assert {len(column) for column in found.values.values()} == {len(found)}
