"""The packaged example: three overlapping observations of some sixty sources, with their truth."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from catalog.calibration.factory import open_calibration
from catalog.calibration.provider import Calibration
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.events.chip_geometry import focal_plane
from catalog.simulate.aspect_file import write_aspect_solution
from catalog.simulate.event_file import aspect_file_name, event_file_name, write_event_list
from catalog.simulate.field_model import random_field
from catalog.simulate.observation_keywords import observation_header
from catalog.simulate.photons import SimulatedEvents, simulate_field
from catalog.simulate.pointing_plan import PointingPlan
from catalog.simulate.source_model import FLUX_BAND, LightCurve, SimulatedSource

DEMO_SEED = 20260
CENTRE = (160.98, -59.55)
"""Degrees ICRS."""

PLANS = (
    PointingPlan("90101", 160.98, -59.55, 37.0, 25000.0, "2016-02-11T03:20:00"),
    PointingPlan(
        "90102",
        161.06,
        -59.52,
        158.0,
        20000.0,
        "2017-07-03T17:45:00",
        pauses=((9000.0, 9600.0),),
        dither_phase=(40.0, 10.0),
    ),
    PointingPlan(
        "90103",
        160.90,
        -59.58,
        291.0,
        30000.0,
        "2019-11-20T10:05:00",
        datamode="VFAINT",
        chip_pauses=((2, 4000.0, 5000.0),),
        dither_phase=(200.0, 120.0),
    ),
)
"""Observations of the example: other pointings, rolls and dates; one with a pause, one with VFAINT."""

#: CHIPX, CHIPY on the outer edge of chip 3, where the active area begins.
_EDGE_PIXEL = (1.5, 900.0)
_RANDOM_SOURCES = 55
_MOST_REMOTE = 9.0


@dataclass(frozen=True)
class DemoField:
    """What `write_demo` has written.

    Attributes
    ----------
    folder
        Where.
    sources
        True sources, rows of `truth`.
    plans
        Observations.
    event_files, aspect_files
        One per observation.
    source_list, truth
        sources.csv and truth.ecsv.
    """

    folder: Path
    sources: tuple[SimulatedSource, ...]
    plans: tuple[PointingPlan, ...]
    event_files: tuple[Path, ...]
    aspect_files: tuple[Path, ...]
    source_list: Path
    truth: Path


def write_demo(
    folder: str | os.PathLike[str], seed: int = DEMO_SEED, calibration: Calibration | None = None
) -> DemoField:
    """Write the example: folder/90101/primary/... for each ObsID, sources.csv and truth.ecsv.

    The same seed gives the same bytes on the same machine.

    Parameters
    ----------
    folder
        Made when it does not exist; files in it are replaced.
    seed
        Origin of all random numbers.
    calibration
        The packaged one unless given.
    """
    place = Path(folder)
    sources = demo_sources(seed)
    event_files, aspect_files, counts = [], [], []
    opened = open_calibration() if calibration is None else calibration
    for plan in PLANS:
        events = simulate_field(sources, plan, opened, seed)
        event_path, aspect_path = write_observation(place / plan.obs_id / "primary", events, plan)
        event_files.append(event_path)
        aspect_files.append(aspect_path)
        counts.append(events.counts(len(sources), *FLUX_BAND))
    truth = truth_table(sources, PLANS, counts)
    source_list, truth_path = place / "sources.csv", place / "truth.ecsv"
    truth["name", "ra", "dec"].write(source_list, format="ascii.csv", overwrite=True)
    truth.write(truth_path, format="ascii.ecsv", overwrite=True)
    return DemoField(place, sources, PLANS, tuple(event_files), tuple(aspect_files), source_list, truth_path)


def write_observation(folder: Path, events: SimulatedEvents, plan: PointingPlan) -> tuple[Path, Path]:
    """Write the event list and the aspect solution of an observation, compressed, under archive names."""
    folder.mkdir(parents=True, exist_ok=True)
    event_path = folder / f"{event_file_name(plan.obs_id)}.gz"
    aspect_path = folder / f"{aspect_file_name(plan.obs_id)}.gz"
    write_event_list(event_path, events, plan)
    write_aspect_solution(aspect_path, plan)
    return event_path, aspect_path


def demo_sources(seed: int = DEMO_SEED) -> tuple[SimulatedSource, ...]:
    """Sources of the example: random ones, and five with something to show."""
    field = random_field(
        *CENTRE,
        _RANDOM_SOURCES,
        seed,
        radius=_MOST_REMOTE,
        lowest=2e-6,
        highest=1.5e-4,
        slope=0.7,
        prefix="D",
    )
    east, north = _offset(*CENTRE, -4.0, -3.0)
    pair = _offset(east, north, 2.5 / 60.0 * np.cos(0.6), 2.5 / 60.0 * np.sin(0.6))
    flare = LightCurve((11000.0, 11600.0, 13000.0, 15500.0), (1.0, 15.0, 6.0, 1.0))
    special = (
        SimulatedSource(
            "variable",
            *_offset(*CENTRE, 2.0, 0.5),
            6e-5,
            ReferenceSpectrum(1.7, 0.3),
            factors={"90101": 0.15, "90102": 1.0, "90103": 2.5},
            note="0.15 : 1 : 2.5 in the three observations",
        ),
        SimulatedSource(
            "flare",
            *_offset(*CENTRE, -1.0, -3.5),
            2e-5,
            ReferenceSpectrum(2.1, 0.3),
            light_curves={"90103": flare},
            note="flare by a factor 15 in 90103, 11 ks after the start",
        ),
        SimulatedSource("pair_a", east, north, 6e-5, note="2.5 arcsec from pair_b, 5 arcmin from the centre"),
        SimulatedSource("pair_b", *pair, 3e-5, note="2.5 arcsec from pair_a"),
        SimulatedSource(
            "edge",
            *_edge_position(PLANS[1]),
            8e-5,
            note="on the outer edge of chip 3 in 90102, half lost in the dither",
        ),
    )
    return (*field, *special)


def truth_table(
    sources: Sequence[SimulatedSource],
    plans: Sequence[PointingPlan],
    counts: Sequence[NDArray[np.int64]],
) -> Table:
    """The truth, one row per source.

    Columns: name, ra, dec (degrees ICRS); photon_flux and energy_flux (absorbed, 0.5-7 keV, means over the
    observations weighted with their live time); photon_index, nh (1e22 cm-2); per ObsID photon_flux_N (mean
    over its good time, also where the source is not in the field) and counts_N (events in the list between
    0.5 and 7 keV, without background, wherever they fell); note.

    Parameters
    ----------
    sources, plans
        What was simulated.
    counts
        Per observation the events of each source, see `SimulatedEvents.counts`.
    """
    times = [plan.frame_middle(np.flatnonzero(plan.good_frames())) for plan in plans]
    fluxes = np.array(
        [
            [source.mean_flux(plan.obs_id, time) for plan, time in zip(plans, times, strict=True)]
            for source in sources
        ]
    ).reshape(len(sources), len(plans))
    weights = np.array([time.size * plan.frame_exposure for plan, time in zip(plans, times, strict=True)])
    mean = fluxes @ weights / weights.sum()
    table = Table()
    table["name"] = [source.name for source in sources]
    table["ra"] = np.round([source.ra for source in sources], 7)
    table["dec"] = np.round([source.dec for source in sources], 7)
    table["photon_flux"] = mean
    table["energy_flux"] = mean * [source.erg_per_photon for source in sources]
    table["photon_index"] = [source.spectrum.photon_index for source in sources]
    table["nh"] = [source.spectrum.nh for source in sources]
    for plan, flux, number in zip(plans, fluxes.T, counts, strict=True):
        table[f"photon_flux_{plan.obs_id}"] = flux
        table[f"counts_{plan.obs_id}"] = number
    table["note"] = [source.note for source in sources]
    for name in table.colnames:
        if "flux" in name:
            table[name] = [float(f"{value:.6e}") for value in table[name]]
            table[name].unit = "erg / (cm2 s)" if name.startswith("energy") else "1 / (cm2 s)"
    table["ra"].unit = table["dec"].unit = "deg"
    table.meta["band_keV"] = list(FLUX_BAND)
    return table


def _offset(ra: float, dec: float, west: float, north: float) -> tuple[float, float]:
    """Position at an offset in arcmin."""
    plane = replace(PLANS[0].sky_frame, ra=ra, dec=dec, x_ref=0.0, y_ref=0.0, dx=-1.0 / 60.0, dy=1.0 / 60.0)
    right, upward = plane.to_world(west, north)
    return float(right), float(upward)


def _edge_position(plan: PointingPlan) -> tuple[float, float]:
    """Position on the outer edge of chip 3 at the mean pointing."""
    detx, dety = focal_plane(observation_header(plan)).chip_to_det(3, *_EDGE_PIXEL)
    ra, dec = plan.sky_frame.to_world(*plan.pointing.det_to_sky(detx, dety))
    return float(ra), float(dec)
