"""Long results in parts: all rows, in order, from both engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from catalog.schema.tables import Source
from catalog.store.door import Store
from catalog.store.parts import parts

Rows = Callable[..., dict[str, Any]]


@pytest.fixture
def filled(store: Store, ids: dict[str, int], row: Rows) -> Store:
    with store.write() as writer:
        writer.insert(Source, [row(Source, ids, origin_hpx29=i + 10, hpx29=i) for i in range(100)])
    return store


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_all_rows_in_order(filled: Store, size: int) -> None:
    query = select(Source.id, Source.hpx29).order_by(Source.id)
    with filled.read() as connection:
        found = list(parts(connection, query, size))
        expected = connection.execute(query).all()
    assert [row for part in found for row in part] == expected
    assert len(expected) >= 100
    assert all(0 < len(part) <= size for part in found)


def test_no_rows(filled: Store) -> None:
    with filled.read() as connection:
        assert not list(parts(connection, select(Source.id).where(Source.id < 0), 5))


def test_the_rest_may_be_left(filled: Store) -> None:
    query = select(Source.id).order_by(Source.id)
    with filled.read() as connection:
        for part in parts(connection, query, 2):
            assert len(part) == 2
            break
        assert connection.scalar(select(func.count()).select_from(Source)) >= 100


def test_errors_arrive(filled: Store) -> None:
    with filled.read() as connection, pytest.raises(DBAPIError):
        list(parts(connection, select(func.no_such_function(Source.id)), 5))
