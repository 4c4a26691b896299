"""The library of point spread functions: radii, fractions and stamps at any off-axis position and energy.

The packaged library was ray traced with MARX 5.5.3 for HRMA and ACIS-I at 11 off-axis angles, 8 azimuths
and 6 energies. Between its nodes encircled-energy radii are interpolated; images are turned to the azimuth,
stretched to the interpolated size and then mixed. Fractions are of ALL photons that the area counts, also of
those scattered beyond 120 arcsec, where the ray trace was cut and the rest follows 1/r (encircled).

The ray trace knows nothing of what event positions add: pixels, their randomisation or sub-pixel
repositioning, errors of the aspect. That is one further Gaussian, `PsfLibrary.blur`; see
`catalog.calibration.psf_blur`.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from hashlib import sha256
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.calibration.psf_blur import Blur, blur_at
from catalog.calibration.psf_stamp import PsfStamp

TRACED_RADIUS = 120.0
"""Arcsec; rays beyond were counted but not placed."""

# Rings (pixels of a stamp) in which a mixed image is made to hold what the interpolated radii say.
_RING_EDGES = np.array([0, 1.5, 2.5, 3.5, 5, 7, 9, 12, 16, 21, 27, 35, 46, 64.5])
_CORNERS = np.indices((2, 2, 2)).reshape(3, 8)
_CURVE_STEP = 0.25
_STAMPS_KEPT = 128
_WING_RINGS = 48
_WING_END = 1800.0
_STEPS = np.arange(_WING_RINGS - 7.0)


@dataclass(frozen=True, eq=False)
class PsfLibrary:
    """Point spread functions on a grid of off-axis angle, azimuth and energy.

    Attributes
    ----------
    theta, phi, energy
        Nodes: arcmin from the optical axis (from 0), degrees (equidistant from 0), keV; ascending.
    fraction
        Encircled fractions of all photons, ascending, shape (n_fraction,).
    curve_theta
        Off-axis angles of `sharp_table`, arcmin, equidistant, holding all of `theta`, shape (n_curve,).
    sharp_table
        Radius in arcsec about the true position that holds each fraction as ray traced, without `blur`, shape
        (n_curve, n_phi, n_energy, n_fraction).
    images
        Ray counts, one plane per node, shape (n_plane, size, size).
    plane
        Index into `images`, shape (n_theta, n_phi, n_energy).
    per_ray
        Fraction of all photons per ray, shape (n_plane,).
    pixel
        Pixel size in arcsec at each off-axis angle, shape (n_theta,).
    name
        Name and version.
    blur
        Standard deviation in arcsec along each axis of the Gaussian that positions of events add, on top
        of the 0.07 arcsec (aspect) that the ray trace has; see `Blur`.
    holds_blur
        Whether the radii hold that of event positions already, so that `with_blur` changes nothing.

    Notes
    -----
    Beyond the last off-axis angle the last one is used and `extrapolated` says so; energies are held at the
    first and last node. Images are in the detector frame at roll 0 (axis 1 = +DETX, axis 0 = +DETY).
    """

    theta: NDArray[np.float64]
    phi: NDArray[np.float64]
    energy: NDArray[np.float64]
    fraction: NDArray[np.float64]
    curve_theta: NDArray[np.float64] = field(repr=False)
    sharp_table: NDArray[np.float32] = field(repr=False)
    images: NDArray[np.uint16] = field(repr=False)
    plane: NDArray[np.int64] = field(repr=False)
    per_ray: NDArray[np.float64] = field(repr=False)
    pixel: NDArray[np.float64]
    blur: Blur = 0.0
    name: str = "psf"
    digest: str = ""
    holds_blur: bool = False

    @property
    def identity(self) -> str:
        """Name, content hash and blur."""
        if self.holds_blur:
            return f"{self.name} {self.digest}"
        words = [f"{part:g}" for part in (self.blur if isinstance(self.blur, tuple) else (self.blur,))]
        return f"{self.name} {self.digest} blur {' and '.join(words)}"

    @cached_property
    def radius_table(self) -> NDArray[np.float32]:
        """`sharp_table` after the blur."""
        return self.sharp_table if self.blur == 0.0 else _blurred_table(self)

    def with_blur(self, blur: Blur) -> PsfLibrary:
        """The library with another blur (arcsec, see the attribute); the same object when it has that one."""
        return self if blur == self.blur or self.holds_blur else _with_blur(self, blur)

    def with_table(self, radii: NDArray[np.float32], name: str) -> PsfLibrary:
        """The library with other radii (shape of `sharp_table`), which hold the blur of event positions."""
        return replace(self, sharp_table=radii, blur=0.0, holds_blur=True, name=name)

    def extrapolated(self, theta: ArrayLike) -> NDArray[np.bool_]:
        """Whether off-axis angles (arcmin) lie beyond the library."""
        return np.asarray(np.asarray(theta, dtype=float) > self.theta[-1])

    def radius(
        self, theta: ArrayLike, phi: ArrayLike, energy: ArrayLike, fraction: ArrayLike
    ) -> NDArray[np.float64]:
        """Radius about the true position that encircles a fraction of all photons.

        Parameters
        ----------
        theta, phi, energy, fraction
            Arcmin, degrees, keV, 0 < fraction < 1; broadcast against each other.

        Returns
        -------
        ndarray
            Arcsec, broadcast shape; NaN for a fraction outside (0, 1), and where any argument is NaN.
        """
        arrays = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in (theta, phi, energy, fraction)))
        known = ~np.isnan(np.sum(arrays, axis=0)).ravel()
        curve = self._curve(*(np.where(known, a.ravel(), 1.0) for a in arrays[:3]))
        wanted = arrays[3].ravel()
        result = np.array(
            [np.interp(value, self.fraction, row) for value, row in zip(wanted, curve, strict=True)]
        )
        first, last = self.fraction[0], self.fraction[-1]
        # A flat core below the first fraction; 1/r beyond the last.
        with np.errstate(invalid="ignore", divide="ignore"):
            result = np.where(wanted < first, curve[:, 0] * np.sqrt(wanted / first), result)
            result = np.where(wanted > last, curve[:, -1] * (1 - last) / (1 - wanted), result)
        result[~((wanted > 0) & (wanted < 1) & known)] = np.nan
        return result.reshape(arrays[0].shape)

    def fraction_in_radius(
        self, theta: ArrayLike, phi: ArrayLike, energy: ArrayLike, radius: ArrayLike
    ) -> NDArray[np.float64]:
        """Fraction of all photons within a radius (arcsec) of the true position; inverse of `radius`."""
        place = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in (theta, phi, energy)))
        within = np.asarray(radius, dtype=float)
        shape = np.broadcast_shapes(place[0].shape, within.shape)
        known = ~np.isnan(np.sum(place, axis=0))
        # Radii at one place ask for its curve once.
        curve = self._curve(*(np.where(known, a, 1.0).ravel() for a in place))
        of_curve = np.broadcast_to(np.arange(len(curve)).reshape(place[0].shape), shape).ravel()
        wanted = np.broadcast_to(within, shape).ravel()
        order = np.argsort(of_curve, kind="stable")
        ends = np.cumsum(np.bincount(of_curve, minlength=len(curve))).tolist()
        result = np.empty(wanted.size)
        for row, begin, end in zip(curve, [0, *ends], ends, strict=False):
            result[order[begin:end]] = np.interp(wanted[order[begin:end]], row, self.fraction)
        core, edge = curve[of_curve, 0], curve[of_curve, -1]
        first, last = self.fraction[0], self.fraction[-1]
        result = np.where(wanted < core, first * (wanted / core) ** 2, result)
        with np.errstate(divide="ignore"):
            result = np.where(wanted > edge, 1 - (1 - last) * edge / wanted, result)
        valid = known.ravel()[of_curve] & ~np.isnan(wanted)
        return np.where(valid, result, np.nan).reshape(shape)

    def stamp(self, theta: float, phi: float, energy: float, roll: float = 0.0) -> PsfStamp:
        """PSF image in the sky frame.

        Parameters
        ----------
        theta, phi, energy
            Arcmin, degrees (atan2(DETY, DETX) of the source about the optical axis), keV.
        roll
            Roll of the observation in degrees.
        """
        return _stamp(self, float(theta), float(phi), float(energy), float(roll))

    def _make_stamp(self, theta: float, phi: float, energy: float, roll: float) -> PsfStamp:
        from scipy.ndimage import gaussian_filter

        from catalog.calibration.psf_kernels import blend, curve_at, mix_energies

        corners, weight = self._corners(self._axes[0], theta, phi, energy)
        around, part = self._corners(self._axes[1], theta, phi, energy)
        curve = curve_at(self.radius_table, around, part)
        sharp = curve_at(self.sharp_table[..., self._middle : self._middle + 1], around, part)[0]
        t, p, e = corners.T
        own = self.sharp_table[np.searchsorted(self.curve_theta, self.theta[t]), p, e, self._middle]
        # Corners come as pairs of energies; at one position both are stretched alike.
        pairs = weight.reshape(4, 2)
        used = pairs.sum(axis=1) > 1e-9
        t, p, pairs = t[::2][used], p[::2][used], pairs[used]
        low, high = self.plane[t, p, e[0]], self.plane[t, p, e[1]]
        factor = pairs * np.column_stack([self.per_ray[low], self.per_ray[high]])
        share = pairs.sum(axis=1)
        size = (pairs * own.reshape(4, 2)[used]).sum(axis=1) / share
        stretched = self.pixel[t] * sharp / size
        pixel = float(share @ stretched)
        # The axis has one image for all azimuths: it is not turned.
        angle = np.deg2rad(roll - np.where(self.theta[t] > 0, phi - self.phi[p], 0.0))
        mixed = mix_energies(self.images, low, high, factor)
        image = blend(mixed, pixel / stretched, np.cos(angle), np.sin(angle))
        sigma = blur_at(self.blur, theta)
        if sigma > 0:
            image = gaussian_filter(image, sigma / pixel, mode="constant", truncate=3.0)
        return self._with_wing(self._match(image, pixel, curve), pixel, curve)

    def _match(
        self, image: NDArray[np.float64], pixel: float, curve: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Image with the encircled fractions of `curve`: each ring is multiplied with what it lacks."""
        from catalog.calibration.psf_kernels import match_rings

        within = np.interp(_RING_EDGES * pixel, curve, self.fraction)
        within[0] = 0.0
        return np.asarray(match_rings(image, np.diff(within), *_rings(image.shape[0])))

    def sample(
        self, theta: float, phi: float, energy: float, roll: float, number: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Random photon positions of a source: (dx, dy) in arcsec, west and north of its true position."""
        return self.stamp(theta, phi, energy, roll).sample(number, rng)

    def _with_wing(self, image: NDArray[np.float64], pixel: float, curve: NDArray[np.float64]) -> PsfStamp:
        half = 0.5 * image.shape[0] * pixel
        corner = half * np.sqrt(2.0)
        # Even steps out to the corners, even steps of the logarithm from there on.
        low, high = np.log10(corner), np.log10(_WING_END)
        outer = 10.0 ** (_STEPS * ((high - low) / _STEPS[-1]) + low)
        outer[0], outer[-1] = corner, _WING_END
        edges = np.concatenate([_STEPS[:8] * ((corner - half) / 8) + half, outer])
        within = np.interp(edges, curve, self.fraction)
        last = self.fraction[-1]
        within = np.where(edges > curve[-1], 1 - (1 - last) * curve[-1] / edges, within)
        ring = np.maximum(np.diff(within), 0.0)
        # Rings that cut the stamp hold what is neither in the image nor beyond its corners.
        middle = 0.5 * (edges[:8] + edges[1:9])
        share = ring[:8] * (1 - _covered(half / middle))
        missing = max(0.0, float(within[8] - image.sum()))
        total = float(share.sum())
        ring[:8] = share * (missing / total) if total > 0 else 0.0
        return PsfStamp(image, pixel, edges, ring)

    @cached_property
    def _middle(self) -> int:
        """Index of the fraction whose radius sets the stretch of images."""
        return int(np.searchsorted(self.fraction, 0.7))

    def _curve(
        self,
        theta: NDArray[np.float64],
        phi: NDArray[np.float64],
        energy: NDArray[np.float64],
        *,
        sharp: bool = False,
    ) -> NDArray[np.float64]:
        """Encircled-energy radii of `fraction` at positions, shape (n, n_fraction)."""
        table = self.sharp_table if sharp else self.radius_table
        (t, p, e), weight = self._nodes(self.curve_theta, theta, phi, energy)
        result = np.zeros((theta.size, self.fraction.size))
        for node in range(weight.shape[1]):
            result += weight[:, node, None] * table[t[:, node], p[:, node], e[:, node]]
        return result

    @cached_property
    def _axes(self) -> tuple[list[float], list[float], list[float]]:
        """Angles of images and of curves, and logarithms of the energies."""
        return self.theta.tolist(), self.curve_theta.tolist(), np.log(self.energy).tolist()

    def _corners(
        self, angles: list[float], theta: float, phi: float, energy: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The eight nodes about one position: rows (theta, phi, energy), shape (8, 3), and weights."""
        t, t_part = _bracket_one(angles, theta)
        e, e_part = _bracket_one(self._axes[2], float(np.log(energy)))
        number = self.phi.size
        turn = phi % 360.0 / (360.0 / number)
        p, p_part = int(turn) % number, turn - int(turn)
        corners = _CORNERS.T + np.array([t, p, e])
        corners[:, 1] %= number
        weights = [
            a * b * c
            for a in (1 - t_part, t_part)
            for b in (1 - p_part, p_part)
            for c in (1 - e_part, e_part)
        ]
        return corners, np.array(weights)

    def _nodes(
        self,
        angles: NDArray[np.float64],
        theta: NDArray[np.float64],
        phi: NDArray[np.float64],
        energy: NDArray[np.float64],
    ) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]:
        """The eight nodes about each position: indices (theta, phi, energy) and weights, shape (n, 8)."""
        t, t_part = _bracket(angles, theta)
        e, e_part = _bracket(np.log(self.energy), np.log(energy))
        step = 360.0 / self.phi.size
        turn = np.mod(phi, 360.0) / step
        p = np.floor(turn).astype(np.int64) % self.phi.size
        p_part = turn - np.floor(turn)
        indices = (
            t[:, None] + _CORNERS[0],
            (p[:, None] + _CORNERS[1]) % self.phi.size,
            e[:, None] + _CORNERS[2],
        )
        weight = np.ones((theta.size, 8))
        for axis, part in enumerate((t_part, p_part, e_part)):
            weight *= np.where(_CORNERS[axis] == 1, part[:, None], 1 - part[:, None])
        return indices, weight


