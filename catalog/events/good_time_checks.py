"""Whether the good times of an event list can be what the instrument saw."""

from __future__ import annotations

from catalog.events.event_list import EventList

TOLERANCE = 0.05
"""Relative difference between good times and ONTIME, or live time, above which timing is doubtful."""


def good_time_doubt(events: EventList) -> str | None:
    """Say why the good times of an event list cannot all be right; None when nothing is wrong with them.

    The longest good time of a chip must agree with ONTIME (LIVETIME over DTCOR where the header lacks it):
    a list that lost its GTI table would count pauses as time without events, one filtered without its GTI
    tables would seem to vary.
    """
    header = events.header
    longest = max((times.total() for times in events.good_times.values()), default=0.0)
    expected = header.ontime
    if expected is None and header.livetime is not None:
        expected = header.livetime / (header.dtcor or 1.0)
    if not expected or expected <= 0 or abs(longest / expected - 1.0) <= TOLERANCE:
        return None
    return f"good times of {longest:.0f} s, but ONTIME {expected:.0f} s"
