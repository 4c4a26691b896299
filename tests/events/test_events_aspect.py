from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from catalog.errors import InputFileError
from catalog.events.aspect import Aspect, aspect_histogram, coverage, sample_times
from catalog.events.aspect_events import aspect_from_events
from catalog.events.aspect_solution import read_aspect_solution
from catalog.events.chip_geometry import focal_plane
from catalog.events.event_list import EventList, read_event_list
from catalog.events.good_times import GoodTimes
from catalog.events.observation_aspect import observation_aspect
from catalog.events.pointing import DET_AXIS


@pytest.fixture(scope="module")
def simulated(request: pytest.FixtureRequest) -> EventList:
    folder: Path = request.getfixturevalue("data_dir")
    return read_event_list(folder / "simulated/collinder/acisf90003_evt2.fits.gz")


@pytest.fixture(scope="module")
def solution(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue("data_dir")
    return folder / "simulated/collinder/pcadf90003_asol1.fits.gz"


def residual(events: EventList, aspect: Aspect) -> tuple[float, float, float, float]:
    """Mean and scatter of chip pixels predicted from sky positions minus those of the events."""
    assert events.chipx is not None
    assert events.chipy is not None
    dx, dy = aspect.at(events.time)
    pointing = events.pointing
    roll = np.radians(pointing.roll + aspect.roll_offset)
    u, v = events.x - dx - pointing.x, events.y - dy - pointing.y
    detx, dety = np.cos(roll) * u - np.sin(roll) * v, np.sin(roll) * u + np.cos(roll) * v
    chipx, chipy = focal_plane(events.header).det_to_chip(events.ccd_id, DET_AXIS + detx, DET_AXIS + dety)
    ex, ey = chipx - events.chipx, chipy - events.chipy
    return float(ex.mean()), float(ey.mean()), float(ex.std()), float(ey.std())


def test_sample_times_are_even_in_good_time() -> None:
    times = GoodTimes.of([(0.0, 100.0), (1000.0, 1300.0)])
    samples = sample_times(times)
    assert times.contains(samples).all()
    assert np.mean(samples > 500) == pytest.approx(0.75, abs=0.01)
    assert samples.min() == pytest.approx(0.5)
    with pytest.raises(ValueError, match="good time"):
        sample_times(GoodTimes.of([]))


def test_histogram_keeps_the_mean_and_sums_to_one() -> None:
    time = np.linspace(0.0, 5000.0, 5001)
    aspect = Aspect(time, 16 * np.sin(time / 100), 3.0 + 16 * np.cos(time / 71), 0.01, "asol")
    good = GoodTimes.of([(0.0, 1500.0), (3000.0, 5000.0)])
    histogram = aspect_histogram(aspect, good, cell=0.5)
    assert histogram.weight.sum() == pytest.approx(1.0)
    dx, dy = aspect.at(sample_times(good))
    assert histogram.mean == (pytest.approx(dx.mean()), pytest.approx(dy.mean()))
    second = np.dot(histogram.weight, histogram.dx**2)
    assert second == pytest.approx(np.mean(dx**2), abs=0.03)
    assert (histogram.roll_offset, histogram.source) == (0.01, "asol")


def test_events_and_solution_agree(simulated: EventList, solution: Path) -> None:
    true = observation_aspect(simulated, [solution])
    rebuilt = observation_aspect(simulated)
    assert (true.source, rebuilt.source) == ("asol", "events")
    times = sample_times(simulated.all_good_times())
    difference = np.subtract(true.at(times), rebuilt.at(times))
    assert np.sqrt(np.mean(difference**2)) < 0.06
    assert np.abs(difference).max() < 0.5
    assert abs(rebuilt.roll_offset) < 1e-3
    histogram = aspect_histogram(true, simulated.all_good_times())
    assert np.abs(histogram.dx).max() > 15


@pytest.mark.parametrize("number", [60, 300])
def test_few_events_give_the_dither_too(simulated: EventList, solution: Path, number: int) -> None:
    rng = np.random.default_rng(number)
    few = simulated.select(np.sort(rng.choice(len(simulated), number, replace=False)))
    rebuilt = aspect_from_events(few)
    assert rebuilt.source == "events"
    times = sample_times(simulated.all_good_times())
    true = observation_aspect(simulated, [solution]).at(times)
    assert np.sqrt(np.mean(np.subtract(true, rebuilt.at(times)) ** 2)) < 0.3


def test_what_cannot_be_rebuilt_is_refused_with_a_reason(simulated: EventList) -> None:
    def refused(events: EventList) -> str:
        with pytest.raises(InputFileError) as caught:
            aspect_from_events(events)
        assert caught.value.code == "NO_ASPECT"
        return caught.value.what

    assert "10 events are fewer" in refused(simulated.select(np.arange(10)))
    blind = replace(simulated, detx=None, dety=None, chipx=None, chipy=None)
    assert "neither detector nor chip" in refused(blind)
    # Detector coordinates of other events than the sky coordinates, dense and sparse.
    rng = np.random.default_rng(4)
    assert simulated.detx is not None
    assert simulated.dety is not None
    mixed = rng.permutation(len(simulated))
    shuffled = replace(simulated, detx=simulated.detx[mixed], dety=simulated.dety[mixed])
    assert "follow one pointing" in refused(shuffled)
    assert "follow one pointing" in refused(shuffled.select(np.arange(0, len(simulated), 500)))


@pytest.mark.parametrize("periods", [(1000.0, 707.1), (2000.0, 1414.2), (1050.0, 690.0)])
def test_a_sparse_list_finds_its_periods(simulated: EventList, periods: tuple[float, float]) -> None:
    """Events moved from the true dither to another one."""
    rng = np.random.default_rng(8)
    few = simulated.select(np.sort(rng.choice(len(simulated), 120, replace=False)))
    assert few.detx is not None
    assert few.dety is not None
    x, y = few.pointing.det_to_sky(few.detx, few.dety)

    def dither(time: np.ndarray) -> np.ndarray:
        u, v = (32.0 * np.sin(2 * np.pi * time / period + 0.7) for period in periods)
        return np.array([0.6 * u + 0.8 * v, 0.8 * u - 0.6 * v])

    dx, dy = dither(few.time)
    moved = replace(few, x=x + dx, y=y + dy, chipx=None, chipy=None)
    rebuilt = aspect_from_events(moved)
    assert rebuilt.source == "events"
    times = sample_times(few.all_good_times())
    assert np.sqrt(np.mean((np.array(rebuilt.at(times)) - dither(times)) ** 2)) < 0.3


def test_without_detector_columns_the_chips_serve(simulated: EventList, solution: Path) -> None:
    rebuilt = aspect_from_events(replace(simulated, detx=None, dety=None))
    times = sample_times(simulated.all_good_times())
    true = observation_aspect(simulated, [solution]).at(times)
    assert rebuilt.source == "events"
    assert np.sqrt(np.mean(np.subtract(true, rebuilt.at(times)) ** 2)) < 0.3


def test_the_true_roll_is_found(simulated: EventList) -> None:
    wrong = replace(simulated, header=replace(simulated.header, roll_pnt=simulated.header.roll_pnt - 0.2))
    aspect = aspect_from_events(wrong)
    assert aspect.roll_offset == pytest.approx(0.2, abs=1e-3)
    mean_x, mean_y, scatter_x, scatter_y = residual(wrong, aspect)
    assert max(abs(mean_x), abs(mean_y)) < 0.15
    # The rotation is applied before the offsets are taken: without it they scatter by over a pixel.
    assert max(scatter_x, scatter_y) < 0.37
    rough = residual(wrong, Aspect(aspect.time, aspect.x_offset, aspect.y_offset, 0.0, "events"))
    assert rough[2] > 1.0
    fine = aspect_from_events(simulated)
    times = sample_times(simulated.all_good_times())
    assert np.sqrt(np.mean(np.subtract(fine.at(times), aspect.at(times)) ** 2)) < 0.02


@pytest.mark.parametrize("obs_id", ["04600", "09078", "15360"])
def test_archive_lists_place_their_chips(data_dir: Path, obs_id: str) -> None:
    events = read_event_list(data_dir / f"real/acis/acisf{obs_id}_repro_evt2.fits.gz")
    mean_x, mean_y, scatter_x, scatter_y = residual(events, aspect_from_events(events))
    # A chip pixel itself scatters by 0.29 (less with sub-pixel positions).
    assert max(abs(mean_x), abs(mean_y)) < 0.05
    assert max(scatter_x, scatter_y) < 0.3


def test_module_drift_belongs_to_the_offsets(data_dir: Path) -> None:
    """In 15360 the chips drift by more than a pixel: without it the chips would be misplaced."""
    events = read_event_list(data_dir / "real/acis/acisf15360_repro_evt2.fits.gz")
    aspect = aspect_from_events(events)
    assert events.detx is not None
    assert events.dety is not None
    x, y = events.pointing.det_to_sky(events.detx, events.dety)
    dx, dy = aspect.at(events.time)
    assert max(np.ptp(events.x - x - dx), np.ptp(events.y - y - dy)) > 2.0


def test_solution_parts_in_any_order(simulated: EventList, solution: Path, tmp_path: Path) -> None:
    with fits.open(solution) as hdus:
        rows = hdus[1].data[np.arange(0, len(hdus[1].data), 40)]
        middle = len(rows) // 2
        parts = []
        for name, piece in (("late", rows[middle - 5 :]), ("early", rows[:middle])):
            parts.append(tmp_path / f"{name}_asol1.fits")
            fits.BinTableHDU(piece, name="ASPSOL").writeto(parts[-1])
    whole = read_aspect_solution([solution], simulated.header, simulated.sky_frame)
    joined = read_aspect_solution(parts, simulated.header, simulated.sky_frame)
    assert np.all(np.diff(joined.time) > 0)
    assert joined.time.size == len(rows)
    times = sample_times(simulated.all_good_times())
    times = times[times < joined.time[-1]]
    np.testing.assert_allclose(joined.at(times), whole.at(times), atol=0.2)
    assert observation_aspect(simulated, parts).source == "asol"
    # One part of two that the header names is lost: the events serve. Too short although it is all: refused.
    names = ("early_asol1.fits", "late_asol1.fits.gz")
    named = replace(simulated, header=replace(simulated.header, ancillary={"ASOLFILE": names}))
    assert observation_aspect(named, parts[1:]).source == "events"
    with pytest.raises(InputFileError) as caught:
        observation_aspect(simulated, parts[1:])
    assert caught.value.code == "ASPECT_NOT_COVERING"


def test_solution_offsets_of_the_module(write_events: Callable[..., Path], tmp_path: Path) -> None:
    """A synthetic solution: pointing at rest, the module displaced by one pixel along y at roll 60."""
    events = read_event_list(write_events())
    pixel = 10070.0 * np.radians(1.3666666666667e-4)
    table = {"time": [2e8, 2.0001e8], "ra": [150.0] * 2, "dec": [20.0] * 2, "roll": [60.002] * 2}
    table |= {"dy": [0.0, pixel], "dz": [0.0, 2 * pixel], "dtheta": [0.0, 0.0]}
    path = tmp_path / "pcadf00777_asol1.fits"
    columns = [fits.Column(name, "D", array=values) for name, values in table.items()]
    fits.BinTableHDU.from_columns(columns, name="ASPSOL").writeto(path)
    aspect = read_aspect_solution([path], events.header, events.sky_frame)
    # One pixel to higher DETX, two to lower DETY.
    cosine, sine = np.cos(np.radians(60.002)), np.sin(np.radians(60.002))
    np.testing.assert_allclose(aspect.x_offset, [0.0, cosine - 2 * sine], atol=1e-9)
    np.testing.assert_allclose(aspect.y_offset, [0.0, -sine - 2 * cosine], atol=1e-9)
    assert aspect.roll_offset == pytest.approx(0.002)


def test_a_solution_of_another_observation_is_refused(simulated: EventList, data_dir: Path) -> None:
    with pytest.raises(InputFileError) as caught:
        observation_aspect(simulated, [data_dir / "simulated/collinder/pcadf90002_asol1.fits.gz"])
    assert caught.value.code == "OTHER_OBSERVATION"
    assert "90002" in caught.value.what


def test_a_solution_without_rows_is_refused(simulated: EventList, data_dir: Path) -> None:
    other = replace(simulated, header=replace(simulated.header, obs_id="732"))
    with pytest.raises(InputFileError) as caught:
        observation_aspect(other, [data_dir / "real/acis/structure_only_asol.fits.gz"])
    assert caught.value.code == "NO_ASPECT"


def test_coverage() -> None:
    good = GoodTimes.of([(0.0, 1000.0)])
    assert coverage(np.arange(0.0, 500.0, 5.0), good, 5.0) == pytest.approx(0.5, abs=0.01)
    assert coverage(np.array([]), good, 5.0) == 0.0
