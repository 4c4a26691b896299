"""Contamination-matched backgrounds of an observation, from a model of its point sources."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from catalog.apertures.growing_circle import RatioRange
from catalog.apertures.matched import matched_background
from catalog.apertures.region import Region
from catalog.apertures.shape import Circle
from catalog.calibration.psf import PsfLibrary
from catalog.calibration.psf_stamp import PsfStamp
from catalog.measure.contour_apertures import ContourAperture
from catalog.measure.masked_backgrounds import BackgroundField, BackgroundGoals, FoundBackground, OwnAperture
from catalog.measure.placement import Placement
from catalog.measure.psf_fraction import psf_fraction
from catalog.measure.shared_light import share_in_circle

Array = NDArray[np.float64]

CONTAMINANTS = 24
"""Sources whose light is followed one by one about a source: those that send most."""
LEAST_LIGHT = 0.02
"""Counts in the aperture, or about it and scaled to it, below which a source is left out."""
LOCAL_COUNTS = 100
"""Events outside masks from which the background about a source is first estimated."""
LOCAL_LIMIT = 120.0
"""Radius that it is estimated within, arcsec."""
LIGHT_LIMIT = 240.0
"""Distance beyond which no light of a source is followed, arcsec."""
_RADII = np.geomspace(0.3, 60.0, 40)
_STAMPS = 256
_WINDOW = 16.0


def light_reach(own: Array | float, other: Array | float) -> Array:
    """Distance from which on the light of another source is not followed about a source.

    Parameters
    ----------
    own, other
        Aperture radii of the two, arcsec.
    """
    return np.asarray(np.minimum(_RADII[-1] * np.asarray(other) + _WINDOW * np.asarray(own), LIGHT_LIMIT))


class SourceModel:
    """Point sources with photons and point spread functions.

    Parameters
    ----------
    placement
        Where they are.
    photons
        Counts of the whole point spread function of each, shape (n,); 0 for one that is not modelled.
    psf
        Point spread functions.
    energy, roll, scale
        Energy (keV) of the model, roll (degrees), arcsec per sky pixel.
    """

    def __init__(
        self,
        placement: Placement,
        photons: Array,
        psf: PsfLibrary,
        energy: float,
        roll: float,
        scale: float,
    ) -> None:
        self.placement, self.photons, self.scale = placement, photons, scale
        self._psf, self._energy, self._roll = psf, energy, roll
        self._stamp = lru_cache(maxsize=_STAMPS)(self._make_stamp)
        self._curve = np.zeros((len(photons), len(_RADII)))
        known = np.isfinite(placement.theta)
        self._curve[known] = psf.fraction_in_radius(
            placement.theta[known, None],
            placement.phi[known, None],
            energy,
            placement.radius[known, None] * _RADII,
        )

    def _make_stamp(self, j: int) -> PsfStamp:
        place = self.placement
        return self._psf.stamp(float(place.theta[j]), float(place.phi[j]), self._energy, self._roll)

    def contaminants(self, i: int, ratio: float) -> NDArray[np.intp]:
        """Sources whose light about source i is followed, the source itself first if it has any."""
        place = self.placement
        others = np.flatnonzero((self.photons > 0) & (np.arange(len(self.photons)) != i))
        away = np.hypot(place.x[others] - place.x[i], place.y[others] - place.y[i]) * self.scale
        others = others[away < light_reach(place.radius[i], place.radius[others])]
        radius = place.radius[others]
        distance = np.hypot(place.x[others] - place.x[i], place.y[others] - place.y[i]) * self.scale / radius
        own = place.radius[i] / radius
        beside = share_in_circle(self._curve, others, distance, own, 0.0)
        around = share_in_circle(self._curve, others, distance, _WINDOW * own, 0.0) / ratio
        light = self.photons[others] * np.maximum(beside, around)
        order = np.lexsort((others, -light))[:CONTAMINANTS]
        found = others[order[light[order] > LEAST_LIGHT]]
        return np.concatenate([[i], found]).astype(np.intp) if self.photons[i] > 0 else found

    def in_region(self, j: int, region: Region) -> float:
        """Counts of a source in a region."""
        place = (float(self.placement.x[j]), float(self.placement.y[j]))
        return float(self.photons[j]) * psf_fraction(region, *place, self._stamp(j), self.scale)

    def density(self, j: int, x: Array, y: Array) -> Array:
        """Counts of a source per pix2 at sky pixels (n,)."""
        dx = (x - self.placement.x[j]) * self.scale
        dy = (y - self.placement.y[j]) * self.scale
        return np.asarray(self.photons[j] * self._stamp(j).density(dx, dy) * self.scale**2)


def source_photons(
    field: BackgroundField, apertures: dict[int, ContourAperture], own: dict[int, OwnAperture], size: int
) -> Array:
    """Photons of sources from the counts in their apertures, less the background close by, shape (size,)."""
    photons = np.zeros(size)
    limit = LOCAL_LIMIT / field.field.events.sky_frame.pixel_scale_arcsec
    for i, aperture in apertures.items():
        place = own[i]
        bright = field.masked(place.chip_id).brightness(place.x, place.y, LOCAL_COUNTS, limit)
        net = place.counts - bright * field.exposure_area(aperture.region)
        photons[i] = max(0.0, net) / max(aperture.fraction, 0.05)
    return photons


def matched(
    field: BackgroundField, model: SourceModel, i: int, own: OwnAperture, mask: float, goals: BackgroundGoals
) -> FoundBackground:
    """The background of source i; `mask` is the radius of its mask in sky pixels."""
    chosen = model.contaminants(i, goals.ratios.goal)
    inside = np.array([0.0 if j == i else model.in_region(int(j), own.region) for j in chosen])
    source_area = field.exposure_area(own.region)
    if source_area <= 0:
        return FoundBackground(Region(Circle(own.x, own.y, 1.0), (), ()), reached=False)

    def light(x: Array, y: Array) -> Array:
        columns = [model.density(int(j), x, y) for j in chosen]
        return np.column_stack(columns) if columns else np.zeros((len(x), 0))

    def events(radius: float) -> Array:
        near = field.field.events_near(own.x, own.y, radius)
        kept = near[field.counted[near]]
        return np.column_stack([field.field.events.x[kept], field.field.events.y[kept]]).astype(float)

    radius = float(np.sqrt(max(own.region.area, 1.0) / np.pi))
    found = matched_background(
        (own.x, own.y, radius, mask),
        source_area,
        inside,
        light,
        lambda x, y: field.exposure(own.chip_id, x, y),
        own.region.contains,
        events,
        RatioRange(goals.ratios.low, goals.ratios.goal, goals.ratios.high),
        goals.min_counts,
    )
    if len(found.boxes) == 0:
        return FoundBackground(Region(Circle(own.x, own.y, 1.0), (), ()), reached=False)
    return FoundBackground(found.region(), found.reached, found.correction, found.imbalance)
