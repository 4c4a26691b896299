"""A project: a folder with settings and a catalog database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import URL
from sqlalchemy.exc import DatabaseError, OperationalError

from catalog.calibration.provider import Calibration
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.config import SETTINGS_FILE, Settings, load_settings, write_settings
from catalog.errors import ProjectError, SchemaVersionError
from catalog.recipes.recipe import Recipe
from catalog.recipes.shipped import DEFAULT
from catalog.stages.base.calibration_cache import CalibrationKey, calibration_of
from catalog.stages.base.recipe_store import add_recipe, choose_shipped
from catalog.store.door import Store
from catalog.store.engine import database_url, is_writable, on_network, open_engine
from catalog.store.integrity import integrity
from catalog.store.migrate import upgrade
from catalog.store.runs import begin_run, finish
from catalog.store.schema_version import check_revision, database_revision
from migrations import REVISIONS


@dataclass(frozen=True)
class Project:
    """An open project.

    Attributes
    ----------
    folder
        The project folder.
    settings
        Its settings.
    store
        Its database.
    """

    folder: Path
    settings: Settings
    store: Store

    def __enter__(self) -> Project:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.store.close()

    def calibration_key(self) -> CalibrationKey:
        """Return what the calibration of the settings is opened by."""
        chosen = self.settings.calibration
        # "files" names no data of its own: the user's files replace pieces of the packaged calibration.
        provider = "builtin" if chosen.provider == "files" else chosen.provider
        return CalibrationKey(provider, chosen.area_table, chosen.rmf, chosen.caldb)

    def calibration(self) -> Calibration:
        """Open the calibration that the settings name."""
        return calibration_of(self.calibration_key())

    def spectrum(self) -> ReferenceSpectrum:
        """Return the reference spectrum of the settings."""
        chosen = self.settings.spectrum
        return ReferenceSpectrum(photon_index=chosen.photon_index, nh=chosen.nh)

    def frozen_settings(self) -> dict[str, Any]:
        """Return the settings as plain values, for the run's record; the database password left out."""
        content = self.settings.model_dump(mode="json")
        content["database"] = {"url": self.store.where}
        return content


def create_project(folder: Path, url: str | None = None, recipes: Sequence[str] = (DEFAULT,)) -> list[Recipe]:
    """Write the settings, create the database, and store the recipes; return these.

    Raises
    ------
    ProjectError
        There is a project already, or the folder or database cannot be written.
    UnknownNameError
        For a recipe that is not shipped.
    """
    chosen = choose_shipped(recipes)
    settings_file = folder / SETTINGS_FILE
    if settings_file.exists():
        raise ProjectError("there is a project already", settings_file, "use it, or choose another folder")
    _make_folder(folder)
    target = database_url(url or "sqlite:///srccat.db", folder)
    engine = open_engine(target)
    try:
        if database_revision(engine) is not None:
            where = target.render_as_string()
            raise ProjectError("the database holds a catalog already", where, "choose another database")
        upgrade(engine)
    except OperationalError as error:
        raise _cannot_open(target.render_as_string(), error) from error
    store = Store(engine)
    with store, store.write() as writer:
        run_id = begin_run(writer, "init", {"recipes": [recipe.name for recipe in chosen]}, [])
        for recipe in chosen:
            add_recipe(writer, run_id, recipe)
        finish(writer, run_id, "done", {})
    write_settings(folder, url or "sqlite:///srccat.db")
    return chosen


def storage_remark(folder: Path) -> str | None:
    """Return what to know about where a project's database lies; None when there is nothing."""
    url = database_url(load_settings(folder).database.url, folder)
    if url.get_backend_name() == "sqlite" and on_network(Path(str(url.database)).parent):
        return (
            "the database lies on a network file system: with a rollback journal, readers wait for "
            "writers; a local disk or PostgreSQL is faster and safer"
        )
    return None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".srccat-probe"
        probe.touch()
        probe.unlink()
    except (PermissionError, OSError) as error:
        reason = error.strerror or "error"
        raise ProjectError(
            f"the folder cannot be written ({reason})", folder, "choose another folder"
        ) from None


def _cannot_open(where: str, error: Exception) -> ProjectError:
    reason = " ".join(str(getattr(error, "orig", error)).split())
    if "malformed" in reason:
        return ProjectError(
            f"the database file is damaged ({reason})", where, "restore it from a copy", code="DAMAGED"
        )
    return ProjectError(f"the database cannot be opened ({reason})", where, "check address and rights")


def open_project(folder: Path, *, read_only: bool = False) -> Project:
    """Open a project; a database that cannot be written opens read-only.

    Raises
    ------
    ProjectError
        No project here, no database, or one that cannot be opened.
    SchemaVersionError
        The database is newer or older than the code.
    """
    settings = load_settings(folder)
    url = _existing_database(folder)
    read_only = read_only or not is_writable(url)
    engine = open_engine(url, read_only=read_only)
    try:
        check_revision(engine)
    except DatabaseError as error:
        raise _cannot_open(url.render_as_string(), error) from error
    return Project(folder, settings, Store(engine, read_only=read_only))


def upgrade_project(folder: Path) -> tuple[str | None, str]:
    """Bring the database of a project to this code's schema; return the revisions before and after.

    Raises
    ------
    SchemaVersionError
        The database is newer than the code.
    ProjectError
        It is missing or cannot be written.
    """
    url = _existing_database(folder)
    engine = open_engine(url)
    try:
        before = database_revision(engine)
        check_revision(engine)
    except SchemaVersionError as error:
        if error.code != "SCHEMA_OLDER":
            raise
        upgrade(engine)
    except DatabaseError as error:
        raise _cannot_open(url.render_as_string(), error) from error
    return before, REVISIONS[-1]


def check_project(folder: Path) -> list[str]:
    """Return sentences on schema and integrity of a project's database; a broken one raises ProjectError."""
    with open_project(folder, read_only=True) as opened:
        engine = opened.store.engine
        sentences = [
            f"database {opened.store.where}",
            f"schema {database_revision(engine)}: as this srccat needs it",
        ]
        sentences += integrity(engine)
    return sentences


def _existing_database(folder: Path) -> URL:
    settings = load_settings(folder)
    url = database_url(settings.database.url, folder)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise ProjectError(
            "the database is missing", url.database, "put it back, or run `srccat init` in another folder"
        )
    return url
