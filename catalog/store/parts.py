"""Long results in parts: while the caller is at one, a server sends the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Connection, Row, Select

_AHEAD = 16
"""Parts that come from a server together."""


def parts(connection: Connection, query: Select[Any], size: int) -> Iterator[Sequence[Row[Any]]]:
    """Yield the rows of a query, `size` at a time.

    Of PostgreSQL a thread fetches what comes next, as client and server have a processor each. SQLite
    computes in this process, where a thread would only get in the way. The connection is not to be used for
    anything else meanwhile.
    """
    if connection.dialect.name == "sqlite":
        with connection.execute(query, execution_options={"yield_per": size}) as result:
            yield from result.partitions()
        return
    options = {"yield_per": _AHEAD * size}
    with connection.execute(query, execution_options=options) as result, ThreadPoolExecutor(1) as thread:
        blocks = result.partitions()
        coming = thread.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = thread.submit(next, blocks, None)
            for start in range(0, len(block), size):
                yield block[start : start + size]
