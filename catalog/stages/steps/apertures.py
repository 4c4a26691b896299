"""Stage `apertures`: where each source falls in each observation, and its regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Connection, select

from catalog.calibration.psf import PsfLibrary
from catalog.events.pointing import Pointing
from catalog.flags import Flag
from catalog.measure.masked_backgrounds import mask_radii
from catalog.measure.observed_field import ObservedField
from catalog.measure.placement import Placement, nominal_frame, place, sky_positions
from catalog.measure.source_regions import RegionBuilder, SourceRegions, counting_band
from catalog.recipes.recipe import Recipe
from catalog.schema.tables import Crowding, Extraction, RegionRow
from catalog.stages.base.calibration_cache import CalibrationKey, psf_of
from catalog.stages.base.field_cache import FieldKey, field_key, observed_field
from catalog.stages.base.fingerprint import Inputs, fingerprint
from catalog.stages.base.stage import Place, Plan, Result
from catalog.stages.base.stale_reasons import is_current
from catalog.stages.base.work import FieldInput, SourceTable
from catalog.stages.steps.aperture_neighbours import region_groups, region_neighbours, region_span
from catalog.stages.steps.drawn_regions import (
    DrawnRegion,
    DrawnRegions,
    apply_drawn,
    held_sources,
    load_drawn,
)
from catalog.store.door import Writer

STAGE = "apertures"
VERSION = 5

APERTURE_FLAGS = (
    Flag.OUTSIDE_FOV
    | Flag.NEAR_EDGE
    | Flag.NEIGHBOUR_EXCLUDED
    | Flag.CONFUSED
    | Flag.NO_APERTURE
    | Flag.PSF_EXTRAPOLATED
    | Flag.MIXED_CHIPS
    | Flag.DRAWN_REGION
    | Flag.OFF_SOURCE
    | Flag.SMALL_BACKGROUND
    | Flag.APERTURES_OVERLAP
)
CROWDING_COLUMNS = tuple(
    item.name for item in Crowding.__table__.columns if item.name not in ("id", "run_id", "extraction_id")
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
    inputs
        All that can change its regions.
    drawn
        Regions drawn for it, and apertures drawn for others that may reach its regions.
    together
        Sources (row numbers in the database) whose apertures are found with its own.
    """

    row: int
    source_id: int
    neighbours: tuple[int, ...]
    inputs: Inputs
    drawn: tuple[DrawnRegion, ...] = ()
    together: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class ApertureJob:
    """A batch of units of one event set with the sources that they and their neighbours are."""

    key: FieldKey
    field: FieldInput
    recipe: Recipe
    calibration: CalibrationKey
    units: tuple[ApertureUnit, ...]
    sources: SourceTable


def plan(connection: Connection, place: Place) -> Plan:
    """Return the inputs of all sources near the pointing; `shared` holds their units by source id."""
    field, sources = place.observed, place.survey.sources
    rows = place.survey.pairs[field.event_set_id]
    drawn = load_drawn(connection, field.event_set_id, place.recipe_id)
    if not drawn:
        # Who is whose neighbour takes long to find, and follows from all positions.
        alone = own_inputs(place.recipe, field, sources, rows, place.psf)
        if is_current(connection, (STAGE, place.recipe_id, place.scope), alone, "neighbours"):
            return Plan(alone, is_current=True)
    units = find_units(place.recipe, field, sources, rows, place.psf, drawn)
    return Plan(
        {unit.source_id: unit.inputs for unit in units},
        shared={unit.source_id: unit for unit in units},
        together={unit.source_id: unit.together for unit in units if unit.together},
    )


