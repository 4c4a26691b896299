"""VOTable 1.3: its units are those of the CDS, where erg is a unit in good standing."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from astropy.io.votable.tree import CooSys, Info, Resource, TableElement, VOTableFile

from catalog.export.astropy_table import to_astropy
from catalog.export.table import ExportTable

_VERSION = "1.3"


def votable_bytes(table: ExportTable) -> bytes:
    """Return the table as VOTable with TABLEDATA; NULL is an empty cell, NaN in floats."""
    content = to_astropy(table)
    content.meta.clear()
    for name, column in content.columns.items():
        if column.dtype.kind == "U":
            # An all-ASCII column needs no unicodeChar, which few readers outside astronomy's know.
            text = column.filled("")
            if all(cell.isascii() for cell in text):
                content.replace_column(name, _retyped(column))
    document, resource = VOTableFile(version=_VERSION), Resource()
    document.resources.append(resource)
    resource.tables.append(TableElement.from_table(document, content))
    resource.coordinate_systems.append(CooSys(ID="icrs", system="ICRS"))
    for field in resource.tables[0].fields:
        if field.name in ("ra", "dec"):
            field.ref = "icrs"
    resource.tables[0].name = table.name
    resource.tables[0].description = f"srccat {table.name}, recipe {table.recipe}"
    described = {"recipe": table.recipe, **table.metadata}
    described |= {f"run{number}": run for number, run in enumerate(table.runs, start=1)}
    for name, value in described.items():
        # The fields have the plain names for IDs, and an ID stands once in a document.
        document.infos.append(Info(name=name, ID=f"info_{name}", value=value))
    buffer = BytesIO()
    document.to_xml(buffer)
    return buffer.getvalue()


def _retyped(column: Any) -> Any:
    result = column.astype(np.bytes_)
    result.info.description, result.info.meta = column.info.description, column.info.meta
    return result
