"""Dead time files of the HRC (dtf1): the live share of the time, every two seconds.

Its live time is the mean of the factor over the good times; a list that was cut in time has another mean than
its header says. Format: CIAO, "hrc_dtfstats": a table with columns TIME (s) and DTF.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalog.errors import InputFileError
from catalog.events.aspect import coverage
from catalog.events.event_list import EventList
from catalog.events.fits_file import check_observation, is_table, open_fits
from catalog.events.good_times import GoodTimes

_REMEDY = "give the hrcf...dtf1.fits file of the observation"
_LONGEST_STEP_S = 20.0
_LEAST_COVERAGE = 0.95


@dataclass(frozen=True, eq=False)
class DeadTime:
    """Live share of the time.

    Attributes
    ----------
    time
        Shape (n,), s of mission time, ascending.
    factor
        Shape (n,), in [0, 1].
    """

    time: NDArray[np.float64]
    factor: NDArray[np.float64]

    def mean(self, good_times: GoodTimes) -> float:
        """Mean factor over good times; NaN when no sample lies in them."""
        inside = good_times.contains(self.time)
        return float(self.factor[inside].mean()) if inside.any() else float("nan")


def read_dead_time(path: str | Path, obs_id: str) -> DeadTime:
    """Read a dead time file.

    Parameters
    ----------
    path
        FITS file.
    obs_id
        ObsID that the file must be of.

    Raises
    ------
    MissingFileError, InputFileError
        NO_DEAD_TIME for a file without such a table or with factors outside 0 to 1, OTHER_OBSERVATION, else
        as `open_fits`.
    """
    where = Path(path)
    with open_fits(where) as hdus:
        check_observation(hdus, obs_id, where, "a dead time file")
        for hdu in hdus:
            names = {n.lower(): n for n in hdu.columns.names} if is_table(hdu) else {}
            if not {"time", "dtf"} <= set(names) or not len(hdu.data):
                continue
            time, factor = (np.asarray(hdu.data[names[name]], dtype=float) for name in ("time", "dtf"))
            known = np.isfinite(time) & np.isfinite(factor)
            if not known.any() or (factor[known] < 0).any() or (factor[known] > 1).any():
                break
            order = np.argsort(time[known], kind="stable")
            return DeadTime(time[known][order], factor[known][order])
    raise InputFileError(
        "no dead time factors (a table with rows of TIME and DTF in 0 to 1)",
        where,
        _REMEDY,
        code="NO_DEAD_TIME",
    )


def with_dead_time(events: EventList, path: str | Path) -> EventList:
    """The event list with live times from a dead time file.

    Raises
    ------
    MissingFileError, InputFileError
        As `read_dead_time`. DEAD_TIME_NOT_COVERING: the file does not cover the good time.
    """
    found = read_dead_time(path, events.header.obs_id)
    good = events.all_good_times()
    if coverage(found.time, good, _LONGEST_STEP_S) < _LEAST_COVERAGE:
        raise InputFileError(
            "the dead time factors do not cover the good time of the events",
            path,
            _REMEDY,
            code="DEAD_TIME_NOT_COVERING",
        )
    factor = found.mean(good)
    live = good.total() * factor
    header = replace(events.header, dtcor=factor, livetime=live, exposure=live, livetime_by_chip={})
    return replace(events, header=header)