@cache
def _rings(
    size: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
    """Pixels of each ring and their shares in it, for `match_rings`."""
    from catalog.calibration.psf_kernels import ring_shares

    shares = ring_shares(size, _RING_EDGES, 8).reshape(_RING_EDGES.size - 1, -1)
    ring, pixel = np.nonzero(shares)
    start = np.searchsorted(ring, np.arange(len(shares) + 1)).astype(np.int32)
    return start, pixel.astype(np.int32), shares[ring, pixel], np.asarray(1 - shares.sum(axis=0))


def _covered(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of a ring's circumference inside a square whose half side is `ratio` (0.7 to 1) of its radius."""
    return np.asarray(1 - 4 * np.arccos(np.clip(ratio, -1, 1)) / np.pi)


def _bracket(
    nodes: NDArray[np.float64], value: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Index of the lower node and the part of the way to the next; held at both ends."""
    clipped = np.clip(value, nodes[0], nodes[-1])
    index = np.clip(np.searchsorted(nodes, clipped, side="right") - 1, 0, nodes.size - 2)
    return index, (clipped - nodes[index]) / (nodes[index + 1] - nodes[index])


def _bracket_one(nodes: list[float], value: float) -> tuple[int, float]:
    """`_bracket` of one value."""
    clipped = min(max(value, nodes[0]), nodes[-1])
    index = min(max(bisect_right(nodes, clipped) - 1, 0), len(nodes) - 2)
    return index, (clipped - nodes[index]) / (nodes[index + 1] - nodes[index])


@lru_cache(maxsize=8)
def _with_blur(library: PsfLibrary, blur: Blur) -> PsfLibrary:
    return replace(library, blur=blur)


def _blurred_table(library: PsfLibrary) -> NDArray[np.float32]:
    from catalog.calibration.psf_radii import blurred_radii, interpolate_radii

    nodes = library.sharp_table[np.searchsorted(library.curve_theta, library.theta)]
    if isinstance(library.blur, tuple):
        parts = zip(nodes, library.theta.tolist(), strict=True)
        blurred = np.stack(
            [blurred_radii(part, library.fraction, blur_at(library.blur, a)) for part, a in parts]
        )
    else:
        blurred = blurred_radii(nodes, library.fraction, library.blur)
    return interpolate_radii(library.theta, blurred, library.curve_theta)


@lru_cache(maxsize=_STAMPS_KEPT)
def _stamp(library: PsfLibrary, theta: float, phi: float, energy: float, roll: float) -> PsfStamp:
    """Stamps are asked for again: bands of the same energy, recipes, source and background."""
    return library._make_stamp(theta, phi, energy, roll)


@cache
def open_psf_library(blur: Blur = 0.0) -> PsfLibrary:
    """The packaged library with a blur in arcsec; made once per process and blur."""
    return _packaged_library().with_blur(blur)


@cache
def _packaged_library() -> PsfLibrary:
    from catalog.calibration.psf_radii import interpolate_radii

    resource = files("catalog.calibration") / "data" / "psf.npz"
    digest = sha256(resource.read_bytes()).hexdigest()[:16]
    with resource.open("rb") as stream, np.load(stream, allow_pickle=False) as table:
        theta = table["theta"].astype(float)
        angles = np.linspace(0.0, theta[-1], round(theta[-1] / _CURVE_STEP) + 1)
        radii = interpolate_radii(theta, table["radius"], angles)
        return PsfLibrary(
            theta=theta,
            phi=table["phi"].astype(float),
            energy=table["energy"].astype(float),
            fraction=table["fraction"],
            curve_theta=angles,
            sharp_table=radii,
            images=table["images"],
            plane=table["plane"].astype(np.int64),
            per_ray=table["per_ray"],
            pixel=table["pixel"],
            name="psf MARX 5.5.3 HRMA ACIS-I",
            digest=digest,
        )
