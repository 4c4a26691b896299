"""Extraction: from regions and events to counts, areas, PSF fractions and exposure fractions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.apertures.region import Region
from catalog.apertures.shape import Annulus, Circle, Shape, Union
from catalog.band import Band
from catalog.calibration.psf import PsfLibrary
from catalog.calibration.psf_image import PsfModel
from catalog.flags import Flag
from catalog.measure.aperture_events import celestial_offsets, suspected_afterglows
from catalog.measure.exposure_fraction import GoodMap, area_mean, good_map, psf_mean
from catalog.measure.observed_field import ObservedField
from catalog.measure.psf_fraction import psf_fraction

Array = NDArray[np.float64]

PILEUP_LIMIT = 0.05
"""Counts per frame in 3 x 3 pixels above which pile-up is likely."""
LOW_PSF_FRACTION = 0.4
PARTIAL_EXPOSURE = 0.9
_DENSE = 40_000
"""Pixels up to which an aperture's events are put on an image to find the brightest square."""


@dataclass(frozen=True)
class Aperture:
    """The regions of one source, and where it lies.

    Attributes
    ----------
    x, y
        Position in sky pixels.
    theta, phi
        Off-axis angle (arcmin) and azimuth (degrees).
    chip_id
        Chip at the position at mean pointing, or the nearest.
    source, background
        Regions in sky pixels.
    model_psf
        Whether PSF fractions come from the PSF; otherwise they are 1 and 0.
    """

    x: float
    y: float
    theta: float
    phi: float
    chip_id: int
    source: Region
    background: Region
    model_psf: bool = True


@dataclass(frozen=True, eq=False)
class BandCounts:
    """What an extraction finds in one band.

    Attributes
    ----------
    n, m
        Counts in source aperture and background region.
    psf_frac_aper, psf_frac_aperbkg
        PSF fractions, detector edges ignored.
    psf_good_frac_aper, psf_good_frac_aperbkg
        PSF-weighted fractions of time on good pixels.
    offset_east_aper, offset_north_aper
        Mean offset of the n events from the position, arcsec; NaN without events.
    afterglow_cnts_aper
        Those of them that may be afterglows; None when the event list cannot tell.
    flags
        Caveats of this band.
    """

    n: int
    m: int
    psf_frac_aper: float
    psf_frac_aperbkg: float
    psf_good_frac_aper: float
    psf_good_frac_aperbkg: float
    offset_east_aper: float
    offset_north_aper: float
    afterglow_cnts_aper: int | None
    flags: Flag


@dataclass(frozen=True, eq=False)
class Extraction:
    """What an extraction finds.

    Attributes
    ----------
    area_aper, area_aperbkg
        arcsec2.
    good_frac_area_aper, good_frac_area_aperbkg
        Fractions of time on good pixels, means over the areas.
    theta_aperbkg
        Mean off-axis angle of the background region, arcmin; NaN when it is empty.
    cnts_per_frame
        Counts per frame in the brightest 3 x 3 pixels; NaN for a detector without frames.
    energy_aper, energy_aperbkg
        Energies in keV of the events in the regions, all energies.
    bands
        One per band asked for.
    flags
        Caveats of the extraction.
    """

    area_aper: float
    area_aperbkg: float
    good_frac_area_aper: float
    good_frac_area_aperbkg: float
    theta_aperbkg: float
    cnts_per_frame: float
    energy_aper: NDArray[np.float32]
    energy_aperbkg: NDArray[np.float32]
    bands: tuple[BandCounts, ...]
    flags: Flag


