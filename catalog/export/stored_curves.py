"""Light curves out of the database: all products of one source, observation by observation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from catalog.errors import UnknownNameError
from catalog.events.good_times import GoodTimes
from catalog.measure.light_curves import LightCurve
from catalog.schema.tables import (
    BandRow,
    EventSet,
    Extraction,
    GoodTime,
    Merge,
    MergedVariability,
    Observation,
    Recipe,
    Source,
    Variability,
)
from catalog.schema.tables import LightCurve as LightCurveRow
from catalog.store.arrays import unpack


@dataclass(frozen=True, eq=False)
class ObservedCurves:
    """Light curves of one source in one observation and band.

    Attributes
    ----------
    name, ra, dec
        Of the source; degrees ICRS.
    obs_id, obi_num, detector, tstart, tstop, date_obs
        Of the observation; s of mission time.
    recipe, band, energies
        Recipe; band and its limits in keV.
    good_times
        Good times of the chip of the source.
    tests
        Columns of `variability`.
    curves
        By product.
    """

    name: str
    ra: float
    dec: float
    obs_id: str
    obi_num: int
    detector: str
    tstart: float
    tstop: float
    date_obs: str
    recipe: str
    band: str
    energies: tuple[float, float]
    good_times: GoodTimes
    tests: dict[str, Any]
    curves: dict[str, LightCurve]


def observed_curves(
    connection: Connection, source_id: int, recipe: str | None = None, band: str | None = None
) -> list[ObservedCurves]:
    """Return the light curves of a source in order of time; observations without any are left out.

    Parameters
    ----------
    connection
        Database.
    source_id
        Row number.
    recipe
        Name; `default` where it has light curves, else the first with some.
    band
        Name; the widest with light curves unless given.

    Raises
    ------
    UnknownNameError
        NO_LIGHT_CURVES: there is none.
    """
    rows = connection.execute(
        select(Recipe.recipe, BandRow.band)
        .select_from(LightCurveRow)
        .join(Extraction, Extraction.id == LightCurveRow.extraction_id)
        .join(Recipe, Recipe.id == Extraction.recipe_id)
        .join(BandRow, BandRow.id == LightCurveRow.band_id)
        .where(Extraction.source_id == source_id, LightCurveRow.product == "binned")
        .group_by(Recipe.recipe, BandRow.band)
        .order_by(Recipe.recipe != "default", Recipe.recipe, -func.max(BandRow.hi - BandRow.lo))
    ).all()
    chosen = [row for row in rows if recipe in (None, row.recipe) and band in (None, row.band)]
    if not chosen:
        asked = ", ".join(word for word in (recipe, band) if word)
        known = ", ".join(f"{row.recipe} {row.band}" for row in rows) or "none"
        raise UnknownNameError(
            "no light curve of this source" + (f" in {asked}" if asked else ""),
            source_id,
            f"stored are: {known}; `srccat run` makes them where there is an aperture",
            code="NO_LIGHT_CURVES",
        )
    return _load(connection, source_id, chosen[0].recipe, chosen[0].band)


def variability_summary(connection: Connection, source_id: int, of: ObservedCurves) -> str:
    """One line on the variability of a source between its observations; empty where not tested."""
    row = connection.execute(
        select(MergedVariability.var_inter_index, MergedVariability.var_inter_log10_pvalue)
        .join(Merge, Merge.id == MergedVariability.merge_id)
        .join(Recipe, (Recipe.id == Merge.recipe_id) & (Recipe.recipe == of.recipe))
        .join(BandRow, (BandRow.id == MergedVariability.band_id) & (BandRow.band == of.band))
        .where(Merge.source_id == source_id, Merge.purpose == "photometry")
    ).one_or_none()
    if row is None or row.var_inter_index is None:
        return ""
    return f"between observations: index {row.var_inter_index}, log10 p = {row.var_inter_log10_pvalue:.2f}"


def _load(connection: Connection, source_id: int, recipe: str, band: str) -> list[ObservedCurves]:
    rows = connection.execute(
        select(
            Extraction.id,
            Extraction.event_set_id,
            Extraction.chip_id,
            Source.name,
            Source.ra,
            Source.dec,
            Observation.obs_id,
            Observation.obi_num,
            Observation.detector,
            Observation.tstart,
            Observation.tstop,
            Observation.date_obs,
            BandRow.id.label("band_id"),
            BandRow.lo,
            BandRow.hi,
        )
        .join(Source, Source.id == Extraction.source_id)
        .join(EventSet, EventSet.id == Extraction.event_set_id)
        .join(Observation, Observation.id == EventSet.observation_id)
        .join(Recipe, (Recipe.id == Extraction.recipe_id) & (Recipe.recipe == recipe))
        .join(BandRow, BandRow.band == band)
        .where(Extraction.source_id == source_id, EventSet.role == "photometry")
        .order_by(Observation.tstart, Observation.obs_id, Observation.obi_num)
    ).all()
    found = []
    for row in rows:
        curves = _curves(connection, row.id, row.band_id)
        if "binned" not in curves:
            continue
        tests = connection.execute(
            select(Variability.__table__).where(
                Variability.extraction_id == row.id, Variability.band_id == row.band_id
            )
        ).one()
        found.append(
            ObservedCurves(
                **{
                    name: getattr(row, name)
                    for name in ("name", "ra", "dec", "obs_id", "obi_num", "detector", "tstart", "tstop")
                },
                date_obs=row.date_obs,
                recipe=recipe,
                band=band,
                energies=(row.lo, row.hi),
                good_times=_good_times(connection, row.event_set_id, row.chip_id),
                tests=dict(tests._mapping),
                curves=curves,
            )
        )
    return found


def _curves(connection: Connection, extraction_id: int, band_id: int) -> dict[str, LightCurve]:
    rows: Sequence[Any] = connection.execute(
        select(LightCurveRow.product, LightCurveRow.columns, LightCurveRow.data).where(
            LightCurveRow.extraction_id == extraction_id, LightCurveRow.band_id == band_id
        )
    ).all()
    return {row.product: LightCurve(tuple(row.columns), unpack(row.data)) for row in rows}


def _good_times(connection: Connection, event_set_id: int, chip: int | None) -> GoodTimes:
    rows = connection.execute(
        select(GoodTime.chip_id, GoodTime.gti_start, GoodTime.gti_stop).where(
            GoodTime.event_set_id == event_set_id
        )
    ).all()
    own = [row for row in rows if row.chip_id == chip] or rows
    return GoodTimes.of((row.gti_start, row.gti_stop) for row in own)
