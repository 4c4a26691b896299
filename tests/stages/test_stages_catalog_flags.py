"""The flags that a merge carries for all bands are always those of its bands."""

from __future__ import annotations

from sqlalchemy import text

from catalog.schema.views import all_flags
from catalog.stages.contents.manage_observations import remove_observation
from catalog.stages.engine.run import run

SUMMED = text(
    f"SELECT all_flags, {all_flags('merge')} AS summed, flags FROM merge "
    "WHERE purpose = 'photometry' ORDER BY id"
)


def flags_of(project):
    with project.store.read() as connection:
        rows = connection.execute(SUMMED).all()
        shown = connection.execute(text("SELECT flags FROM catalog ORDER BY source_id")).scalars().all()
    assert sorted(shown) == sorted(row.all_flags for row in rows)
    assert rows
    return rows


def test_flags_of_a_merge_follow_those_of_its_bands(finished_project, copy_of):
    with copy_of(finished_project) as project:
        before = flags_of(project)
        assert all(row.all_flags == row.summed for row in before)
        assert any(row.all_flags != row.flags for row in before)
        remove_observation(project, "70012")
        run(project, workers=1)
        after = flags_of(project)
        assert all(row.all_flags == row.summed for row in after)
        assert [row.all_flags for row in after] != [row.all_flags for row in before]


def test_flags_of_variability_are_among_them(finished_project, copy_of):
    with copy_of(finished_project) as project:
        with project.store.write() as writer:
            wrong = text("UPDATE merged_variability SET flags = flags | 1099511627776")
            assert writer.connection.execute(wrong).rowcount > 0
            writer.connection.execute(text(f"UPDATE merge SET all_flags = {all_flags('merge')}"))
            writer.connection.execute(text("DELETE FROM work_unit WHERE stage = 'merged_variability'"))
        assert any(row.all_flags & 1099511627776 for row in flags_of(project))
        run(project, ["merged_variability"], workers=1)
        rows = flags_of(project)
        assert all(row.all_flags == row.summed for row in rows)
        assert not any(row.all_flags & 1099511627776 for row in rows)
