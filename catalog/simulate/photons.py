"""Draw the photons of sources and background and record them as events.

A photon has a true energy, an arrival time and a direction. It is scattered by the point spread function,
meets the dithering chips at its arrival time, is lost in gaps, at edges and during frame transfer, and is
recorded in a pixel, a frame and a pulse-height channel. Not simulated: pile-up, read-out streaks, bad pixels
and columns, charge-transfer losses, aspect errors (a blur of 0.07 arcsec is in the point spread functions).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from catalog.calibration.provider import Calibration
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.events.chip_geometry import FocalPlane, focal_plane
from catalog.simulate.background import BACKGROUND_RATE, draw_background
from catalog.simulate.detector import Placement, place_on_chips, record_positions
from catalog.simulate.dither import sky_to_det
from catalog.simulate.observation_keywords import observation_header
from catalog.simulate.pointing_plan import PointingPlan
from catalog.simulate.response import ChannelSampler, detectable_area, draw_bins, photon_share
from catalog.simulate.source_model import SimulatedSource

BACKGROUND = -1
"""Value of `SimulatedEvents.source` for background events."""

# Point spread functions are taken at the mean energy of the photons within each of these ranges (keV).
_PSF_EDGES = np.array([0.45, 0.75, 1.1, 1.6, 2.4, 3.5, 5.2])
#: Off-axis angle in arcmin beyond which a source sends no photons: all ten chips are within 34.
_FARTHEST = 40.0
#: Grades of level-2 events and their shares in front-illuminated chips, at all energies.
_GRADES = np.array([0, 2, 3, 4, 6], dtype=np.int16)
_GRADE_SHARES = (0.61, 0.17, 0.07, 0.07, 0.08)


@dataclass(frozen=True, eq=False)
class SimulatedEvents:
    """Events of an observation in the order of their frames, shape (n,) each.

    Attributes
    ----------
    frame
        Number of the frame from the start (EXPNO).
    ccd_id, chipx, chipy
        Chip and its pixel.
    detx, dety, x, y
        Detector and sky pixels.
    channel, energy
        PI, and energy in keV.
    grade
        ASCA grade.
    source
        Index of the source, -1 for background.
    """

    frame: NDArray[np.int64]
    ccd_id: NDArray[np.int16]
    chipx: NDArray[np.int16]
    chipy: NDArray[np.int16]
    detx: NDArray[np.float64]
    dety: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    channel: NDArray[np.int32]
    energy: NDArray[np.float64]
    grade: NDArray[np.int16]
    source: NDArray[np.int32]

    def __len__(self) -> int:
        return int(self.frame.size)

    def counts(self, sources: int, lo: float, hi: float) -> NDArray[np.int64]:
        """Events of each source with lo <= energy < hi (keV), wherever they fell, shape (sources,)."""
        chosen = (self.source >= 0) & (self.energy >= lo) & (self.energy < hi)
        return np.bincount(self.source[chosen], minlength=sources)


def simulate_field(
    sources: Sequence[SimulatedSource],
    plan: PointingPlan,
    calibration: Calibration,
    seed: int,
    *,
    background_rate: float = BACKGROUND_RATE,
) -> SimulatedEvents:
    """Simulate an observation of a field.

    Each source draws from its own random numbers, so its photons do not depend on the sources after it.

    Parameters
    ----------
    sources
        Point sources; may be empty, or outside the field of view.
    plan
        The observation.
    calibration
        Areas, redistributions and point spread functions.
    seed
        With the ObsID the origin of all random numbers.
    background_rate
        Counts per s and chip between 0.5 and 7 keV.
    """
    telescope = _Telescope(plan, calibration)
    seeds = np.random.SeedSequence([seed, int(plan.obs_id)]).spawn(1 + len(plan.chips) + len(sources))
    streams = [np.random.default_rng(child) for child in seeds]
    parts = [
        telescope.record(draw.frame, draw.placed, draw.channel, BACKGROUND, rng)
        for chip, rng in zip(plan.chips, streams[1:], strict=False)
        for draw in [draw_background(plan, chip, background_rate, telescope.samplers[chip], rng)]
    ]
    first = 1 + len(plan.chips)
    positions = telescope.positions(sources)
    parts += [
        telescope.observe(source, position, index, rng)
        for index, (source, position, rng) in enumerate(zip(sources, positions, streams[first:], strict=True))
        if position is not None
    ]
    joined = {
        item.name: np.concatenate([getattr(part, item.name) for part in parts])
        for item in fields(SimulatedEvents)
    }
    # Within a frame the order must not tell sources from background.
    order = np.lexsort((streams[0].random(joined["frame"].size), joined["frame"]))
    return SimulatedEvents(**{name: values[order] for name, values in joined.items()})


@dataclass(frozen=True, eq=False)
class _Position:
    """A source in an observation: sky pixel, off-axis angle (arcmin), azimuth (degrees), and its detectable
    areas (cm2) by chip and true-energy bin.
    """

    x: float
    y: float
    theta: float
    phi: float
    areas: NDArray[np.float64]


class _Telescope:
    """Mirror and detector in one observation, with what many sources share."""

    def __init__(self, plan: PointingPlan, calibration: Calibration) -> None:
        self.plan = plan
        calibration = self.calibration = calibration.in_observation(None, plan.decimal_year)
        self.plane: FocalPlane = focal_plane(observation_header(plan))
        matrices = {chip: calibration.redistribution(chip) for chip in plan.chips}
        shared = {id(matrix): ChannelSampler(matrix) for matrix in matrices.values()}
        self.samplers = {chip: shared[id(matrix)] for chip, matrix in matrices.items()}
        self._bins = matrices[plan.chips[0]]
        self._good_frames = np.flatnonzero(plan.good_frames())
        self._chip_good = np.array([plan.good_frames(chip) for chip in plan.chips])
        self._chip_index = np.full(10, -1)
        self._chip_index[list(plan.chips)] = np.arange(len(plan.chips))
        self._shares: dict[ReferenceSpectrum, NDArray[np.float64]] = {}

    def positions(self, sources: Sequence[SimulatedSource]) -> list[_Position | None]:
        """Where sources are in this observation; None for those far outside."""
        x, y = self.plan.sky_frame.to_sky(
            [source.ra for source in sources], [source.dec for source in sources]
        )
        theta, phi = self.plan.pointing.off_axis(x, y)
        near = np.flatnonzero(theta < _FARTHEST)
        areas = detectable_area(
            self.calibration, self.plan.chips, self.plan.decimal_year, theta[near], phi[near]
        )
        found: list[_Position | None] = [None] * len(sources)
        for row, area in zip(near.tolist(), areas, strict=True):
            found[row] = _Position(float(x[row]), float(y[row]), float(theta[row]), float(phi[row]), area)
        return found

    def observe(
        self, source: SimulatedSource, position: _Position, index: int, rng: np.random.Generator
    ) -> SimulatedEvents:
        """Events of a source."""
        areas = position.areas
        # Which chip a photon meets is not known yet: all come with the largest area and are thinned later.
        largest = areas.max(axis=0)
        frame, offset, bins = self._arrivals(source, largest, rng)
        dx, dy = self._scatter(position, self._bins.energy[bins], rng)
        scale = self.plan.sky_frame.pixel_scale_arcsec
        time = frame * self.plan.frame_time + offset
        placed = place_on_chips(
            self.plan,
            self.plane,
            *sky_to_det(self.plan, position.x + dx / scale, position.y + dy / scale, time),
        )
        chip = self._chip_index[placed.ccd_id]
        seen = (placed.ccd_id >= 0) & (offset < self.plan.frame_exposure) & self._chip_good[chip, frame]
        seen &= rng.random(bins.size) * largest[bins] < areas[chip, bins]
        kept = Placement(placed.ccd_id[seen], placed.chipx[seen], placed.chipy[seen])
        channel = np.zeros(kept.ccd_id.size, dtype=np.int32)
        for ccd_id in np.unique(kept.ccd_id).tolist():
            here = kept.ccd_id == ccd_id
            channel[here] = self.samplers[ccd_id].draw(bins[seen][here], rng)
        return self.record(frame[seen], kept, channel, index, rng)

    def record(
        self,
        frame: NDArray[np.int64],
        placed: Placement,
        channel: NDArray[np.int32],
        source: int,
        rng: np.random.Generator,
    ) -> SimulatedEvents:
        """Events of photons that fell on chips."""
        position = record_positions(self.plan, self.plane, placed, frame, rng)
        energy = np.zeros(frame.size)
        for ccd_id in np.unique(placed.ccd_id).tolist():
            here = placed.ccd_id == ccd_id
            energy[here] = self.samplers[ccd_id].energy(channel[here], rng)
        return SimulatedEvents(
            frame=frame,
            ccd_id=placed.ccd_id,
            chipx=position.chipx,
            chipy=position.chipy,
            detx=position.detx,
            dety=position.dety,
            x=position.x,
            y=position.y,
            channel=channel,
            energy=energy,
            grade=rng.choice(_GRADES, frame.size, p=_GRADE_SHARES),
            source=np.full(frame.size, source, dtype=np.int32),
        )

    def _arrivals(
        self, source: SimulatedSource, area: NDArray[np.float64], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """Frame, time within the frame (s, also during its transfer) and true-energy bin of photons."""
        rate = area * self._share(source.spectrum) * source.flux_in(self.plan.obs_id)
        light_curve = source.light_curves.get(self.plan.obs_id)
        highest = 1.0 if light_curve is None else light_curve.highest
        expected = float(rate.sum()) * highest * self._good_frames.size * self.plan.frame_time
        number = int(rng.poisson(expected))
        frame = rng.choice(self._good_frames, number)
        offset = rng.random(number) * self.plan.frame_time
        if light_curve is not None:
            factor = light_curve.at(frame * self.plan.frame_time + offset)
            kept = rng.random(number) * highest < factor
            frame, offset = frame[kept], offset[kept]
        bins = draw_bins(rate, frame.size, rng) if frame.size else np.zeros(0, dtype=np.int64)
        return frame, offset, bins

    def _scatter(
        self, position: _Position, energy: NDArray[np.float64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Offsets of photons from their source, arcsec along sky X and Y."""
        dx, dy = np.zeros(energy.size), np.zeros(energy.size)
        group = np.digitize(energy, _PSF_EDGES)
        for number in np.unique(group).tolist():
            here = group == number
            mean = float(np.exp(np.mean(np.log(energy[here]))))
            dx[here], dy[here] = self.calibration.psf.sample(
                position.theta, position.phi, mean, self.plan.roll, int(np.count_nonzero(here)), rng
            )
        # Photons scattered beyond the library's reach are at infinity, which is no place to calculate with.
        lost = ~(np.isfinite(dx) & np.isfinite(dy))
        dx[lost] = dy[lost] = np.nan
        return dx, dy

    def _share(self, spectrum: ReferenceSpectrum) -> NDArray[np.float64]:
        if spectrum not in self._shares:
            self._shares[spectrum] = photon_share(spectrum, self._bins)
        return self._shares[spectrum]
