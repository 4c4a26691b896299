"""One posterior in several units: the columns of a quantity, and the significance of a posterior."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.stats.posterior_summary import PosteriorSummary

Array = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]
"""Arrays of one shape by column name; NaN (None in text columns) is no value."""


def posterior_columns(name: str, posterior: PosteriorSummary, unit: Array) -> Columns:
    """Columns ``name``, ``name_lolim``, ``name_hilim`` and ``name_mean`` of a posterior times `unit`."""
    return {
        name: posterior.mode * unit,
        f"{name}_lolim": posterior.lolim * unit,
        f"{name}_hilim": posterior.hilim * unit,
        f"{name}_mean": posterior.mean * unit,
    }


def significance(posterior: PosteriorSummary) -> Array:
    """Mode over the mean half-width of the interval."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2 * posterior.mode / (posterior.hilim - posterior.lolim))


def to_rows(columns: Columns, shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """Turn columns of one shape into rows of plain Python values, NaN becoming None, in C order."""
    plain = {}
    for name, values in columns.items():
        flat = np.broadcast_to(values, shape).ravel()
        listed = flat.tolist()
        if flat.dtype.kind == "f":
            listed = [None if value != value else value for value in listed]
        plain[name] = listed
    names = list(plain)
    return [dict(zip(names, row, strict=True)) for row in zip(*plain.values(), strict=True)]
