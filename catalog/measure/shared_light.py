"""How much of each source falls into the apertures and backgrounds of its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.apertures.groups import Influence, candidate_pairs, influence
from catalog.apertures.region import Region
from catalog.band import Band
from catalog.calibration.psf import PsfLibrary
from catalog.measure.psf_fraction import psf_fraction

Array = NDArray[np.float64]

REACH = 14.0
"""Aperture radii beyond which no source is thought to influence another."""
ENERGY_WEIGHT = 10.0
"""Events that a band's effective energy counts for."""
NEAR_NODE = 0.12
"""Part of the way between two energies of the library within which the nearer one is taken alone."""
POINTS = 48
"""Points across a background region."""
_RADII = np.geomspace(0.3, 60.0, 40)
"""Radii, in aperture radii, at which encircled fractions are tabulated."""


@dataclass(frozen=True, eq=False)
class Crowd:
    """Extractions of one event set, all with a source aperture, in an order that does not depend on luck.

    Attributes
    ----------
    x, y, radius
        Position and nominal aperture radius, sky pixels, shape (n,).
    theta, phi
        Off-axis angle (arcmin) and azimuth (degrees), shape (n,).
    source, background
        Regions.
    n, m
        Counts in them, shape (n, b).
    f, g, r
        As in the posterior of one source, shape (n, b): expected counts in aperture and background per photon
        of the source, and background over aperture.
    time
        Live time on good pixels, PSF-weighted, s, shape (n, b).
    energy
        Energy (keV) that stands for the source's photons in a band, shape (n, b), see `mean_energies`.
    """

    x: Array
    y: Array
    radius: Array
    theta: Array
    phi: Array
    source: Sequence[Region]
    background: Sequence[Region]
    n: NDArray[np.int64]
    m: NDArray[np.int64]
    f: Array
    g: Array
    r: Array
    time: Array
    energy: Array


def mean_energies(events: Sequence[NDArray[np.float32]], bands: Sequence[Band]) -> Array:
    """Mean energies (keV) of the events of sources in bands, shape (n, b).

    A band's effective energy counts as one with `ENERGY_WEIGHT` events. The wings of the PSF grow with
    energy, so those of a soft source are narrower than the band's effective energy says.
    """
    result = np.empty((len(events), len(bands)))
    for b, band in enumerate(bands):
        for i, own in enumerate(events):
            inside = own[(own >= band.lo) & (own < band.hi)].astype(np.float64)
            result[i, b] = (ENERGY_WEIGHT * band.eff + inside.sum()) / (ENERGY_WEIGHT + len(inside))
    return result


def find_influence(crowd: Crowd, psf: PsfLibrary, pixel_scale: float, energy: float) -> Influence:
    """Who influences whom, from encircled fractions at one energy (keV), no image made.

    Parameters
    ----------
    crowd
        The extractions.
    psf
        Point spread functions.
    pixel_scale
        Arcsec per sky pixel.
    energy
        The highest effective energy of the bands: wings grow with energy.
    """
    size = len(crowd.x)
    pairs = candidate_pairs(crowd.x, crowd.y, crowd.radius, REACH)
    if len(pairs) == 0:
        return influence(size, pairs, np.zeros(0, bool), np.zeros((0, 1)), crowd.n)
    i, j = pairs.T
    distance = np.hypot(crowd.x[i] - crowd.x[j], crowd.y[i] - crowd.y[j])
    curve = psf.fraction_in_radius(
        crowd.theta[:, None],
        crowd.phi[:, None],
        energy,
        crowd.radius[:, None] * _RADII * pixel_scale,
    )
    own = crowd.radius[j]
    reach = np.array([region.shape.reach[2] for region in crowd.background])[i]
    in_aperture = share_in_circle(curve, j, distance / own, crowd.radius[i] / own, 0.0)
    in_background = share_in_circle(curve, j, distance / own, reach / own, 1.7)
    photons = (crowd.n[j] + 1.0) / crowd.f[j]
    expected = photons * in_aperture[:, None] + photons * in_background[:, None] / crowd.r[i]
    return influence(size, pairs, distance < crowd.radius[i] + own, expected, crowd.n)


def share_in_circle(
    curve: Array, row: NDArray[np.intp], distance: Array, radius: Array, hole: float
) -> Array:
    """Rough share of a PSF in a circle at a distance, less a circle about the source; source's radii."""
    grid = np.log(_RADII)

    def enclosed(at: Array) -> Array:
        place = np.clip((np.log(np.maximum(at, _RADII[0])) - grid[0]) / (grid[1] - grid[0]), 0, 38.999)
        low = place.astype(int)
        part = place - low
        found = curve[row, low] * (1 - part) + curve[row, low + 1] * part
        return np.asarray(np.where(at <= 0, 0.0, found * np.minimum(at / _RADII[0], 1.0) ** 2))

    ring = enclosed(distance + radius) - enclosed(np.maximum(distance - radius, hole))
    with np.errstate(divide="ignore", invalid="ignore"):
        angle = np.where(distance > radius, np.arcsin(np.minimum(radius / distance, 1.0)) / np.pi, 1.0)
    return np.asarray(np.maximum(ring, 0.0) * angle)


