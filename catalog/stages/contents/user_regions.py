"""Regions drawn by a person, added from files. Stage `apertures` puts them in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from catalog.apertures.drawn import rival, same_region
from catalog.apertures.region import Region, clip_to_field
from catalog.apertures.region_labels import ROLES, LabelledRegion, read_labelled_regions
from catalog.apertures.written_region import written_regions
from catalog.errors import InputFileError, UserError
from catalog.measure.observed_field import ObservedField
from catalog.measure.placement import sky_positions
from catalog.schema.tables import UserRegion
from catalog.stages.base.field_cache import field_key, observed_field
from catalog.stages.base.field_choice import find_field, obs_id_of
from catalog.stages.base.project import Project
from catalog.stages.base.recipe_store import StoredRecipe, stored_recipes
from catalog.stages.base.work import FieldInput, field_inputs
from catalog.stages.contents.manage_sources import SourceRow, find_source, list_sources
from catalog.stages.contents.stored_regions import RegionChoice, stored_regions
from catalog.store.runs import begin_run, finish

SAME = 0.01
"""Sky pixels: a region that departs less than this from the one in force was not edited; ds9 rounds."""


@dataclass
class AddedRegions:
    """What adding a file did.

    Attributes
    ----------
    added, unchanged
        Regions put in force, and those that are in force as they are; counted by recipe.
    sources
        Numbers of the sources whose regions changed.
    remarks
        What to know about some of them.
    """

    added: int = 0
    unchanged: int = 0
    sources: set[int] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Wanted:
    """A region of a file with what its labels name."""

    item: LabelledRegion
    source: SourceRow
    field: FieldInput
    role: str
    recipes: tuple[StoredRecipe, ...]


def add_regions(
    project: Project,
    path: Path,
    *,
    source: str = "",
    obs_id: str = "",
    role: str = "",
    recipe: str = "",
    force: bool = False,
    note: str | None = None,
) -> AddedRegions:
    """Put the regions of a file in force; all of them or, when one is refused, none.

    Parameters
    ----------
    project
        The project.
    path
        ds9 or CIAO region text, or a CIAO FITS region table.
    source, obs_id, role, recipe
        Source (number, name or label), ObsID, ``source`` or ``background``, and recipe of all regions of the
        file; those not given are taken from its labels. A region without a recipe is for all.
    force
        Whether an aperture that seems to belong to another source is taken.
    note
        Remark to keep.

    Raises
    ------
    InputFileError
        REGION_LABEL for a region that says not whose it is, REGION_OTHER_SOURCE for an aperture that does not
        hold its source or lies nearer to another one, REGION_OUTSIDE for one outside the field of view; what
        the readers raise.
    UnknownNameError
        For a source, observation or recipe that the catalog does not have.
    """
    items = read_labelled_regions(path, source=source, obs_id=obs_id, role=role, recipe=recipe)
    with project.store.read() as connection:
        inputs = field_inputs(connection, project.settings)
        recipes = stored_recipes(connection)
        wanted = [_resolve(connection, item, inputs, recipes) for item in items]
        sources = list_sources(connection)
        known = stored_regions(connection, inputs, RegionChoice())
        in_force = {item.key: item.region for item in known if not item.released}
    report = AddedRegions()
    rows: list[dict[str, Any]] = []
    for chosen in {entry.field.event_set_id: entry.field for entry in wanted}.values():
        entries = [entry for entry in wanted if entry.field is chosen]
        observed = observed_field(field_key(chosen))
        regions = _regions(entries, observed)
        places = _places(sources, observed, chosen)
        for entry, region in zip(entries, regions, strict=True):
            new = _rows(entry, region, observed, note, in_force, report)
            if new:
                # A computed region that nobody edited need not hold its source: a crescent does not.
                _check(entry, region, places, observed, force, report)
            rows += new
    if rows:
        with project.store.write() as writer:
            run_id = begin_run(writer, "regions add", project.frozen_settings(), [])
            key = ("source_id", "event_set_id", "recipe_id", "role")
            writer.upsert(UserRegion, [{**row, "run_id": run_id} for row in rows], key=key)
            finish(writer, run_id, "done", {})
    return report


_OPTIONS = {
    "source": "--source SOURCE",
    "observation": "--obs OBSID",
    "role": "--role source (or background)",
}


def _resolve(
    connection: Connection,
    item: LabelledRegion,
    inputs: Sequence[FieldInput],
    recipes: Sequence[StoredRecipe],
) -> _Wanted:
    labels = (("source", item.source), ("observation", item.obs_id), ("role", item.role))
    if missing := [name for name, value in labels if not value]:
        options = " ".join(_OPTIONS[name] for name in missing)
        raise InputFileError(
            f"a region without {' and '.join(missing)}",
            item.where,
            f"give {options}, or a file with labels as `srccat regions export` writes",
            code="REGION_LABEL",
        )
    if item.role.lower() not in ROLES:
        raise InputFileError(
            f"the role {item.role!r}", item.where, "give source or background", code="REGION_LABEL"
        )
    try:
        source, chosen = find_source(connection, item.source), find_field(inputs, item.obs_id)
        if item.recipe:
            recipes = [stored for stored in recipes if stored.recipe.name == item.recipe]
            recipes = recipes or stored_recipes(connection, [item.recipe])
    except UserError as error:
        raise type(error)(f"{error.what}, {error.where}", item.where, error.todo, code=error.code) from None
    return _Wanted(item, source, chosen, item.role.lower(), tuple(recipes))


def _regions(entries: Sequence[_Wanted], observed: ObservedField) -> list[Region]:
    """Regions in sky pixels, in the order of the entries."""
    written = [entry.item.shapes for entry in entries if entry.item.shapes is not None]
    placed = iter(written_regions(written, observed.events.sky_frame))
    return [entry.item.region or next(placed) for entry in entries]


@dataclass(frozen=True, eq=False)
class _Places:
    """All sources with their sky pixels in an observation."""

    sources: Sequence[SourceRow]
    number: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def _places(sources: Sequence[SourceRow], observed: ObservedField, chosen: FieldInput) -> _Places:
    ra, dec, number = (np.array([getattr(row, name) for row in sources]) for name in ("ra", "dec", "id"))
    x, y = sky_positions(observed.events.sky_frame, ra, dec, chosen.correction)
    return _Places(sources, number, x, y)


def _check(
    entry: _Wanted,
    region: Region,
    places: _Places,
    observed: ObservedField,
    force: bool,
    report: AddedRegions,
) -> None:
    """Refuse a region that cannot be meant; remark on what may not be."""
    where, name = entry.item.where, f"source {entry.source.id} ({entry.source.label or entry.source.name})"
    own = int(np.flatnonzero(places.number == entry.source.id)[0])
    x, y = float(places.x[own]), float(places.y[own])
    view = observed.field_of_view
    seen = bool(np.isfinite(x + y)) and bool(view.in_fov(np.array([x]), np.array([y]))[0])
    if not seen or clip_to_field(region, view.region).area <= 0:
        what = "the region lies" if seen else f"{name} lies"
        raise InputFileError(
            f"{what} outside the field of view of ObsID {obs_id_of(entry.field)}",
            where,
            "check ObsID and coordinates",
            code="REGION_OUTSIDE",
        )
    away = np.hypot(places.x - x, places.y - y)
    rows = np.flatnonzero((away < _span(region, x, y)) & (places.number != entry.source.id))
    near = [places.sources[row] for row in rows.tolist()]
    positions = np.column_stack([places.x[rows], places.y[rows]])
    if entry.role == "source":
        found = rival(region, (x, y), positions)
        if found is not None:
            other = near[found] if found >= 0 else None
            what = f"the aperture drawn for {name} "
            what += (
                f"lies nearer to source {other.id} ({other.label or other.name})"
                if other
                else "does not hold its position"
            )
            if not force:
                todo = "correct the label, or take it with --force"
                raise InputFileError(what, where, todo, code="REGION_OTHER_SOURCE")
            report.remarks.append(f"{where}: {what}")
    else:
        held = region.contains(*positions.T)
        inside = [row for row, is_held in zip(near, held, strict=True) if is_held]
        if inside:
            names = ", ".join(str(row.label or row.name) for row in inside[:5])
            report.remarks.append(f"{where}: the background of {name} holds {len(inside)} other: {names}")
        if region.contains(np.array([x]), np.array([y]))[0]:
            report.remarks.append(f"{where}: the background of {name} holds the source itself")


def _span(region: Region, x: float, y: float) -> float:
    centre_x, centre_y, reach = region.shape.reach
    return reach + float(np.hypot(centre_x - x, centre_y - y))


def _rows(
    entry: _Wanted,
    region: Region,
    observed: ObservedField,
    note: str | None,
    in_force: dict[tuple[int, int, int, str], Region],
    report: AddedRegions,
) -> list[dict[str, Any]]:
    """Rows of `user_region`, one for each recipe in which the region is another than the one in force."""
    rows = []
    x, y, reach = region.shape.reach
    ra, dec = observed.events.sky_frame.to_world(x, y)
    for stored in entry.recipes:
        key = (entry.source.id, entry.field.event_set_id, stored.id, entry.role)
        old = in_force.get(key)
        if old is not None and same_region(region, old, SAME):
            report.unchanged += 1
            continue
        report.added += 1
        report.sources.add(entry.source.id)
        rows.append(
            {
                **dict(zip(("source_id", "event_set_id", "recipe_id", "role"), key, strict=True)),
                # The field of view clips it anew in each run.
                "shape": Region(region.shape, region.exclude).to_dict(),
                "area_pix": region.area,
                "ra": float(ra),
                "dec": float(dec),
                "reach": reach * observed.events.sky_frame.pixel_scale_arcsec,
                "region_file": entry.item.where,
                "note": note,
            }
        )
    return rows
