"""CSV for programs that know no other format, ECSV for those that want units and descriptions too."""

from __future__ import annotations

from io import StringIO

from catalog.export.astropy_table import to_astropy
from catalog.export.table import ExportTable

# A number sign at the head of a line would make a comment of it.
_QUOTED = frozenset('",\r\n#')


def csv_bytes(table: ExportTable) -> bytes:
    """Return the table as CSV: one line of names, NULL empty, numbers to the last bit, True and False."""
    names = ",".join(definition.name for definition in table.definitions)
    return "\n".join([names, *_lines(table), ""]).encode("utf-8")


def ecsv_bytes(table: ExportTable) -> bytes:
    """Return the table as ECSV 1.0, with units, descriptions and, in each column's meta, the UCD."""
    # Astropy's header over our own lines, which are the same and written ten times as fast.
    head = StringIO(newline="")
    to_astropy(table)[:0].write(head, format="ascii.ecsv", delimiter=",")
    return "\n".join([head.getvalue().rstrip("\n"), *_lines(table), ""]).encode("utf-8")


def _lines(table: ExportTable) -> list[str]:
    columns = [
        ["" if cell is None else _cell(cell) for cell in table.values[definition.name].tolist()]
        for definition in table.definitions
    ]
    return [",".join(cells) for cells in zip(*columns, strict=True)]


def _cell(value: object) -> str:
    if not isinstance(value, str):
        return repr(value)
    if value and value == value.strip() and not _QUOTED & set(value):
        return value
    return '"' + value.replace('"', '""') + '"'
