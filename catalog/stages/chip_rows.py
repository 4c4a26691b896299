"""Chips and good times of an event set in the database: as files and settings give them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from sqlalchemy import Connection, select

from catalog.measure.observed_field import ObservedField
from catalog.schema.tables import Chip, EventSet, GoodTime
from catalog.stages.attempt import Failure, attempt
from catalog.stages.field_cache import field_key, observed_field
from catalog.stages.fingerprint import fingerprint
from catalog.stages.run_lock import heartbeat
from catalog.stages.work import FieldInput
from catalog.store.door import Store, Writer


def field_hash(field: FieldInput) -> str:
    """Hash of the files and settings that chips and good times follow from."""
    return fingerprint(field.geometry_key())


def outdated(connection: Connection, fields: Iterable[FieldInput]) -> list[FieldInput]:
    """Event sets whose chips and good times are those of other files or settings."""
    rows = connection.execute(select(EventSet.id, EventSet.field_hash))
    known = {row.id: row.field_hash for row in rows}
    return [field for field in fields if known.get(field.event_set_id) != field_hash(field)]


def refresh(store: Store, run_id: int, field: FieldInput) -> None:
    """Store the chips and good times anew; an event list that cannot be read is the stages' to report."""
    found = attempt(partial(observed_field, field_key(field)))
    if isinstance(found, Failure):
        return
    with store.write() as writer:
        heartbeat(writer, run_id)
        store_chips(writer, field.event_set_id, found)
        writer.update(EventSet, field.event_set_id, {"field_hash": field_hash(field)})


def store_chips(writer: Writer, event_set_id: int, field: ObservedField) -> None:
    """Replace the chips and good times of an event set."""
    writer.delete(GoodTime, GoodTime.event_set_id == event_set_id)
    writer.delete(Chip, Chip.event_set_id == event_set_id)
    events = field.events
    writer.insert(
        GoodTime,
        [
            {"event_set_id": event_set_id, "chip_id": chip, "gti_start": start, "gti_stop": stop}
            for chip in events.chips
            for start, stop in events.good_times[chip].intervals
        ],
    )
    writer.insert(
        Chip,
        [
            {
                "event_set_id": event_set_id,
                "chip_id": chip,
                "ontime": field.on_time(chip),
                "livetime": events.live_time(chip),
                "outline": [[float(x), float(y)] for x, y in outline.exterior.coords[:-1]],
            }
            for chip, outline in field.field_of_view.outlines.items()
        ],
    )
