"""The best aspect an observation has: its solution files, else its events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from catalog.errors import InputFileError
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
        asol1 files. When the header names more of them and those given cover less than 95 % of the good time,
        the aspect is rebuilt from the events, and `source` of the result says so.

    Raises
    ------
    MissingFileError, InputFileError
        As `read_aspect_solution`. ASPECT_NOT_COVERING: all files are there and do not cover the good time.
        NO_ASPECT: the aspect cannot be rebuilt.
    """
    if not solution_files:
        return aspect_from_events(events)
    aspect = read_aspect_solution(solution_files, events.header, events.sky_frame)
    covered = coverage(aspect.time, events.all_good_times(), _LONGEST_STEP_S)
    if covered >= _LEAST_COVERAGE:
        return aspect
    # Some of the files that the header names were not found: that was said, and the rest may well be short.
    if len(events.header.ancillary.get("ASOLFILE", ())) > len(set(solution_files)):
        return aspect_from_events(events)
    raise InputFileError(
        f"the aspect solution covers {covered:.0%} of the good time of ObsID {events.header.obs_id}",
        ", ".join(str(path) for path in solution_files),
        "give the solution files of this observation, all of them; aspect = [] rebuilds it from the events",
        code="ASPECT_NOT_COVERING",
    )
