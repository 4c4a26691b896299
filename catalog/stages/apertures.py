"""Stage `apertures`: where each source falls in each observation, and its regions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from catalog.apertures.circles import CircleRule, circle_aperture, neighbours
from catalog.apertures.touching import MOST_GROWTH, is_dense, touching_aperture
from catalog.calibration.psf import PsfLibrary
from catalog.events.pointing import Pointing
from catalog.flags import Flag
from catalog.measure.observed_field import ObservedField
from catalog.measure.placement import Placement, nominal_frame, place, sky_positions
from catalog.recipes.recipe import Recipe
from catalog.schema.tables import Extraction, RegionRow
from catalog.stages.fingerprint import fingerprint
from catalog.stages.work import (
    FieldInput,
    SourceTable,
    UnitResult,
    UnitState,
    is_changed,
    store_units,
    unit_states,
)
from catalog.store.door import Writer

STAGE = "apertures"
VERSION = 2

NEAR_POINTING = 0.5
"""Degrees: a source farther from the pointing than this has no row for the observation, unless it has none at
all otherwise."""
APERTURE_FLAGS = (
    Flag.OUTSIDE_FOV
    | Flag.NEAR_EDGE
    | Flag.NEIGHBOUR_EXCLUDED
    | Flag.CONFUSED
    | Flag.NO_APERTURE
    | Flag.PSF_EXTRAPOLATED
    | Flag.MIXED_CHIPS
)
_MARGIN = 1.02


@dataclass(frozen=True)
class ApertureUnit:
    """A source to place in an observation.

    Attributes
    ----------
    row
        Row in the source table.
    source_id
        Row number in the database.
    neighbours
        Rows of the sources that can change its regions.
    fingerprint
        Hash of all that can change its regions.
    """

    row: int
    source_id: int
    neighbours: tuple[int, ...]
    fingerprint: str


def circle_rule(recipe: Recipe) -> CircleRule:
    """Return the factors of a recipe's circles."""
    return CircleRule(
        source_exclusion=recipe.aperture.neighbour_exclusion,
        background_inner=recipe.background.inner,
        background_outer=recipe.background.outer,
        background_exclusion=recipe.background.neighbour_exclusion,
    )


def plan(
    recipe: Recipe, field: FieldInput, sources: SourceTable, rows: NDArray[np.intp], psf: PsfLibrary
) -> list[ApertureUnit]:
    """Return a unit for each of the given rows of the source table, without opening the event list.

    Neighbours are found with slightly larger apertures than the event list's own frame will give, so that
    none is missed.
    """
    frame = nominal_frame(field.ra_pnt, field.dec_pnt)
    x, y = sky_positions(frame, sources.ra[rows], sources.dec[rows], field.correction)
    pointing = Pointing(frame.x_ref, frame.y_ref, field.roll_pnt, frame.pixel_scale_arcsec)
    placement = place(pointing, x, y, psf, recipe.aperture.fraction, recipe.aperture.energy)
    radius = _MARGIN * placement.radius / frame.pixel_scale_arcsec
    found = _neighbours(recipe, x, y, radius)
    common = fingerprint(
        VERSION,
        field.geometry_key(),
        recipe.aperture.model_dump(),
        recipe.crowding.method,
        recipe.background.model_dump(exclude={"follows"}),
        psf.identity,
    )
    units = []
    for i, row in enumerate(rows.tolist()):
        near = tuple(int(rows[j]) for j in found[i])
        positions = [(float(sources.ra[j]), float(sources.dec[j])) for j in (row, *near)]
        units.append(
            ApertureUnit(
                row, int(sources.id[row]), near, fingerprint(common, positions[0], sorted(positions[1:]))
            )
        )
    return units


