"""What the apertures of a source could see at each time: good times and the dither over edges and gaps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import hypot, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from catalog.apertures.region import Region
from catalog.calibration.psf import PsfLibrary
from catalog.measure.extract import Aperture
from catalog.measure.good_fraction_series import good_fraction_series, good_share_series
from catalog.measure.observed_field import ObservedField
from catalog.stats.exposure_clock import ExposureClock, exposure_clock

Array = NDArray[np.float64]

STEP_SECONDS = 30.0
"""Bins of the good fraction: a quarter of a radian of the faster dither."""
LEAST_FRACTION = 0.1
"""Share of the largest good fraction below which a time is no good time: what is left of the PSF there
depends on its wings and on errors of the aspect."""
_PSF_ENERGY = 1.5
_SAMPLES = 48
"""Points that stand for a region's area: about a pixel apart on axis, closer than the dither by far."""
_PHOTONS, _MOST_PHOTONS, _LEAST_PHOTONS = 192, 50_000, 16
"""Points that stand for the photons of a source; most that are tried, and least that must lie in an aperture
beside it."""
_GOLDEN_ANGLE = pi * (3.0 - sqrt(5.0))


@dataclass(frozen=True, eq=False)
class ApertureClock:
    """Exposure of the apertures against time, in common stretches.

    Attributes
    ----------
    source
        Clock of the source: fraction of its photons on good pixels.
    area
        Fraction of the aperture's area on good pixels in the stretches of `source`.
    background
        The same for the background region; all 0 where there is none.
    area_ratio
        Area of the background region over that of the aperture; 0 where there is none.
    """

    source: ExposureClock
    area: Array
    background: Array
    area_ratio: float

    def ratio(self) -> float:
        """Background ratio r of the whole observation, for a background constant per area and time."""
        length = self.source.stop - self.source.start
        seen = float(length @ self.area)
        return self.area_ratio * float(length @ self.background) / seen if seen > 0 else 0.0

    @cached_property
    def background_clock(self) -> ExposureClock:
        """Clock of the background region, where it saw something."""
        seen = self.background > 0
        source = self.source
        return ExposureClock(source.start[seen], source.stop[seen], self.background[seen])


def aperture_clock(field: ObservedField, aperture: Aperture, psf: PsfLibrary) -> ApertureClock:
    """Follow the apertures of a source through an observation.

    Parameters
    ----------
    field
        The observation.
    aperture
        Regions of the source.
    psf
        Point spread functions.
    """
    good = field.good_time
    plain = exposure_clock(good.start, good.stop)
    has_background = not aperture.background.geometry().is_empty
    ratio = aperture.background.area / aperture.source.area if has_background else 0.0
    if _always_good(field, (aperture.source, aperture.background) if has_background else (aperture.source,)):
        ones = np.ones(plain.start.size)
        return ApertureClock(plain, ones, ones if has_background else np.zeros(ones.size), ratio)
    edges = _edges(field)
    middle_source = _source_fraction(field, aperture, psf, edges)
    area = good_fraction_series(field, aperture.source, edges, samples=_SAMPLES)
    background = (
        good_fraction_series(field, aperture.background, edges, samples=_SAMPLES)
        if has_background
        else np.zeros(area.size)
    )
    least = LEAST_FRACTION * float(middle_source.max())
    clock = exposure_clock(good.start, good.stop, edges, middle_source, minimum=least)
    index = np.clip(np.searchsorted(edges, clock.middle, side="right") - 1, 0, area.size - 1)
    return ApertureClock(clock, area[index], background[index], ratio)


def _always_good(field: ObservedField, regions: tuple[Region, ...]) -> bool:
    good_times = field.events.good_times
    if any(times != field.good_time for times in good_times.values()):
        return False
    return all(field.is_interior(*region.shape.reach) for region in regions)


def _edges(field: ObservedField) -> Array:
    start, stop = float(field.good_time.start[0]), float(field.good_time.stop[-1])
    steps = np.linspace(start, stop, max(2, int(np.ceil((stop - start) / STEP_SECONDS)) + 1))
    # The good times of single chips begin and end anywhere: no bin may straddle that.
    ends = [t for times in field.events.good_times.values() for pair in times.intervals for t in pair]
    inside = [t for t in ends if start < t < stop]
    return np.unique(np.concatenate([steps, inside]))


def _source_fraction(field: ObservedField, aperture: Aperture, psf: PsfLibrary, edges: Array) -> Array:
    """Fraction of the source's photons in the aperture that fall on good pixels; of its area without any."""
    points = photon_points(aperture, psf, field.events.sky_frame.pixel_scale_arcsec)
    if len(points) == 0:
        return good_fraction_series(field, aperture.source, edges, samples=_SAMPLES)
    return good_share_series(field, points, edges)


def photon_points(aperture: Aperture, psf: PsfLibrary, pixel_scale: float) -> Array:
    """Sky pixels that stand for equal numbers of a source's photons in its aperture, shape (n, 2).

    A spiral of the golden angle, its radii equally spaced in enclosed fraction, less what lies outside the
    aperture; closer where the aperture holds little of it, and none where it holds next to nothing.
    """
    x, y, around = aperture.source.shape.reach
    reach = (hypot(x - aperture.x, y - aperture.y) + around) * pixel_scale
    where = (aperture.theta, aperture.phi, _PSF_ENERGY)
    fraction = float(np.ravel(psf.fraction_in_radius(*where, reach))[0])
    number, points = _PHOTONS, np.empty((0, 2))
    while 2 * len(points) < _PHOTONS and number <= _MOST_PHOTONS:
        order = np.arange(number)
        radius = np.ravel(psf.radius(*where, fraction * (order + 0.5) / number)) / pixel_scale
        angle = _GOLDEN_ANGLE * order
        points = np.column_stack([aperture.x + radius * np.cos(angle), aperture.y + radius * np.sin(angle)])
        points = points[aperture.source.contains(points[:, 0], points[:, 1])]
        number *= 2
    return points if len(points) >= _LEAST_PHOTONS else np.empty((0, 2))
