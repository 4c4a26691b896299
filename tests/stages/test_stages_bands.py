"""Bands of a recipe that reach outside what is calibrated, or outside the event list."""

from __future__ import annotations

from sqlalchemy import text

from catalog.flags import Flag
from catalog.recipes.recipe import recipe_from_content
from catalog.recipes.shipped import shipped_recipes
from catalog.stages.recipe_store import store_recipe
from catalog.stages.run import run

BANDS = ("low=0.1:0.5:0.4", "high=7:14:9", "broad", "inside=0.3:11.5:2.3")


def test_bands_outside_the_calibration_are_flagged_not_silently_computed(finished_project, copy_of):
    content = shipped_recipes()["srcflux"].content() | {"bands": BANDS}
    recipe = recipe_from_content(content | {"name": "odd"}, "here")
    with copy_of(finished_project) as project:
        store_recipe(project.store, project.frozen_settings(), recipe)
        assert run(project, ("apertures", "extract", "photometry", "merge"), ("odd",), workers=1).failed == 0
        with project.store.read() as connection:
            single, merged = (
                connection.execute(text(statement)).all()
                for statement in (
                    "SELECT band, flags, photflux_aper FROM detections WHERE recipe = 'odd' "
                    "AND photflux_aper IS NOT NULL",
                    "SELECT b.band, m.flags, m.photflux_aper FROM merged_measurement m "
                    "JOIN band b ON b.id = m.band_id JOIN merge g ON g.id = m.merge_id "
                    "JOIN recipe r ON r.id = g.recipe_id WHERE r.recipe = 'odd' "
                    "AND m.photflux_aper IS NOT NULL",
                )
            )
    for rows in (single, merged):
        assert {row.band for row in rows} == {"low", "high", "broad", "inside"}
        for row in rows:
            assert bool(row.flags & Flag.BAND_OUTSIDE_CALIBRATION) == (row.band in ("low", "high"))
