"""Chips and good times of an event set in the database: as files and settings give them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, select

from catalog.errors import UserError
from catalog.measure.observed_field import ObservedField
from catalog.schema.tables import Chip, EventSet, GoodTime
from catalog.stages.base.attempt import Failure, attempt
from catalog.stages.base.checksum import check_unchanged
from catalog.stages.base.field_cache import FieldKey, field_key, observed_field
from catalog.stages.base.fingerprint import fingerprint
from catalog.stages.base.remote_files import local_copy
from catalog.stages.base.work import FieldInput
from catalog.stages.engine.run_lock import heartbeat
from catalog.store.door import Store, Writer


def field_hash(field: FieldInput) -> str:
    """Hash of the files and settings that chips and good times follow from."""
    return fingerprint(field.geometry_key())


def outdated(connection: Connection, fields: Iterable[FieldInput]) -> list[FieldInput]:
    """Event sets whose chips and good times are those of other files or settings."""
    rows = connection.execute(select(EventSet.id, EventSet.field_hash))
    known = {row.id: row.field_hash for row in rows}
    return [field for field in fields if known.get(field.event_set_id) != field_hash(field)]


@dataclass(frozen=True)
class ChipRows:
    """Rows of the tables `chip` and `gti` of an event set, without its number."""

    chips: tuple[dict[str, Any], ...]
    good_times: tuple[dict[str, Any], ...]


def chip_rows(field: ObservedField) -> ChipRows:
    """The chips and good times of an observed field."""
    events = field.events
    return ChipRows(
        tuple(
            {
                "chip_id": chip,
                "ontime": field.on_time(chip),
                "livetime": events.live_time(chip),
                "outline": [[float(x), float(y)] for x, y in outline.exterior.coords[:-1]],
            }
            for chip, outline in field.field_of_view.outlines.items()
        ),
        tuple(
            {"chip_id": chip, "gti_start": start, "gti_stop": stop}
            for chip in events.chips
            for start, stop in events.good_times[chip].intervals
        ),
    )


def checked_rows(field: FieldInput) -> ChipRows | None:
    """Chips and good times with the files and settings of today; None where files are gone or changed.

    Such files are the stages' to report, unit by unit.

    Raises
    ------
    UserError
        Files are as they were added or chosen, but do not belong together.
    """
    key = field_key(field)
    if isinstance(attempt(partial(_check_unchanged, key)), Failure):
        return None
    rows = attempt(lambda: chip_rows(observed_field(key)), passing=(UserError,))
    return None if isinstance(rows, Failure) else rows


def _check_unchanged(key: FieldKey) -> None:
    files = [(key.path, key.sha256), *key.aspect, key.bad_pixels, key.mask, key.dead_time]
    for path, sha256 in (file for file in files if file is not None):
        check_unchanged(local_copy(path, sha256), sha256, "a file")


def refresh(store: Store, run_id: int, field: FieldInput, rows: ChipRows) -> None:
    """Store the chips and good times anew."""
    with store.write() as writer:
        heartbeat(writer, run_id)
        store_chips(writer, field.event_set_id, rows)
        writer.update(EventSet, field.event_set_id, {"field_hash": field_hash(field)})


def store_chips(writer: Writer, event_set_id: int, rows: ChipRows) -> None:
    """Replace the chips and good times of an event set."""
    writer.delete(GoodTime, GoodTime.event_set_id == event_set_id)
    writer.delete(Chip, Chip.event_set_id == event_set_id)
    writer.insert(GoodTime, [{"event_set_id": event_set_id, **row} for row in rows.good_times])
    writer.insert(Chip, [{"event_set_id": event_set_id, **row} for row in rows.chips])
