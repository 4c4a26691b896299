"""Sources one by one: list, move, remove, rename, and what happened to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, or_, select

from catalog.errors import SettingsError, UnknownNameError
from catalog.schema.tables import Source, SourceEvent
from catalog.stages.base.project import Project
from catalog.stages.contents.add_sources import rename_all
from catalog.stages.engine.run_lock import check_no_run
from catalog.store.cone import cell
from catalog.store.door import Writer
from catalog.store.runs import begin_run, finish, user_name


@dataclass(frozen=True)
class SourceRow:
    """A source as it is listed: number, name, label of its list (or None), degrees ICRS, origin."""

    id: int
    name: str
    label: str | None
    ra: float
    dec: float
    origin: str
    origin_hpx29: int


@dataclass(frozen=True)
class HistoryRow:
    """One line of a source's history."""

    happened_at: datetime
    name: str
    action: str
    old_value: str | None
    new_value: str | None
    user_name: str | None
    why: str | None


def list_sources(connection: Connection) -> list[SourceRow]:
    """Return all sources by number."""
    rows = connection.execute(_select().order_by(Source.id))
    return [SourceRow(*row) for row in rows]


def find_source(connection: Connection, text: str) -> SourceRow:
    """Return the one source of a number, name or label; the prefix of the name may be left out.

    Raises
    ------
    UnknownNameError
        When there is none, or more than one.
    """
    same = [Source.name == text, Source.label == text, Source.name.endswith(f" {text}", autoescape=True)]
    if text.isdecimal():
        same.append(Source.id == int(text))
    rows = [SourceRow(*row) for row in connection.execute(_select().where(or_(*same)).order_by(Source.id))]
    by_number = [row for row in rows if text == str(row.id)]
    if len(rows) > 1 and by_number:
        rows = by_number
    if len(rows) == 1:
        return rows[0]
    if not rows:
        raise UnknownNameError("no such source", text, "see `srccat sources list`", code="UNKNOWN_SOURCE")
    numbers = ", ".join(str(row.id) for row in rows)
    raise UnknownNameError(
        "more than one source", text, f"give its number: {numbers}", code="AMBIGUOUS_SOURCE"
    )


def _select() -> Any:
    return select(
        Source.id, Source.name, Source.label, Source.ra, Source.dec, Source.origin, Source.origin_hpx29
    )


def move_source(project: Project, text: str, ra: float, dec: float, why: str | None = None) -> SourceRow:
    """Move a source (degrees ICRS); its number stays, its name follows, the next run measures it anew.

    Raises
    ------
    SettingsError
        Another source lies at the new position.
    """
    with project.store.write() as writer:
        source = find_source(writer.connection, text)
        place = int(cell(np.array([ra]), np.array([dec]))[0])
        taken = writer.connection.scalar(
            select(Source.name).where(Source.hpx29 == place, Source.id != source.id)
        )
        if taken is not None:
            raise SettingsError("another source is there already", taken, "remove one of the two")
        run_id = begin_run(writer, "sources move", project.frozen_settings(), [])
        writer.update(Source, source.id, {"ra": ra, "dec": dec, "hpx29": place, "run_id": run_id})
        rename_all(writer, project.settings.names)
        old, new = _position(source.ra, source.dec), _position(ra, dec)
        _record(writer, run_id, source, "moved", old, new, why)
        finish(writer, run_id, "done", {})
        return find_source(writer.connection, str(source.id))


def remove_source(project: Project, text: str, why: str | None = None) -> SourceRow:
    """Remove a source with all that was measured of it; its history stays.

    Raises
    ------
    ProjectError
        A run is going on.
    """
    with project.store.write() as writer:
        check_no_run(writer, project.store.where)
        source = find_source(writer.connection, text)
        run_id = begin_run(writer, "sources remove", project.frozen_settings(), [])
        _record(writer, run_id, source, "removed", _position(source.ra, source.dec), None, why)
        writer.delete(Source, Source.id == source.id)
        rename_all(writer, project.settings.names)
        finish(writer, run_id, "done", {})
    return source


def rename_source(project: Project, text: str, label: str, why: str | None = None) -> SourceRow:
    """Give a source another label; its name follows from its position and is not chosen.

    Raises
    ------
    SettingsError
        The label is empty.
    """
    label = label.strip()
    if not label:
        raise SettingsError("an empty label", text, "give the new label")
    with project.store.write() as writer:
        source = find_source(writer.connection, text)
        run_id = begin_run(writer, "sources rename", project.frozen_settings(), [])
        writer.update(Source, source.id, {"label": label})
        _record(writer, run_id, source, "renamed", source.label, label, why)
        finish(writer, run_id, "done", {})
        return find_source(writer.connection, str(source.id))


def history(connection: Connection, text: str | None = None) -> list[HistoryRow]:
    """Return what happened to sources, oldest first.

    A source that is there is meant before one that was removed. That one is found by its number, any label
    or any name it had.

    Raises
    ------
    UnknownNameError
        When no source of that number, name or label was ever there.
    """
    chosen = select(
        SourceEvent.happened_at,
        SourceEvent.name,
        SourceEvent.action,
        SourceEvent.old_value,
        SourceEvent.new_value,
        SourceEvent.user_name,
        SourceEvent.why,
    ).order_by(SourceEvent.id)
    if text is not None:
        chosen = chosen.where(SourceEvent.origin_hpx29.in_(_origins(connection, text)))
    return [HistoryRow(*row) for row in connection.execute(chosen)]


def _origins(connection: Connection, text: str) -> Sequence[int]:
    try:
        return [find_source(connection, text).origin_hpx29]
    except UnknownNameError as error:
        past = connection.scalars(_past_origins(text)).all()
        if error.code == "AMBIGUOUS_SOURCE" or not past:
            raise
        return past


def _past_origins(text: str) -> Any:
    """Select the origins of sources that ever had a number, label or name."""
    had = [
        SourceEvent.name == text,
        SourceEvent.name.endswith(f" {text}", autoescape=True),
        SourceEvent.label == text,
        (SourceEvent.action == "renamed") & or_(SourceEvent.old_value == text, SourceEvent.new_value == text),
    ]
    if text.isdecimal():
        had.append(SourceEvent.source_id == int(text))
    return select(SourceEvent.origin_hpx29).where(or_(*had)).distinct()


def _position(ra: float, dec: float) -> str:
    return f"{ra:.8f} {dec:+.8f}"


def _record(
    writer: Writer,
    run_id: int,
    source: SourceRow,
    action: str,
    old: str | None,
    new: str | None,
    why: str | None,
) -> None:
    row = {
        "run_id": run_id,
        "origin_hpx29": source.origin_hpx29,
        "name": source.name,
        "action": action,
        "happened_at": datetime.now(UTC),
        "user_name": user_name(),
        "old_value": old,
        "new_value": new,
        "why": why,
        "source_id": source.id,
        "label": source.label,
    }
    writer.insert(SourceEvent, [row])
