"""What the regions of a source depend on: all that can change them is among their inputs, and little else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from catalog.calibration.psf import PsfLibrary
from catalog.measure.observed_field import ObservedField
from catalog.recipes.recipe import Recipe, merge_choices, recipe_from_content
from catalog.recipes.shipped import shipped_recipes
from catalog.stages.base.calibration_cache import CalibrationKey, psf_of
from catalog.stages.base.field_cache import field_key, observed_field
from catalog.stages.base.project import create_project, open_project
from catalog.stages.base.work import FieldInput, SourceTable, field_inputs
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.steps.aperture_neighbours import region_neighbours
from catalog.stages.steps.apertures import ApertureUnit, find_units, place_sources

CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "annulus": ("default", {}),
    "shrinking": ("acis-extract", {"background": {"kind": "annulus"}}),
    "matched": ("acis-extract", {}),
    "matched circles": ("default", {"background": {"kind": "matched"}}),
    "bright masks": ("acis-extract", {"background": {"kind": "circle", "mask_bright": True}}),
    "large masks": ("acis-extract", {"background": {"kind": "circle", "mask_factor": 5.0}}),
    "counts": ("srcflux-optimized", {}),
    "more counts than there are": ("srcflux-optimized", {"background": {"counts": 4000}}),
}


def recipe_of(name: str) -> Recipe:
    base, change = CHANGES[name]
    content = shipped_recipes()[base].model_dump(mode="json", exclude={"name", "description"})
    return recipe_from_content({"name": "x", **merge_choices(content, change)}, "here")


class Observed:
    """An observation with many places on it, and what their regions are."""

    def __init__(self, field: FieldInput, sources: SourceTable) -> None:
        self.field, self.sources = field, sources
        self.psf: PsfLibrary = psf_of(CalibrationKey(), field.psf_blur)
        self.observed: ObservedField = observed_field(field_key(field))

    def units(self, recipe: Recipe, number: int) -> list[ApertureUnit]:
        return find_units(recipe, self.field, self.sources, np.arange(number), self.psf)

    def records(self, recipe: Recipe, units: list[ApertureUnit]) -> list[dict[str, Any]]:
        return place_sources(units, recipe, self.field, self.observed, self.sources, self.psf)


@pytest.fixture(scope="module")
def observed(tmp_path_factory, small_field) -> Observed:
    """Sources and empty places, pairs and triplets of them, on all of the field and beyond."""
    folder = tmp_path_factory.mktemp("inputs") / "project"
    create_project(folder)
    with open_project(folder) as project:
        add_observations(project, [small_field.observation(0)])
        with project.store.read() as connection:
            field = field_inputs(connection, project.settings)[0]
    rng = np.random.default_rng(4)
    ra = np.append(small_field.ra[:14], small_field.ra[0] + rng.uniform(-0.17, 0.17, 16))
    dec = np.append(small_field.dec[:14], small_field.dec[0] + rng.uniform(-0.17, 0.17, 16))
    close = rng.integers(0, 30, 10)
    ra = np.append(ra, ra[close] + rng.normal(0, 2e-3, 10))
    dec = np.append(dec, dec[close] + rng.normal(0, 2e-3, 10))
    return Observed(field, SourceTable(np.arange(1, 41), ra, dec))


@pytest.mark.parametrize("name", CHANGES)
def test_a_source_by_itself_has_the_regions_it_has_among_all(observed: Observed, name: str) -> None:
    """With nothing known but what its inputs name, its regions are the same to the last bit."""
    recipe = recipe_of(name)
    units = observed.units(recipe, 40)
    everything = observed.records(recipe, units)
    assert sum("background" in record["regions"] for record in everything) > 20
    for unit, record in list(zip(units, everything, strict=True))[::7]:
        assert observed.records(recipe, [unit]) == [record]


def test_what_a_matched_background_depends_on() -> None:
    """Along a line: a lit source, what hides the background about that, its crowding group, and the rest."""
    recipe = recipe_of("matched")
    # Arcsec; apertures of 2.5" and 0.5", masks of 5".
    lit, hiding, beyond, chain = 100.0, 223.0, 232.0, -100.0 - 2.0 * np.arange(90)
    x = np.array([0.0, lit, hiding, beyond, *chain])
    radius = np.array([0.5, 2.5, 0.5, 0.5, 2.5, *np.full(89, 1.1)])
    found = region_neighbours(recipe, x, np.zeros(len(x)), radius, np.full(len(x), 5.0), 1.0)
    assert found[0].tolist() == [1, 2, *range(4, len(x))]


@pytest.mark.parametrize("name", CHANGES)
def test_a_new_source_concerns_few(observed: Observed, name: str) -> None:
    recipe = recipe_of(name)
    before, after = observed.units(recipe, 39), observed.units(recipe, 40)
    same = [a.inputs.fingerprint == b.inputs.fingerprint for a, b in zip(before, after, strict=False)]
    assert sum(same) >= (0 if name == "bright masks" else 10)


def test_contours_are_solved_again_in_the_group_that_changed(observed: Observed) -> None:
    """All stay as they are but one crowding group and those whose annulus the new source reaches."""
    recipe = recipe_of("shrinking")
    before, after = observed.units(recipe, 39), observed.units(recipe, 40)
    new = after[39]
    changed = {
        a.row for a, b in zip(before, after, strict=False) if a.inputs.fingerprint != b.inputs.fingerprint
    }
    assert changed == {unit.row for unit in after if 39 in unit.neighbours} == set(new.neighbours)
    group = set(new.together) - {new.source_id}
    assert group
    assert {number - 1 for number in group} <= changed
    assert len(changed) < 8


@pytest.mark.parametrize("name", ["annulus", "matched", "counts"])
def test_another_widest_band_changes_the_regions_that_are_found_in_events(
    observed: Observed, name: str
) -> None:
    recipe = recipe_of(name).model_copy(update={"bands": ("soft", "broad")})
    other = recipe.model_copy(update={"bands": ("soft", "1:4:2")})
    narrower = recipe.model_copy(update={"bands": ("medium", "broad")})
    found, changed, same = (observed.units(item, 5) for item in (recipe, other, narrower))
    assert [unit.inputs for unit in same] == [unit.inputs for unit in found]
    assert ([unit.inputs for unit in changed] == [unit.inputs for unit in found]) == (name == "annulus")
