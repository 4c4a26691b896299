"""When worker processes are started, and what is sent to them."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from catalog.stages.base.recipe_store import stored_recipes
from catalog.stages.base.stage import Place
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine import computing
from catalog.stages.engine.computing import Computing, batch_size, seconds_ahead
from catalog.stages.engine.run import run, survey_of
from catalog.stages.engine.stage_list import ALL


@pytest.fixture
def opened(monkeypatch):
    """Arguments of the executors opened; those ended are gone from the list."""
    found = []

    @contextmanager
    def fake(*arguments):
        found.append(arguments)
        yield "the executor"
        found.remove(arguments)

    monkeypatch.setattr(computing, "open_executor", fake)
    return found


def is_serial(executor):
    return executor != "the executor"


def test_little_work_starts_no_workers(opened):
    with Computing(2, None, ()) as who:
        who.prepare(4.9)
        assert is_serial(who.executor(4.9))
        assert not opened


def test_much_work_starts_them_once(opened):
    with Computing(2, None, ("a",)) as who:
        who.prepare(5.1)
        assert opened == [(2, ("a",), None)]
        assert not is_serial(who.executor(0.6))
        assert not is_serial(who.executor(60.0))
        assert len(opened) == 1
    assert not opened


def test_a_stage_of_little_work_is_not_sent_to_them(opened):
    with Computing(2, None, ()) as who:
        who.prepare(10.0)
        assert is_serial(who.executor(0.4))


def test_little_work_again_and_again_starts_them(opened):
    with Computing(2, None, ()) as who:
        serial = [is_serial(who.executor(1.0)) for _ in range(8)]
    assert serial == [True] * 4 + [False] * 4


def test_a_scheduler_computes_all_that_there_is(opened):
    with Computing(2, "tcp://there:8786", ()) as who:
        who.prepare(0.0)
        assert not opened
        assert not is_serial(who.executor(0.001))
        assert opened == [(2, (), "tcp://there:8786")]


def test_batches_are_small_where_units_take_long():
    assert batch_size(10_000, 1, 0.001) == computing.BATCH
    assert batch_size(10_000, 2, 0.5) == 8
    assert batch_size(10_000, 2, 60.0) == 1
    assert batch_size(80, 2, 0.001) == 10
    assert batch_size(3, 2, 0.001) == 1


def test_work_ahead(empty_project, small_field, copy_of):
    chosen = [stage for stage in ALL if stage.core]
    here = [stage for stage in chosen if not stage.everywhere]
    per_source = sum(stage.seconds for stage in here)
    with copy_of(empty_project) as project:
        add_observations(project, [small_field.observation(0)])
        add_sources(project, small_field.sources)

        def ahead(stages):
            with project.store.read() as connection:
                stored = stored_recipes(connection, ["default"])[0]
            survey = survey_of(project)
            places = [Place(survey, stored, field) for field in survey.fields]
            with project.store.read() as connection:
                sizes = {place.observed.event_set_id: place.size for place in places}
                return seconds_ahead(connection, places, stages), sizes

        found, sizes = ahead(chosen)
        (first,) = sizes
        assert sizes[first] > 0
        assert found == pytest.approx(sizes[first] * per_source)
        run(project, workers=1)
        assert ahead(chosen)[0] == 0.0
        add_observations(project, [small_field.observation(1)])
        found, sizes = ahead(chosen)
        (second,) = sizes.keys() - {first}
        assert found == pytest.approx(sizes[second] * per_source)
        assert ahead([stage for stage in chosen if stage.everywhere])[0] == 0.0
