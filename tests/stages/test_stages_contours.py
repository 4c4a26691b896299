"""The recipe acis-extract in a project: what is stored, and what a new source leaves as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from astropy.io import fits
from sqlalchemy import text

from catalog.export.styles.srcflux import srcflux_files
from catalog.recipes.recipe import recipe_from_content
from catalog.recipes.shipped import shipped_recipes
from catalog.stages.base.project import create_project, open_project
from catalog.stages.base.recipe_store import store_recipe, stored_recipes
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine.run import run

SQL = (
    "SELECT s.name, d.*, (SELECT count(*) FROM region r JOIN extraction e ON e.id = r.extraction_id "
    "WHERE e.source_id = d.source_id) AS regions FROM detections d JOIN source s ON s.id = d.source_id"
)


UNITS = (
    "SELECT u.stage, s.name, u.run_id, u.result_hash FROM work_unit u JOIN source s ON s.id = u.source_id "
    "WHERE u.scope <> 'all'"
)


def units(project: Any) -> dict[tuple[str, str], Any]:
    with project.store.read() as connection:
        return {(row.stage, row.name): row for row in connection.execute(text(UNITS))}


def rows(project: Any) -> dict[int, Any]:
    with project.store.read() as connection:
        return {row.source_id: row for row in connection.execute(text(SQL))}


@pytest.fixture(scope="module")
def contours(tmp_path_factory, small_field):
    """A project with the one recipe, in one band, and one observation, all done."""
    folder = tmp_path_factory.mktemp("contours") / "project"
    create_project(folder, recipes=[])
    content = shipped_recipes()["acis-extract"].model_dump(mode="json", exclude={"name", "description"})
    recipe = recipe_from_content({"name": "contours", **content, "bands": ["0.5:8:2.3"]}, "here")
    with open_project(folder) as project:
        store_recipe(project.store, project.frozen_settings(), recipe)
        add_observations(project, [small_field.observation(0)])
        add_sources(project, small_field.sources)
        report = run(project, ["apertures", "extract", "photometry", "merge"], workers=1)
        assert report.failed == 0
    return folder


def test_columns_of_crowding(contours) -> None:
    with open_project(contours) as project:
        found = list(rows(project).values())
        with project.store.read() as connection:
            masks = connection.scalar(text("SELECT count(*) FROM region WHERE role = 'mask'"))
            light = connection.execute(text("SELECT * FROM neighbour_light")).all()
    seen = [row for row in found if row.in_fov]
    assert masks == len(seen) > 10
    for row in seen:
        assert abs(row.psf_frac_contour - row.psf_frac_target) < 0.01
        assert row.regions == 3
        assert row.src_cnts_aper_lolim <= row.src_cnts_aper <= row.src_cnts_aper_hilim
        assert row.photflux_aper is not None
        assert row.overlap is not None
    assert {row.crowding for row in seen} == {"none", "shrunk"}
    shrunk = [row for row in seen if row.crowding == "shrunk"]
    assert all(row.contam_cnts_aper is not None for row in shrunk)
    assert {row.source_id for row in shrunk} & {row.neighbour_id for row in light}
    assert all(row.contam_cnts_aper > 0 for row in light)
    assert all(row.n_joint == 1 for row in seen)


def test_a_new_source_leaves_the_rest(contours, copy_of, small_field, tmp_path) -> None:
    with copy_of(contours) as project:
        before, units_before = rows(project), units(project)
        listed = tmp_path / "more.csv"
        listed.write_text(
            f"ra,dec,name\n{float(small_field.ra[15])},{float(small_field.dec[15]) + 0.05},far\n"
        )
        add_sources(project, listed)
        run(project, ["apertures", "extract", "photometry", "merge"], workers=1)
        after, units_after = rows(project), units(project)
    assert len(after) == len(before) + 1
    for source_id, row in before.items():
        # What became of its regions, and with them of all numbers, is of an earlier run still.
        assert after[source_id].run_id == row.run_id
        assert after[source_id].src_cnts_aper == row.src_cnts_aper
    # Backgrounds hold the light of others, yet few are even looked for again, and nothing is measured anew.
    again = [key for key, unit in units_before.items() if units_after[key].run_id != unit.run_id]
    assert {stage for stage, _ in again} <= {"apertures"}
    assert len(again) < len(before) / 2
    assert all(units_after[key].result_hash == unit.result_hash for key, unit in units_before.items())


def test_two_recipes_side_by_side(contours, copy_of) -> None:
    with copy_of(contours) as project:
        store_recipe(project.store, project.frozen_settings(), shipped_recipes()["srcflux"])
        run(project, ["apertures", "extract", "photometry", "merge"], workers=1)
        with project.store.read() as connection:
            found = connection.execute(
                text("SELECT recipe, crowding, psf_frac_contour, contam_cnts_aper FROM detections")
            ).all()
    assert {row.crowding for row in found if row.recipe == "srcflux"} == {"none", "excluded", None}
    assert all(row.psf_frac_contour is None for row in found if row.recipe == "srcflux")
    assert any(row.contam_cnts_aper for row in found if row.recipe == "srcflux")


def test_flux_tables_have_the_polygons(contours, tmp_path) -> None:
    with open_project(contours) as project, project.store.read() as connection:
        (stored,) = stored_recipes(connection)
        (path,) = srcflux_files(connection, stored.recipe, tmp_path / "out")
        shapes = dict(
            connection.execute(
                text(
                    "SELECT e.source_id, r.area_pix FROM region r "
                    "JOIN extraction e ON e.id = r.extraction_id "
                    "WHERE r.role = 'source'"
                )
            ).all()
        )
    table = fits.getdata(path, "REGION")
    polygons = table[table["SHAPE"] == "Polygon"]
    assert len(polygons) > 10
    assert table["X"].shape[1] <= 100
    areas = []
    for row in polygons:
        assert np.isnan(row["R"]).all()
        ring = np.column_stack([row["X"], row["Y"]])
        areas.append(shapely.Polygon(ring).area)
        # About the source, whose place in the table's own frame is XPOS, YPOS.
        assert np.hypot(*(ring.mean(axis=0) - (row["XPOS"], row["YPOS"]))) < 3 + np.sqrt(areas[-1])
    whole = np.array(sorted(shapes.values()))
    # What the field's edge clips is written whole.
    assert sum(np.abs(whole / area - 1).min() < 1e-6 for area in areas) > 0.7 * len(areas)
