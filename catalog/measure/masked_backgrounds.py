"""Background regions looked for in the data: grown to their goals outside the masks of all sources."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, pi, sqrt

import numpy as np
import shapely
from numpy.typing import NDArray

from catalog.apertures.fixed_count import fixed_count_annulus, outer_radius
from catalog.apertures.growing_circle import (
    GrownCircle,
    RatioRange,
    growing_circle,
    tuned_range,
    wanted_factor,
)
from catalog.apertures.masked_field import MaskedField, masked_field
from catalog.apertures.region import Region, clip_to_field
from catalog.apertures.shape import Circle, Polygon
from catalog.calibration.psf import PsfLibrary
from catalog.measure.observed_field import BACK_ILLUMINATED, ObservedField
from catalog.measure.placement import Placement
from catalog.recipes.recipe import BackgroundChoice

Array = NDArray[np.float64]

LIMIT = 240.0
"""Largest radius of a growing circle, or of an annulus of so many counts, arcsec."""
_SAMPLES = 21


@dataclass(frozen=True)
class BackgroundGoals:
    """What a background region shall reach.

    Attributes
    ----------
    ratios
        Exposure-area over that of the source.
    min_counts
        Counts at least.
    tuned_counts
        Counts that the ratio is tuned to; 0: it is not.
    """

    ratios: RatioRange
    min_counts: int
    tuned_counts: int


@dataclass(frozen=True)
class FoundBackground:
    """A background region.

    Attributes
    ----------
    region
        Sky pixels.
    reached
        Whether it reached its goals.
    correction, imbalance
        Of a contamination-matched background; None for others.
    """

    region: Region
    reached: bool
    correction: float | None = None
    imbalance: float | None = None


@dataclass(frozen=True)
class OwnAperture:
    """What a background needs to know of its source.

    Attributes
    ----------
    x, y
        Position, sky pixels.
    chip_id
        Its chip.
    region
        Source aperture.
    counts
        Events in it.
    """

    x: float
    y: float
    chip_id: int
    region: Region
    counts: int


def mask_radii(choice: BackgroundChoice, psf: PsfLibrary, place: Placement, energy: float) -> Array:
    """Radii of the circles about sources that backgrounds keep out of, arcsec, shape (n,).

    NaN for a source behind the telescope. Bright sources may be given more; see `apertures.masks`.
    """
    known = np.isfinite(place.theta)
    radius = np.full(len(place.theta), np.nan)
    radius[known] = choice.mask_factor * psf.radius(
        place.theta[known], place.phi[known], energy, choice.mask_fraction
    )
    return radius


class BackgroundField:
    """An observation outside masks, for chips of either kind.

    Parameters
    ----------
    field
        The observation.
    band
        Lower and upper energy (keV) of the events that are counted.
    masks
        Circles (x, y, radius) about sources, sky pixels, shape (k, 3).
    cross_chip_kinds
        Whether backgrounds may reach from front- to back-illuminated chips.
    """

    def __init__(
        self, field: ObservedField, band: tuple[float, float], masks: Array, *, cross_chip_kinds: bool
    ) -> None:
        self.field, self.masks, self.cross_chip_kinds = field, masks, cross_chip_kinds
        energy = field.events.energy
        inside = (energy >= band[0]) & (energy < band[1])
        self.counted = inside
        self.events = np.column_stack([field.events.x, field.events.y])[inside].astype(float)
        self._masked: dict[bool, MaskedField] = {}

    def area(self, chip_id: int) -> shapely.Geometry:
        """Where the background of a source on a chip may lie."""
        return self.field.field_of_view.region if self.cross_chip_kinds else self.field.chips_like(chip_id)

    def exposure(self, chip_id: int, x: Array, y: Array) -> Array:
        """Good fraction of points (n,), 0 where the background of a source on a chip may not lie."""
        good = self.field.good_fraction(x, y)
        if not self.cross_chip_kinds and self._is_mixed:
            area = self.area(chip_id)
            shapely.prepare(area)
            good = np.where(shapely.contains_xy(area, x, y), good, 0.0)
        return good

    @property
    def _is_mixed(self) -> bool:
        return len({chip in BACK_ILLUMINATED for chip in self.field.field_of_view.chips}) > 1

    def masked(self, chip_id: int) -> MaskedField:
        """Events and exposure outside the masks."""
        kind = self._is_mixed and not self.cross_chip_kinds and chip_id in BACK_ILLUMINATED
        if kind not in self._masked:
            self._masked[kind] = masked_field(
                self.events,
                lambda x, y: self.exposure(chip_id, x, y),
                self.field.field_of_view.region.bounds,
                self.masks,
            )
        return self._masked[kind]

    def counts_within(self, x: float, y: float, radius: float) -> int:
        """Events of the band within a radius of a position, masked or not, sky pixels."""
        return int(self.counted[self.field.events_near(x, y, radius)].sum())

    def counts_in(self, region: Region) -> int:
        """Events of the band in a region."""
        near = self.field.events_near(*region.shape.reach)
        near = near[self.counted[near]]
        return int(region.contains(self.field.events.x[near], self.field.events.y[near]).sum())

    def exposure_area(self, region: Region) -> float:
        """Good fraction times area of a small region, pix2."""
        x, y, reach = region.shape.reach
        axis = np.linspace(-reach, reach, _SAMPLES)
        u, v = (grid.ravel() for grid in np.meshgrid(x + axis, y + axis))
        inside = region.contains(u, v)
        good = self.field.good_fraction(u[inside], v[inside]) if inside.any() else np.zeros(1)
        return float(good.mean()) * region.area


def circle_background(field: BackgroundField, own: OwnAperture, goals: BackgroundGoals) -> FoundBackground:
    """Circle outside the masks, grown to a ratio of areas and to counts; see `apertures.growing_circle`."""
    grown = grown_circle(field, own, goals)
    if grown is None:
        return FoundBackground(Region(Circle(own.x, own.y, 1.0), (), ()), reached=False)
    circle = Circle(own.x, own.y, grown.radius)
    holes = tuple(
        Circle(x, y, radius)
        for x, y, radius in sorted(field.masks.tolist())
        if hypot(x - own.x, y - own.y) < grown.radius + radius
    )
    return FoundBackground(clip_to_field(Region(circle, holes), field.area(own.chip_id)), grown.reached)


def grown_circle(field: BackgroundField, own: OwnAperture, goals: BackgroundGoals) -> GrownCircle | None:
    """The circle alone; None for an aperture without exposure."""
    source_area = field.exposure_area(own.region)
    if source_area <= 0:
        return None
    masked, place = field.masked(own.chip_id), (own.x, own.y)
    radius = sqrt(own.region.area / pi)
    limit = LIMIT / field.field.events.sky_frame.pixel_scale_arcsec
    first = radius * sqrt(goals.ratios.goal)
    found = growing_circle(place, source_area, masked, goals.ratios, goals.min_counts, first, limit)
    if goals.tuned_counts == 0 or found.ratio <= 0:
        return found
    factor = wanted_factor(own.counts, found.counts, found.ratio, goals.tuned_counts)
    high = max(goals.ratios.high, goals.ratios.goal * min(max(factor, 1.2), 5.0), found.vote_high)
    tuned = tuned_range(goals.ratios, factor, 0.0, high)
    if tuned == goals.ratios:
        return found
    return growing_circle(place, source_area, masked, tuned, goals.min_counts, found.radius, limit)


def annulus_background(
    field: BackgroundField,
    own: OwnAperture,
    free: Array,
    inner: float,
    polygons: list[Polygon],
    counts: int,
) -> FoundBackground:
    """Annulus that holds a number of counts; see `apertures.fixed_count`.

    Parameters
    ----------
    field
        The observation; its masks are the circles that are cut out.
    own
        The source.
    free
        Events outside all masks and all source polygons, shape (n, 2).
    inner
        Inner radius, sky pixels.
    polygons
        Source apertures, the own one included.
    counts
        Counts wanted.
    """
    outer = outer_radius((own.x, own.y), free, counts)
    limit = LIMIT / field.field.events.sky_frame.pixel_scale_arcsec
    enough = outer is not None and inner < outer <= limit
    away = np.hypot(field.masks[:, 0] - own.x, field.masks[:, 1] - own.y)
    others = field.masks[away > 0]
    outer = limit if outer is None else min(outer, limit)
    region = fixed_count_annulus((own.x, own.y, inner), outer, others, polygons)
    return FoundBackground(clip_to_field(region, field.area(own.chip_id)), reached=enough)
