"""All regions of sources in an observation, as a recipe wants them: aperture, background, mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from catalog.apertures.circles import CircleAperture, CircleRule, circle_aperture
from catalog.apertures.fixed_count import free_events
from catalog.apertures.growing_circle import RatioRange
from catalog.apertures.masks import bright_radius
from catalog.apertures.region import Region, clip_to_field
from catalog.apertures.shape import Circle, Polygon
from catalog.apertures.shrinking import crowding_groups
from catalog.apertures.touching import divided_polygon, touching_aperture
from catalog.band import widest_band
from catalog.calibration.psf import PsfLibrary
from catalog.flags import Flag
from catalog.measure.contour_apertures import (
    ContourAperture,
    ContourField,
    excluding_apertures,
    lone_aperture,
    shrunk_apertures,
)
from catalog.measure.masked_backgrounds import (
    LIMIT,
    BackgroundField,
    BackgroundGoals,
    FoundBackground,
    OwnAperture,
    annulus_background,
    circle_background,
    mask_radii,
)
from catalog.measure.matched_backgrounds import (
    LOCAL_COUNTS,
    LOCAL_LIMIT,
    SourceModel,
    matched,
    source_photons,
)
from catalog.measure.observed_field import ObservedField
from catalog.measure.placement import Placement
from catalog.recipes.recipe import Recipe

Array = NDArray[np.float64]

OVERLAP_LIMIT = 0.10
"""Share of an aperture inside its neighbour's from which on it is flagged."""


def circle_rule(recipe: Recipe) -> CircleRule:
    """Return the factors of a recipe's circles."""
    return CircleRule(
        source_exclusion=recipe.aperture.neighbour_exclusion,
        background_inner=recipe.background.inner,
        background_outer=recipe.background.outer,
        background_exclusion=recipe.background.neighbour_exclusion,
    )


def counting_band(recipe: Recipe) -> tuple[float, float]:
    """Lower and upper energy (keV) of the widest band: of the events that regions are looked for with."""
    bands = recipe.energy_bands
    chosen = bands[widest_band(bands)]
    return chosen.lo, chosen.hi


@dataclass(frozen=True)
class SourceRegions:
    """Regions of one source.

    Attributes
    ----------
    source, background
        Sky pixels, clipped to the field.
    mask
        Circle that backgrounds keep out of; None where the recipe has none.
    crowding, psf_frac_target, psf_frac_contour, overlap, clipped_frac, bkg_correction, bkg_imbalance
        As in table `crowding`.
    flags
        Caveats.
    """

    source: Region
    background: Region
    mask: Circle | None
    crowding: str
    psf_frac_target: float
    psf_frac_contour: float | None
    overlap: float
    clipped_frac: float
    bkg_correction: float | None
    bkg_imbalance: float | None
    flags: Flag


