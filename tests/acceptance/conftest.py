"""The benchmark of exposures as a module, and a small simulated observation with bad pixels and a mask."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from astropy.io import fits

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
RA, DEC, OBS_ID = 150.0, 20.0, "70021"


@pytest.fixture(scope="session")
def exposure() -> ModuleType:
    """The functions of benchmarks/exposure.py."""
    spec = importlib.util.spec_from_file_location("benchmark_exposure", BENCHMARKS / "exposure.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Observation:
    """An observation of 1500 s with 5 sources, without companions beside it."""

    events: Path
    aspect: Path
    sources: Path
    bad_pixels: Path
    mask: Path

    @property
    def folder(self) -> Path:
        return self.events.parent


def write_bad_pixels(path: Path, obs_id: str = OBS_ID) -> Path:
    """Columns 400 to 420 of I3 (where sources lie), one pixel of I0 for a while."""
    hdus: list[fits.PrimaryHDU | fits.BinTableHDU] = [fits.PrimaryHDU()]
    rows = {3: ("rectangle", (400, 420), (1, 1024), 0.0), 0: ("point", (9, 9), (9, 9), 1.0)}
    for chip, (shape, chipx, chipy, stop) in rows.items():
        columns = [
            fits.Column("SHAPE", "16A", array=[shape]),
            fits.Column("COMPONENT", "I", array=[0]),
            fits.Column("CHIPX", "2I", array=[chipx]),
            fits.Column("CHIPY", "2I", array=[chipy]),
            fits.Column("TIME", "D", array=[0.0]),
            fits.Column("TIME_STOP", "D", array=[stop]),
            fits.Column("STATUS", "32X", array=np.zeros((1, 32), dtype=bool)),
        ]
        hdu = fits.BinTableHDU.from_columns(columns, name="BADPIX")
        hdu.header["CCD_ID"], hdu.header["OBS_ID"] = chip, obs_id
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path)
    return path


def write_mask(path: Path) -> Path:
    """I3 kept in its upper rows only."""
    columns = [
        fits.Column("SHAPE", "16A", array=["rectangle"]),
        fits.Column("COMPONENT", "I", array=[1]),
        fits.Column("CHIPX", "2I", array=[(1, 1024)]),
        fits.Column("CHIPY", "2I", array=[(700, 1024)]),
        fits.Column("SAMP_CYC", "I", array=[1]),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="MASK")
    hdu.header["CCD_ID"], hdu.header["OBS_ID"] = 3, OBS_ID
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


@pytest.fixture(scope="session")
def observation(tmp_path_factory: pytest.TempPathFactory) -> Observation:
    from catalog.calibration.factory import open_calibration
    from catalog.events.chip_geometry import focal_plane
    from catalog.simulate.demo_field import write_observation
    from catalog.simulate.observation_keywords import observation_header
    from catalog.simulate.photons import simulate_field
    from catalog.simulate.pointing_plan import PointingPlan
    from catalog.simulate.source_model import SimulatedSource

    folder = tmp_path_factory.mktemp("observation")
    plan = PointingPlan(OBS_ID, RA, DEC, 30.0, 1500.0, "2009-06-01T12:00:00")
    plane = focal_plane(observation_header(plan))
    # On the bad columns, near and far from them, on the rows that the mask cuts, on another chip.
    places = [(3, 410, 850), (3, 425, 850), (3, 700, 850), (3, 700, 300), (2, 500, 500)]
    sky = [plan.pointing.det_to_sky(*plane.chip_to_det(*place)) for place in places]
    world = [plan.sky_frame.to_world(*place) for place in sky]
    sources = [SimulatedSource(f"s{i}", float(a), float(d), 2e-4) for i, (a, d) in enumerate(world)]
    events, aspect = write_observation(
        folder / "data", simulate_field(sources, plan, open_calibration(), 2), plan
    )
    rows = [f"{source.name},{source.ra!r},{source.dec!r}" for source in sources]
    path = folder / "list.csv"
    path.write_text("\n".join(["name,ra,dec", *rows]) + "\n")
    return Observation(
        events, aspect, path, write_bad_pixels(folder / "bpix.fits"), write_mask(folder / "msk.fits")
    )
