"""Observed fields to measure in: one simulated, one real."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import Polygon as Outline

from catalog.apertures.circles import CircleRule, circle_aperture
from catalog.calibration.factory import open_calibration
from catalog.calibration.provider import Calibration
from catalog.calibration.psf import PsfLibrary
from catalog.measure.extract import Aperture
from catalog.measure.observed_field import ObservedField, load_observed_field
from catalog.measure.placement import place
from catalog.simulate.demo_field import write_observation
from catalog.simulate.photons import simulate_field
from catalog.simulate.pointing_plan import PointingPlan
from catalog.simulate.source_model import SimulatedSource

PLAN = PointingPlan(
    "70021",
    210.0,
    -35.0,
    63.0,
    3000.0,
    "2012-06-01T12:00:00",
    pauses=((800.0, 1100.0),),
    chip_pauses=((1, 1500.0, 2000.0),),
)


@pytest.fixture(scope="session")
def calibration() -> Calibration:
    return open_calibration()


@pytest.fixture(scope="session")
def psf(calibration: Calibration) -> PsfLibrary:
    return calibration.psf


@pytest.fixture(scope="session")
def simulated(calibration: Calibration, tmp_path_factory: pytest.TempPathFactory) -> ObservedField:
    """A field with two good time intervals, one chip shorter, and sources from the axis to 9 arcmin."""
    sources = []
    for number, (west, north) in enumerate([(0.3, 0.2), (-2.0, 1.0), (3.0, 4.0), (-6.0, -6.5), (5.0, -2.0)]):
        ra, dec = PLAN.sky_frame.to_world(4096.5 + west * 60 / 0.492, 4096.5 + north * 60 / 0.492)
        sources.append(SimulatedSource(f"s{number}", float(ra), float(dec), 3e-4))
    events = simulate_field(sources, PLAN, calibration, 11)
    path, aspect = write_observation(tmp_path_factory.mktemp("field"), events, PLAN)
    return load_observed_field(path, aspect_files=[aspect])


@pytest.fixture(scope="session")
def real(data_dir: Path) -> ObservedField:
    """ObsID 4600, cut to 0.5-8 keV, its aspect rebuilt from the events."""
    return load_observed_field(data_dir / "real" / "acis" / "acisf04600_repro_evt2.fits.gz")


@pytest.fixture(scope="session", params=["simulated", "real"])
def field(request: pytest.FixtureRequest) -> ObservedField:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, ObservedField)
    return found


MakeAperture = Callable[..., Aperture]


@pytest.fixture(scope="session")
def make_aperture(psf: PsfLibrary) -> MakeAperture:
    """Aperture of a source at sky pixels, as the stages would make it."""

    def made(
        field: ObservedField,
        x: float,
        y: float,
        others: tuple[tuple[float, float], ...] = (),
        whole_field: Outline | None = None,
    ) -> Aperture:
        points = np.array([(x, y), *others])
        placed = place(field.events.pointing, points[:, 0], points[:, 1], psf, 0.9, 1.0)
        radius = placed.radius / field.events.sky_frame.pixel_scale_arcsec
        chip = int(field.field_of_view.chip_at(x, y).ccd_id[0])
        region = field.field_of_view.region if whole_field is None else whole_field
        circles = circle_aperture(
            (x, y, float(radius[0])),
            np.column_stack([points[1:], radius[1:]]),
            CircleRule(),
            region,
            field.chips_like(chip) if whole_field is None else whole_field,
        )
        return Aperture(
            x, y, float(placed.theta[0]), float(placed.phi[0]), chip, circles.source, circles.background
        )

    return made


@pytest.fixture(scope="session")
def chip_position() -> Callable[[ObservedField, int, float, float], tuple[float, float]]:
    """Sky pixels of a place on a chip at the mean pointing."""

    def position(field: ObservedField, chip: int, chipx: float, chipy: float) -> tuple[float, float]:
        view = field.field_of_view
        x, y = view.pointing.det_to_sky(*view.plane.chip_to_det(chip, chipx, chipy))
        return float(x), float(y)

    return position
