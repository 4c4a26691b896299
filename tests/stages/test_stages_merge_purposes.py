"""Which observations are merged for what: positions, and apertures that overlap."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sqlalchemy import text

from catalog.apertures.region import region_from_dict
from catalog.events.event_list import read_event_list
from catalog.recipes.recipe import recipe_from_content
from catalog.recipes.shipped import shipped_recipes
from catalog.stages.base.recipe_store import store_recipe
from catalog.stages.engine.run import run
from catalog.stages.steps import merge


def query(project, statement):
    with project.store.read() as connection:
        return connection.execute(text(statement)).mappings().all()


def test_merges_for_position(finished_project, copy_of):
    """On axis an event places a source better than off axis: such observations come first."""
    statement = (
        "SELECT g.source_id, g.purpose, g.n_obs, k.used, k.reason, m.cnts_aper, q.cnts_aper AS total "
        "FROM merge g JOIN merge_member k ON k.merge_id = g.id JOIN extraction e ON e.id = k.extraction_id "
        "JOIN measurement m ON m.extraction_id = e.id JOIN band b ON b.id = m.band_id "
        "JOIN merged_measurement q ON q.merge_id = g.id AND q.band_id = b.id "
        "WHERE b.band = 'broad' AND g.purpose = 'position'"
    )
    with copy_of(finished_project) as project:
        rows = query(project, statement)
        purposes = {row["purpose"] for row in query(project, "SELECT purpose FROM merge")}
    assert purposes == {"photometry", "validity", "position"}
    groups: dict[int, list] = {}
    for row in rows:
        groups.setdefault(row["source_id"], []).append(row)
    assert len(groups) > 8
    for own in groups.values():
        used = [row for row in own if row["used"]]
        assert len(used) == own[0]["n_obs"] >= 1
        assert sum(row["cnts_aper"] for row in used) == own[0]["total"] > 0
        assert {row["reason"] for row in own if not row["used"]} <= {"no_gain"}
        # Every observation taken first has counts; without counts none is ever taken.
        assert all(row["cnts_aper"] > 0 for row in used)


def test_positions_are_those_of_the_events_chosen(finished_project, copy_of, small_field):
    """Against the event lists themselves, and the simulated positions by the errors given."""
    statement = (
        "SELECT p.ra, p.dec, p.error_radius, p.method, g.source_id, s.ra AS listed_ra, s.dec AS listed_dec, "
        "s.label, r.shape, f.path, q.cnts_aper FROM position_estimate p JOIN merge g ON g.id = p.merge_id "
        "JOIN source s ON s.id = g.source_id JOIN merge_member k ON k.merge_id = g.id AND k.used "
        "JOIN region r ON r.extraction_id = k.extraction_id AND r.role = 'source' "
        "JOIN extraction e ON e.id = k.extraction_id JOIN event_set v ON v.id = e.event_set_id "
        "JOIN input_file f ON f.id = v.input_file_id "
        "JOIN merged_measurement q ON q.merge_id = g.id "
        "JOIN band b ON b.id = q.band_id AND b.band = 'broad' WHERE g.purpose = 'position'"
    )
    with copy_of(finished_project) as project:
        rows = query(project, statement)
        lists = {row["path"]: read_event_list(project.folder / row["path"]) for row in rows}
    groups: dict[int, list] = {}
    for row in rows:
        groups.setdefault(row["source_id"], []).append(row)
    pulls = []
    for own in groups.values():
        places = []
        for row in own:
            events = lists[row["path"]]
            inside = region_from_dict(json.loads(row["shape"])).contains(events.x, events.y)
            inside &= (events.energy >= 0.5) & (events.energy < 7.0)
            places.append(np.column_stack(events.sky_frame.to_world(events.x[inside], events.y[inside])))
        ra, dec = np.concatenate(places).mean(axis=0)
        assert sum(map(len, places)) == own[0]["cnts_aper"]
        assert own[0]["method"] == "mean"
        cosine = np.cos(np.radians(dec))
        assert 3600 * np.hypot((own[0]["ra"] - ra) * cosine, own[0]["dec"] - dec) < 1e-3
        distance = 3600 * np.hypot((ra - own[0]["listed_ra"]) * cosine, dec - own[0]["listed_dec"])
        if own[0]["cnts_aper"] > 20 and own[0]["label"] not in ("src0", "src14"):
            pulls.append(distance / own[0]["error_radius"])
    assert len(pulls) > 6
    assert 0.6 < np.sqrt(np.mean(np.square(pulls))) < 1.5


@pytest.mark.parametrize("limit", [0.1, 0.3])
def test_overlapping_apertures_are_left_out_where_others_overlap_less(limit):
    class Row:
        def __init__(self, number, overlap):
            self.id, self.overlap = number, overlap

    rows = [Row(1, 0.05), Row(2, 0.2), Row(3, None), Row(4, 0.9)]
    used = {1: None, 2: None, 3: None, 4: "outside_fov"}
    found = merge._overlapping(rows, used, limit)
    assert found == ({2: "overlap"} if limit == 0.1 else {})
    # All overlap: those within 1.2 times the smallest stay.
    crowded = [Row(1, 0.5), Row(2, 0.59), Row(3, 0.7)]
    assert merge._overlapping(crowded, dict.fromkeys((1, 2, 3)), limit) == {3: "overlap"}
    assert merge._overlapping([], {}, limit) == {}


def test_the_limit_of_a_recipe_is_used(finished_project, copy_of):
    content = shipped_recipes()["srcflux"].content()
    content["merging"] = content["merging"] | {"overlap_limit": 0.05}
    recipe = recipe_from_content(content | {"name": "pruned"}, "here")
    with copy_of(finished_project) as project:
        store_recipe(project.store, project.frozen_settings(), recipe)
        run(project, ("apertures", "extract", "photometry"), ("pruned",), workers=1)
        with project.store.write() as writer:
            # One aperture of a source that both observations see overlaps its neighbour's.
            chosen = writer.connection.execute(
                text(
                    "SELECT e.source_id, MIN(e.id) FROM extraction e JOIN recipe r ON r.id = e.recipe_id "
                    "WHERE r.recipe = 'pruned' AND e.in_fov AND e.area_aper IS NOT NULL "
                    "GROUP BY e.source_id HAVING COUNT(*) = 2 ORDER BY 1"
                )
            ).first()
            writer.connection.execute(
                text("UPDATE crowding SET overlap = 0.0 WHERE extraction_id IN (SELECT id FROM extraction)")
            )
            writer.connection.execute(
                text("UPDATE crowding SET overlap = 0.4 WHERE extraction_id = :id"), {"id": chosen[1]}
            )
        run(project, ("merge", "merged_properties"), ("pruned",), workers=1)
        rows = query(
            project,
            "SELECT g.purpose, k.extraction_id, k.used, k.reason, g.n_obs FROM merge g "
            "JOIN merge_member k ON k.merge_id = g.id JOIN recipe r ON r.id = g.recipe_id "
            f"WHERE r.recipe = 'pruned' AND g.source_id = {chosen[0]}",
        )
    photometry = {row["extraction_id"]: row for row in rows if row["purpose"] == "photometry"}
    assert (photometry[chosen[1]]["used"], photometry[chosen[1]]["reason"]) == (0, "overlap")
    assert {row["n_obs"] for row in rows} == {1}
    assert np.sum([row["extraction_id"] == chosen[1] for row in rows if row["purpose"] != "photometry"]) == 0