@dataclass(frozen=True, eq=False)
class SharedLight:
    """Expected counts per photon of a neighbour.

    Attributes
    ----------
    pairs
        Rows (i, j): photons of j in the regions of i, shape (n_pair, 2).
    aperture, background
        Expected counts in them per photon of j, shape (n_pair, b).
    """

    pairs: NDArray[np.intp]
    aperture: Array
    background: Array


def shared_light(
    crowd: Crowd, pairs: NDArray[np.intp], bands: Sequence[Band], psf: PsfLibrary, roll: float, scale: float
) -> SharedLight:
    """PSF fractions of neighbours in regions, times the regions' share of exposure.

    Parameters
    ----------
    crowd
        The extractions.
    pairs
        Rows (i, j), shape (n_pair, 2).
    bands
        Bands.
    psf
        Point spread functions.
    roll, scale
        Roll in degrees and arcsec per sky pixel.

    Notes
    -----
    Where apertures touch, the PSF is that of the band's effective energy, as for the source's own fraction;
    farther out it is that of the source's own mean energy. Fractions are found at the energies of the PSF
    library and interpolated between them, as the library's own are. Backgrounds are large: what falls into
    them is summed over points.
    """
    touching = _touching(crowd, pairs)
    core = _node_weights(psf.energy, np.array([[band.eff for band in bands]]))[0]
    wing = _node_weights(psf.energy, crowd.energy)
    aperture = np.zeros((len(pairs), crowd.n.shape[1]))
    background = np.zeros((len(pairs), crowd.n.shape[1]))
    order = np.argsort(pairs[:, 1], kind="stable")
    starts = np.flatnonzero(np.diff(pairs[order, 1], prepend=-1))
    points: dict[int, Array] = {}
    for block in np.split(order, starts[1:]) if len(pairs) else []:
        j = int(pairs[block[0], 1])
        used = wing[j].any(axis=0) | (core.any(axis=0) & touching[block].any())
        near, beside = np.zeros((2, len(block), len(psf.energy)))
        for node in np.flatnonzero(used):
            stamp = psf.stamp(float(crowd.theta[j]), float(crowd.phi[j]), float(psf.energy[node]), roll)
            for k, i in enumerate(pairs[block, 0].tolist()):
                # Edges of the detector are in the exposure, not in the fraction.
                whole = Region(crowd.source[i].shape, crowd.source[i].exclude)
                near[k, node] = psf_fraction(whole, float(crowd.x[j]), float(crowd.y[j]), stamp, scale)
                if i not in points:
                    points[i] = region_points(crowd.background[i])
                offset = (points[i][:, :2] - (crowd.x[j], crowd.y[j])) * scale
                weight = points[i][:, 2] * scale**2
                beside[k, node] = min(1.0, float(stamp.density(*offset.T) @ weight))
        weights = np.where(touching[block, None, None], core[None], wing[j][None])
        aperture[block] = (weights * near[:, None, :]).sum(axis=2)
        background[block] = (wing[j][None] * beside[:, None, :]).sum(axis=2)
    exposure = crowd.time[pairs[:, 0]] / crowd.time[pairs[:, 1]]
    return SharedLight(pairs, aperture * exposure, background * exposure)


def _touching(crowd: Crowd, pairs: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether the nominal apertures of pairs touch."""
    i, j = pairs.T
    distance = np.hypot(crowd.x[i] - crowd.x[j], crowd.y[i] - crowd.y[j])
    return np.asarray(distance < crowd.radius[i] + crowd.radius[j])


def _node_weights(nodes: Array, energy: Array) -> Array:
    """Weights of an interpolation in log energy, shape (n, b, node); a node far off has none."""
    place = np.interp(np.log(energy), np.log(nodes), np.arange(len(nodes)))
    nearest = np.rint(place)
    place = np.where(np.abs(place - nearest) < NEAR_NODE, nearest, place)
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(place[..., None] - np.arange(len(nodes)))))


def region_points(region: Region) -> Array:
    """Points spread evenly over a region: x, y and the area (pix2) of each, shape (n, 3)."""
    x, y, reach = region.shape.reach
    axis = (np.arange(POINTS) + 0.5) / POINTS * 2 * reach - reach
    u, v = (grid.ravel() for grid in np.meshgrid(x + axis, y + axis))
    inside = region.contains(u, v)
    number = int(inside.sum())
    area = np.full(number, region.area / number if number else 0.0)
    return np.column_stack([u[inside], v[inside], area])
