"""The best aspect an observation has: its solution files, else its events, else the standard dither."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from catalog.events.aspect import Aspect, coverage
from catalog.events.aspect_events import aspect_from_events
from catalog.events.aspect_solution import read_aspect_solution
from catalog.events.event_list import EventList

_LEAST_COVERAGE = 0.95
_LONGEST_STEP_S = 20.0


def observation_aspect(events: EventList, solution_files: Sequence[str | Path] = ()) -> Aspect:
    """Aspect of an event list.

    Parameters
    ----------
    events
        The cleaned list.
    solution_files
        asol1 files. Used when together they cover 95 % of the good time; else the aspect is rebuilt from the
        events, and `source` of the result says so.
    """
    if solution_files:
        aspect = read_aspect_solution(solution_files, events.header, events.sky_frame)
        if coverage(aspect.time, events.all_good_times(), _LONGEST_STEP_S) >= _LEAST_COVERAGE:
            return aspect
    return aspect_from_events(events)
