"""Crowded fields: counts against truth with joint photometry and with neighbours cut out, in one run.

Run: python benchmarks/crowding.py DATA [--blanks 6]; DATA is the folder of test data (simulated/orion and
simulated/collinder in it). docs/apertures.md keeps its figures. The stages are bypassed: regions, extraction
and photometry are those of the library, the database is not needed.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.stats import nbinom

from catalog.apertures.circles import CircleRule, circle_aperture, neighbours
from catalog.apertures.touching import MOST_GROWTH, touching_aperture
from catalog.band import CSC_BANDS
from catalog.calibration.psf import PsfLibrary, open_psf_library
from catalog.measure.extract import Aperture, extract
from catalog.measure.joint_photometry import joint_photometry
from catalog.measure.observed_field import ObservedField, load_observed_field
from catalog.measure.photometry import Counted, posterior_factors
from catalog.measure.placement import Correction, place, sky_positions
from catalog.measure.shared_light import Crowd, find_influence, mean_energies, shared_light
from catalog.stats.aperture_posterior import summarise
from catalog.stats.detection_limit import detection_limit
from catalog.stats.no_source import log10_prob_no_source

Array = NDArray[np.float64]
BANDS = (CSC_BANDS["broad"],)
CONFIDENCE = 0.6827
RECIPES = ("joint", "exclude", "srcflux")
"""The default; the same with neighbours cut out; and srcflux's ideal PSF besides."""


@dataclass
class Measured:
    """Photometry of a list of positions; `row` are the rows of the list that have a measurement."""

    row: NDArray[np.intp]
    crowd: Crowd
    mode: Array
    mean: Array
    lolim: Array
    hilim: Array
    log10_p: Array
    log10_p_local: Array
    m: Array
    r: Array
    seconds: dict[str, float]
    members: int = 0


def load(folder: Path, obs_id: str) -> tuple[ObservedField, Table]:
    field = load_observed_field(
        folder / f"acisf{obs_id}_evt2.fits.gz", aspect_files=[folder / f"pcadf{obs_id}_asol1.fits.gz"]
    )
    truth = Table.read(folder / "truth.ecsv")
    return field, truth[truth["kind"] != "diffuse"]


def regions(field: ObservedField, ra: Array, dec: Array, recipe: str, psf: PsfLibrary) -> tuple[Any, ...]:
    frame, view = field.events.sky_frame, field.field_of_view
    x, y = sky_positions(frame, ra, dec, Correction())
    placed = place(field.events.pointing, x, y, psf, 0.90, 1.0)
    radius = placed.radius / frame.pixel_scale_arcsec
    chip = view.chip_at(x, y)
    rule = CircleRule()
    together = recipe == "joint"
    wide = replace(rule, background_outer=rule.background_outer * (MOST_GROWTH if together else 1.0))
    near = neighbours(x, y, radius, wide)
    build = touching_aperture if together else circle_aperture
    allowed = {int(number): field.chips_like(int(number)) for number in np.unique(chip.ccd_id)}
    apertures, rows = [], []
    for i in np.flatnonzero(view.in_fov(x, y)):
        others = np.column_stack([x[near[i]], y[near[i]], radius[near[i]]])
        number = int(chip.ccd_id[i])
        made = build((x[i], y[i], radius[i]), others, rule, view.region, allowed[number])
        if made.source.area > 0:
            apertures.append(
                Aperture(
                    x[i],
                    y[i],
                    placed.theta[i],
                    placed.phi[i],
                    number,
                    made.source,
                    made.background,
                    model_psf=recipe != "srcflux",
                )
            )
            rows.append(i)
    return apertures, np.array(rows), radius


