"""Parquet with the VOTable header that TOPCAT and astropy look for (VOParquet 1.0)."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from io import BytesIO
from typing import Any

from catalog.errors import UserError
from catalog.export.table import ExportTable
from catalog.export.votable import votable_bytes


def parquet_bytes(table: ExportTable) -> bytes:
    """Return the table as Parquet; NULL is null. Unit, UCD and description stand with each field.

    Raises
    ------
    UserError
        When pyarrow is not installed.
    """
    try:
        pyarrow = import_module("pyarrow")
        parquet = import_module("pyarrow.parquet")
    except ImportError:
        raise UserError(
            "Parquet needs the pyarrow library",
            "",
            "pip install 'srccat[parquet]'",
            code="MISSING_LIBRARY",
        ) from None
    types: dict[str, Any] = {
        "int": pyarrow.int64(),
        "bigint": pyarrow.int64(),
        "float": pyarrow.float64(),
        "bool": pyarrow.bool_(),
        "text": pyarrow.string(),
        "time": pyarrow.string(),
    }
    fields = [
        pyarrow.field(
            definition.name,
            types[definition.kind],
            metadata={"unit": definition.unit, "ucd": definition.ucd, "description": definition.description},
        )
        for definition in table.definitions
    ]
    header = votable_bytes(_without_rows(table))
    schema = pyarrow.schema(
        fields,
        metadata={
            b"IVOA.VOTable-Parquet.version": b"1.0",
            b"IVOA.VOTable-Parquet.content": header,
            b"recipe": table.recipe.encode(),
            b"creator": table.metadata.get("creator", "srccat").encode(),
        },
    )
    arrays = [pyarrow.array(table.values[field.name].tolist(), type=field.type) for field in fields]
    buffer = BytesIO()
    parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), buffer)
    return buffer.getvalue()


def _without_rows(table: ExportTable) -> ExportTable:
    return replace(table, values={name: values[:0] for name, values in table.values.items()})