class RegionBuilder:
    """Builds the regions of sources of one observation.

    Parameters
    ----------
    field
        The observation.
    psf
        Point spread functions.
    recipe
        What regions to build.
    placement
        Positions of the sources asked for and of all that can change their regions, shape (n,).
    chip_id
        Chip of each, shape (n,).
    seen
        Whether each lies in the field of view, shape (n,).
    """

    def __init__(
        self,
        field: ObservedField,
        psf: PsfLibrary,
        recipe: Recipe,
        placement: Placement,
        chip_id: NDArray[np.integer],
        seen: NDArray[np.bool_],
    ) -> None:
        self.field, self.psf, self.recipe = field, psf, recipe
        self.placement, self.chip_id, self.seen = placement, chip_id, seen
        self.scale = field.events.sky_frame.pixel_scale_arcsec
        self.rule = circle_rule(recipe)
        self.radius = placement.radius / self.scale
        self._apertures: dict[int, ContourAperture] = {}

    def regions(self, wanted: Sequence[int], near: Sequence[NDArray[np.intp]]) -> list[SourceRegions]:
        """Regions of sources that lie in the field of view.

        Parameters
        ----------
        wanted
            Rows of the placement.
        near
            Rows of the sources that can change the regions of each.
        """
        contours = self.recipe.aperture.kind == "contour"
        apertures = self._apertures = self._contour_apertures(wanted) if contours else {}
        return [
            self._regions(int(i), rows, apertures.get(int(i))) for i, rows in zip(wanted, near, strict=True)
        ]

    def _circles(self, i: int, near: NDArray[np.intp], *, whole_field: bool = False) -> CircleAperture:
        """Circle and annulus of a source, cut or divided."""
        field = self.field.field_of_view.region
        allowed = field if whole_field else self.allowed(i)
        build = touching_aperture if self.recipe.crowding.method == "joint" else circle_aperture
        return build(self._circle(i), self._table(near), self.rule, field, allowed)

    def _circle(self, i: int) -> tuple[float, float, float]:
        return float(self.placement.x[i]), float(self.placement.y[i]), float(self.radius[i])

    def _table(self, rows: NDArray[np.intp]) -> Array:
        return np.column_stack([self.placement.x[rows], self.placement.y[rows], self.radius[rows]])

    def allowed(self, i: int) -> BaseGeometry:
        """Where the background of a source may lie."""
        if self.recipe.background.cross_chip_kinds:
            return self.field.field_of_view.region
        return self.field.chips_like(int(self.chip_id[i]))

    def _regions(self, i: int, near: NDArray[np.intp], contour: ContourAperture | None) -> SourceRegions:
        grown = self.recipe.background.kind != "annulus"
        circles = None if contour is not None and grown else self._circles(i, near)
        aperture = self._uncut(i) if contour is None else contour
        if contour is None:
            assert circles is not None
            source, method = circles.source, "none"
            if circles.overlapped:
                method = "divided" if self.recipe.crowding.method == "joint" else "excluded"
        else:
            source, method = clip_to_field(contour.region, self.field.field_of_view.region), contour.method
        flags = Flag.CONFUSED if self._is_confused(i, near) else Flag(0)
        if method in ("excluded", "divided"):
            flags |= Flag.NEIGHBOUR_EXCLUDED
        if aperture.overlap > OVERLAP_LIMIT:
            flags |= Flag.APERTURES_OVERLAP
        area = source.area
        if grown and area > 0:
            background = self._grown(i, source)
        else:
            background = FoundBackground(Region(Circle(0, 0, 1), (), ()), reached=True)
            if circles is not None:
                background = FoundBackground(circles.background, reached=True)
        if not background.reached:
            flags |= Flag.SMALL_BACKGROUND
        if self._is_mixed(i, near, background.region):
            flags |= Flag.MIXED_CHIPS
        return SourceRegions(
            source,
            background.region,
            self._mask(i),
            method,
            aperture.target,
            None if contour is None else contour.fraction,
            aperture.overlap,
            min(1.0, max(0.0, 1.0 - area / aperture.whole_area)),
            background.correction,
            background.imbalance,
            flags,
        )

    def _uncut(self, i: int) -> ContourAperture:
        """The circle before neighbours are cut out of it."""
        circle, fraction = Circle(*self._circle(i)), self.recipe.aperture.fraction
        return ContourAperture(Region(circle), "none", fraction, fraction, 0.0, circle.area)

    def _is_confused(self, i: int, near: NDArray[np.intp]) -> bool:
        """Whether another source lies within the aperture radius."""
        x, y, radius = self._circle(i)
        return bool((np.hypot(self.placement.x[near] - x, self.placement.y[near] - y) < radius).any())

    def _is_mixed(self, i: int, near: NDArray[np.intp], background: Region) -> bool:
        """Whether an annulus was cut where chips of the other kind begin."""
        whole = self.field.field_of_view.region
        if self.recipe.background.kind != "annulus" or background.field is None:
            return False
        if self.allowed(i) is whole:
            return False
        uncut = self._circles(i, near, whole_field=True).background
        return uncut.area > background.area * (1 + 1e-6)

    # Contours.

    @cached_property
    def _contours(self) -> ContourField:
        energy = self.recipe.aperture.energy
        return ContourField(self.field, self.psf, self.placement, energy, counting_band(self.recipe))

    def _contour_apertures(self, wanted: Sequence[int]) -> dict[int, ContourAperture]:
        """Apertures of the sources asked for, and of all others whose light must be known."""
        rows = np.flatnonzero(self.seen)
        groups = crowding_groups(self.placement.x[rows], self.placement.y[rows], self.radius[rows])
        chosen = set(rows.tolist() if self.recipe.background.kind == "matched" else wanted)
        found: dict[int, ContourAperture] = {}
        for group in groups:
            members = [int(i) for i in rows[group]]
            if chosen.isdisjoint(members):
                continue
            found |= self._group_apertures(members)
        return found

    def _group_apertures(self, members: list[int]) -> dict[int, ContourAperture]:
        fraction, method = self.recipe.aperture.fraction, self.recipe.crowding.method
        if len(members) == 1:
            return {members[0]: lone_aperture(self._contours, members[0], fraction)}
        if method == "shrink":
            return shrunk_apertures(self._contours, members)
        if method == "exclude":
            return excluding_apertures(self._contours, members, fraction)
        return {i: self._divided(i, [j for j in members if j != i]) for i in members}

    def _divided(self, i: int, others: list[int]) -> ContourAperture:
        """The contour, divided half way where neighbours' circles touch its own."""
        alone = lone_aperture(self._contours, i, self.recipe.aperture.fraction)
        assert isinstance(alone.region.shape, Polygon)
        x, y, radius = self._circle(i)
        table = self._table(np.array(others, dtype=np.intp))
        distance = np.hypot(table[:, 0] - x, table[:, 1] - y)
        near = table[(distance < 2 * radius) & (distance < radius + table[:, 2]) & (distance > 0)]
        if len(near) == 0:
            return alone
        region = Region(divided_polygon(np.array(alone.region.shape.vertices), (x, y), near))
        return ContourAperture(region, "divided", alone.target, alone.fraction, 0.0, alone.whole_area)

    # Backgrounds that are looked for in the data.

    @cached_property
    def _background_field(self) -> BackgroundField:
        choice = self.recipe.background
        plain = BackgroundField(
            self.field,
            counting_band(self.recipe),
            self._masks,
            cross_chip_kinds=choice.cross_chip_kinds,
        )
        return self._with_bright_masks(plain) if choice.mask_bright else plain

    @cached_property
    def _masks(self) -> Array:
        """Circles about all sources, of the fraction of the PSF that the recipe masks, shape (n, 3)."""
        choice, place = self.recipe.background, self.placement
        radius = mask_radii(choice, self.psf, place, self.recipe.aperture.energy)
        masks = np.column_stack([place.x, place.y, radius / self.scale])
        masks[np.isnan(radius)] = (-1e9, -1e9, 1e-9)
        return masks

    def _with_bright_masks(self, plain: BackgroundField) -> BackgroundField:
        masks = self._masks.copy()
        place, limit = self.placement, LIMIT / self.scale
        for i in np.flatnonzero(self.seen).tolist():
            masked = plain.masked(int(self.chip_id[i]))
            x, y, _ = self._circle(i)
            half = float(self.psf.radius(place.theta[i], place.phi[i], self.recipe.aperture.energy, 0.5))
            bright = masked.brightness(x, y, LOCAL_COUNTS, LOCAL_LIMIT / self.scale)
            counts = plain.counts_within(x, y, half / self.scale) - bright * np.pi * (half / self.scale) ** 2
            theta, phi, energy = float(place.theta[i]), float(place.phi[i]), self.recipe.aperture.energy

            def enclosed(
                radii: Array, theta: float = theta, phi: float = phi, energy: float = energy
            ) -> Array:
                return self.psf.fraction_in_radius(theta, phi, energy, radii * self.scale)

            masks[i, 2] = bright_radius(enclosed, 2 * counts, bright, masks[i, 2], limit)
        self._masks = masks
        return BackgroundField(
            self.field, counting_band(self.recipe), masks, cross_chip_kinds=plain.cross_chip_kinds
        )

    def _mask(self, i: int) -> Circle | None:
        if self.recipe.background.kind == "annulus":
            return None
        x, y, radius = (float(value) for value in self._background_field.masks[i])
        return Circle(x, y, radius)

    @property
    def _goals(self) -> BackgroundGoals:
        choice = self.recipe.background
        ratios = RatioRange(choice.ratio_low, choice.ratio_goal, choice.ratio_high)
        return BackgroundGoals(ratios, choice.min_counts, choice.tuned_counts)

    def _own(self, i: int, source: Region) -> OwnAperture:
        x, y, _ = self._circle(i)
        return OwnAperture(x, y, int(self.chip_id[i]), source, self._background_field.counts_in(source))

    def _grown(self, i: int, source: Region) -> FoundBackground:
        field, kind = self._background_field, self.recipe.background.kind
        own = self._own(i, source)
        if kind == "circle":
            return circle_background(field, own, self._goals)
        if kind == "matched":
            return matched(field, self._model, i, own, float(field.masks[i, 2]), self._goals)
        inner = float(field.masks[i, 2])
        return annulus_background(
            field, own, self._free, inner, self._polygons, self.recipe.background.counts
        )

    @cached_property
    def _polygons(self) -> list[Polygon]:
        """Contours of all sources; none for a recipe with circles, that masks hold."""
        if self.recipe.aperture.kind != "contour":
            return []
        rows = np.flatnonzero(self.seen).tolist()
        return [self._contours.polygon(i, self.recipe.aperture.fraction) for i in rows]

    @cached_property
    def _free(self) -> Array:
        """Events outside all masks and source polygons."""
        field = self._background_field
        return free_events(field.events, field.masks, self._polygons)

    @cached_property
    def _model(self) -> SourceModel:
        """Point sources of the field for contamination-matched backgrounds."""
        field = self._background_field
        apertures = self._apertures or self._contour_apertures(np.flatnonzero(self.seen).tolist())
        whole = self.field.field_of_view.region
        own = {i: self._own(i, clip_to_field(found.region, whole)) for i, found in apertures.items()}
        photons = source_photons(field, apertures, own, len(self.seen))
        return SourceModel(
            self.placement,
            photons,
            self.psf,
            self.recipe.aperture.energy,
            self.field.field_of_view.pointing.roll,
            self.scale,
        )