def crowd_of(field: ObservedField, apertures: list[Aperture], radius: Array, psf: PsfLibrary) -> Any:
    found = [extract(field, aperture, BANDS, psf) for aperture in apertures]

    def whole(name: str) -> Array:
        return np.array([getattr(item, name) for item in found], dtype=float)

    def band(name: str) -> Array:
        return np.array([[getattr(part, name) for part in item.bands] for item in found])

    counted = Counted(
        band("n"),
        band("m"),
        *(
            band(f"psf_{kind}")
            for kind in ("frac_aper", "frac_aperbkg", "good_frac_aper", "good_frac_aperbkg")
        ),
        whole("area_aper"),
        whole("area_aperbkg"),
        whole("good_frac_area_aper"),
        whole("good_frac_area_aperbkg"),
        np.array([field.events.live_time(aperture.chip_id) for aperture in apertures]),
        np.ones((len(apertures), len(BANDS))),
        [],
        [],
    )
    f, g, r, live = posterior_factors(counted, "time")
    kept = np.flatnonzero(np.isfinite(r).all(axis=1))
    own = [apertures[i] for i in kept]
    crowd = Crowd(
        *(np.array([getattr(item, name) for item in own]) for name in ("x", "y")),
        radius[kept],
        *(np.array([getattr(item, name) for item in own]) for name in ("theta", "phi")),
        [item.source for item in own],
        [item.background for item in own],
        *(table[kept] for table in (counted.n, counted.m, f, g, r, live)),
        mean_energies([found[i].energy_aper for i in kept], BANDS),
    )
    return crowd, kept


def measure(field: ObservedField, ra: Array, dec: Array, recipe: str, psf: PsfLibrary) -> Measured:
    start = time.perf_counter()
    apertures, rows, radius = regions(field, ra, dec, recipe, psf)
    seconds = {"regions": time.perf_counter() - start}
    start = time.perf_counter()
    crowd, kept = crowd_of(field, apertures, radius[rows], psf)
    seconds["extract"] = time.perf_counter() - start
    summary = summarise(crowd.n, crowd.m, crowd.f, crowd.g, crowd.r, CONFIDENCE)
    values = [part[:, 0].copy() for part in summary[:4]]
    m, r = crowd.m[:, 0].astype(float), crowd.r[:, 0].copy()
    local = log10_prob_no_source(crowd.n[:, 0], m, r)
    members = 0
    if recipe == "joint":
        scale = field.events.sky_frame.pixel_scale_arcsec
        start = time.perf_counter()
        influence = find_influence(crowd, psf, scale, max(band.eff for band in BANDS))
        light = shared_light(crowd, influence.pairs, BANDS, psf, field.events.pointing.roll, scale)
        seconds["response"] = time.perf_counter() - start
        start = time.perf_counter()
        joint = joint_photometry(crowd, light, influence.members(), (CONFIDENCE, CONFIDENCE), 1, 0.0)
        seconds["joint"] = time.perf_counter() - start
        inside = joint.member
        members = int(inside.sum())
        for value, part in zip(values, joint.posterior, strict=False):
            value[inside] = part[inside, 0]
        m[inside], r[inside] = joint.m[inside, 0], joint.r[inside, 0]
    return Measured(
        rows[kept],
        crowd,
        *values,
        log10_prob_no_source(crowd.n[:, 0], m, r),
        local,
        m,
        r,
        seconds,
        members,
    )


def orion(folder: Path, psf: PsfLibrary) -> None:
    field, truth = load(folder / "orion", "90010")
    ra, dec, expected = (np.array(truth[name]) for name in ("ra", "dec", "expected_counts_90010"))
    scale = field.events.sky_frame.pixel_scale_arcsec
    x, y = sky_positions(field.events.sky_frame, ra, dec, Correction())
    distance = KDTree(np.column_stack([x, y])).query(np.column_stack([x, y]), k=2)[0][:, 1]
    apart = np.hypot(x[:, None] - x, y[:, None] - y) * scale
    bright = expected > 10 * expected[:, None]
    faint = ((apart < 4.0) & (apart > 0) & bright).any(axis=1) & (expected >= 5)
    print(f"orion, {len(ra)} sources, 0.5-7 keV: src_cnts_aper against expected counts")
    print(f"{'recipe':8} {'set':20} {'n':>5} {'median |d|/s':>13} {'covered':>8} {'sum mean/true':>14}")
    for recipe in RECIPES:
        found = measure(field, ra, dec, recipe, psf)
        true, near = expected[found.row], distance[found.row]
        close = near < 2 * found.crowd.radius
        sigma = 0.5 * (found.hilim - found.lolim)
        inside = (found.lolim <= true) & (true <= found.hilim)
        for name, chosen in {
            "neighbour < 2 radii": close,
            "same, closest > 1''": close & (near * scale > 1),
            "same, closest < 1''": close & (near * scale <= 1),
            "no neighbour": ~close,
            "faint beside bright": faint[found.row],
        }.items():
            pull = np.abs(found.mode - true)[chosen] / sigma[chosen]
            ratio = found.mean[chosen].sum() / true[chosen].sum()
            print(
                f"{recipe:8} {name:20} {chosen.sum():5d} {np.median(pull):13.3f} "
                f"{inside[chosen].mean():8.3f} {ratio:14.3f}"
            )
        timing = ", ".join(f"{name} {value:.2f} s" for name, value in found.seconds.items())
        print(f"{recipe:8} {len(found.row)} measured, {found.members} of them jointly; one core: {timing}")


