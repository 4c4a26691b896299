"""Machine-readable tables of the AAS and the CDS: a byte-by-byte description, then lines of fixed width."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

import numpy as np
from astropy import units

from catalog.export.astropy_table import ascii_only
from catalog.export.band_columns import family, split_band
from catalog.export.number_text import column_format
from catalog.export.table import ExportTable
from catalog.flags import FLAGS, combine
from catalog.schema.column import ColumnDefinition

LINE = 80
_NARROWEST = 24
_FLAG_NOTE = "(1)"


@dataclass(frozen=True)
class MrtColumn:
    """One column as it stands in the file: cells of equal width and the line that explains them."""

    label: str
    form: str
    unit: str
    explanation: str
    cells: list[str]
    width: int


def mrt_bytes(table: ExportTable) -> bytes:
    """Return the table as an MRT file; NULL is blank, and a `?` in the explanation says that it occurs."""
    columns = [mrt_column(table, definition) for definition in table.definitions]
    rows = [" ".join(cells) for cells in zip(*(column.cells for column in columns), strict=True)]
    notes = _notes(table)
    lines = [
        "Title: X-ray point sources",
        "Authors:",
        f"Table: srccat {table.name}, recipe {ascii_only(table.recipe)}",
        "=" * LINE,
        f"Byte-by-byte Description of file: {table.name}.mrt",
        "-" * LINE,
        *_byte_by_byte(columns),
        "-" * LINE,
        *notes,
        *["-" * LINE][: len(notes)],
        *rows,
        "",
    ]
    return "\n".join(lines).encode("ascii")


def mrt_column(table: ExportTable, definition: ColumnDefinition) -> MrtColumn:
    """Return the cells of a column, their Fortran format and the explanation with limits and null mark."""
    values, null = table.values[definition.name], table.mask(definition.name)
    present = values.compressed()
    if definition.kind == "float":
        # A value and the ends of its interval keep their order only when rounded alike.
        alike = [table.values[name].compressed() for name in family(definition.name) if name in table.values]
        kind, specification = column_format(np.concatenate(alike or [present]), definition.digits or 7)
        texts = [format(float(value), specification) for value in present]
    elif definition.kind == "bool":
        kind, texts = "A", ["T" if value else "F" for value in present]
    elif definition.kind in ("int", "bigint"):
        kind, texts = "I", [str(value) for value in present]
    else:
        kind, texts = "A", [ascii_only(str(value)) for value in present]
    width = max(max(map(len, texts), default=0), len(kind) + 1 if kind[0] in "EF" else 1)
    align = "<" if kind == "A" else ">"
    filled = iter(texts)
    cells = [format("" if missing else next(filled), f"{align}{width}") for missing in null]
    return MrtColumn(
        label=definition.label,
        form=f"{kind[0]}{width}" + (f".{kind[1:]}" if kind[0] in "EF" else ""),
        unit=units.Unit(definition.unit, format="fits").to_string("cds") if definition.unit else "---",
        explanation=_explanation(definition, texts, bool(null.any())),
        cells=cells,
        width=width,
    )


def _explanation(definition: ColumnDefinition, texts: list[str], has_null: bool) -> str:
    # Limits help to check a quantity; the range of an identifier or a sum of flags says nothing.
    marks = ""
    if texts and definition.kind in ("int", "float") and not definition.ucd.startswith("meta."):
        marks = f"[{min(texts, key=float)}/{max(texts, key=float)}]"
    marks += "?" if has_null else ""
    text = ascii_only(definition.description)
    if definition.kind == "bool":
        text += " (T or F)"
    if split_band(definition.name)[0] == "flags":
        text += f" {_FLAG_NOTE}"
    return f"{marks} {text}" if marks else text


def _byte_by_byte(columns: list[MrtColumn]) -> list[str]:
    form = max(len("Format"), *(len(column.form) for column in columns))
    unit = max(len("Units"), *(len(column.unit) for column in columns))
    label = max(len("Label"), *(len(column.label) for column in columns))
    last = sum(column.width + 1 for column in columns)
    digits = max(len(str(last)), 3)
    head = f"{'Bytes':>{2 * digits + 1}} {'Format':<{form}} {'Units':<{unit}} {'Label':<{label}} Explanations"
    lines, start = [head, "-" * LINE], 1
    for column in columns:
        end = start + column.width - 1
        place = f"{start:>{digits}}-{end:>{digits}}" if end > start else f"{end:>{2 * digits + 1}}"
        prefix = f"{place} {column.form:<{form}} {column.unit:<{unit}} {column.label:<{label}} "
        lines += _wrapped(prefix, column.explanation)
        start = end + 2
    return lines


def _wrapped(prefix: str, text: str) -> list[str]:
    # A line that goes on with a number and three more words reads as the description of another column.
    glued = re.sub(r" (?=\d)", "\x00", text)
    width = max(LINE - len(prefix), _NARROWEST)
    pieces = textwrap.wrap(glued, width, break_on_hyphens=False, break_long_words=False) or [""]
    blank = " " * len(prefix)
    return [
        (prefix if number == 0 else blank) + piece.replace("\x00", " ") for number, piece in enumerate(pieces)
    ]


def _notes(table: ExportTable) -> list[str]:
    flags = [d for d in table.definitions if split_band(d.name)[0] == "flags"]
    used = combine(int(bits) for d in flags for bits in np.unique(table.values[d.name].compressed()))
    lines: list[str] = []
    if flags:
        lines.append(f"Note {_FLAG_NOTE}: a sum of the values of all that hold:")
    for flag in (definition for definition in FLAGS if used & definition.value):
        text = f"{flag.value} = {flag.name}: {flag.sentence}"
        lines += textwrap.wrap(text, LINE, initial_indent="  ", subsequent_indent="    ")
    for note in (*table.runs, table.metadata.get("where", ""), table.metadata.get("remark", "")):
        lines += textwrap.wrap(f"Note: {ascii_only(note)}", LINE, subsequent_indent="  ") if note else []
    return lines
