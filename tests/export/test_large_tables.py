"""Tables of a survey: written in pieces, quickly, and read by others as they were."""

from __future__ import annotations

import resource
import time
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits, votable
from hypothesis import given
from hypothesis import strategies as st

from catalog.export import fits_table
from catalog.export.astropy_table import ascii_cells, ascii_only
from catalog.export.fits_checksum import add_words
from catalog.export.fits_table import fits_bytes, fits_pieces
from catalog.export.table import Column, ExportTable
from catalog.export.votable import votable_bytes
from catalog.export.writers import export_table
from catalog.schema.column import ColumnDefinition
from catalog.schema.views import view_columns


def drawn(rows: int, seed: int = 3) -> ExportTable:
    """The wide view with random values, a tenth of them NULL, and one column of nothing else."""
    rng = np.random.default_rng(seed)
    definitions = [item.definition for item in view_columns("catalog") if item.definition.exported]
    values = {definition.name: column(rng, definition, rows) for definition in definitions}
    name = "flux1_aper_b"
    nothing = np.broadcast_to(np.nan, (rows,)), np.broadcast_to(np.True_, (rows,))
    values[name] = np.ma.MaskedArray(nothing[0], mask=nothing[1])
    return ExportTable("catalog", "default", definitions, values)


def column(rng: np.random.Generator, definition: ColumnDefinition, rows: int) -> Column:
    mask = rng.random(rows) < 0.1 if definition.null else np.zeros(rows, dtype=bool)
    if definition.kind == "float":
        data = rng.normal(size=rows) * 10 ** rng.uniform(-300, 300, rows)
        return np.ma.MaskedArray(np.where(mask, np.nan, data), mask=mask)
    if definition.kind in ("int", "bigint"):
        return np.ma.MaskedArray(rng.integers(-(2**62), 2**62, rows), mask=mask)
    if definition.kind == "bool":
        return np.ma.MaskedArray(rng.random(rows) < 0.5, mask=mask)
    texts = np.array(["", "a", "Sgr A*", "α Cen <b> & c", "x" * 20])
    return np.ma.MaskedArray(texts[rng.integers(0, 5, rows)], mask=mask)


@pytest.mark.parametrize("rows", [0, 1, 47, 300])
def test_pieces_have_a_right_checksum(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fits_table, "_ROWS", 29)
    path = tmp_path / "t.fits"
    path.write_bytes(b"".join(fits_pieces(drawn(rows))))
    with warnings.catch_warnings():
        # A wrong sum is a warning of astropy's.
        warnings.simplefilter("error")
        with fits.open(path, checksum=True) as opened:
            opened.verify("exception")
            header = opened[1].header
            assert header["NAXIS2"] == rows == len(opened[1].data)
            own = opened[1].copy()
    stored = header["DATASUM"], header["CHECKSUM"]
    own.add_checksum(when="now", override_datasum=False)
    assert own.header["DATASUM"] == stored[0]
    assert path.stat().st_size % 2880 == 0


def test_a_changed_byte_breaks_the_checksum(tmp_path: Path) -> None:
    content = bytearray(fits_bytes(drawn(50)))
    content[-5000] ^= 1
    path = tmp_path / "t.fits"
    path.write_bytes(content)
    with pytest.warns(match="verification failed"), fits.open(path, checksum=True) as opened:
        opened[1].header["NAXIS2"]


def test_the_size_of_pieces_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    table = drawn(200)
    whole = fits_bytes(table)
    monkeypatch.setattr(fits_table, "_ROWS", 7)
    assert fits_bytes(table) == whole


def test_the_sum_carries_round() -> None:
    assert add_words(0xFFFFFFFF, b"\0\0\0\1") == 1
    assert add_words(0, b"\xff\xff\xff\xff" * 4) == 0xFFFFFFFF


@pytest.mark.parametrize("rows", [1, 300])
def test_votable_gives_back_every_cell(rows: int, tmp_path: Path) -> None:
    table = drawn(rows)
    path = tmp_path / "t.vot"
    path.write_bytes(votable_bytes(table))
    element = votable.parse(path, verify="exception").get_first_table()
    assert b"<BINARY2>" in path.read_bytes()
    for field, definition in zip(element.fields, table.definitions, strict=True):
        name = definition.name
        assert field.name == name
        found, wanted = element.array[field.ID], table.values[name]
        null = table.mask(name)
        shown = np.ma.getmaskarray(found)
        if wanted.dtype.kind == "U":
            # Astropy's reader gives text that is NULL as empty.
            assert set(found.data[null].tolist()) <= {""}, name
            assert [str(cell) for cell in found.data[~null]] == wanted.data[~null].tolist(), name
        else:
            assert (shown == null).all(), name
            assert (found.data[~null] == wanted.data[~null]).all(), name


def test_votable_replaces_what_it_has_no_character_for() -> None:
    table = drawn(3)
    table.values["label"] = np.ma.MaskedArray(["𝛼", "β", "c"], mask=False)
    element = votable.parse(BytesIO(votable_bytes(table))).get_first_table()
    assert [str(cell) for cell in element.array["label"]] == ["\ufffd", "β", "c"]


@pytest.mark.parametrize("suffix", [".fits", ".vot"])
def test_twenty_thousand_rows_are_written_in_seconds(suffix: str, tmp_path: Path) -> None:
    table = drawn(20_000)
    start = time.process_time()
    export_table(table, tmp_path / f"out{suffix}")
    # Two seconds on the machine of docs/performance.md, of which most is the header.
    assert time.process_time() - start < 12


def test_a_large_fits_file_is_never_whole_in_memory(tmp_path: Path) -> None:
    table = drawn(40_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = export_table(table, tmp_path / "large.fits")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert path.stat().st_size > 1e8
    assert grown < 0.7 * path.stat().st_size


CHARACTERS = st.sampled_from("aZ0 \t\n\r\x1c\x85\u2003é") | st.characters(exclude_characters="\0")
PLAIN = st.text(st.sampled_from("a \n"), max_size=4)
TEXTS = st.lists(PLAIN, max_size=6) | st.lists(st.text(CHARACTERS, max_size=6), max_size=6)


@given(TEXTS)
def test_texts_of_a_column_are_those_one_by_one(texts: list[str]) -> None:
    cells = ascii_cells(np.array(texts, dtype=np.str_))
    assert [cell.decode("ascii") for cell in cells.tolist()] == [ascii_only(text) for text in texts]