def blanks(folder: Path, psf: PsfLibrary, rounds: int) -> None:
    """Positions 2 to 6 arcsec from sources of more than 300 counts, and 2 arcsec from all others."""
    rng = np.random.default_rng(3)
    tables: dict[str, list[Array]] = {"joint": [], "local": [], "exact": [], "rows": []}
    for name, obs_id in (("orion", "90010"), ("collinder", "90001"), ("collinder", "90003")):
        field, truth = load(folder / name, obs_id)
        frame = field.events.sky_frame
        ra, dec, expected = (np.array(truth[item]) for item in ("ra", "dec", f"expected_counts_{obs_id}"))
        x, y = sky_positions(frame, ra, dec, Correction())
        tree = KDTree(np.column_stack([x, y]))
        chosen = np.flatnonzero((expected > 300) & (np.array(truth[f"theta_{obs_id}"]) < 6))
        for _ in range(rounds):
            where = _around(rng, np.column_stack([x, y]), chosen, tree, frame.pixel_scale_arcsec)
            extra = frame.to_world(*where.T)
            found = measure(field, np.append(ra, extra[0]), np.append(dec, extra[1]), "joint", psf)
            blank = found.row >= len(ra)
            m, r = found.m[blank], found.r[blank]
            threshold = detection_limit(m, r, 0.01, 0.5).threshold
            tables["joint"].append(found.log10_p[blank])
            tables["local"].append(found.log10_p_local[blank])
            tables["exact"].append(nbinom.sf(threshold, m + 1, r / (1 + r)))
            tables["rows"].append(np.column_stack([found.crowd.n[blank, 0], (m + 1) / r]))
    joint, local, exact = (np.concatenate(tables[name]) for name in ("joint", "local", "exact"))
    counts, background = np.concatenate(tables["rows"]).T
    error = np.sqrt(exact.sum()) / len(exact)
    print(f"\n{len(joint)} blank positions: share with P < 0.01")
    print(f"joint {100 * (joint < -2).mean():.2f} %, local annulus {100 * (local < -2).mean():.2f} %")
    print(f"of an exact test of whole counts {100 * exact.mean():.2f} +- {100 * error:.2f} %")
    print(f"counts {counts.sum():.0f}, expected {background.sum():.0f}")


def _around(rng: np.random.Generator, places: Array, chosen: Any, tree: KDTree, scale: float) -> Array:
    found: list[Array] = []
    for j in chosen:
        for _ in range(30):
            radius, angle = rng.uniform(2, 6) / scale, rng.uniform(0, 2 * np.pi)
            spot = places[j] + radius * np.array([np.cos(angle), np.sin(angle)])
            lonely = all(np.hypot(*(spot - other)) > 20 for other in found)
            if lonely and not tree.query_ball_point(spot, 1.999 / scale):
                found.append(spot)
                break
    return np.array(found)


def collinder(folder: Path, psf: PsfLibrary) -> None:
    print("\ncollinder, joint: true and measured counts, (measured - true)/sigma")
    for obs_id in ("90001", "90002", "90003"):
        field, truth = load(folder / "collinder", obs_id)
        found = measure(field, np.array(truth["ra"]), np.array(truth["dec"]), "joint", psf)
        place_of = {int(row): k for k, row in enumerate(found.row)}
        for row, note in enumerate(truth["note"]):
            if row in place_of and ("pair" in note or "very" in note):
                k, true = place_of[row], float(truth[f"expected_counts_{obs_id}"][row])
                pull = 2 * (found.mode[k] - true) / (found.hilim[k] - found.lolim[k])
                print(
                    f"{obs_id} {truth['name'][row]} {note:40} {true:8.1f} {found.mode[k]:8.1f} "
                    f"({found.lolim[k]:.1f}, {found.hilim[k]:.1f}) {pull:6.2f}"
                )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--blanks", type=int, default=6)
    options = parser.parse_args()
    folder, psf = options.data / "simulated", open_psf_library()
    orion(folder, psf)
    collinder(folder, psf)
    blanks(folder, psf, options.blanks)


if __name__ == "__main__":
    main()
