"""Adding sources: known ones, near ones, and names."""

from __future__ import annotations

import numpy as np
import pytest

from catalog.errors import UserError
from catalog.stages.contents.add_sources import add_sources


def add(project, tmp_path, positions, name="list.csv"):
    path = tmp_path / name
    path.write_text("\n".join(["ra,dec", *(f"{float(ra)!r},{float(dec)!r}" for ra, dec in positions)]) + "\n")
    return add_sources(project, path)


def test_near_sources_are_reported(empty_project, copy_of, tmp_path, dump):
    with copy_of(empty_project) as project:
        add(project, tmp_path, [(10.0, 60.0), (200.0, -45.0)])
        # 0.3" east and 0.6" north of the first; the tolerance is 0.5".
        east = 10.0 + 0.3 / 3600 / np.cos(np.radians(60.0))
        found = add(project, tmp_path, [(east, 60.0), (10.0, 60.0 + 0.6 / 3600)])
        (pair,) = found.near
        assert (pair.row, pair.added) == (1, False)
        assert pair.separation == pytest.approx(0.3, abs=1e-6)
        assert pair.name == "CXOU J004000.00+600000.0"
        assert (found.n_listed, found.n_added, found.n_known) == (2, 1, 1)
        assert len(dump(project)["source"]) == 3


def test_near_each_other_in_one_list(empty_project, copy_of, tmp_path, dump):
    with copy_of(empty_project) as project:
        found = add(project, tmp_path, [(10.0, 0.0), (10.0, 0.2 / 3600), (11.0, 0.0)])
        (pair,) = found.near
        assert (pair.row, pair.name, pair.added) == (2, "row 1", True)
        assert found.n_added == 3
        again = add(project, tmp_path, [(10.0, 0.0), (10.0, 0.2 / 3600), (11.0, 0.0)])
        assert (again.n_added, again.n_known, again.near) == (0, 3, ())


@pytest.mark.parametrize("pole", [90.0, -90.0])
def test_tolerance_at_the_poles_and_at_zero_hours(pole, empty_project, copy_of, tmp_path):
    with copy_of(empty_project) as project:
        add(project, tmp_path, [(0.0, pole - np.sign(pole) * 0.1 / 3600), (359.99999, 5.0)])
        found = add(project, tmp_path, [(180.0, pole - np.sign(pole) * 0.1 / 3600), (0.00001, 5.0)])
        assert [pair.row for pair in found.near] == [1, 2]
        assert [pair.separation for pair in found.near] == pytest.approx([0.2, 0.0717], abs=1e-3)
        assert found.n_added == 0


def test_duplicates_in_a_list(empty_project, copy_of, tmp_path, dump):
    with copy_of(empty_project) as project:
        found = add(project, tmp_path, [(10.0, 0.0), (10.0, 0.0), (10.0, 0.0)])
        assert (found.n_listed, found.n_added) == (3, 1)
        assert len(dump(project)["source"]) == 1


def test_order_of_a_list_and_names(empty_project, copy_of, tmp_path, dump):
    """Names of sources that would share one are lengthened, whatever the order."""
    positions = [(10.0, 0.0), (10.0 + 0.6e-5, 0.00001), (10.5, -0.00001), (359.9999999, 89.9)]
    names = []
    for order in ([0, 1, 2, 3], [3, 1, 2, 0]):
        with copy_of(empty_project) as project:
            add(project, tmp_path, [positions[i] for i in order])
            names.append({key: row["name"] for key, row in dump(project)["source"].items()})
    assert names[0] == names[1]
    assert len(set(names[0].values())) == 4
    with copy_of(empty_project) as project:
        # One by one, the first gets its longer name when the second comes.
        for position in positions:
            add(project, tmp_path, [position])
        assert len(dump(project)["source"]) in (3, 4)


def test_bad_list_adds_nothing(empty_project, copy_of, tmp_path, dump):
    with copy_of(empty_project) as project:
        with pytest.raises(UserError):
            add(project, tmp_path, [(10.0, 0.0), (400.0, 0.0)])
        assert not dump(project)["source"]


def test_history_of_added_sources(empty_project, copy_of, tmp_path, dump):
    with copy_of(empty_project) as project:
        add(project, tmp_path, [(10.0, 0.0), (20.0, 0.0)])
        events = [dict(key) for key in dump(project)["source_event"]]
        assert [event["action"] for event in events] == ["'added'", "'added'"]
        assert {event["new_value"] for event in events} == {
            "'10.00000000 +0.00000000'",
            "'20.00000000 +0.00000000'",
        }
