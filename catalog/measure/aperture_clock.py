"""What the apertures of a source could see at each time: good times and the dither over edges and gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.apertures.region import Region
from catalog.apertures.shape import Circle, Polygon
from catalog.calibration.psf import PsfLibrary
from catalog.measure.extract import Aperture
from catalog.measure.good_fraction_series import good_fraction_series
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
_SHARES = (0.25, 0.5, 0.75, 1.0)
"""Shares of the photons in the aperture that the disks standing for the PSF enclose."""


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
    """Fraction weighted with the PSF: as a sum of disks, since a radial profile that falls is one."""
    scale = field.events.sky_frame.pixel_scale_arcsec
    reach = aperture.source.shape.reach[2] * scale
    where = (aperture.theta, aperture.phi, _PSF_ENERGY)
    inside = float(np.ravel(psf.fraction_in_radius(*where, reach))[0])
    enclosed = inside * np.array(_SHARES)
    radii = np.append(np.ravel(psf.radius(*where, enclosed[:-1])), reach)
    ring = np.diff(enclosed, prepend=0.0) / np.diff(radii**2, prepend=0.0)
    weight = np.maximum(ring - np.append(ring[1:], 0.0), 0.0) * radii**2
    total, seen = 0.0, np.zeros(edges.size - 1)
    for radius, share in zip(radii / scale, weight, strict=True):
        disk = _disk(aperture, float(radius))
        if share > 0 and not disk.geometry().is_empty:
            seen += share * good_fraction_series(field, disk, edges, samples=_SAMPLES)
            total += share
    return (
        np.asarray(seen / total)
        if total > 0
        else good_fraction_series(field, aperture.source, edges, samples=_SAMPLES)
    )


def _disk(aperture: Aperture, radius: float) -> Region:
    source = aperture.source
    clip = (source.shape,) if isinstance(source.shape, Polygon) else source.field
    return Region(Circle(aperture.x, aperture.y, radius), source.exclude, clip)
