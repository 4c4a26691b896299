"""Bands of a recipe that reach outside what is calibrated, or outside the event list."""

from __future__ import annotations

import pytest
from sqlalchemy import text

import catalog.stages.steps.extract as extract_stage
import catalog.stages.steps.photometry as photometry_stage
import catalog.stages.steps.variability as variability_stage
from catalog.flags import Flag
from catalog.recipes.recipe import recipe_from_content
from catalog.recipes.shipped import shipped_recipes
from catalog.stages.base.recipe_store import store_recipe
from catalog.stages.engine.run import run

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


STAGES = ("apertures", "extract", "photometry", "variability", "merge")


def with_bands(project, *bands):
    """Store the recipe "growing" with these bands, in place of an earlier one, and bring it up to date."""
    content = shipped_recipes()["default"].content() | {"bands": bands}
    recipe = recipe_from_content(content | {"name": "growing"}, "here")
    store_recipe(project.store, project.frozen_settings(), recipe)
    return run(project, STAGES, ("growing",), workers=1)


def rows_in(found, table, bands):
    return {key: row for key, row in found[table].items() if any((band,) in key for band in bands)}


@pytest.fixture
def computed(monkeypatch):
    """Names of the bands that are extracted, measured and tested, as often as that happens."""
    found = {"extract": [], "photometry": [], "timing": []}

    def spy(module, name, position):
        original = getattr(module, name)

        def spied(*args):
            found[name] += [band.name for band in args[position]]
            return original(*args)

        monkeypatch.setattr(module, name, spied)

    spy(extract_stage.measure, "extract", 2)
    spy(photometry_stage, "photometry", 2)
    spy(variability_stage, "timing", 2)
    return found


def test_a_new_band_computes_only_that_band(finished_project, copy_of, dump, differences, computed):
    old = ("broad", "soft")
    with copy_of(finished_project) as fresh:
        with_bands(fresh, *old, "hard")
        wanted = dump(fresh)
    with copy_of(finished_project) as project:
        with_bands(project, *old)
        before = dump(project, surrogate=True)
        seen = len([row for row in before["extraction"].values() if row["area_aper"] is not None])
        for names in computed.values():
            names.clear()
        report = with_bands(project, *old, "hard")
        assert report.failed == 0
        after = dump(project, surrogate=True)
        # Nothing but the new band, where a source has no companions; the regions are those there were.
        assert [count.stale for count in report.counts if count.stage == "apertures"] == [0, 0]
        assert set(computed["extract"]) == {"hard"}
        assert set(computed["timing"]) == {"hard"}
        assert len(computed["timing"]) <= seen
        assert computed["photometry"].count("hard") > computed["photometry"].count("soft")
        for table in ("extraction", "region", "variability", "light_curve"):
            assert {key: after[table].get(key) for key in before[table]} == before[table]
        changed = [
            key
            for key, row in rows_in(before, "measurement", old).items()
            if after["measurement"][key]["run_id"] != row["run_id"]
        ]
        assert len(changed) < len(rows_in(before, "measurement", old)) / 2
        assert not differences(wanted, dump(project))
        # Without it again all is as before.
        for names in computed.values():
            names.clear()
        with_bands(project, *old)
        assert not computed["extract"]
        assert not computed["timing"]
        rows = rows_in(dump(project), "measurement", ("hard",))
        assert not any("growing" in repr(key) for key in rows)
        assert with_bands(project, *old).run_id is None


def test_a_new_widest_band_computes_all(finished_project, copy_of, dump, differences, computed):
    """The good fraction of a source and its light curves are those of the widest band."""
    with copy_of(finished_project) as fresh:
        with_bands(fresh, "soft", "broad")
        wanted = dump(fresh)
    with copy_of(finished_project) as project:
        with_bands(project, "soft")
        for names in computed.values():
            names.clear()
        with_bands(project, "soft", "broad")
        assert set(computed["extract"]) == {"soft", "broad"}
        assert not differences(wanted, dump(project))


def test_bands_of_a_recipe_that_changed_otherwise_too(
    finished_project, copy_of, dump, differences, computed, reopen
):
    settings = '[observation."70012"]\nshift = [0.4, 0.2]\n'
    with copy_of(finished_project, settings) as fresh:
        with_bands(fresh, "broad", "soft", "hard")
        wanted = dump(fresh)
    with copy_of(finished_project) as project:
        with_bands(project, "broad", "soft")
        with reopen(project, settings) as changed:
            with_bands(changed, "broad", "soft", "hard")
            assert {"broad", "soft", "hard"} == set(computed["extract"])
            found = dump(changed)
    assert not differences(wanted, found)