def find_units(
    recipe: Recipe,
    field: FieldInput,
    sources: SourceTable,
    rows: NDArray[np.intp],
    psf: PsfLibrary,
    drawn: DrawnRegions = DrawnRegions(),
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
    mask = _MARGIN * mask_radii(recipe.background, psf, placement, recipe.aperture.energy)
    scale = frame.pixel_scale_arcsec
    found = region_neighbours(recipe, x, y, radius, mask / scale, scale)
    groups = {int(i): rows[group] for group in region_groups(recipe, x, y, radius) for i in group}
    own = own_inputs(recipe, field, sources, rows, psf)
    units = []
    for i, row in enumerate(rows.tolist()):
        held = held_sources(drawn.of(int(sources.id[row])), frame, x, y)
        near = tuple(int(rows[j]) for j in (np.union1d(found[i], held[held != i]) if len(held) else found[i]))
        others = np.column_stack([sources.ra[list(near)], sources.dec[list(near)]])
        source_id = int(sources.id[row])
        inputs = own[source_id].plus(neighbours=others[np.lexsort(others.T)])
        own_drawn: tuple[DrawnRegion, ...] = ()
        if drawn:
            span = region_span(recipe, float(radius[i]), frame.pixel_scale_arcsec)
            own_drawn = tuple(drawn.near(source_id, (x[i], y[i]), span, frame))
            inputs = inputs.plus(drawn=[item.content() for item in own_drawn]) if own_drawn else inputs
        together = tuple(int(sources.id[j]) for j in groups.get(i, ()) if j != row)
        units.append(ApertureUnit(row, source_id, near, inputs, own_drawn, together))
    return units


def own_inputs(
    recipe: Recipe, field: FieldInput, sources: SourceTable, rows: NDArray[np.intp], psf: PsfLibrary
) -> dict[int, Inputs]:
    """Inputs of units by source id, without those that come from other sources."""
    found_in_events = recipe.background.kind != "annulus"
    common = Inputs.of(
        code=VERSION,
        file=field.file_key(),
        settings=field.settings_key(),
        recipe=[
            recipe.aperture.model_dump(),
            recipe.crowding.method,
            recipe.background.model_dump(exclude={"follows"}),
            *(counting_band(recipe) if found_in_events else ()),
        ],
        calibration=psf.identity,
    )
    return {
        int(sources.id[row]): common.plus(source=(float(sources.ra[row]), float(sources.dec[row])))
        for row in rows
    }


def load(_connection: Connection, place: Place, plan: Plan, source_ids: Sequence[int]) -> ApertureJob:
    """Put a batch together; rows of its units count within the sources that it holds."""
    units: list[ApertureUnit] = [plan.shared[source_id] for source_id in source_ids]
    rows = sorted({row for unit in units for row in (unit.row, *unit.neighbours)})
    at = {row: i for i, row in enumerate(rows)}
    sources = place.survey.sources
    field = place.observed
    return ApertureJob(
        field_key(field),
        field,
        place.recipe,
        place.survey.calibration_key,
        tuple(
            replace(unit, row=at[unit.row], neighbours=tuple(at[row] for row in unit.neighbours))
            for unit in units
        ),
        SourceTable(sources.id[rows], sources.ra[rows], sources.dec[rows]),
    )


def compute(job: ApertureJob) -> list[Result[dict[str, Any]]]:
    """Place a batch.

    Raises
    ------
    UserError
        The event list cannot be used: that is no matter of one source.
    """
    psf = psf_of(job.calibration, job.field.psf_blur)
    field = observed_field(job.key)
    records = place_sources(list(job.units), job.recipe, job.field, field, job.sources, psf)
    return [
        Result(unit.source_id, fingerprint(record), record)
        for unit, record in zip(job.units, records, strict=True)
    ]


def place_sources(
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
    inside = [i for i, unit in enumerate(units) if in_fov[at[unit.row]]]
    near = {i: np.array([at[row] for row in units[i].neighbours], dtype=np.intp) for i in inside}
    builder = RegionBuilder(field, psf, recipe, placement, chip.ccd_id, in_fov & finite)
    regions = dict(
        zip(inside, builder.regions([at[units[i].row] for i in inside], list(near.values())), strict=True)
    )
    results = []
    for number, unit in enumerate(units):
        i = at[unit.row]
        record = _placed(placement, i, bool(in_fov[i]), bool(near_edge[i]), frame)
        if in_fov[i]:
            record["chip_id"] = int(chip.ccd_id[i])
            record["chipx"], record["chipy"] = float(chip.chipx[i]), float(chip.chipy[i])
            record["livetime"] = field.live_time
            others = np.column_stack([placement.x, placement.y])[near[number]]
            fields = (view.region, builder.allowed(i))
            _add_regions(record, regions[number], unit, others, fields, frame.pixel_scale_arcsec)
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
        "drawn": {},
        "crowding": None,
    }


def _add_regions(
    record: dict[str, Any],
    found: SourceRegions,
    unit: ApertureUnit,
    others: NDArray[np.float64],
    fields: tuple[BaseGeometry, BaseGeometry],
    scale: float,
) -> None:
    record["flags"] |= int(found.flags)
    area = found.source.area
    if area <= 0:
        record["flags"] |= int(Flag.NO_APERTURE)
        if not unit.drawn:
            return
    record["regions"] = {
        "source": (found.source.to_dict(), area),
        "background": (found.background.to_dict(), found.background.area),
    }
    if found.mask is not None:
        record["regions"]["mask"] = (found.mask.to_dict(), found.mask.area)
    record["crowding"] = {name: getattr(found, name) for name in CROWDING_COLUMNS}
    if unit.drawn:
        apply_drawn(record, unit.source_id, unit.drawn, others, fields, scale)
        if "source" in record["drawn"]:
            record["crowding"] |= dict.fromkeys(("psf_frac_contour", "bkg_correction", "bkg_imbalance"))
            record["crowding"] |= {"crowding": "drawn", "overlap": 0.0, "clipped_frac": 0.0}


_FAILED: dict[str, Any] = {
    "flags": int(Flag.FAILED),
    **dict.fromkeys(("x", "y", "theta", "phi", "chip_id", "chipx", "chipy")),
    "in_fov": False,
    "near_edge": False,
    "livetime": None,
    "radius_aper": None,
    "regions": {},
    "drawn": {},
    "crowding": None,
}


def store(writer: Writer, place: Place, run_id: int, results: Sequence[Result[dict[str, Any]]]) -> None:
    """Store placements and regions; what later stages made of the old ones stays until they run."""
    pairs = [(result.source_id, _FAILED if result.value is None else result.value) for result in results]
    recipe_id, event_set_id = place.recipe_id, place.observed.event_set_id
    extraction_rows = [
        {
            "run_id": run_id,
            "source_id": source_id,
            "event_set_id": event_set_id,
            "recipe_id": recipe_id,
            **{name: value for name, value in result.items() if name not in ("regions", "drawn", "crowding")},
        }
        for source_id, result in pairs
    ]
    writer.upsert(Extraction, extraction_rows, key=("source_id", "event_set_id", "recipe_id"))
    ids = extraction_ids(writer.connection, event_set_id, recipe_id)
    changed = [ids[source_id] for source_id, _ in pairs]
    writer.delete(RegionRow, RegionRow.extraction_id.in_(changed))
    writer.insert(
        RegionRow,
        [
            {
                "run_id": run_id,
                "extraction_id": ids[source_id],
                "role": role,
                "shape": shape,
                "area_pix": area,
                "edited": role in result["drawn"],
                "note": result["drawn"].get(role),
            }
            for source_id, result in pairs
            for role, (shape, area) in result["regions"].items()
        ],
    )
    writer.delete(Crowding, Crowding.extraction_id.in_(changed))
    writer.insert(
        Crowding,
        [
            {"run_id": run_id, "extraction_id": ids[source_id], **result["crowding"]}
            for source_id, result in pairs
            if result["crowding"] is not None
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
