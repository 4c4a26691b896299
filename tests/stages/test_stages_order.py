"""Results do not depend on order, number of workers, size of batches or kind of database."""

from __future__ import annotations

import numpy as np
import pytest

from catalog.stages.base.project import create_project, open_project
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine import computing
from catalog.stages.engine.run import run


def rows_of(small_field):
    return small_field.sources.read_text().splitlines()[1:]


def write_list(path, rows):
    path.write_text("\n".join(["ra,dec,name", *rows]) + "\n")
    return path


@pytest.fixture(scope="session")
def reference_dump(finished_project, dump):
    with open_project(finished_project) as project:
        return dump(project)


@pytest.mark.parametrize("batch", [3])
def test_order_of_adding(
    empty_project, small_field, copy_of, dump, differences, reference_dump, tmp_path, monkeypatch, batch
):
    monkeypatch.setattr(computing, "BATCH", batch)
    rows = rows_of(small_field)
    np.random.default_rng(8).shuffle(rows)
    with copy_of(empty_project) as project:
        add_sources(project, write_list(tmp_path / "sources.csv", rows))
        add_observations(project, [small_field.observation(1)])
        add_observations(project, [small_field.observation(0)])
        run(project, workers=1)
        found = dump(project)
    # Where a source came from is the path of its list.
    left_out = ("source", "source_event")
    wanted = {table: rows for table, rows in reference_dump.items() if table not in left_out}
    assert not differences(wanted, {table: found[table] for table in wanted})


def test_step_by_step_equals_all_at_once(empty_project, small_field, copy_of, dump, differences, tmp_path):
    """Sources and observations added in between runs, in an order in which ids do not ascend."""
    rows = rows_of(small_field)
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(n) for n in (0, 1, 2)])
        add_sources(project, write_list(tmp_path / "all.csv", rows))
        run(project, workers=1)
        at_once = dump(project)
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(1)])
        add_sources(project, write_list(tmp_path / "b.csv", rows[14:]))
        run(project, workers=1)
        add_observations(project, [small_field.observation(2)])
        run(project, workers=1)
        add_sources(project, write_list(tmp_path / "a.csv", rows[:7]))
        run(project, workers=1)
        add_observations(project, [small_field.observation(0)])
        add_sources(project, write_list(tmp_path / "c.csv", rows[7:14]))
        run(project, workers=1)
        assert run(project, workers=1).computed == 0
        step_by_step = dump(project)
    for content in (at_once, step_by_step):
        for table in ("source", "source_event"):
            content.pop(table)
    assert not differences(at_once, step_by_step)


def test_stage_by_stage(empty_project, small_field, copy_of, dump, differences, reference_dump):
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(0), small_field.observation(1)])
        add_sources(project, small_field.sources)
        # The last stage first: it finds little, and must be done again.
        for stage in ("merge", "apertures", "merge", "extract", "merge", "photometry", "merge"):
            run(project, [stage], workers=1)
        run(project, workers=1)
        assert run(project, workers=1).computed == 0
        assert not differences(reference_dump, dump(project))


def test_number_of_workers(
    empty_project, small_field, copy_of, dump, differences, reference_dump, monkeypatch
):
    monkeypatch.setattr(computing, "WORTH_A_POOL", 0.0)
    monkeypatch.setattr(computing, "BATCH", 5)
    opened = []
    original = computing.open_executor
    monkeypatch.setattr(computing, "open_executor", lambda *args: opened.append(args[0]) or original(*args))
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(0), small_field.observation(1)])
        add_sources(project, small_field.sources)
        run(project, workers=2)
        assert opened == [2]
        found = dump(project)
    assert not differences(reference_dump, found)


def test_postgresql_equals_sqlite(small_field, postgres_url, tmp_path, dump, differences, reference_dump):
    create_project(tmp_path / "project", postgres_url)
    with open_project(tmp_path / "project") as project:
        add_observations(project, [small_field.observation(0), small_field.observation(1)])
        add_sources(project, small_field.sources)
        run(project, workers=1)
        assert run(project, workers=1).computed == 0
        found = dump(project)
    assert not differences(reference_dump, found)
