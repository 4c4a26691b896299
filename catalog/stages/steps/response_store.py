"""Redistributions in the database: one row for each content, whoever uses it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from catalog.calibration.redistribution import Redistribution
from catalog.schema.base import canonical_json
from catalog.schema.tables import Response, Spectrum
from catalog.store.arrays import pack, unpack
from catalog.store.door import Writer

PRODUCT = "rmf"
_PARTS = ("energy_lo", "energy_hi", "channel_lo", "channel_hi", "matrix")


@lru_cache(maxsize=4)
def response_row(response: Redistribution) -> dict[str, Any]:
    """Columns of `response`: all parts in single precision, as an OGIP file has them, one after the other."""
    parts = [np.asarray(getattr(response, name), dtype=np.float32) for name in _PARTS]
    columns: list[dict[str, Any]] = [
        {"name": name, "shape": list(part.shape)} for name, part in zip(_PARTS, parts, strict=True)
    ]
    columns.append({"name": "first_channel", "value": response.first_channel})
    values = np.concatenate([part.ravel() for part in parts])
    digest = hashlib.sha256(canonical_json(columns).encode() + values.tobytes()).hexdigest()
    return {"product": PRODUCT, "sha256": digest, "columns": columns, "data": pack(values)}


def redistribution_of(row: Any) -> Redistribution:
    """The redistribution of a row of `response`."""
    values, place = unpack(row.data), 0
    parts: dict[str, Any] = {}
    for item in row.columns:
        if "shape" not in item:
            parts[item["name"]] = item["value"]
            continue
        size = int(np.prod(item["shape"]))
        part = values[place : place + size].reshape(item["shape"])
        parts[item["name"]] = part if item["name"] == "matrix" else part.astype(float)
        place += size
    return Redistribution(**parts, name=f"rmf {row.sha256[:16]}")


def load_responses(connection: Connection, ids: Iterable[int]) -> dict[int, Redistribution]:
    """Redistributions by row number."""
    rows = connection.execute(select(Response.__table__).where(Response.id.in_(sorted(set(ids)))))
    return {row.id: redistribution_of(row) for row in rows}


def ensure_responses(writer: Writer, run_id: int, responses: Iterable[Redistribution]) -> dict[str, int]:
    """Store the redistributions that are not there; return row numbers by `Redistribution.identity`."""
    rows = {response.identity: response_row(response) for response in responses}
    if not rows:
        return {}
    writer.ensure(Response, [{"run_id": run_id, **row} for row in rows.values()], key=("sha256",))
    digests = [row["sha256"] for row in rows.values()]
    known = select(Response.sha256, Response.id).where(Response.sha256.in_(digests))
    ids = {row.sha256: row.id for row in writer.connection.execute(known)}
    return {identity: ids[row["sha256"]] for identity, row in rows.items()}


def drop_unused_responses(writer: Writer) -> None:
    """Delete redistributions that no spectrum uses any more."""
    used = select(Spectrum.id).where(Spectrum.response_id == Response.id).exists()
    writer.delete(Response, ~used)
