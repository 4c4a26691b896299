"""Joint photometry within stage `photometry`: which sources belong together, and their values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from catalog.apertures.groups import Influence
from catalog.apertures.region import Region, region_from_dict
from catalog.calibration.psf import PsfLibrary
from catalog.measure.joint_photometry import JointResult, contamination, joint_photometry
from catalog.measure.photometry import CSC_CONFIDENCE, Counted, posterior_factors
from catalog.measure.shared_light import Crowd, find_influence, mean_energies, shared_light
from catalog.schema.tables import Extraction, RegionRow, Source
from catalog.stages.base.calibration_cache import psf_of
from catalog.stages.steps.photometry_rows import PhotometryContext, count_arrays, load_counted


@dataclass(frozen=True, eq=False)
class FieldCrowd:
    """The sources of an event set with what joins them.

    Attributes
    ----------
    source_ids
        Sources with a measurement, in the order of their natural keys, shape (n,).
    crowd
        Their extractions; None where the recipe measures every source alone, or there is none.
    influence
        Who influences whom.
    pixel_scale
        Arcsec per sky pixel.
    companions
        Other members of its group, by source id.
    """

    source_ids: list[int]
    crowd: Crowd | None
    influence: Influence | None
    pixel_scale: float
    companions: dict[int, tuple[int, ...]]

    def around(self, source_ids: Collection[int]) -> FieldCrowd:
        """The groups that some sources are part of, with all their members."""
        wanted = set(source_ids)
        groups = [] if self.influence is None else self.influence.members()
        groups = [group for group in groups if any(self.source_ids[i] in wanted for i in group)]
        if self.crowd is None or self.influence is None or not groups:
            return ALONE
        rows = np.sort(np.concatenate(groups))
        place = np.full(len(self.source_ids), -1)
        place[rows] = np.arange(len(rows))
        pairs = place[self.influence.pairs]
        # Members of a group share its number, the row of its first: the order of all is kept.
        group = place[self.influence.group[rows]]
        return FieldCrowd(
            [self.source_ids[i] for i in rows],
            _rows_of(self.crowd, rows),
            Influence(pairs[(pairs >= 0).all(axis=1)], group),
            self.pixel_scale,
            {},
        )


ALONE = FieldCrowd([], None, None, 1.0, {})
"""No source influences another."""


def _rows_of(crowd: Crowd, rows: NDArray[np.intp]) -> Crowd:
    def taken(value: Any) -> Any:
        return [value[i] for i in rows] if isinstance(value, list) else value[rows]

    return Crowd(**{item.name: taken(getattr(crowd, item.name)) for item in fields(crowd)})


@dataclass(frozen=True, eq=False)
class JointRows:
    """Joint photometry of sources by source id, and the light of neighbours by their source ids."""

    rows: dict[int, int]
    result: JointResult
    crowd: Crowd

    def of(self, source_ids: Sequence[int]) -> JointResult:
        """The results of sources; those measured alone have none."""
        return self.result.take(np.array([self.rows.get(i, -1) for i in source_ids], dtype=np.intp))

    def neighbours(self) -> dict[int, list[tuple[int, int, float, float]]]:
        """Of each source the strongest neighbours: source id, band, counts in aperture and background."""
        source_ids = list(self.rows)
        light = self.result.neighbours
        found: dict[int, list[tuple[int, int, float, float]]] = {}
        for pair, band in np.argwhere(light.strongest(self.crowd.n, self.crowd.r)).tolist():
            i, j = light.pairs[pair].tolist()
            counts = float(light.aperture[pair, band]), float(light.background[pair, band])
            found.setdefault(source_ids[i], []).append((source_ids[j], band, *counts))
        return found


def load_crowd(
    connection: Connection, context: PhotometryContext, recipe_id: int, psf: PsfLibrary
) -> FieldCrowd:
    """Read the extractions of an event set and find its groups."""
    places = _places(connection, context, recipe_id)
    extractions, measurements = load_counted(
        connection, context, recipe_id, [row.source_id for row in places]
    )
    by_id = {row.source_id: row for row in extractions if row.area_aper is not None}
    used = [row for row in places if row.source_id in by_id and row.area_aperbkg is not None]
    if len(used) < 2:
        return ALONE
    rows = [by_id[row.source_id] for row in used]
    regions = _regions(connection, context, recipe_id)
    factors, counted = _factors(context, rows, measurements)
    kept = np.flatnonzero(np.isfinite(factors[2]).all(axis=1))
    scale = float(np.sqrt(used[0].area_aper / regions[used[0].id]["source"][1]))
    own = [used[i] for i in kept]
    crowd = Crowd(
        x=np.array([row.x for row in own]),
        y=np.array([row.y for row in own]),
        radius=np.array([row.radius_aper for row in own]) / scale,
        theta=np.array([row.theta for row in own]),
        phi=np.array([row.phi for row in own]),
        source=[regions[row.id]["source"][0] for row in own],
        background=[regions[row.id]["background"][0] for row in own],
        n=factors[4][kept].astype(np.int64),
        m=factors[5][kept].astype(np.int64),
        f=factors[0][kept],
        g=factors[1][kept],
        r=factors[2][kept],
        time=factors[3][kept],
        energy=mean_energies([counted[i] for i in kept], context.recipe.energy_bands),
    )
    found = find_influence(crowd, psf, scale, max(band.eff for band in context.recipe.energy_bands))
    source_ids = [row.source_id for row in own]
    companions = {
        source_ids[i]: tuple(source_ids[j] for j in group if j != i)
        for group in found.members()
        for i in group
    }
    return FieldCrowd(source_ids, crowd, found, scale, companions)


def _places(connection: Connection, context: PhotometryContext, recipe_id: int) -> list[Any]:
    return list(
        connection.execute(
            select(
                Extraction.id,
                Extraction.source_id,
                Extraction.x,
                Extraction.y,
                Extraction.theta,
                Extraction.phi,
                Extraction.radius_aper,
                Extraction.area_aper,
                Extraction.area_aperbkg,
            )
            .join(Source, Source.id == Extraction.source_id)
            .where(Extraction.event_set_id == context.field.event_set_id, Extraction.recipe_id == recipe_id)
            # Not by row number: the order of the list must not matter, not even in the last bit.
            .order_by(Source.origin_hpx29)
        )
    )


def _regions(
    connection: Connection, context: PhotometryContext, recipe_id: int
) -> dict[int, dict[str, tuple[Region, float]]]:
    found: dict[int, dict[str, tuple[Region, float]]] = {}
    for row in connection.execute(
        select(RegionRow.extraction_id, RegionRow.role, RegionRow.shape, RegionRow.area_pix)
        .join(Extraction, Extraction.id == RegionRow.extraction_id)
        .where(Extraction.event_set_id == context.field.event_set_id, Extraction.recipe_id == recipe_id)
    ):
        found.setdefault(row.extraction_id, {})[row.role] = (region_from_dict(row.shape), row.area_pix)
    return found


def _factors(
    context: PhotometryContext, rows: list[Any], measurements: dict[int, list[Any]]
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float32]]]:
    """Arrays f, g, r, time, n, m of shape (n, b) in the order of `rows`, and the events of each."""
    tables = [np.full((len(rows), len(context.recipe.bands)), np.nan) for _ in range(6)]
    events: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(rows)
    for chip in sorted({row.chip_id for row in rows}):
        chosen = [i for i, row in enumerate(rows) if row.chip_id == chip]
        group = [rows[i] for i in chosen]
        position = (np.array([row.theta for row in group]), np.array([row.phi for row in group]))
        table = [measurements[row.id] for row in group]
        counted: Counted = count_arrays(context, context.calibration, group, table, position)
        values = (*posterior_factors(counted, context.recipe.background.follows), counted.n, counted.m)
        for filled, value in zip(tables, values, strict=True):
            filled[chosen] = value
        for i, own in zip(chosen, counted.energy_aper, strict=True):
            events[i] = own
    return tables, events


def measure(context: PhotometryContext, field: FieldCrowd) -> JointRows | None:
    """Measure all groups, or find what neighbours send to sources measured alone; None without neighbours."""
    if field.crowd is None or field.influence is None:
        return None
    recipe = context.recipe
    light = shared_light(
        field.crowd,
        field.influence.pairs,
        recipe.energy_bands,
        psf_of(context.calibration_key, context.field.psf_blur),
        context.field.roll_pnt,
        field.pixel_scale,
    )
    if recipe.crowding.method == "joint":
        result = joint_photometry(
            field.crowd,
            light,
            field.influence.members(),
            (recipe.confidence, CSC_CONFIDENCE),
            recipe.crowding.seed,
            recipe.crowding.psf_error,
        )
    else:
        result = contamination(field.crowd, light)
    return JointRows({source_id: i for i, source_id in enumerate(field.source_ids)}, result, field.crowd)
