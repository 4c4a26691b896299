"""Event files by URL: fetched once, read from the copy, known by the URL."""

from __future__ import annotations

import shutil

import fsspec
import pytest
from sqlalchemy import select

from catalog.errors import InputFileError, MissingFileError
from catalog.schema.tables import InputFile
from catalog.stages.base.field_cache import observed_field
from catalog.stages.base.remote_files import cache_folder, local_copy, stored_name, url_of
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine.run import run
from catalog.stages.engine.stage_list import CORE_STAGES


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SRCCAT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def memory(small_field):
    """The first observation in a file system that only this process sees."""
    system = fsspec.filesystem("memory")
    for file in small_field.observation(0).iterdir():
        system.pipe_file(f"/chandra/70011/{file.name}", file.read_bytes())
    yield system
    system.rm("/chandra", recursive=True)


def test_url_and_copy_belong_together():
    for url in ("s3://bucket/a/b c.fits", "https://host:80/x/evt2.fits?version=3", "memory://chandra/1"):
        copy = cache_folder() / "x"
        assert url_of(type(copy)(url)) == url
        copy = local_name(url)
        assert stored_name(copy) == url
        assert copy.is_relative_to(cache_folder())
    assert url_of(cache_folder()) is None
    assert not local_name("memory://../../etc/passwd").match("*..*")


def local_name(url):
    from catalog.stages.base.remote_files import _copy_path

    return _copy_path(url)


def test_catalog_from_a_url_is_that_from_the_files(
    memory, empty_project, small_field, copy_of, dump, differences
):
    found = []
    for source in ("memory://chandra/70011", small_field.observation(0)):
        observed_field.cache_clear()
        with copy_of(empty_project) as project:
            (added,) = add_observations(project, [source])
            assert added.outcome == "added"
            assert [item.outcome for item in add_observations(project, [source])] == ["unchanged"]
            add_sources(project, small_field.sources)
            # A worker on another machine has no copy yet.
            shutil.rmtree(cache_folder(), ignore_errors=True)
            run(project, CORE_STAGES, workers=1)
            with project.store.read() as connection:
                paths = connection.scalars(select(InputFile.path)).all()
            assert {path.startswith("memory://chandra/70011/") for path in paths} == {
                source != small_field.observation(0)
            }
            found.append({name: dump(project)[name] for name in ("extraction", "measurement", "chip")})
    assert found[0]["measurement"]
    assert not differences(*found)


def test_file_url_is_the_file(empty_project, small_field, copy_of):
    path = small_field.observation(0)
    with copy_of(empty_project) as project:
        add_observations(project, [f"file://{path}"])
        assert [item.outcome for item in add_observations(project, [path])] == ["unchanged"]
    assert not cache_folder().exists()


def test_file_that_changed_or_is_gone(memory, empty_project, small_field, copy_of):
    (events,) = memory.glob("/chandra/70011/*evt2*")
    with copy_of(empty_project) as project:
        add_observations(project, [f"memory:/{events}"])
        add_sources(project, small_field.sources)
        for spoil, reason in (
            (lambda: memory.pipe_file(events, memory.cat_file(events) + b"\0" * 2880), "FILE_CHANGED"),
            (lambda: memory.rm(events), "MISSING_FILE"),
        ):
            spoil()
            shutil.rmtree(cache_folder())
            observed_field.cache_clear()
            assert set(run(project, ["apertures"], workers=1).reasons) == {reason}


def test_bad_urls(empty_project, copy_of):
    with copy_of(empty_project) as project:
        with pytest.raises(MissingFileError):
            add_observations(project, ["memory://nowhere/evt2.fits"])
        with pytest.raises(InputFileError) as caught:
            add_observations(project, ["gopher://host/evt2.fits"])
        assert caught.value.code == "UNREADABLE_URL"
    with pytest.raises(MissingFileError):
        local_copy(cache_folder().__class__("memory:/nowhere/evt2.fits"), "0")
