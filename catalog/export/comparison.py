"""Two recipes source by source: how their fluxes differ, and where they differ too much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select
from sqlalchemy.orm import aliased

from catalog.errors import UnknownNameError
from catalog.flags import Flag, combine
from catalog.schema.tables import BandRow, Merge, MergedMeasurement, Recipe, Source

Array = NDArray[np.float64]
OUTLIER_SIGMA = 3.0
ENOUGH_RATIOS = 10
"""Sources from which on the median of their ratios tells what the recipes differ by as a whole."""
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
        The column compared, and its band.
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
    def common_ratio(self) -> float:
        """What all sources differ by, as recipes weigh effective areas differently; 1 for a few sources."""
        ratio = self.ratio[self.ratio > 0]
        return float(np.median(ratio)) if len(ratio) >= ENOUGH_RATIOS else 1.0

    @property
    def deviation(self) -> Array:
        """Difference beyond the common ratio over the larger error: of the same data, errors do not add."""
        scale = np.array([[self.common_ratio], [1.0]])
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second = scale * self.values
            return np.asarray((second - first) / (scale * self.errors).max(axis=0))

    @property
    def outliers(self) -> list[int]:
        """Rows that differ by more than 3 errors from the common ratio, worst first."""
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
    """Compare merged values in the widest band, by its limits, that both recipes measured.

    Raises
    ------
    UnknownNameError
        A recipe that the catalog does not have, or two without a band or source in common.
    """
    known = sorted(connection.scalars(select(Recipe.recipe)))
    for name in (first, second):
        if name not in known:
            raise UnknownNameError(
                "unknown recipe", name, f"choose from {', '.join(known)}", code="UNKNOWN_RECIPE"
            )
    one, other = (_bands(connection, name) for name in (first, second))
    for limits in sorted(one.keys() & other.keys(), key=lambda pair: (pair[0] - pair[1], pair)):
        rows = _pairs(connection, (one[limits][0], other[limits][0]), (first, second), quantity)
        if rows:
            table = np.array([row[2:8] for row in rows], dtype=float)
            return Comparison(
                first,
                second,
                f"{quantity}, {limits[0]:g}-{limits[1]:g} keV",
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


def _bands(connection: Connection, recipe: str) -> dict[tuple[float, float], tuple[int, str]]:
    """Bands that a recipe has merged values in: row number and name by limits in keV."""
    rows = connection.execute(
        select(BandRow.id, BandRow.band, BandRow.lo, BandRow.hi)
        .join(MergedMeasurement, MergedMeasurement.band_id == BandRow.id)
        .join(Merge, Merge.id == MergedMeasurement.merge_id)
        .join(Recipe, Recipe.id == Merge.recipe_id)
        .where(Recipe.recipe == recipe, Merge.purpose == "photometry")
        .distinct()
        .order_by(BandRow.band)
    )
    return {(row.lo, row.hi): (row.id, row.band) for row in rows}


def _pairs(
    connection: Connection, bands: tuple[int, int], recipes: tuple[str, str], quantity: str
) -> Sequence[Any]:
    """Name, label, two values, two errors, two counts and all flags of each source that both measured."""
    sides = [
        (aliased(MergedMeasurement, name=f"measured_{k}"), aliased(Merge, name=f"merge_{k}"))
        for k in ("one", "other")
    ]
    values = [getattr(measured, quantity) for measured, _ in sides]
    errors = [
        (getattr(measured, f"{quantity}_hilim") - getattr(measured, f"{quantity}_lolim")) / 2
        for measured, _ in sides
    ]
    statement = select(
        Source.name,
        Source.label,
        *values,
        *errors,
        *(measured.cnts_aper for measured, _ in sides),
        *(part.flags for side in sides for part in side),
    ).select_from(Source)
    for (measured, merge), band, recipe in zip(sides, bands, recipes, strict=True):
        number = select(Recipe.id).where(Recipe.recipe == recipe).scalar_subquery()
        statement = statement.join(
            merge,
            (merge.source_id == Source.id) & (merge.purpose == "photometry") & (merge.recipe_id == number),
        ).join(measured, (measured.merge_id == merge.id) & (measured.band_id == band))
    present = [value.is_not(None) for value in values]
    return connection.execute(statement.where(*present).order_by(Source.ra, Source.dec)).all()
