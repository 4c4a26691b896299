"""Frames, good times and live times of a planned observation; the dither."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from catalog.errors import SettingsError
from catalog.simulate.dither import det_to_sky, dither_offsets, sky_to_det
from catalog.simulate.observation_keywords import observation_header
from catalog.simulate.pointing_plan import PointingPlan


def test_exposure_becomes_whole_frames(short_plan: PointingPlan) -> None:
    assert short_plan.frames == 938  # 3000 / 3.2 = 937.5
    assert short_plan.live_time(0) == pytest.approx(938 * 3.2)
    assert short_plan.tstop - short_plan.tstart == pytest.approx(938 * 3.24104)
    assert short_plan.dtcor == pytest.approx(0.98733739787229)  # header of an archival observation
    assert short_plan.tstart == (14 * 365 + 3) * 86400.0  # leap days of 2000, 2004 and 2008


def test_pauses_leave_live_time_and_split_good_times(short_plan: PointingPlan) -> None:
    plan = replace(short_plan, pauses=((100.0, 200.0),), chip_pauses=((3, 1000.0, 1010.0),))
    for chip in (0, 1, 2):
        times = plan.good_times(chip)
        assert len(times) == 2
        assert times.total() == pytest.approx(plan.live_time(chip) / plan.dtcor)
        assert plan.live_time(chip) == pytest.approx(short_plan.live_time(chip))
        assert not times.contains(plan.tstart + np.linspace(100.0, 200.0, 50)).any()
    assert len(plan.good_times(3)) == 3
    assert plan.live_time(0) - plan.live_time(3) == pytest.approx(4 * 3.2)  # frames 308 to 311
    # Frame middles are in good time exactly where the frame is good.
    middle = plan.tstart + plan.frame_middle(np.arange(plan.frames))
    for chip in plan.chips:
        np.testing.assert_array_equal(plan.good_times(chip).contains(middle), plan.good_frames(chip))


def test_header_agrees_with_plan(short_plan: PointingPlan) -> None:
    plan = replace(short_plan, chips=(3, 2), chip_pauses=((3, 0.0, 500.0),))
    header = observation_header(plan)
    assert header.obs_id == "70002"
    assert header.active_chips == (2, 3)
    assert header.livetime_by_chip == {chip: pytest.approx(plan.live_time(chip)) for chip in (2, 3)}
    assert header.livetime == pytest.approx(plan.live_time(2))
    assert header.ontime == pytest.approx(plan.good_times(2).total())
    assert header.decimal_year == pytest.approx(2012.0)
    assert (header.first_row, header.rows, header.frame_time) == (1, 1024, pytest.approx(3.24104))


def test_very_faint_mode_loses_a_row_more(short_plan: PointingPlan) -> None:
    assert short_plan.pixel_limits == (2, 1023, 2, 1023)
    assert replace(short_plan, datamode="VFAINT").pixel_limits == (2, 1023, 3, 1022)


@pytest.mark.parametrize(
    "changes",
    [
        {"obs_id": "00012"},
        {"obs_id": "12a"},
        {"exposure": 0.0},
        {"exposure": float("nan")},
        {"chips": ()},
        {"chips": (0, 10)},
        {"datamode": "GRADED"},
        {"pauses": ((20.0, 10.0),)},
        {"chip_pauses": ((0, -1.0, 10.0),)},
    ],
)
def test_impossible_plans_are_refused(short_plan: PointingPlan, changes: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="pointing plan"):
        replace(short_plan, **changes)


def test_dither_has_amplitude_and_periods_of_acis(short_plan: PointingPlan) -> None:
    time = np.linspace(0.0, 20000.0, 40001)
    dx, dy = dither_offsets(short_plan, time)
    roll = np.radians(short_plan.roll)
    u, v = np.cos(roll) * dx - np.sin(roll) * dy, np.sin(roll) * dx + np.cos(roll) * dy
    for values, period in ((u, 1000.0), (v, 707.1)):
        assert np.abs(values).max() * 0.492 == pytest.approx(8.0, abs=0.01)
        power = np.abs(np.fft.rfft(values))
        assert time[-1] / np.argmax(power) == pytest.approx(period, rel=0.03)


def test_sky_and_detector_are_inverse(short_plan: PointingPlan, rng: np.random.Generator) -> None:
    x, y = rng.uniform(3000.0, 5000.0, (2, 100))
    time = rng.uniform(0.0, 3000.0, 100)
    back = det_to_sky(short_plan, *sky_to_det(short_plan, x, y, time), time)
    np.testing.assert_allclose(back, (x, y), atol=1e-8)
