"""The aspect rebuilt from the events: each carries its sky and its detector position, hence the pointing.

sky - rotation(roll) (DET - 4096.5) is the optical axis at the time of the event. With one event in 20 s or
more that is sampled finely enough; with fewer, the dither is fitted: one sinusoid in yaw, one in pitch, and a
linear drift.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catalog.errors import InputFileError
from catalog.events.aspect import Aspect, coverage, sample_times
from catalog.events.chip_geometry import focal_plane
from catalog.events.event_list import EventList
from catalog.events.good_times import GoodTimes
from catalog.events.sky_frame import Pair

#: Periods of the default dither of ACIS in y and z, s, until and from October 2022 (Chandra X-ray Center,
#: "Dither", cxc.harvard.edu/ciao/why/dither.html). Observers may ask for others.
DITHER_PERIODS = ((1000.0, 707.1), (2000.0, 1414.2))
#: Dither moves the axis by 0.06 pixel from a straight line in 20 s.
_BIN_S = 20.0
_DRIFT_BIN_S = 500.0
_FEWEST_TO_FIT = 30
_FEWEST_PAIRS = 200
_LARGEST_RESIDUAL = 0.75
"""Arcsec."""


def aspect_from_events(events: EventList) -> Aspect:
    """Rebuild the aspect of an event list.

    Raises
    ------
    InputFileError
        NO_ASPECT: there are too few events, they carry no detector or chip coordinates, or their sky
        coordinates do not follow one dithering pointing.
    """
    good_times = events.all_good_times()
    turned = _turned_detector(events)
    if turned is None:
        raise _impossible(events, "the list has neither detector nor chip coordinates")
    if len(events) < _FEWEST_TO_FIT:
        raise _impossible(events, f"{len(events)} events are fewer than {_FEWEST_TO_FIT}")
    order = np.argsort(events.time, kind="stable")
    time, u, v = events.time[order], turned[0][order], turned[1][order]
    pointing = events.pointing
    x, y = events.x[order] - pointing.x - u, events.y[order] - pointing.y - v
    rotation = _residual_rotation(time, (x, y), (u, v))
    x, y = x + rotation * v, y - rotation * u
    drift = _module_drift(events)
    x, y = x + np.interp(time, *drift[:2]), y + np.interp(time, drift[0], drift[2])
    binned = _medians(time, x, y)
    roll_offset = -float(np.degrees(rotation))
    if coverage(binned[0], good_times, 1.5 * _BIN_S) > 0.95:
        aspect = Aspect(*_extend(*binned, good_times), roll_offset, "events")
        found = aspect.at(time)
        residual = float(np.median(np.hypot(x - found[0], y - found[1])))
    else:
        fitted, residual = _fit_dither(time, x, y)
        times = sample_times(good_times)
        aspect = Aspect(times, *_dither(times, *fitted), roll_offset, "events")
    if residual * events.sky_frame.pixel_scale_arcsec > _LARGEST_RESIDUAL:
        raise _impossible(
            events,
            f"sky and detector coordinates do not follow one pointing (residual {residual:.1f} pixels)",
        )
    return aspect


def _impossible(events: EventList, reason: str) -> InputFileError:
    return InputFileError(
        f"no aspect solution, and none can be rebuilt from the events: {reason}",
        events.path,
        f'give the pcad...asol1.fits file (aspect under [observation."{events.header.obs_id}"])',
        code="NO_ASPECT",
    )


def _turned_detector(events: EventList) -> Pair | None:
    """DET minus the axis, turned to the orientation of the sky by the nominal roll."""
    if events.detx is not None and events.dety is not None:
        detx, dety = events.detx.astype(float), events.dety.astype(float)
    elif events.chipx is not None and events.chipy is not None:
        detx, dety = focal_plane(events.header).chip_to_det(events.ccd_id, events.chipx, events.chipy)
    else:
        return None
    axis = events.header.imager.det_axis
    return _turn(detx - axis, dety - axis, events.header.roll_pnt)


def _turn(u: NDArray[np.float64], v: NDArray[np.float64], roll: float) -> Pair:
    cosine, sine = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    return cosine * u + sine * v, cosine * v - sine * u


def _residual_rotation(time: NDArray[np.float64], residual: Pair, turned: Pair) -> float:
    """Mean rotation (radians, counter-clockwise) of the sky against the nominal roll.

    From the differences between successive events at nearly the same time, which do not feel the dither.
    """
    near = np.diff(time) < 4.0
    if np.count_nonzero(near) < _FEWEST_PAIRS:
        return 0.0
    dx, dy = (np.diff(values)[near] for values in residual)
    du, dv = (np.diff(values)[near] for values in turned)
    return float(np.sum(dy * du - dx * dv) / np.sum(du**2 + dv**2))


def _module_drift(events: EventList) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Drift of the chips in the detector plane against the mean of the header, as sky offsets in time.

    The scatter of a chip pixel is 0.3, so the drift, which is slow, is averaged over some minutes.
    """
    none = (np.zeros(1), np.zeros(1), np.zeros(1))
    if events.detx is None or events.dety is None or events.chipx is None or events.chipy is None:
        return none
    x, y = focal_plane(events.header).chip_to_det(events.ccd_id, events.chipx, events.chipy)
    u, v = _turn(events.detx - x, events.dety - y, events.header.roll_pnt)
    width = max(_DRIFT_BIN_S, 20.0 * float(np.ptp(events.time)) / len(events))
    number = np.floor((events.time - events.time.min()) / width).astype(np.intp)
    count = np.bincount(number)
    full = count >= 10
    if not full.any():
        return none
    means = (np.bincount(number, values)[full] / count[full] for values in (events.time, u, v))
    time, mean_u, mean_v = means
    return time, mean_u, mean_v


