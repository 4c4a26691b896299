"""What the database knows for the files of single sources: their observations, regions and recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import UnknownNameError
from catalog.export.merged_source_files import left_out_of_merges
from catalog.recipes.recipe import Recipe
from catalog.stages.base.project import Project
from catalog.stages.base.recipe_store import stored_recipes
from catalog.stages.base.user_files import files_by_source
from catalog.stages.base.work import FieldInput, field_inputs
from catalog.stages.contents.manage_sources import SourceRow, find_source
from catalog.stages.contents.stored_regions import RegionChoice, StoredRegion, stored_regions


@dataclass(frozen=True, eq=False)
class WantedFiles:
    """Sources, the observations with regions of them, and what the database has about these.

    Attributes
    ----------
    sources, fields, regions, recipe
        The sources, the event sets that have regions of any of them, these, and their recipe.
    psf_images
        Images of the PSF of the user's, by event set and source.
    left_out
        Sources and event sets that the merge for photometry leaves out.
    """

    sources: list[SourceRow]
    fields: list[FieldInput]
    regions: list[StoredRegion]
    recipe: Recipe
    psf_images: dict[int, dict[int, Path]]
    left_out: set[tuple[int, int]]


def wanted_files(project: Project, names: Sequence[str], obs_id: str | None, recipe: str) -> WantedFiles:
    """Read what the files of sources need.

    Raises
    ------
    UnknownNameError
        For a source, observation or recipe that the catalog does not have; NO_REGIONS where there is none.
    """
    with project.store.read() as connection:
        inputs = field_inputs(connection, project.settings)
        sources = list({row.id: row for row in (find_source(connection, name) for name in names)}.values())
        choice = RegionChoice(tuple(str(row.id) for row in sources), obs_id, None, recipe)
        regions = stored_regions(connection, inputs, choice)
        images = {
            item.event_set_id: {
                source: own.psf[0]
                for source, own in files_by_source(connection, item.user_files).items()
                if own.psf is not None
            }
            for item in inputs
        }
        stored = stored_recipes(connection, [recipe])[0]
        left_out = left_out_of_merges(connection, stored.id)
    seen = {entry.event_set_id for entry in regions}
    fields = [item for item in inputs if item.event_set_id in seen]
    if not fields:
        raise UnknownNameError(
            "no region of these sources",
            ", ".join(names),
            "`srccat run` makes them where an observation sees the source",
            code="NO_REGIONS",
        )
    return WantedFiles(sources, fields, regions, stored.recipe, images, left_out)
