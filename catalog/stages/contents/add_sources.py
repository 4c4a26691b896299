"""Adding sources, and keeping their names and history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from sqlalchemy import Connection, func, select

from catalog.config import NameSettings
from catalog.events.iau_name import NameCollision, unique_names
from catalog.events.source_list import SourceList, read_source_list
from catalog.schema.tables import Source, SourceEvent
from catalog.stages.base.project import Project
from catalog.store.cone import cell
from catalog.store.door import Writer
from catalog.store.runs import begin_run, finish, user_name

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NearPair:
    """A position of the list close to a source, or to another position of the list.

    Attributes
    ----------
    row
        1-based data row of the list.
    name
        The source that is near.
    separation
        Arcsec.
    added
        Whether the position was added all the same.
    """

    row: int
    name: str
    separation: float
    added: bool


@dataclass(frozen=True)
class AddedSources:
    """What adding a list did.

    Attributes
    ----------
    origin
        The file, or "command line".
    n_listed, n_added, n_known
        Positions in the list, new sources, and positions that are sources already.
    near
        Positions within the match tolerance of a source without being at its place.
    collisions
        Names that had to be lengthened.
    skipped
        Sentences on entries that are no sources.
    """

    origin: str
    n_listed: int
    n_added: int
    n_known: int
    near: tuple[NearPair, ...]
    collisions: tuple[NameCollision, ...]
    skipped: tuple[str, ...]


def add_sources(
    project: Project,
    path_or_text: str | Path,
    *,
    ra: str | None = None,
    dec: str | None = None,
    name: str | None = None,
) -> AddedSources:
    """Add the positions of a list; those that are sources already add nothing.

    A position is a known source when it falls into the cell of its first position (about 0.4 mas), so the
    same list again adds nothing. One within the match tolerance of an older source is taken for that source:
    it is not added but reported. Positions of one list that close to each other are all added, and reported.

    Raises
    ------
    UserError
        For a list that cannot be read or has a position that is none; nothing is added then.
    """
    listed = read_source_list(path_or_text, ra, dec, name)
    cells = cell(listed.ra, listed.dec)
    with project.store.read() as connection:
        known = _known_sources(connection)
    _, first_rows = np.unique(cells, return_index=True)
    first = np.zeros(len(listed), dtype=bool)
    first[first_rows] = True
    new = first & ~np.isin(cells, known.cells)
    near = _near_pairs(listed, new, known, project.settings.sources.match_tolerance)
    new &= ~np.isin(listed.rows, [pair.row for pair in near if not pair.added])
    collisions: list[NameCollision] = []
    if new.any():
        with project.store.write() as writer:
            run_id = begin_run(writer, "add sources", project.frozen_settings(), [])
            _insert(writer, run_id, listed, cells, new)
            collisions = rename_all(writer, project.settings.names)
            _record(writer, run_id, cells[new])
            finish(writer, run_id, "done", {})
    return AddedSources(
        origin=listed.origin,
        n_listed=len(listed),
        n_added=int(new.sum()),
        n_known=int((~new).sum()),
        near=near,
        collisions=tuple(collisions),
        skipped=listed.skipped,
    )


@dataclass(frozen=True, eq=False)
class _Known:
    cells: NDArray[np.int64]
    ra: Array
    dec: Array
    names: list[str]


def _known_sources(connection: Connection) -> _Known:
    rows = connection.execute(
        select(Source.origin_hpx29, Source.ra, Source.dec, Source.name).order_by(Source.id)
    ).all()
    return _Known(
        np.array([row.origin_hpx29 for row in rows], dtype=np.int64),
        np.array([row.ra for row in rows], dtype=float),
        np.array([row.dec for row in rows], dtype=float),
        [row.name for row in rows],
    )


def _near_pairs(
    listed: SourceList, new: NDArray[np.bool_], known: _Known, tolerance: float
) -> tuple[NearPair, ...]:
    """New positions within the tolerance (arcsec) of a source or of an earlier position of the list."""
    labels = [*known.names, *(f"row {row}" for row in listed.rows[new])]
    ra, dec = np.concatenate([known.ra, listed.ra[new]]), np.concatenate([known.dec, listed.dec[new]])
    points = _unit_vectors(ra, dec)
    pairs = []
    chord = 2 * np.sin(np.radians(tolerance / 3600) / 2)
    for i, j in sorted(KDTree(points).query_pairs(chord)) if len(points) > 1 else []:
        if j < len(known.names):
            continue
        distance = 2 * np.degrees(np.arcsin(np.linalg.norm(points[i] - points[j]) / 2)) * 3600
        row = int(listed.rows[new][j - len(known.names)])
        pairs.append(NearPair(row, labels[i], float(distance), added=i >= len(known.names)))
    return tuple(pairs)


def _unit_vectors(ra: Array, dec: Array) -> Array:
    a, d = np.radians(ra), np.radians(dec)
    return np.column_stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])


def _insert(
    writer: Writer, run_id: int, listed: SourceList, cells: NDArray[np.int64], new: NDArray[np.bool_]
) -> None:
    rows: list[dict[str, Any]] = [
        {
            "run_id": run_id,
            "origin_hpx29": int(cells[i]),
            "name": "",
            "label": listed.names[i],
            "origin": listed.origin,
            "ra": float(listed.ra[i]),
            "dec": float(listed.dec[i]),
            "hpx29": int(cells[i]),
        }
        for i in np.flatnonzero(new)
    ]
    # Not the number of a source that was removed: outsiders may have noted it.
    past = writer.connection.scalar(select(func.max(SourceEvent.source_id)))
    writer.insert(Source, rows, above=int(past or 0))


def rename_all(writer: Writer, settings: NameSettings) -> list[NameCollision]:
    """Give each source the name that its position and the other sources ask for.

    Adding a source can lengthen the name of a neighbour, so names are derived for the whole catalog; only
    those that change are written.
    """
    rows = writer.connection.execute(
        select(Source.id, Source.ra, Source.dec, Source.name).order_by(Source.id)
    ).all()
    if not rows:
        return []
    names, collisions = unique_names(
        [row.ra for row in rows],
        [row.dec for row in rows],
        settings.prefix,
        settings.ra_digits,
        settings.dec_digits,
    )
    changed = [
        {"id": row.id, "name": name} for row, name in zip(rows, names, strict=True) if row.name != name
    ]
    writer.update_many(Source, changed)
    return collisions


def _record(writer: Writer, run_id: int, cells: NDArray[np.int64]) -> None:
    added = set(cells.tolist())
    rows = writer.connection.execute(
        select(Source.id, Source.origin_hpx29, Source.name, Source.label, Source.ra, Source.dec).order_by(
            Source.id
        )
    )
    now, user = datetime.now(UTC), user_name()
    writer.insert(
        SourceEvent,
        [
            {
                "run_id": run_id,
                "origin_hpx29": row.origin_hpx29,
                "name": row.name,
                "action": "added",
                "happened_at": now,
                "user_name": user,
                "old_value": None,
                "new_value": f"{row.ra:.8f} {row.dec:+.8f}",
                "why": None,
                "source_id": row.id,
                "label": row.label,
            }
            for row in rows
            if row.origin_hpx29 in added
        ],
    )
