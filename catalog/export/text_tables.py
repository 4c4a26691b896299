"""CSV for programs that know no other format, ECSV for those that want units and descriptions too."""

from __future__ import annotations

import csv
from io import StringIO

from catalog.export.astropy_table import to_astropy
from catalog.export.table import ExportTable


def csv_bytes(table: ExportTable) -> bytes:
    """Return the table as CSV: one line of names, NULL empty, numbers to the last bit, True and False."""
    buffer = StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    names = [definition.name for definition in table.definitions]
    writer.writerow(names)
    # `tolist` gives None where masked, which the csv module writes as nothing.
    writer.writerows(zip(*(table.values[name].tolist() for name in names), strict=True))
    return buffer.getvalue().encode("utf-8")


def ecsv_bytes(table: ExportTable) -> bytes:
    """Return the table as ECSV 1.0, with units, descriptions and, in each column's meta, the UCD."""
    buffer = StringIO(newline="")
    to_astropy(table).write(buffer, format="ascii.ecsv", delimiter=",")
    return buffer.getvalue().encode("utf-8")
