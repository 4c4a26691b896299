"""VOTable 1.3: its units are those of the CDS, where erg is a unit in good standing."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from astropy.io.votable.tree import CooSys, Info, Resource, TableElement, VOTableFile
from numpy.typing import NDArray

from catalog.export.astropy_table import to_astropy
from catalog.export.table import Column, ExportTable

_VERSION = "1.3"
_END = b"</TABLE>"
_LARGEST_UCS2 = 0xFFFF
_REPLACEMENT = 0xFFFD
_LINE = 76


def votable_bytes(table: ExportTable) -> bytes:
    """Return the table as VOTable, its rows in BINARY2: exact, compact, and read at once.

    NULL is a set bit of its row (and NaN in floats, as readers expect). Text is char where all of a column is
    ASCII, else unicodeChar, which has no characters beyond 16 bits.
    """
    texts = {
        definition.name: _text(table.values[definition.name])
        for definition in table.definitions
        if definition.kind in ("text", "time")
    }
    described = _described(table, texts)
    if not len(table):
        return described
    head, end, tail = re.sub(rb"<DATA>.*?</DATA>\s*", b"", described, flags=re.DOTALL).rpartition(_END)
    packed = base64.b64encode(_rows(table, texts))
    lines = b"\n".join(packed[start : start + _LINE] for start in range(0, len(packed), _LINE))
    data = b'<DATA><BINARY2><STREAM encoding="base64">\n' + lines + b"\n</STREAM></BINARY2></DATA>\n   "
    return head + data + end + tail


def _described(table: ExportTable, texts: dict[str, NDArray[Any]]) -> bytes:
    """The whole document but for its rows."""
    content = to_astropy(replace(table, values={name: values[:0] for name, values in table.values.items()}))
    content.meta.clear()
    for name, text in texts.items():
        content.replace_column(name, _retyped(content[name], text.dtype))
    document, resource = VOTableFile(version=_VERSION), Resource()
    document.resources.append(resource)
    resource.tables.append(TableElement.from_table(document, content))
    resource.coordinate_systems.append(CooSys(ID="icrs", system="ICRS"))
    for field in resource.tables[0].fields:
        if field.name in ("ra", "dec"):
            field.ref = "icrs"
        if field.datatype == "bit":
            field.datatype = "boolean"  # a lone bit has no agreed place in its byte
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


def _retyped(column: Any, dtype: np.dtype[Any]) -> Any:
    result = column.astype(dtype)
    result.info.description, result.info.meta = column.info.description, column.info.meta
    return result


def _text(values: Column) -> NDArray[Any]:
    """Text as bytes where all of it is ASCII: unicodeChar is known to few readers outside astronomy."""
    text = np.asarray(values.filled(""), dtype=np.str_)
    try:
        return text.astype(np.bytes_)
    except UnicodeEncodeError:
        return text


def _rows(table: ExportTable, texts: dict[str, NDArray[Any]]) -> bytes:
    """Rows as BINARY2 has them: the bits of what is NULL, then each value, big-endian."""
    cells = [_cells(table, definition.name, definition.kind, texts) for definition in table.definitions]
    width = -(-len(cells) // 8)
    kinds: list[Any] = [(f"f{i}", cell.dtype, cell.shape[1:]) for i, cell in enumerate(cells)]
    rows = np.zeros(len(table), dtype=[("null", "u1", (width,)), *kinds])
    null = np.column_stack([table.mask(definition.name) for definition in table.definitions])
    rows["null"] = np.packbits(null, axis=1)
    for i, cell in enumerate(cells):
        rows[f"f{i}"] = cell
    return rows.tobytes()


def _cells(table: ExportTable, name: str, kind: str, texts: dict[str, NDArray[Any]]) -> NDArray[Any]:
    values = table.values[name]
    if kind == "float":
        return values.filled(np.nan).astype(">f8")
    if kind in ("int", "bigint"):
        return values.filled(0).astype(">i8")
    if kind == "bool":
        shown = np.where(values.filled(False), ord("T"), ord("F"))
        return np.where(table.mask(name), ord("?"), shown).astype("u1")
    text = texts[name]
    if text.dtype.kind == "S":
        return text
    codes = text.view(np.uint32).reshape(len(text), -1)
    return np.where(codes > _LARGEST_UCS2, _REPLACEMENT, codes).astype(">u2")