def _neighbours(
    recipe: Recipe, x: NDArray[np.float64], y: NDArray[np.float64], radius: NDArray[np.float64]
) -> list[NDArray[np.intp]]:
    """Others that can change a source's regions; in a dense field its background may reach farther."""
    rule = circle_rule(recipe)
    found = neighbours(x, y, radius, rule)
    if recipe.crowding.method != "joint":
        return found
    table = np.column_stack([x, y, radius])
    wider = replace(rule, background_outer=MOST_GROWTH * rule.background_outer)
    far: list[NDArray[np.intp]] | None = None
    for i, near in enumerate(found):
        if len(near) and is_dense((x[i], y[i], radius[i]), table[near], rule):
            far = neighbours(x, y, radius, wider) if far is None else far
            found[i] = far[i]
    return found


def stale(units: list[ApertureUnit], states: dict[int, UnitState]) -> list[ApertureUnit]:
    """Return the units whose inputs changed, that failed, or that were never computed."""
    return [
        unit
        for unit in units
        if (state := states.get(unit.source_id)) is None
        or not state.done
        or state.fingerprint != unit.fingerprint
    ]


def compute(
    units: list[ApertureUnit],
    recipe: Recipe,
    field_input: FieldInput,
    field: ObservedField,
    sources: SourceTable,
    psf: PsfLibrary,
) -> list[dict[str, Any]]:
    """Return for each unit the columns of `extraction` that this stage fills, and its ``regions``."""
    rows = np.array(sorted({row for unit in units for row in (unit.row, *unit.neighbours)}), dtype=np.intp)
    frame = field.events.sky_frame
    x, y = sky_positions(frame, sources.ra[rows], sources.dec[rows], field_input.correction)
    placement = place(field.events.pointing, x, y, psf, recipe.aperture.fraction, recipe.aperture.energy)
    at = {int(row): i for i, row in enumerate(rows)}
    view = field.field_of_view
    in_fov = view.in_fov(x, y)
    # An edge is near or a chip known only for what is on the sky side of the telescope.
    finite = np.isfinite(x) & np.isfinite(y)
    chip = view.chip_at(np.where(finite, x, 0.0), np.where(finite, y, 0.0))
    near_edge = view.near_edge(np.where(finite, x, 0.0), np.where(finite, y, 0.0))
    extrapolated = psf.extrapolated(placement.theta)
    results = []
    for unit in units:
        i = at[unit.row]
        record = _placed(placement, i, bool(in_fov[i]), bool(near_edge[i]), frame)
        if in_fov[i]:
            record["chip_id"] = int(chip.ccd_id[i])
            record["chipx"], record["chipy"] = float(chip.chipx[i]), float(chip.chipy[i])
            record["livetime"] = field.live_time
            near = np.array([at[row] for row in unit.neighbours], dtype=np.intp)
            scale = frame.pixel_scale_arcsec
            others = np.column_stack([placement.x[near], placement.y[near], placement.radius[near] / scale])
            _add_regions(record, recipe, field, others, scale)
            if extrapolated[i]:
                record["flags"] |= int(Flag.PSF_EXTRAPOLATED)
        results.append(record)
    return results


def _placed(placement: Placement, i: int, in_fov: bool, near_edge: bool, frame: Any) -> dict[str, Any]:
    flags = Flag(0)
    if not in_fov:
        flags |= Flag.OUTSIDE_FOV
    elif near_edge:
        flags |= Flag.NEAR_EDGE
    # Behind the telescope there is no tangent plane; the row still says that the source was not seen.
    behind = not np.isfinite(placement.x[i])
    return {
        "flags": int(flags),
        "x": None if behind else float(placement.x[i]),
        "y": None if behind else float(placement.y[i]),
        "theta": None if behind else float(placement.theta[i]),
        "phi": None if behind else float(placement.phi[i]),
        "chip_id": None,
        "chipx": None,
        "chipy": None,
        "in_fov": in_fov,
        "near_edge": bool(near_edge and in_fov),
        "livetime": None,
        "radius_aper": float(placement.radius[i]) if in_fov else None,
        "regions": {},
    }