def extract(field: ObservedField, aperture: Aperture, bands: Sequence[Band], psf: PsfModel) -> Extraction:
    """Measure one source in one observation.

    Parameters
    ----------
    field
        The observation.
    aperture
        Regions of the source; the source region is not empty.
    bands
        Energy bands; an event belongs to a band when lo <= E < hi.
    psf
        Point spread functions.
    """
    scale = field.events.sky_frame.pixel_scale_arcsec
    source, source_events = _events_in(field, aperture.source)
    _, background_events = _events_in(field, aperture.background)
    good_background = good_map_about(field, aperture.x, aperture.y, aperture.background)
    # What is the same all over the background region, far larger, is so in the aperture inside it.
    good_source = (
        good_background
        if good_background.values is None and good_background.reach >= _reach(aperture, aperture.source)
        else good_map_about(field, aperture.x, aperture.y, aperture.source)
    )
    area, area_background = aperture.source.area, aperture.background.area
    energy = field.events.energy[source_events].astype(np.float32)
    energy_background = field.events.energy[background_events].astype(np.float32)
    place = _Places(
        *celestial_offsets(field.events.sky_frame, (aperture.x, aperture.y), *source.T),
        suspected_afterglows(field.events, source_events),
    )
    measured = tuple(
        _band_counts(field, aperture.chip_id, band, (energy, energy_background), place, fractions)
        for band, fractions in zip(
            bands, _fractions(field, aperture, bands, psf, (good_source, good_background)), strict=True
        )
    )
    flags = Flag(0)
    frames = _counts_per_frame(field, aperture.chip_id, source)
    if frames > PILEUP_LIMIT:
        flags |= Flag.PILEUP
    if area_background <= 0:
        flags |= Flag.NO_BACKGROUND
    return Extraction(
        area_aper=area * scale**2,
        area_aperbkg=area_background * scale**2,
        good_frac_area_aper=area_mean(aperture.source, good_source),
        good_frac_area_aperbkg=area_mean(aperture.background, good_background)
        if area_background > 0
        else 0.0,
        theta_aperbkg=_mean_theta(field, aperture.background, good_background),
        cnts_per_frame=frames,
        energy_aper=energy,
        energy_aperbkg=energy_background,
        bands=measured,
        flags=flags,
    )


def _events_in(field: ObservedField, region: Region) -> tuple[Array, NDArray[np.intp]]:
    near = field.events_near(*region.shape.reach)
    x, y = field.events.x[near], field.events.y[near]
    inside = region.contains(x, y)
    return np.column_stack([x, y])[inside], near[inside]


def _reach(aperture: Aperture, region: Region) -> float:
    """Distance from the source within which all of a region lies, sky pixels."""
    x, y, reach = region.shape.reach
    return reach + float(np.hypot(x - aperture.x, y - aperture.y))


def good_map_about(field: ObservedField, x: float, y: float, region: Region) -> GoodMap:
    """Good fraction around a source at (x, y), sky pixels, out to the far end of a region."""
    centre_x, centre_y, reach = region.shape.reach
    # Centred on the source: with PSF weights the map must cover the region as seen from there.
    whole = reach + float(np.hypot(centre_x - x, centre_y - y))
    if field.is_interior(x, y, whole):
        return GoodMap(x, y, whole, None, field.interior_fraction(x, y))
    return good_map(x, y, whole, field.good_fraction)


@dataclass(frozen=True, eq=False)
class _Places:
    """Offsets of the events in the aperture, arcsec, and which of them may be afterglows."""

    east: Array
    north: Array
    suspected: NDArray[np.bool_] | None


@dataclass(frozen=True)
class _Fractions:
    """PSF fractions of source and background region, and their PSF-weighted good fractions, in one band."""

    source: float
    background: float
    good_source: float
    good_background: float


def _fractions(
    field: ObservedField,
    aperture: Aperture,
    bands: Sequence[Band],
    psf: PsfModel,
    good: tuple[GoodMap, GoodMap],
) -> list[_Fractions]:
    even = good[0].values is None and good[1].values is None
    circle, ring = aperture.source.shape, aperture.background.shape
    scale = field.events.sky_frame.pixel_scale_arcsec
    if even and not aperture.model_psf:
        return [_Fractions(1.0, 0.0, good[0].constant, good[1].constant)] * len(bands)
    if even and isinstance(psf, PsfLibrary) and _is_uncut(aperture, circle, ring):
        # Whole circles about the source need no image: the encircled fractions are tabulated.
        assert isinstance(circle, Circle)
        assert isinstance(ring, Annulus)
        radii = scale * np.array([[circle.radius], [ring.inner], [ring.outer]])
        energies = np.array([[band.eff for band in bands]])
        inside = psf.fraction_in_radius(aperture.theta, aperture.phi, energies, radii)
        return [
            _Fractions(float(alpha), float(outer - inner), good[0].constant, good[1].constant)
            for alpha, inner, outer in inside.T
        ]
    # The detector's edges are in the good fraction, so they must not be in the PSF fraction too; the
    # part of a background cut away for its kind of chip, however, is simply not there.
    whole = Region(aperture.source.shape, aperture.source.exclude)
    found = []
    for band in bands:
        stamp = psf.stamp(aperture.theta, aperture.phi, band.eff, field.field_of_view.pointing.roll)
        alpha, beta = (
            psf_fraction(region, aperture.x, aperture.y, stamp, scale)
            if aperture.model_psf
            else float(region is whole)
            for region in (whole, aperture.background)
        )
        means = (
            psf_mean(region, each, stamp, scale)
            for region, each in zip((whole, aperture.background), good, strict=True)
        )
        found.append(_Fractions(alpha, beta, *means))
    return found


