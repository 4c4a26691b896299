"""The blur of event positions, from bright sources of real observations.

Usage
-----
    python benchmarks/psf_blur.py [FILE ...]      level-2 event lists; default: those of ../shared/data/real

Finds the sources with more than 60 net counts, fits their positions, and compares the distances of their
events from these with the packaged PSF, blurred by a Gaussian, plus a flat background. Prints the
likelihood of the blur over all sources and for each the Kolmogorov-Smirnov p (two fitted coordinates make
it a little too good).
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial import KDTree
from scipy.stats import kstest

from catalog.calibration.psf import open_psf_library
from catalog.events.event_list import EventList, read_event_list

Array = NDArray[np.float64]

SCALE = 0.492
FEWEST = 60.0
PILED = 0.05
BLURS = np.round(np.arange(0.0, 0.61, 0.04), 3)
ENERGY_EDGES = np.array([0.3, 0.9, 1.3, 1.9, 3.0, 12.0])


@dataclass
class Star:
    """A source: place, PSF by energy of its events, distances of events and what the background adds."""

    obs_id: str
    x: float
    y: float
    theta: float
    phi: float
    roll: float
    energies: Array
    shares: Array
    reach: float
    background: float
    offsets: Array
    frame_counts: float


def find(events: EventList) -> list[Star]:
    """Sources by local counts, brightest first."""
    library = open_psf_library()
    points = np.column_stack([events.x, events.y]).astype(float)
    tree = KDTree(points)
    theta, phi = events.pointing.off_axis(points[:, 0], points[:, 1])
    r90 = library.radius(theta, phi, 1.5, 0.9) / SCALE
    inside = tree.query_ball_point(points, r90, return_length=True)
    wide = tree.query_ball_point(points, 3 * r90 + 12, return_length=True)
    outer = np.maximum(wide - tree.query_ball_point(points, 1.8 * r90, return_length=True), 0)
    area = np.pi * ((3 * r90 + 12) ** 2 - (1.8 * r90) ** 2)
    net = inside - outer / area * np.pi * r90**2
    found: list[Star] = []
    taken = np.zeros(len(points), dtype=bool)
    everything: list[tuple[float, float, float]] = []
    for i in np.argsort(-net, kind="stable"):
        if net[i] < 0.25 * FEWEST:
            break
        if taken[i]:
            continue
        taken[tree.query_ball_point(points[i], 3 * r90[i] + 4)] = True
        everything.append((*points[i], float(r90[i])))
        if net[i] > 0.8 * FEWEST and theta[i] < 12:
            star = measure(events, points, tree, points[i])
            if star is not None:
                found.append(star)
    return [star for star in found if alone(star, everything)]


def alone(star: Star, everything: list[tuple[float, float, float]]) -> bool:
    """Whether no other source reaches into the profile."""
    distances = sorted(np.hypot(x - star.x, y - star.y) - star.reach / SCALE - r for x, y, r in everything)
    return len(distances) < 2 or distances[1] > 0


def measure(events: EventList, points: Array, tree: KDTree, start: Array) -> Star | None:
    """Position by maximum likelihood of the PSF (blur 0.25) over a flat background."""
    theta, phi = (float(value) for value in events.pointing.off_axis(*start))
    sharp, library = open_psf_library(), open_psf_library(0.25)
    reach = 1.5 * float(sharp.radius(theta, phi, 2.3, 0.95)) + 1.0
    near = np.array(tree.query_ball_point(start, 2.5 * reach / SCALE))
    position = points[near]
    energy = events.energy[near].astype(float)
    core = np.hypot(*(position - start).T) * SCALE < float(sharp.radius(theta, phi, 1.5, 0.8))
    counts = np.histogram(energy[core], ENERGY_EDGES)[0]
    used = counts > 0
    means = np.array([energy[core][(energy[core] >= a) & (energy[core] < b)].mean() for a, b, u in
                      zip(ENERGY_EDGES[:-1], ENERGY_EDGES[1:], used, strict=True) if u])  # fmt: skip
    shares = counts[used] / counts[used].sum()
    roll = events.pointing.roll
    stamps = [library.stamp(theta, phi, value, roll) for value in means]
    pixel = stamps[2 if len(stamps) > 2 else 0].pixel
    half = 0.5 * stamps[0].size
    grid = np.zeros_like(stamps[0].image)
    for share, stamp in zip(shares, stamps, strict=True):
        factor = pixel / stamp.pixel
        index = np.clip(((np.arange(stamp.size) + 0.5 - half) * factor + half).astype(int), 0, stamp.size - 1)
        grid += share * stamp.image[np.ix_(index, index)] * factor**2
    distance = np.hypot(*(position - start).T) * SCALE
    ring = (distance > 1.6 * reach) & (distance < 2.5 * reach)
    density = ring.sum() / (np.pi * (2.5**2 - 1.6**2) * reach**2)
    fit = position[distance < reach]
    signal = max(len(fit) - density * np.pi * reach**2, 1.0)

    def cost(place: Array) -> float:
        column = (fit[:, 0] - place[0]) * SCALE / pixel + half - 0.5
        row = (fit[:, 1] - place[1]) * SCALE / pixel + half - 0.5
        i, k = np.clip(column, 0, 127.99).astype(int), np.clip(row, 0, 127.99).astype(int)
        a, b = np.clip(column - i, 0, 1), np.clip(row - k, 0, 1)
        value = (1 - b) * ((1 - a) * grid[k, i] + a * grid[k, i + 1])
        value += b * ((1 - a) * grid[k + 1, i] + a * grid[k + 1, i + 1])
        return -float(np.log(signal * value / pixel**2 + density + 1e-9).sum())

    middle = position[core].mean(axis=0)
    best = min(
        (minimize(cost, guess, method="Nelder-Mead", options={"xatol": 0.01, "fatol": 0.01}) for guess in
         (middle, start)), key=lambda result: result.fun)  # fmt: skip
    x, y = best.x
    offsets = np.hypot(*(position - best.x).T) * SCALE
    offsets = offsets[offsets < reach]
    if offsets.size - density * np.pi * reach**2 < FEWEST:
        return None
    cells = np.unique(np.rint(position).astype(int), axis=0, return_counts=True)[1]
    frame_counts = float(4 * cells.max() * (events.header.frame_time or 3.2) / (events.header.ontime or 1e4))
    theta, phi = (float(value) for value in events.pointing.off_axis(x, y))
    background = min(density * np.pi * reach**2 / offsets.size, 0.95)
    return Star(events.header.obs_id, x, y, theta, phi, roll, means, shares, reach, background, offsets,
                frame_counts)  # fmt: skip


def profile(star: Star, blur: float, radius: Array) -> Array:
    """Expected share of the events within radii, of those within `reach`."""
    library = open_psf_library(float(blur))
    held = sum(share * library.fraction_in_radius(star.theta, star.phi, energy, np.append(radius, star.reach))
               for share, energy in zip(star.shares, star.energies, strict=True))  # fmt: skip
    source = held[:-1] / held[-1]
    return (1 - star.background) * source + star.background * (radius / star.reach) ** 2


def likelihood(star: Star) -> Array:
    """Log likelihood of the distances for each of BLURS."""
    grid = np.concatenate([[0.0], np.geomspace(0.02, star.reach, 160)])
    values = []
    for blur in BLURS:
        held = np.diff(profile(star, blur, grid))
        # A little of everything: one stray event decides nothing.
        counts = np.histogram(star.offsets, grid)[0]
        values.append(float((counts * np.log(np.maximum(held, 1e-7))).sum()))
    return np.array(values)


def best_blur(curve: Array) -> tuple[float, float, float]:
    """Maximum and the interval in which the log likelihood is within 1/2 of it."""
    fine = np.linspace(BLURS[0], BLURS[-1], 1201)
    smooth = np.interp(fine, BLURS, curve) if BLURS.size < 4 else np.asarray(_cubic(curve)(fine))
    top = fine[smooth >= smooth.max() - 0.5]
    return float(fine[smooth.argmax()]), float(top[0]), float(top[-1])


def _cubic(curve: Array):  # type: ignore[no-untyped-def]
    from scipy.interpolate import CubicSpline

    return CubicSpline(BLURS, curve)


def ks(star: Star, blur: float) -> float:
    """Kolmogorov-Smirnov p of the distances."""
    return float(kstest(star.offsets, lambda radius: profile(star, blur, radius)).pvalue)


def main(paths: list[Path]) -> None:
    stars = [star for path in paths for star in find(read_event_list(path))]
    stars = [star for star in stars if star.frame_counts < PILED]
    curves = np.array([likelihood(star) for star in stars])
    chosen, low, high = best_blur(curves.sum(axis=0))
    print(f"{len(stars)} sources; blur {chosen:.3f} ({low:.3f} to {high:.3f}) arcsec")
    gain = curves.sum(axis=0).max() - curves.sum(axis=0)[0]
    print(f"  log likelihood above that of no blur: {gain:.1f}")
    for title, pick in (("theta < 3'", (0, 3)), ("3-6'", (3, 6)), ("beyond 6'", (6, 20))):
        of = [i for i, star in enumerate(stars) if pick[0] <= star.theta < pick[1]]
        if of:
            value, below, above = best_blur(curves[of].sum(axis=0))
            print(f"  {title}: {len(of)} sources, {value:.3f} ({below:.3f} to {above:.3f})")
    fits = np.array([ks(star, chosen) > 0.01 for star in stars])
    value, below, above = best_blur(curves[fits].sum(axis=0))
    print(f"  without {np.sum(~fits)} that no blur makes fit: {value:.3f} ({below:.3f} to {above:.3f})")
    curves_kept = curves[fits]
    rng = np.random.default_rng(5)
    size = len(curves_kept)
    draws = [best_blur(curves_kept[rng.integers(size, size=size)].sum(axis=0))[0] for _ in range(300)]
    print(f"  bootstrap over sources: {np.mean(draws):.3f} +- {np.std(draws):.3f}")
    for blur in (0.0, round(value, 2)):
        values = [ks(star, blur) for star in stars]
        good = np.mean(np.array(values) > 0.01)
        print(f"blur {blur:.2f}: KS p > 0.01 for {good:.0%} of {len(stars)}")
    print(
        "| ObsID | x | y | theta | events | background | own blur | KS p |\n|---|---|---|---|---|---|---|---|"
    )
    for star, curve, p in zip(stars, curves, values, strict=True):
        value, below, above = best_blur(curve)
        print(f"| {star.obs_id} | {star.x:.1f} | {star.y:.1f} | {star.theta:.2f} | {star.offsets.size} | "
              f"{star.background:.2f} | {value:.2f} ({below:.2f}-{above:.2f}) | {p:.3f} |")  # fmt: skip


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    given = [Path(name) for name in sys.argv[1:]]
    main(given or sorted(Path("../shared/data/real/acis").glob("acisf*_repro_evt2.fits.gz")))
