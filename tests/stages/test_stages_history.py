"""The history of sources: found by number, label or name, and no number given twice."""

from __future__ import annotations

import pytest

from catalog.errors import UnknownNameError
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.contents.manage_sources import (
    find_source,
    history,
    list_sources,
    move_source,
    remove_source,
    rename_source,
)


def listed(folder, *rows):
    path = folder / "list.csv"
    path.write_text("\n".join(["ra,dec,name", *rows]) + "\n")
    return path


def actions(project, text):
    with project.store.read() as connection:
        return [line.action for line in history(connection, text)]


@pytest.fixture
def project(empty_project, copy_of, tmp_path):
    with copy_of(empty_project) as opened:
        add_sources(opened, listed(tmp_path, "10.0,1.0,first", "11.0,1.0,second", "12.0,1.0,last"))
        yield opened


def test_a_removed_source_is_found_by_all_it_was_called(project):
    with project.store.read() as connection:
        source = find_source(connection, "last")
    rename_source(project, "last", "later")
    remove_source(project, "later", "hot pixel")
    wanted = ["added", "renamed", "removed"]
    for text in ("last", "later", str(source.id), source.name, source.name.removeprefix("CXOU ")):
        assert actions(project, text) == wanted, text
    with pytest.raises(UnknownNameError):
        actions(project, "never")


def test_a_number_is_given_once(project, tmp_path):
    with project.store.read() as connection:
        last = max(row.id for row in list_sources(connection))
    remove_source(project, "last")
    add_sources(project, listed(tmp_path, "13.0,1.0,new"))
    with project.store.read() as connection:
        assert find_source(connection, "new").id == last + 1
    assert actions(project, str(last)) == ["added", "removed"]
    assert actions(project, str(last + 1)) == ["added"]
    for name in ("first", "second", "new"):
        remove_source(project, name)
    add_sources(project, listed(tmp_path, "14.0,1.0,after all"))
    with project.store.read() as connection:
        assert find_source(connection, "after all").id == last + 2


def test_a_label_given_again_means_the_source_that_is_there(project, tmp_path):
    remove_source(project, "last")
    add_sources(project, listed(tmp_path, "15.0,1.0,last"))
    assert actions(project, "last") == ["added"]
    remove_source(project, "last")
    assert actions(project, "last") == ["added", "removed", "added", "removed"]


def test_a_moved_source_is_found_by_its_old_name(project):
    with project.store.read() as connection:
        old = find_source(connection, "first").name
    move_source(project, "first", 10.5, 1.0)
    assert actions(project, old) == ["added", "moved"]


def test_two_of_one_label_are_told_apart_by_number(project, tmp_path):
    add_sources(project, listed(tmp_path, "16.0,1.0,first"))
    with pytest.raises(UnknownNameError) as caught:
        actions(project, "first")
    assert caught.value.code == "AMBIGUOUS_SOURCE"
