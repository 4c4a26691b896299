"""Source apertures along contours of the point spread function, and what crowding does to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from catalog.apertures.contour import Contour, ContourFinder
from catalog.apertures.region import Region
from catalog.apertures.shape import Polygon
from catalog.apertures.shrinking import Trial, shrink
from catalog.calibration.psf import PsfLibrary
from catalog.measure.observed_field import ObservedField
from catalog.measure.placement import Placement

Array = NDArray[np.float64]

EXCLUSION_STEPS = (0.8, 0.7, 0.6)
"""Fractions that neighbours are lowered to, before what still overlaps is cut out."""
_FINDERS = 256


@dataclass(frozen=True)
class ContourAperture:
    """The aperture of one source.

    Attributes
    ----------
    region
        Sky pixels, the field's edge ignored.
    method
        What crowding did: none, shrunk or excluded.
    target, fraction
        Fraction of the point spread function aimed at, and inside the contour as drawn.
    overlap
        Share of the area inside the neighbour's aperture.
    whole_area
        Area of the contour as drawn, pix2.
    """

    region: Region
    method: str
    target: float
    fraction: float
    overlap: float
    whole_area: float


class ContourField:
    """The contours of an observation's sources, found when asked for.

    Parameters
    ----------
    field
        The observation.
    psf
        Point spread functions.
    placement
        Where the sources are.
    energy
        Energy of the contours, keV.
    band
        Lower and upper energy (keV) of the events that are counted.
    """

    def __init__(
        self,
        field: ObservedField,
        psf: PsfLibrary,
        placement: Placement,
        energy: float,
        band: tuple[float, float],
    ) -> None:
        self.field, self.placement = field, placement
        self._psf, self._energy, self._band = psf, energy, band
        self._scale = field.events.sky_frame.pixel_scale_arcsec
        self._roll = field.field_of_view.pointing.roll
        self._finder = lru_cache(maxsize=_FINDERS)(self._make_finder)
        self._contours: dict[tuple[int, float], Contour] = {}

    def _make_finder(self, i: int) -> ContourFinder:
        theta, phi = float(self.placement.theta[i]), float(self.placement.phi[i])
        return ContourFinder(self._psf.stamp(theta, phi, self._energy, self._roll))

    def contour(self, i: int, fraction: float) -> Contour:
        """Contour of a source (row of the placement) about a fraction of its PSF."""
        key = (i, fraction)
        if key not in self._contours:
            self._contours[key] = self._finder(i).at(fraction)
        return self._contours[key]

    def polygon(self, i: int, fraction: float) -> Polygon:
        """The same in sky pixels."""
        place = (float(self.placement.x[i]), float(self.placement.y[i]))
        return self.contour(i, fraction).polygon(*place, self._scale)

    def counts(self, polygon: Polygon) -> int:
        """Events of the band in a polygon."""
        near = self.field.events_near(*polygon.reach)
        energy = self.field.events.energy[near]
        near = near[(energy >= self._band[0]) & (energy < self._band[1])]
        return int(polygon.contains(self.field.events.x[near], self.field.events.y[near]).sum())


def lone_aperture(contours: ContourField, i: int, fraction: float) -> ContourAperture:
    """The aperture of a source without neighbours."""
    polygon = contours.polygon(i, fraction)
    actual = contours.contour(i, fraction).fraction
    return ContourAperture(Region(polygon), "none", fraction, actual, 0.0, polygon.area)


def shrunk_apertures(contours: ContourField, members: Sequence[int]) -> dict[int, ContourAperture]:
    """Apertures of a crowding group by ACIS Extract's rule, by row; see `apertures.shrinking`."""
    x, y = contours.placement.x, contours.placement.y

    def trial(k: int, percent: int) -> Trial:
        i, fraction = members[k], percent / 100
        polygon = contours.polygon(i, fraction)
        return Trial(polygon, contours.contour(i, fraction).fraction, contours.counts(polygon))

    solved = shrink([float(x[i]) for i in members], [float(y[i]) for i in members], trial)
    return {
        i: ContourAperture(
            Region(found.trial.polygon),
            "shrunk" if found.percent < 90 else "none",
            found.percent / 100,
            found.trial.fraction,
            found.overlap,
            found.trial.area,
        )
        for i, found in zip(members, solved, strict=True)
    }


def excluding_apertures(
    contours: ContourField, members: Sequence[int], fraction: float
) -> dict[int, ContourAperture]:
    """Apertures of a crowding group by srcflux's optimized rule, by row.

    Sources whose contours overlap are lowered by steps, all of them together; what still overlaps at the last
    step is cut out of both.
    """
    order = sorted(members, key=lambda i: (contours.placement.x[i], contours.placement.y[i]))
    target = dict.fromkeys(order, fraction)
    polygons = {i: contours.polygon(i, fraction) for i in order}
    for step in EXCLUSION_STEPS:
        lowered = {i for pair in _overlapping(polygons) for i in pair if target[i] > step}
        for i in lowered:
            target[i], polygons[i] = step, contours.polygon(i, step)
    neighbours: dict[int, list[int]] = {i: [] for i in order}
    for i, j in _overlapping(polygons):
        neighbours[i].append(j)
        neighbours[j].append(i)
    return {
        i: ContourAperture(
            Region(polygons[i], tuple(polygons[j] for j in sorted(neighbours[i], key=order.index))),
            "excluded" if neighbours[i] else "shrunk" if target[i] < fraction else "none",
            target[i],
            contours.contour(i, target[i]).fraction,
            0.0,
            polygons[i].area,
        )
        for i in order
    }


def _overlapping(polygons: dict[int, Polygon]) -> list[tuple[int, int]]:
    """Pairs of polygons with a common area."""
    outlines = {i: polygon.geometry() for i, polygon in polygons.items()}
    reach = {i: polygon.reach for i, polygon in polygons.items()}
    found = []
    for i, j in combinations(polygons, 2):
        (x, y, r), (u, v, s) = reach[i], reach[j]
        if np.hypot(x - u, y - v) < r + s and outlines[i].intersection(outlines[j]).area > 0:
            found.append((i, j))
    return found
