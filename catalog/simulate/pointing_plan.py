"""An observation to simulate: where the telescope looks, for how long, with which chips."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from catalog.errors import SettingsError
from catalog.events.chip_geometry import CHIP_SIZE, CHIPS, DET_PIXEL_RAD
from catalog.events.good_times import GoodTimes
from catalog.events.header import decimal_year
from catalog.events.pointing import DET_AXIS, Pointing
from catalog.events.sky_frame import SkyFrame

_MISSION_START = datetime(1998, 1, 1)
_DATAMODES = ("FAINT", "VFAINT")

SIM_ACIS_I = (-0.78234819833843, 0.0, -233.58743446083)
"""SIM_X, SIM_Y, SIM_Z in mm that put ACIS-I at the focus, as in the headers of archival observations."""


@dataclass(frozen=True)
class PointingPlan:
    """Set-up of an imaging observation with ACIS-I in timed exposures of full frames.

    A frame exposes for `frame_exposure` and is then moved to the frame store within `frame_transfer`;
    photons that arrive meanwhile are lost (in reality they make a faint streak along the column).

    Attributes
    ----------
    obs_id
        Digits without leading zeros.
    ra, dec, roll
        Mean and nominal pointing, degrees ICRS.
    exposure
        Wanted live time in s; frames are whole, so the true one is up to one frame longer.
    date_obs
        Start, ISO 8601, terrestrial time.
    chips
        CCD_IDs that are read.
    datamode
        FAINT, or VFAINT, which loses one more row at both ends of a chip.
    pauses
        (start, stop) in s since the start, without good time on any chip; widened to whole frames.
    chip_pauses
        (ccd_id, start, stop), the same for one chip.
    dither_phase
        Phases of the dither along DETX and DETY at the start, degrees.
    frame_exposure, frame_transfer
        EXPTIME, and TIMEDEL minus EXPTIME, s.
    """

    obs_id: str
    ra: float
    dec: float
    roll: float
    exposure: float
    date_obs: str
    chips: tuple[int, ...] = (0, 1, 2, 3)
    datamode: str = "FAINT"
    pauses: tuple[tuple[float, float], ...] = ()
    chip_pauses: tuple[tuple[int, float, float], ...] = ()
    dither_phase: tuple[float, float] = (0.0, 90.0)
    frame_exposure: float = 3.2
    frame_transfer: float = 0.04104

    def __post_init__(self) -> None:
        problem = None
        if not self.obs_id.isdigit() or self.obs_id != self.obs_id.lstrip("0"):
            problem = "an ObsID consists of digits, without leading zeros"
        elif not (np.isfinite(self.exposure) and self.exposure > 0 and self.frame_exposure > 0):
            problem = "an observation needs an exposure above 0 s"
        elif not self.chips or not set(self.chips) <= set(range(CHIPS)):
            problem = "an observation needs chips out of 0 to 9"
        elif self.datamode not in _DATAMODES:
            problem = f"DATAMODE is one of {', '.join(_DATAMODES)}"
        elif any(not 0 <= pause[-2] < pause[-1] for pause in (*self.pauses, *self.chip_pauses)):
            problem = "a pause starts at 0 s or later and ends after its start"
        if problem is not None:
            raise SettingsError(problem, f"ObsID {self.obs_id}", "check the pointing plan")

    @property
    def frame_time(self) -> float:
        """Time from frame to frame (TIMEDEL), s."""
        return self.frame_exposure + self.frame_transfer

    @property
    def dtcor(self) -> float:
        """Live time over on time."""
        return self.frame_exposure / self.frame_time

    @cached_property
    def tstart(self) -> float:
        """Start in s of mission time."""
        date = datetime.fromisoformat(self.date_obs)
        return (date - _MISSION_START).total_seconds()

    @property
    def tstop(self) -> float:
        """Stop in s of mission time."""
        return self.tstart + self.frames * self.frame_time

    @property
    def date_end(self) -> str:
        """Stop, ISO 8601, to the second."""
        return (_MISSION_START + timedelta(seconds=self.tstop)).isoformat(timespec="seconds")

    @property
    def decimal_year(self) -> float:
        """Start as year with fraction."""
        return decimal_year(self.date_obs, self.tstart)

    @cached_property
    def frames(self) -> int:
        """Number of frames from start to stop, those of `pauses` included."""
        paused = sum(stop - start for start, stop in map(self._whole_frames, self.pauses))
        return int(np.ceil(self.exposure / self.frame_exposure)) + paused

    def good_frames(self, chip: int | None = None) -> NDArray[np.bool_]:
        """Which frames are good on a chip (None: but for the pauses of all chips), shape (frames,)."""
        good = np.ones(self.frames, dtype=bool)
        own = [(start, stop) for ccd_id, start, stop in self.chip_pauses if ccd_id == chip]
        for pause in (*self.pauses, *own):
            good[slice(*self._whole_frames(pause))] = False
        return good

    def good_times(self, chip: int) -> GoodTimes:
        """Good time intervals of a chip; they begin and end with frames."""
        step = np.diff(np.concatenate([[False], self.good_frames(chip), [False]]).astype(np.int8))
        first, after = np.flatnonzero(step == 1), np.flatnonzero(step == -1)
        edges = self.tstart + np.column_stack([first, after]) * self.frame_time
        return GoodTimes.of(edges.tolist())

    def live_time(self, chip: int) -> float:
        """Live time of a chip, s."""
        return int(np.count_nonzero(self.good_frames(chip))) * self.frame_exposure

    def frame_middle(self, frame: NDArray[np.int64]) -> NDArray[np.float64]:
        """Middle of the exposure of frames, s since the start: what an event list gives as TIME."""
        return np.asarray(frame * self.frame_time + 0.5 * self.frame_exposure)

    @property
    def sky_frame(self) -> SkyFrame:
        """Projection of the event list, tangent at the pointing."""
        step = float(np.degrees(DET_PIXEL_RAD))
        return SkyFrame(self.ra, self.dec, DET_AXIS, DET_AXIS, -step, step)

    @property
    def pointing(self) -> Pointing:
        """Mean pointing in sky pixels."""
        return Pointing(DET_AXIS, DET_AXIS, self.roll, self.sky_frame.pixel_scale_arcsec)

    @property
    def pixel_limits(self) -> tuple[int, int, int, int]:
        """Lowest and highest CHIPX, lowest and highest CHIPY of level-2 events.

        The outermost pixels are never the centre of an event, which needs its 3 x 3 neighbours (5 x 5 rows in
        VFAINT mode).
        """
        rows = 2 if self.datamode == "VFAINT" else 1
        return 2, CHIP_SIZE - 1, 1 + rows, CHIP_SIZE - rows

    def _whole_frames(self, pause: tuple[float, float]) -> tuple[int, int]:
        """First frame of a pause and the one after its last."""
        return int(np.floor(pause[0] / self.frame_time)), int(np.ceil(pause[1] / self.frame_time))
