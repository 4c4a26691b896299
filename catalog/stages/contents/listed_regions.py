"""Regions drawn by a person: listed and released."""

from __future__ import annotations

from sqlalchemy import and_, true

from catalog.apertures.region import Region
from catalog.apertures.shape import Polygon, simple_parts
from catalog.schema.tables import UserRegion
from catalog.stages.base.project import Project
from catalog.stages.base.work import field_inputs
from catalog.stages.contents.stored_regions import RegionChoice, StoredRegion, stored_regions
from catalog.store.runs import begin_run, finish


def list_regions(project: Project, choice: RegionChoice, *, everything: bool = False) -> list[StoredRegion]:
    """Return the drawn regions, or with `everything` all that are in force."""
    with project.store.read() as connection:
        inputs = field_inputs(connection, project.settings)
        found = stored_regions(connection, inputs, choice)
    return [item for item in found if everything or item.drawn]


def describe(region: Region) -> str:
    """A region in a few words."""
    parts = simple_parts(region.shape)
    words = " + ".join(
        f"polygon of {len(part.vertices)}" if isinstance(part, Polygon) else part.kind for part in parts
    )
    cut = f" less {len(region.exclude)}" if region.exclude else ""
    return words + cut + (", clipped" if region.field is not None else "")


def release_regions(project: Project, choice: RegionChoice) -> int:
    """Take drawn regions out of force; return how many. The next run computes what they replaced."""
    with project.store.write() as writer:
        inputs = field_inputs(writer.connection, project.settings)
        conditions = choice.conditions(writer.connection, inputs, UserRegion, UserRegion.role)
        run_id = begin_run(writer, "regions release", project.frozen_settings(), [])
        number = writer.delete(UserRegion, and_(true(), *conditions))
        finish(writer, run_id, "done", {})
    return number
