"""Text tables with separators: CSV, TSV, and columns parted by semicolons, bars or blanks.

Every cell stays text, so that one bad cell can be named instead of turning its whole column into strings.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from catalog.errors import InputFileError
from catalog.events.angle_text import is_sexagesimal, parse_number
from catalog.events.table_column import SourceTable, make_column, unreadable


def _delimiter(header: str) -> str:
    for candidate in ("\t", ",", ";", "|"):
        if candidate in header:
            return candidate
    return " "


def _split(lines: Sequence[str], delimiter: str) -> Iterator[list[str]]:
    if delimiter == " ":
        lines = [" ".join(line.split()) for line in lines]
    for fields in csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter != "\t"):
        yield [field.strip() for field in fields]


def read_delimited(text: str, path: Path) -> SourceTable:
    """Return a text table that begins with a line of column names, commented or not.

    VizieR's lines of units and of dashes below the names are understood.

    Raises
    ------
    InputFileError
        UNREADABLE_TABLE without column names or for a row of another length, EMPTY_TABLE for comments only.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    comments = [line.lstrip("# \t") for line in lines if line.lstrip().startswith("#")]
    body = [line.strip("\r\n") for line in lines if not line.lstrip().startswith("#")]
    if not body:
        raise InputFileError("no table in it", path, "give a file with sources", code="EMPTY_TABLE")
    delimiter = _delimiter(body[0])
    rows = list(_split(body, delimiter))
    header = rows[0]
    if any(parse_number(field) is not None or is_sexagesimal(field) for field in header):
        last = comments[-1:]
        readings = [names for mark in (delimiter, _delimiter("".join(last))) for names in _split(last, mark)]
        commented = next((names for names in readings if len(names) == len(header)), None)
        if commented is None:
            raise unreadable("no line of column names at the top", path, "add one, such as: name,ra,dec")
        header, rows = commented, [commented, *rows]
    units = [""] * len(header)
    if len(rows) > 2 and all(re.fullmatch(r"-+", field) for field in rows[2] if field) and any(rows[2]):
        units, rows = rows[1] + [""] * len(header), [header, *rows[3:]]
    elif len(rows) > 1 and all(re.fullmatch(r"-+", field) for field in rows[1] if field) and any(rows[1]):
        rows = [header, *rows[2:]]
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(header):
            raise unreadable(
                f"{len(row)} fields where the header has {len(header)}",
                path,
                f"correct data row {number}; quote fields that hold the separator",
            )
    cells = np.array(rows[1:], dtype="U").reshape(len(rows) - 1, len(header))
    found = [make_column(name, cells[:, i], units[i]) for i, name in enumerate(header)]
    return SourceTable(str(path), tuple(column for column in found if column is not None))
