"""Two recipes source by source: how their fluxes differ, and where they differ too much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from catalog.band import CSC_SUFFIX
from catalog.errors import UnknownNameError
from catalog.flags import Flag, combine
from catalog.schema.tables import Recipe

Array = NDArray[np.float64]
OUTLIER_SIGMA = 3.0
REASONS: tuple[tuple[str, Flag], ...] = (
    ("crowding", Flag.NEIGHBOUR_EXCLUDED | Flag.CONFUSED | Flag.JOINT | Flag.APERTURES_OVERLAP),
    (
        "edge",
        Flag.NEAR_EDGE
        | Flag.PARTIAL_EXPOSURE
        | Flag.OUTSIDE_FOV
        | Flag.MIXED_CHIPS
        | Flag.EXCLUDED_FROM_MERGE,
    ),
    ("variable", Flag.VARIABLE),
    ("drawn region", Flag.DRAWN_REGION | Flag.OFF_SOURCE),
    ("background", Flag.BACKGROUND_INSIDE_SOURCE | Flag.NO_BACKGROUND | Flag.SMALL_BACKGROUND),
    ("aperture", Flag.LOW_PSF_FRACTION | Flag.PSF_EXTRAPOLATED),
    ("pile-up", Flag.PILEUP),
)
"""What flags of either recipe say about why the two may differ, most telling first."""


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
        Sources by label, else by name, shape (n,).
    values
        Shape (2, n).
    errors
        Half-widths of the intervals, shape (2, n).
    counts
        Counts in the source apertures, the larger of the two, shape (n,).
    flags
        Union of the flags of both, shape (n,).
    """

    first: str
    second: str
    quantity: str
    names: tuple[str, ...]
    values: Array
    errors: Array
    counts: Array
    flags: NDArray[np.int64]

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

    def reason(self, row: int) -> str:
        """Why the two may differ, in the words of `REASONS`; empty where no flag tells."""
        flags = int(self.flags[row])
        return ", ".join(word for word, flag in REASONS if flags & int(flag))


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
                f"SELECT a.name, a.label, a.{column}, b.{column}, {half_widths}, "
                f"a.cnts_aper_{suffix}, b.cnts_aper_{suffix}, "
                f"a.flags, b.flags, a.flags_{suffix}, b.flags_{suffix} "
                "FROM catalog a JOIN catalog b ON a.source_id = b.source_id "
                "WHERE a.recipe = :first AND b.recipe = :second "
                f"AND a.{column} IS NOT NULL AND b.{column} IS NOT NULL ORDER BY a.ra, a.dec"
            ),
            {"first": first, "second": second},
        ).all()
        if rows:
            table = np.array([row[2:8] for row in rows], dtype=float)
            return Comparison(
                first,
                second,
                column,
                tuple(row[1] or row[0].split()[-1] for row in rows),
                table[:, :2].T,
                table[:, 2:4].T,
                np.nan_to_num(table[:, 4:]).max(axis=1),
                np.array([combine(row[8:]) for row in rows], dtype=np.int64),
            )
    raise UnknownNameError(
        "no source and band that both recipes measured",
        f"{first}, {second}",
        "run both with a band in common",
        code="NOTHING_TO_COMPARE",
    )
