"""Two recipes source by source: how their fluxes differ, and where they differ too much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from catalog.band import CSC_SUFFIX
from catalog.errors import UnknownNameError
from catalog.schema.tables import Recipe

Array = NDArray[np.float64]
OUTLIER_SIGMA = 3.0


@dataclass(frozen=True, eq=False)
class Comparison:
    """Merged values of two recipes for the sources that both measured.

    Attributes
    ----------
    first, second
        Names of the recipes.
    quantity
        The column compared.
    names
        Sources, shape (n,).
    values
        Shape (2, n).
    errors
        Half-widths of the intervals, shape (2, n).
    """

    first: str
    second: str
    quantity: str
    names: tuple[str, ...]
    values: Array
    errors: Array

    @property
    def ratio(self) -> Array:
        """Second over first; NaN where the first is zero."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.values[0] > 0, self.values[1] / self.values[0], np.nan)

    @property
    def deviation(self) -> Array:
        """Difference over the larger error: the data are the same, so errors do not add."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((self.values[1] - self.values[0]) / self.errors.max(axis=0))

    @property
    def outliers(self) -> list[int]:
        """Rows that differ by more than 3 errors, worst first."""
        size = np.abs(self.deviation)
        rows = np.flatnonzero(size > OUTLIER_SIGMA)
        return [int(row) for row in rows[np.argsort(-size[rows], kind="stable")]]


def compare_recipes(
    connection: Connection, first: str, second: str, quantity: str = "photflux_aper"
) -> Comparison:
    """Compare merged values in the widest band that both recipes measured.

    Raises
    ------
    UnknownNameError
        A recipe that the catalog does not have, or two without a band or source in common.
    """
    known = sorted(connection.scalars(text(f"SELECT recipe FROM {Recipe.__tablename__}")))
    for name in (first, second):
        if name not in known:
            raise UnknownNameError(
                "unknown recipe", name, f"choose from {', '.join(known)}", code="UNKNOWN_RECIPE"
            )
    for suffix in CSC_SUFFIX.values():
        column = f"{quantity}_{suffix}"
        half_widths = ", ".join(
            f"({alias}.{quantity}_hilim_{suffix} - {alias}.{quantity}_lolim_{suffix}) / 2" for alias in "ab"
        )
        rows = connection.execute(
            text(
                f"SELECT a.name, a.{column}, b.{column}, {half_widths} "
                "FROM catalog a JOIN catalog b ON a.source_id = b.source_id "
                "WHERE a.recipe = :first AND b.recipe = :second "
                f"AND a.{column} IS NOT NULL AND b.{column} IS NOT NULL ORDER BY a.ra, a.dec"
            ),
            {"first": first, "second": second},
        ).all()
        if rows:
            table = np.array([row[1:] for row in rows], dtype=float)
            names = tuple(row[0] for row in rows)
            return Comparison(first, second, column, names, table[:, :2].T, table[:, 2:].T)
    raise UnknownNameError(
        "no source and band that both recipes measured",
        f"{first}, {second}",
        "run both with a band in common",
        code="NOTHING_TO_COMPARE",
    )
