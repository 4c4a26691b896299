"""Regions in force: those of the last run, and drawn ones in the place of what they replace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.sql import ColumnElement

from catalog.apertures.region import Region, region_from_dict
from catalog.apertures.region_labels import ROLES
from catalog.errors import SettingsError
from catalog.schema.tables import EventSet, Extraction, Observation, Recipe, RegionRow, Source, UserRegion
from catalog.stages.base.field_choice import find_field
from catalog.stages.base.recipe_store import stored_recipes
from catalog.stages.base.work import FieldInput
from catalog.stages.contents.manage_sources import find_source


@dataclass(frozen=True)
class RegionChoice:
    """Which regions are meant; nothing given means any.

    Attributes
    ----------
    sources
        Numbers, names or labels.
    obs_id, role, recipe
        One of each.
    """

    sources: tuple[str, ...] = ()
    obs_id: str | None = None
    role: str | None = None
    recipe: str | None = None

    def conditions(
        self, connection: Connection, inputs: Sequence[FieldInput], model: Any, role: Any
    ) -> list[ColumnElement[bool]]:
        """Conditions on columns source_id, event_set_id and recipe_id of a table, and on a role.

        Raises
        ------
        UnknownNameError
            For a name that the catalog does not have.
        SettingsError
            For a role that is none.
        """
        found: list[ColumnElement[bool]] = []
        if self.sources:
            numbers = [find_source(connection, source).id for source in self.sources]
            found.append(model.source_id.in_(numbers))
        if self.obs_id is not None:
            found.append(model.event_set_id == find_field(inputs, self.obs_id).event_set_id)
        if self.recipe is not None:
            found.append(model.recipe_id == stored_recipes(connection, [self.recipe])[0].id)
        if self.role is not None:
            if self.role not in (*ROLES, "mask"):
                raise SettingsError("no such role", self.role, "give source, background or mask")
            found.append(role == self.role)
        return found


@dataclass(frozen=True)
class StoredRegion:
    """A region in force.

    Attributes
    ----------
    source_id, event_set_id, recipe_id, role
        Whose it is.
    name, label
        Name and label (None without one) of the source.
    obs_id, recipe
        ObsID and name of the recipe.
    region
        In sky pixels.
    drawn
        Whether a person drew it.
    waiting
        Whether it was drawn since the last run, so that nothing is measured in it yet, or released since, so
        that the next run replaces it.
    region_file, note
        Where a drawn one came from, and the person's remark; None without.
    """

    source_id: int
    event_set_id: int
    recipe_id: int
    role: str
    name: str
    label: str | None
    obs_id: str
    recipe: str
    region: Region
    drawn: bool
    waiting: bool = False
    region_file: str | None = None
    note: str | None = None

    @property
    def key(self) -> tuple[int, int, int, str]:
        """Natural key."""
        return self.source_id, self.event_set_id, self.recipe_id, self.role

    @property
    def released(self) -> bool:
        """Whether a person drew it and gave it up since the last run."""
        return self.drawn and self.region_file is None


def stored_regions(
    connection: Connection, inputs: Sequence[FieldInput], choice: RegionChoice
) -> list[StoredRegion]:
    """Return regions by source, observation, recipe and role."""
    rows = _rows(connection, inputs, choice, Extraction, RegionRow)
    found = {item.key: item for item in map(_stored, rows)}
    for row in _rows(connection, inputs, choice, UserRegion, UserRegion):
        item = _drawn(row)
        old = found.get(item.key)
        # What is measured in is the drawn region as the field of view clips it.
        if old is None or not old.drawn or _plain(old.region) != _plain(item.region):
            found[item.key] = item
        else:
            found[item.key] = replace(old, waiting=False, region_file=item.region_file, note=item.note)
    roles = {role: i for i, role in enumerate((*ROLES, "mask"))}
    return sorted(
        found.values(), key=lambda item: (item.source_id, item.obs_id, item.recipe, roles[item.role])
    )


def _plain(region: Region) -> Region:
    return Region(region.shape, region.exclude)


def _rows(
    connection: Connection, inputs: Sequence[FieldInput], choice: RegionChoice, model: Any, shown: Any
) -> list[Any]:
    names = [Source.name, Source.label, Observation.obs_id, Recipe.recipe]
    own = [UserRegion.region_file] if shown is UserRegion else [RegionRow.edited]
    statement = select(
        model.source_id,
        model.event_set_id,
        model.recipe_id,
        shown.role,
        *names,
        shown.shape,
        shown.note,
        *own,
    ).select_from(model)
    if shown is RegionRow:
        statement = statement.join(RegionRow, RegionRow.extraction_id == Extraction.id)
    statement = (
        statement.join(Source, Source.id == model.source_id)
        .join(EventSet, EventSet.id == model.event_set_id)
        .join(Observation, Observation.id == EventSet.observation_id)
        .join(Recipe, Recipe.id == model.recipe_id)
        .where(*choice.conditions(connection, inputs, model, shown.role))
    )
    return list(connection.execute(statement))


def _stored(row: Any) -> StoredRegion:
    # Taken back where the drawn region is still there.
    drawn = bool(row.edited)
    return StoredRegion(**_whose(row), region=region_from_dict(row.shape), drawn=drawn, waiting=drawn)


def _drawn(row: Any) -> StoredRegion:
    region = region_from_dict(row.shape)
    return StoredRegion(**_whose(row), region=region, drawn=True, waiting=True, region_file=row.region_file)


def _whose(row: Any) -> dict[str, Any]:
    names = ("source_id", "event_set_id", "recipe_id", "role", "name", "label", "obs_id", "recipe", "note")
    return {name: getattr(row, name) for name in names}
