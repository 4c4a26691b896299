"""The data subspace: the filters a table has passed, as CIAO's data model writes them in the header.

Component 1 is in DSTYPn, DSVALn, DSREFn; component m in mDSVALn, mDSREFn, as found in archive files; ACIS
event lists have one component per chip.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Ranges = tuple[tuple[float, float], ...]
_COMPONENTS = 32


def filtered_ranges(header: Mapping[str, Any], column: str) -> list[Ranges]:
    """Ranges a column was filtered to.

    Parameters
    ----------
    header
        Header of the table.
    column
        Column name, any case.

    Returns
    -------
    list of tuple
        One entry per component: its (lower, upper) ranges, infinite where open. Empty when the header has no
        filter on the column.
    """
    index = _descriptor(header, column)
    if index is None:
        return []
    values = [header.get(f"{prefix}DSVAL{index}") for prefix in _prefixes()]
    parsed = [_parse(value) for value in values if isinstance(value, str | int | float)]
    return [ranges for ranges in parsed if ranges]


def table_references(header: Mapping[str, Any], column: str = "time") -> list[str]:
    """Names of the tables (``:GTI3`` without colon) that filter a column, one per component."""
    index = _descriptor(header, column)
    if index is None:
        return []
    values = (header.get(f"{prefix}DSREF{index}") for prefix in _prefixes())
    return [value.strip().lstrip(":") for value in values if isinstance(value, str) and value.strip()]


def _prefixes() -> list[str]:
    return ["", *(str(number) for number in range(2, _COMPONENTS + 1))]


def _descriptor(header: Mapping[str, Any], column: str) -> int | None:
    for index in range(1, 64):
        name = header.get(f"DSTYP{index}")
        if isinstance(name, str) and name.strip().lower() == column.lower():
            return index
    return None


def _parse(value: str | int | float) -> Ranges:
    ranges: list[tuple[float, float]] = []
    for part in str(value).split(","):
        lower, colon, upper = part.strip().partition(":")
        try:
            low = float(lower) if lower else -math.inf
            high = (float(upper) if upper else math.inf) if colon else low
        except ValueError:
            # TABLE, NULL and the like: the filter is a table, not a range.
            return ()
        ranges.append((low, high))
    return tuple(ranges)
