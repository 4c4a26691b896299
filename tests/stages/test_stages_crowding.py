"""Joint photometry in a project: what is stored, and what stays bit for bit."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from catalog.flags import Flag
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine.run import run


def rows(project) -> dict[tuple[Any, ...], Any]:
    sql = (
        "SELECT s.origin_hpx29, o.obs_id, b.band, e.flags AS extraction_flags, m.* FROM measurement m "
        "JOIN extraction e ON e.id = m.extraction_id JOIN source s ON s.id = e.source_id "
        "JOIN event_set es ON es.id = e.event_set_id JOIN observation o ON o.id = es.observation_id "
        "JOIN band b ON b.id = m.band_id"
    )
    with project.store.read() as connection:
        return {(row.origin_hpx29, row.obs_id, row.band): row for row in connection.execute(text(sql))}


VALUES = ("src_cnts_aper", "src_cnts_aper_lolim", "src_cnts_aper_hilim", "log10_prob_no_source", "n_joint")


def test_neighbours_are_measured_together(finished_project, copy_of) -> None:
    with copy_of(finished_project) as project:
        found = rows(project).values()
    together = [row for row in found if (row.n_joint or 1) > 1]
    assert together, "the field has a source with a neighbour at 3 arcsec"
    for row in together:
        assert row.flags & Flag.JOINT
        assert row.joint_bkg_ratio > 0
        assert row.contam_cnts_aper >= 0
        assert row.src_cnts_aper_lolim <= row.src_cnts_aper <= row.src_cnts_aper_hilim
    alone = [row for row in found if row.n_joint == 1]
    assert alone
    assert all(row.joint_bkg_ratio is None and not row.flags & Flag.JOINT for row in alone)


def test_far_source_changes_no_other(finished_project, copy_of, small_field, tmp_path) -> None:
    with copy_of(finished_project) as project:
        before = rows(project)
        listed = tmp_path / "more.csv"
        ra, dec = float(small_field.ra[15]) + 0.05, float(small_field.dec[15]) + 0.01
        listed.write_text(f"ra,dec,name\n{ra},{dec},far\n")
        add_sources(project, listed)
        run(project, workers=1)
        after = rows(project)
    assert len(after) > len(before)
    for key, row in before.items():
        assert [getattr(after[key], name) for name in VALUES] == [getattr(row, name) for name in VALUES]