def _medians(
    time: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Medians in short bins of time; `time` is sorted."""
    number = np.floor((time - time[0]) / _BIN_S)
    starts = np.flatnonzero(np.diff(number, prepend=-1.0))
    groups = (np.split(values, starts[1:]) for values in (time, x, y))
    mid, mid_x, mid_y = (np.array([np.median(part) for part in group]) for group in groups)
    return mid, mid_x, mid_y


def _extend(
    time: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64], good_times: GoodTimes
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Carry the medians on to the ends of each interval in a straight line: half a bin moves 2 pixels."""
    added: list[tuple[float, float, float]] = []
    for start, stop in good_times.intervals:
        inside = np.flatnonzero((time >= start) & (time <= stop))
        if inside.size < 2:
            continue
        for end, near, next_one in ((start, inside[0], inside[1]), (stop, inside[-1], inside[-2])):
            step = (end - time[near]) / (time[next_one] - time[near])
            if abs(end - time[near]) <= _BIN_S:
                shifts = (values[near] + step * (values[next_one] - values[near]) for values in (x, y))
                added.append((end, *shifts))
    joined = np.concatenate([np.column_stack([time, x, y]), np.array(added).reshape(-1, 3)])
    joined = joined[np.argsort(joined[:, 0], kind="stable")]
    return joined[:, 0], joined[:, 1], joined[:, 2]


def _fit_dither(
    time: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64], float], float]:
    """Periods, coefficients and origin of the dither, and the rms residual of the events."""
    from scipy.optimize import minimize

    origin = float(time.mean())
    observed = np.column_stack([x, y])

    def solve(periods: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        design = _design(time - origin, periods)
        found = np.asarray(np.linalg.lstsq(design, observed, rcond=1e-6)[0], dtype=np.float64)
        return found, float(np.sqrt(np.mean((design @ found - observed) ** 2)))

    candidates: list[NDArray[np.float64]] = []
    for usual in DITHER_PERIODS:
        start = np.array(usual)
        best = minimize(  # type: ignore[call-overload, unused-ignore]
            lambda trial: solve(trial)[1], start, method="Nelder-Mead"
        )
        periods = np.asarray(best.x, dtype=float)
        candidates.append(periods if np.all(np.abs(periods / start - 1.0) < 0.2) else start)
    chosen = min(candidates, key=lambda trial: solve(trial)[1])
    coefficients, residual = solve(chosen)
    return (chosen, coefficients, origin), residual


def _design(elapsed: NDArray[np.float64], periods: NDArray[np.float64]) -> NDArray[np.float64]:
    phases = [2.0 * np.pi * elapsed / period for period in periods]
    waves = [function(phase) for phase in phases for function in (np.sin, np.cos)]
    return np.column_stack([np.ones_like(elapsed), elapsed / _DRIFT_BIN_S, *waves])


def _dither(
    time: NDArray[np.float64], periods: NDArray[np.float64], coefficients: NDArray[np.float64], origin: float
) -> Pair:
    model = _design(time - origin, periods) @ coefficients
    return model[:, 0], model[:, 1]