def _add_regions(
    record: dict[str, Any], recipe: Recipe, field: ObservedField, others: NDArray[np.float64], scale: float
) -> None:
    whole = field.field_of_view.region
    allowed = whole if recipe.background.cross_chip_kinds else field.chips_like(record["chip_id"])
    position = (record["x"], record["y"], record["radius_aper"] / scale)
    build = touching_aperture if recipe.crowding.method == "joint" else circle_aperture
    aperture = build(position, others, circle_rule(recipe), whole, allowed)
    if aperture.overlapped:
        record["flags"] |= int(Flag.NEIGHBOUR_EXCLUDED)
    if aperture.confused:
        record["flags"] |= int(Flag.CONFUSED)
    area = aperture.source.area
    if area <= 0:
        record["flags"] |= int(Flag.NO_APERTURE)
        return
    if aperture.background.field is not None and allowed is not whole:
        uncut = build(position, others, circle_rule(recipe), whole).background
        if uncut.area > aperture.background.area * (1 + 1e-6):
            record["flags"] |= int(Flag.MIXED_CHIPS)
    record["regions"] = {
        "source": (aperture.source.to_dict(), area),
        "background": (aperture.background.to_dict(), aperture.background.area),
    }


def store(
    writer: Writer,
    run_id: int,
    recipe_id: int,
    field: FieldInput,
    units: list[ApertureUnit],
    results: list[dict[str, Any]],
) -> None:
    """Store placements and regions; what later stages made of the old ones stays until they run.

    Rows of a result that is what it was stay as they are: later stages have written into them.
    """
    done = [
        UnitResult(unit.source_id, unit.fingerprint, fingerprint(result))
        for unit, result in zip(units, results, strict=True)
    ]
    states = unit_states(writer.connection, STAGE, recipe_id, field.scope)
    pairs = zip(units, results, done, strict=True)
    changed = [(unit, result) for unit, result, new in pairs if is_changed(new, states)]
    _store_changed(writer, run_id, recipe_id, field, changed)
    store_units(writer, run_id, STAGE, recipe_id, field.scope, field.event_set_id, done)


def _store_changed(
    writer: Writer,
    run_id: int,
    recipe_id: int,
    field: FieldInput,
    pairs: list[tuple[ApertureUnit, dict[str, Any]]],
) -> None:
    extraction_rows = [
        {
            "run_id": run_id,
            "source_id": unit.source_id,
            "event_set_id": field.event_set_id,
            "recipe_id": recipe_id,
            **{name: value for name, value in result.items() if name != "regions"},
        }
        for unit, result in pairs
    ]
    writer.upsert(Extraction, extraction_rows, key=("source_id", "event_set_id", "recipe_id"))
    ids = extraction_ids(writer.connection, field.event_set_id, recipe_id)
    changed = [ids[unit.source_id] for unit, _ in pairs]
    writer.delete(RegionRow, RegionRow.extraction_id.in_(changed) & ~RegionRow.edited)
    kept = set(
        writer.connection.execute(
            select(RegionRow.extraction_id, RegionRow.role).where(RegionRow.extraction_id.in_(changed))
        )
    )
    writer.insert(
        RegionRow,
        [
            {
                "run_id": run_id,
                "extraction_id": ids[unit.source_id],
                "role": role,
                "shape": shape,
                "area_pix": area,
                "edited": False,
                "note": None,
            }
            for unit, result in pairs
            for role, (shape, area) in result["regions"].items()
            if (ids[unit.source_id], role) not in kept
        ],
    )


def extraction_ids(connection: Connection, event_set_id: int, recipe_id: int) -> dict[int, int]:
    """Row numbers of extractions by source id."""
    rows = connection.execute(
        select(Extraction.source_id, Extraction.id).where(
            Extraction.event_set_id == event_set_id, Extraction.recipe_id == recipe_id
        )
    )
    return {row.source_id: row.id for row in rows}
