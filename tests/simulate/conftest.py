"""Simulated observations shared by the tests of the room."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from catalog.calibration.factory import open_calibration
from catalog.calibration.provider import Calibration
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.events.aspect import Aspect
from catalog.events.aspect_solution import read_aspect_solution
from catalog.events.event_list import EventList, read_event_list
from catalog.simulate.demo_field import DemoField, write_demo, write_observation
from catalog.simulate.photons import SimulatedEvents, simulate_field
from catalog.simulate.pointing_plan import PointingPlan
from catalog.simulate.source_model import SimulatedSource


@dataclass(frozen=True)
class Observed:
    """An observation as simulated and as read back."""

    plan: PointingPlan
    sources: tuple[SimulatedSource, ...]
    events: SimulatedEvents
    read: EventList
    aspect: Aspect


@pytest.fixture(scope="session")
def calibration() -> Calibration:
    return open_calibration()


def position(plan: PointingPlan, detx: float, dety: float) -> tuple[float, float]:
    """Celestial position that falls on detector pixels at the mean pointing."""
    ra, dec = plan.sky_frame.to_world(*plan.pointing.det_to_sky(detx, dety))
    return float(ra), float(dec)


@pytest.fixture(scope="session")
def bright(calibration: Calibration, tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """Bright sources well inside chips, at 1.4 to 8 arcmin; a pause for all chips and one for chip 1."""
    plan = PointingPlan(
        "70001",
        210.0,
        -35.0,
        63.0,
        20000.0,
        "2015-06-01T12:00:00",
        pauses=((5000.0, 6000.0),),
        chip_pauses=((1, 15000.0, 17000.0),),
    )
    # Detector offsets in arcmin: centres of the quadrants are some 4' from the axis.
    offsets = [(-1.0, 1.0), (-3.0, 3.5), (-6.0, 6.0), (3.5, 3.2), (-4.5, -4.0)]
    spectra = [ReferenceSpectrum(1.7), ReferenceSpectrum(2.5, 0.3), ReferenceSpectrum(1.4, 1.0)]
    sources = tuple(
        SimulatedSource(
            f"b{number}",
            *position(plan, 4096.5 + u * 60 / 0.492, 4096.5 + v * 60 / 0.492),
            3e-3,
            spectra[number % 3],
        )
        for number, (u, v) in enumerate(offsets)
    )
    events = simulate_field(sources, plan, calibration, 5)
    event_path, aspect_path = write_observation(tmp_path_factory.mktemp("bright"), events, plan)
    read = read_event_list(event_path)
    return Observed(
        plan, sources, events, read, read_aspect_solution([aspect_path], read.header, read.sky_frame)
    )


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoField:
    return write_demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture
def short_plan() -> PointingPlan:
    return PointingPlan("70002", 10.0, 85.0, 200.0, 3000.0, "2012-01-01T00:00:00")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(12345)