def _is_uncut(aperture: Aperture, circle: Shape, ring: Shape) -> bool:
    centre = (aperture.x, aperture.y)
    return (
        isinstance(circle, Circle)
        and isinstance(ring, Annulus)
        and aperture.source.is_pure
        and aperture.background.is_pure
        and centre == (circle.x, circle.y)
        and centre == (ring.x, ring.y)
    )


def _band_counts(
    field: ObservedField,
    chip_id: int,
    band: Band,
    energies: tuple[NDArray[np.float32], NDArray[np.float32]],
    place: _Places,
    fractions: _Fractions,
) -> BandCounts:
    inside, outside = ((energy >= band.lo) & (energy < band.hi) for energy in energies)
    n, m = int(inside.sum()), int(outside.sum())
    flags = Flag(0)
    cut = field.energy_range(chip_id)
    if cut is not None and (band.lo < cut[0] or band.hi > cut[1]):
        flags |= Flag.BAND_OUTSIDE_DATA
    if fractions.source < LOW_PSF_FRACTION:
        flags |= Flag.LOW_PSF_FRACTION
    return BandCounts(
        n=n,
        m=m,
        psf_frac_aper=fractions.source,
        psf_frac_aperbkg=fractions.background,
        psf_good_frac_aper=fractions.good_source,
        psf_good_frac_aperbkg=fractions.good_background,
        offset_east_aper=float(place.east[inside].mean()) if n else float("nan"),
        offset_north_aper=float(place.north[inside].mean()) if n else float("nan"),
        afterglow_cnts_aper=None if place.suspected is None else int(place.suspected[inside].sum()),
        flags=flags,
    )


def _mean_theta(field: ObservedField, region: Region, good: GoodMap) -> float:
    if good.values is None and region.is_pure and not isinstance(region.shape, Union):
        x, y, _ = region.shape.reach
        return float(field.events.pointing.off_axis(x, y)[0])
    axis = np.linspace(-good.reach, good.reach, 41)
    u, v = (grid.ravel() for grid in np.meshgrid(good.x + axis, good.y + axis))
    inside = region.contains(u, v)
    weight = good.at(u[inside], v[inside])
    if not inside.any() or weight.sum() <= 0:
        geometry = region.geometry()
        if geometry.is_empty:
            return float("nan")
        point = geometry.representative_point()
        return float(field.events.pointing.off_axis(point.x, point.y)[0])
    return float(np.average(field.events.pointing.off_axis(u[inside], v[inside])[0], weights=weight))


def _counts_per_frame(field: ObservedField, chip_id: int, points: Array) -> float:
    frame_time = field.events.header.frame_time
    on_time = field.on_time(chip_id)
    if not frame_time or on_time <= 0:
        return float("nan")
    return brightest_square(points) * frame_time / on_time


def brightest_square(points: Array) -> int:
    """Largest number of points in any square of 3 x 3 pixels; `points` has shape (n, 2)."""
    if len(points) == 0:
        return 0
    cells = np.rint(points).astype(int)
    cells -= cells.min(axis=0)
    rows, columns = (int(size) + 3 for size in cells.max(axis=0))
    if rows * columns <= _DENSE:
        image = np.bincount((cells[:, 0] + 1) * columns + cells[:, 1] + 1, minlength=rows * columns)
        image = image.reshape(rows, columns)
        strips = image[:-2] + image[1:-1] + image[2:]
        return int((strips[:, :-2] + strips[:, 1:-1] + strips[:, 2:]).max())
    # Sparse: only pixels with events count, so that a wide aperture costs no more than its events.
    pixels, counts = np.unique(cells, axis=0, return_counts=True)
    width = int(cells[:, 1].max()) + 3
    table = dict(zip((pixels[:, 0] * width + pixels[:, 1]).tolist(), counts.tolist(), strict=True))
    neighbours = [i * width + j for i in (-1, 0, 1) for j in (-1, 0, 1)]
    centres = {cell + step for cell in table for step in neighbours}
    return int(max(sum(table.get(centre + step, 0) for step in neighbours) for centre in centres))
