"""Where and how the merged observations saw each source: means weighted by exposure, as ACIS Extract's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from catalog.export.styles.rows import StyleRows
from catalog.schema.tables import (
    BandRow,
    EventSet,
    Extraction,
    Measurement,
    Merge,
    MergedMeasurement,
    MergeMember,
    Observation,
    PositionEstimate,
    Recipe,
)

Array = NDArray[np.float64]
PRIMARY_ENERGY = 1.4967
"""keV, where ACIS Extract gives PSF fractions; the band with the nearest effective energy stands for it."""
PLACES = (
    "theta_max",
    "n_obs_seen",
    "area_aper",
    "psf_frac_aper",
    "good_frac",
    "cnts_per_frame",
    "merge_bias",
    "afterglow_frac",
    "log10_prob_no_source_least",
    "position_method",
    "position_ra",
    "position_dec",
    "position_error",
)
"""Columns that `with_places` adds, in the units of `extraction`."""


def with_places(connection: Connection, recipe: str, rows: StyleRows) -> StyleRows:
    """Add to rows of `merged_rows` what the observations used have in common.

    Areas, PSF fractions and good fractions are means weighted by the exposure of the aperture; observations
    without exposure are left out. `theta_max` and `cnts_per_frame` are the largest, `n_obs_seen` counts all
    observations with the position in the field of view, `merge_bias` is the share of the exposure that the
    merge leaves out, `afterglow_frac` the share of the counts that may be afterglows (in the widest band),
    `log10_prob_no_source_least` is the smallest over all bands of the merge for validity. `position_...` is
    the position measured from the merge for positions, arcsec the error; NULL without counts.
    """
    found = _by_source(connection, recipe)
    afterglows = _afterglow_fractions(connection, recipe)
    least = _least_probability(connection, recipe)
    measured = _positions(connection, recipe)
    columns: dict[str, NDArray[Any]] = {name: np.empty(len(rows), dtype=object) for name in PLACES}
    for i, source_id in enumerate(rows.columns["source_id"]):
        place = _place(found.get(source_id, ()))
        place["afterglow_frac"] = afterglows.get(source_id)
        place["log10_prob_no_source_least"] = least.get(source_id)
        place |= measured.get(source_id, dict.fromkeys(PLACES[-4:]))
        for name in PLACES:
            columns[name][i] = place[name]
    return StyleRows({**rows.columns, **columns})


def used_observations(connection: Connection, recipe: str, rows: StyleRows) -> NDArray[np.bool_]:
    """Which observations were merged, shape (rows, observations), these in the order of their ObsIDs."""
    table = connection.execute(
        select(Extraction.source_id, Observation.obs_id, MergeMember.used)
        .join(MergeMember, MergeMember.extraction_id == Extraction.id)
        .join(Merge, (Merge.id == MergeMember.merge_id) & (Merge.purpose == "photometry"))
        .join(Recipe, Recipe.id == Merge.recipe_id)
        .join(EventSet, EventSet.id == Extraction.event_set_id)
        .join(Observation, Observation.id == EventSet.observation_id)
        .where(Recipe.recipe == recipe)
    ).all()
    used = {(row.source_id, row.obs_id) for row in table if row.used}
    observations = sorted({row.obs_id for row in table})
    return np.array(
        [[(source_id, obs_id) in used for obs_id in observations] for source_id in rows.columns["source_id"]],
        dtype=bool,
    ).reshape(len(rows), len(observations))


def _bands(connection: Connection, recipe: str) -> Sequence[Any]:
    return connection.execute(
        select(BandRow.id, BandRow.lo, BandRow.hi, BandRow.eff)
        .join(Measurement, Measurement.band_id == BandRow.id)
        .join(Extraction, Extraction.id == Measurement.extraction_id)
        .join(Recipe, Recipe.id == Extraction.recipe_id)
        .where(Recipe.recipe == recipe)
        .distinct()
    ).all()


def _by_source(connection: Connection, recipe: str) -> dict[int, list[Any]]:
    """Extractions considered for photometry, with the measurement in the band nearest to 1.5 keV."""
    bands = _bands(connection, recipe)
    nearest = min(bands, key=lambda row: abs(row.eff - PRIMARY_ENERGY), default=None)
    if nearest is None:
        return {}
    found: dict[int, list[Any]] = {}
    for row in connection.execute(
        select(
            Extraction.source_id,
            Extraction.in_fov,
            Extraction.theta,
            Extraction.area_aper,
            Extraction.good_frac,
            Extraction.cnts_per_frame,
            Measurement.psf_frac_aper,
            Measurement.exposure_area_aper,
            MergeMember.used,
        )
        .join(MergeMember, MergeMember.extraction_id == Extraction.id)
        .join(Merge, (Merge.id == MergeMember.merge_id) & (Merge.purpose == "photometry"))
        .join(Recipe, Recipe.id == Merge.recipe_id)
        .outerjoin(
            Measurement, (Measurement.extraction_id == Extraction.id) & (Measurement.band_id == nearest.id)
        )
        .where(Recipe.recipe == recipe)
    ):
        found.setdefault(row.source_id, []).append(row)
    return found


def _place(rows: Sequence[Any]) -> dict[str, Any]:
    used = [row for row in rows if row.used]
    frames = [row.cnts_per_frame for row in used if row.cnts_per_frame is not None]
    return {
        "theta_max": max((row.theta for row in used), default=None),
        "n_obs_seen": sum(row.in_fov for row in rows),
        "cnts_per_frame": max(frames, default=None),
        "merge_bias": _share_left_out(rows),
        **{name: _mean(used, name) for name in ("area_aper", "psf_frac_aper", "good_frac")},
    }


def _share_left_out(rows: Sequence[Any]) -> float | None:
    exposed = [row for row in rows if row.in_fov and row.exposure_area_aper]
    total = sum(row.exposure_area_aper for row in exposed)
    used = sum(row.exposure_area_aper for row in exposed if row.used)
    return 1.0 - used / total if total > 0 else None


def _mean(rows: Sequence[Any], name: str) -> float | None:
    pairs = [(getattr(row, name), row.exposure_area_aper) for row in rows]
    known = [(value, weight) for value, weight in pairs if value and weight]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total > 0 else None


def _least_probability(connection: Connection, recipe: str) -> dict[int, float]:
    """Smallest log10 PROB_NO_SOURCE over the bands of the merge for validity, by source."""
    found: dict[int, float] = {}
    for row in connection.execute(
        select(Merge.source_id, MergedMeasurement.log10_prob_no_source)
        .join(MergedMeasurement, MergedMeasurement.merge_id == Merge.id)
        .join(Recipe, Recipe.id == Merge.recipe_id)
        .where(
            Recipe.recipe == recipe,
            Merge.purpose == "validity",
            MergedMeasurement.log10_prob_no_source.is_not(None),
        )
    ):
        found[row.source_id] = min(found.get(row.source_id, 0.0), row.log10_prob_no_source)
    return found


def _afterglow_fractions(connection: Connection, recipe: str) -> dict[int, float]:
    """Share of the merged counts of the widest band that may be afterglows, by source."""
    widest = max(_bands(connection, recipe), key=lambda row: row.hi - row.lo, default=None)
    if widest is None:
        return {}
    counts = func.sum(Measurement.cnts_aper)
    rows = connection.execute(
        select(Extraction.source_id, counts.label("n"), func.sum(Measurement.afterglow_cnts_aper).label("k"))
        .join(Measurement, Measurement.extraction_id == Extraction.id)
        .join(MergeMember, MergeMember.extraction_id == Extraction.id)
        .join(Merge, (Merge.id == MergeMember.merge_id) & (Merge.purpose == "photometry"))
        .join(Recipe, Recipe.id == Merge.recipe_id)
        .where(
            Recipe.recipe == recipe,
            Measurement.band_id == widest.id,
            MergeMember.used,
            Measurement.afterglow_cnts_aper.is_not(None),
        )
        .group_by(Extraction.source_id)
        .having(counts > 0)
    )
    return {row.source_id: float(row.k) / float(row.n) for row in rows}


def _positions(connection: Connection, recipe: str) -> dict[int, dict[str, Any]]:
    rows = connection.execute(
        select(
            Merge.source_id,
            PositionEstimate.method.label("position_method"),
            PositionEstimate.ra.label("position_ra"),
            PositionEstimate.dec.label("position_dec"),
            PositionEstimate.error_radius.label("position_error"),
        )
        .join(Merge, Merge.id == PositionEstimate.merge_id)
        .join(Recipe, Recipe.id == Merge.recipe_id)
        .where(Recipe.recipe == recipe, Merge.purpose == "position", PositionEstimate.method == "mean")
    )
    return {row.source_id: {name: getattr(row, name) for name in PLACES[-4:]} for row in rows}
