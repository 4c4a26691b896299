"""Cursor through which PostgreSQL sends many rows in binary form: numbers need no text in between."""

from __future__ import annotations

from typing import Any

from psycopg import ServerCursor
from psycopg.pq import Format


class BinaryServerCursor(ServerCursor[Any]):
    """A cursor of the server whose rows arrive in binary form."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.format = Format.BINARY
