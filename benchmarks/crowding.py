"""Crowded fields: counts against truth with joint photometry and the other recipes, in one run.

Run: python -P benchmarks/crowding.py DATA [--recipes default ae ...] [--blanks 6]; DATA is the folder of test
data (simulated/orion and simulated/collinder in it). docs/apertures.md keeps its figures; seconds are CPU
time of one core. The stages are bypassed: regions, extraction and photometry are those of the library, the
database is not needed.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.stats import nbinom

from catalog.band import CSC_BANDS
from catalog.calibration.psf import PsfLibrary, open_psf_library
from catalog.measure.extract import Aperture, extract
from catalog.measure.joint_photometry import joint_photometry
from catalog.measure.masked_backgrounds import mask_radii
from catalog.measure.observed_field import ObservedField, load_observed_field
from catalog.measure.photometry import Counted, posterior_factors
from catalog.measure.placement import Correction, place, sky_positions
from catalog.measure.shared_light import Crowd, find_influence, mean_energies, shared_light
from catalog.measure.source_regions import RegionBuilder
from catalog.recipes.recipe import Recipe, merge_choices, recipe_from_content
from catalog.recipes.shipped import shipped_recipes
from catalog.stages.steps.aperture_neighbours import region_neighbours
from catalog.stats.aperture_posterior import summarise
from catalog.stats.detection_limit import detection_limit
from catalog.stats.no_source import log10_prob_no_source

Array = NDArray[np.float64]
BANDS = (CSC_BANDS["broad"],)
CONFIDENCE = 0.6827
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "default": ("default", {}),
    "cut": ("srcflux", {"exposure": {"psf_fraction": "model"}}),
    "srcflux": ("srcflux", {}),
    "ae": ("acis-extract", {}),
    "ae circle": (
        "acis-extract",
        {"background": {"kind": "circle", "mask_bright": True, "tuned_counts": 100}},
    ),
}
"""Shipped recipes; srcflux with PSF fractions; ACIS Extract with growing circles."""


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


def recipe_of(name: str) -> Recipe:
    """A shipped recipe or a variant of one, in the one band of this benchmark."""
    base, change = VARIANTS[name]
    content = shipped_recipes()[base].model_dump(mode="json", exclude={"name", "description"})
    content = merge_choices(content, {"bands": [band.name for band in BANDS], **change})
    return recipe_from_content({"name": "benchmark", **content}, name)


def regions(field: ObservedField, ra: Array, dec: Array, name: str, psf: PsfLibrary) -> tuple[Any, ...]:
    recipe = recipe_of(name)
    frame, view = field.events.sky_frame, field.field_of_view
    x, y = sky_positions(frame, ra, dec, Correction())
    placed = place(field.events.pointing, x, y, psf, recipe.aperture.fraction, recipe.aperture.energy)
    radius = placed.radius / frame.pixel_scale_arcsec
    seen, chip = view.in_fov(x, y), view.chip_at(x, y).ccd_id
    mask = mask_radii(recipe.background, psf, placed, recipe.aperture.energy) / frame.pixel_scale_arcsec
    near = region_neighbours(recipe, x, y, radius, mask, frame.pixel_scale_arcsec)
    wanted = np.flatnonzero(seen)
    builder = RegionBuilder(field, psf, recipe, placed, chip, seen)
    found = builder.regions(wanted.tolist(), [near[i] for i in wanted])
    kept = [k for k, made in enumerate(found) if made.source.area > 0]
    apertures = [
        Aperture(
            x[i],
            y[i],
            placed.theta[i],
            placed.phi[i],
            int(chip[i]),
            found[k].source,
            found[k].background,
            model_psf=recipe.exposure.psf_fraction == "model",
        )
        for k, i in ((k, wanted[k]) for k in kept)
    ]
    correction = np.array([found[k].bkg_correction or 1.0 for k in kept])
    return apertures, wanted[kept], radius, correction


def crowd_of(
    field: ObservedField, apertures: list[Aperture], radius: Array, correction: Array, psf: PsfLibrary
) -> Any:
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
        correction,
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
    start = time.process_time()
    apertures, rows, radius, correction = regions(field, ra, dec, recipe, psf)
    seconds = {"regions": time.process_time() - start}
    start = time.process_time()
    crowd, kept = crowd_of(field, apertures, radius[rows], correction, psf)
    seconds["extract"] = time.process_time() - start
    summary = summarise(crowd.n, crowd.m, crowd.f, crowd.g, crowd.r, CONFIDENCE)
    values = [part[:, 0].copy() for part in summary[:4]]
    m, r = crowd.m[:, 0].astype(float), crowd.r[:, 0].copy()
    local = log10_prob_no_source(crowd.n[:, 0], m, r)
    members = 0
    if recipe == "default":
        scale = field.events.sky_frame.pixel_scale_arcsec
        start = time.process_time()
        influence = find_influence(crowd, psf, scale, max(band.eff for band in BANDS))
        light = shared_light(crowd, influence.pairs, BANDS, psf, field.events.pointing.roll, scale)
        seconds["response"] = time.process_time() - start
        start = time.process_time()
        joint = joint_photometry(crowd, light, influence.members(), (CONFIDENCE, CONFIDENCE), 1, 0.0)
        seconds["joint"] = time.process_time() - start
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


def orion(folder: Path, psf: PsfLibrary, recipes: list[str]) -> None:
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
    for recipe in recipes:
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


@dataclass
class Blank:
    """A position without a source: its counts, its matched background, the local annulus, all of one band."""

    n: Array
    m: Array
    r: Array
    log10_p: Array
    log10_p_local: Array
    touching: NDArray[np.bool_]

    @property
    def attainable(self) -> Array:
        """Probability that a test on whole counts with this background finds P < 0.01."""
        threshold = detection_limit(self.m, self.r, 0.01, 0.5).threshold
        return np.asarray(nbinom.sf(threshold, self.m + 1, self.r / (1 + self.r)))

    @property
    def spread(self) -> Array:
        """The share of P's step that lies below 0.01: a test on whole counts, made continuous."""
        above = 10 ** log10_prob_no_source(self.n + 1, self.m, self.r)
        return np.asarray(np.clip((0.01 - above) / (10**self.log10_p - above), 0.0, 1.0))

    def take(self, chosen: NDArray[np.bool_]) -> Blank:
        """Some of them."""
        return Blank(*(getattr(self, item.name)[chosen] for item in fields(self)))


def blanks(folder: Path, psf: PsfLibrary, rounds: int) -> None:
    """Positions 2 to 6 arcsec from sources of more than 300 counts, and 2 arcsec from all others.

    Each round is measured by itself, so that no blank position of one knows of those of another.
    """
    rng = np.random.default_rng(3)
    found = []
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
            made = measure(field, np.append(ra, extra[0]), np.append(dec, extra[1]), "default", psf)
            found.append(_blank(made, made.row >= len(ra)))
    every = Blank(*(np.concatenate([getattr(part, item.name) for part in found]) for item in fields(Blank)))
    print("\nblank positions: share with P < 0.01, per cent")
    for title, chosen in {
        "all": np.ones(len(every.n), dtype=bool),
        "aperture touches a source's": every.touching,
        "touches none": ~every.touching,
    }.items():
        _print_blank(title, every.take(chosen))


def _blank(found: Measured, blank: NDArray[np.bool_]) -> Blank:
    crowd = found.crowd
    apart = np.hypot(crowd.x[blank, None] - crowd.x[~blank], crowd.y[blank, None] - crowd.y[~blank])
    touching = (apart < crowd.radius[blank, None] + crowd.radius[~blank]).any(axis=1)
    parts = (crowd.n[:, 0], found.m, found.r, found.log10_p, found.log10_p_local)
    return Blank(*(part[blank] for part in parts), touching)


def _print_blank(title: str, part: Blank) -> None:
    size = len(part.n)
    joint, local = (100 * (values < -2).mean() for values in (part.log10_p, part.log10_p_local))
    spread, attainable = part.spread, part.attainable
    print(f"{title}: {size} positions; local annulus {local:.2f}, joint {joint:.3f}")
    error = 100 * np.sqrt(attainable.sum()) / size
    print(f"  attainable by a test of whole counts {100 * attainable.mean():.3f} +- {error:.3f}")
    error = 100 * np.sqrt((spread * (2 - spread)).sum()) / size
    print(f"  joint, each P spread over its step {100 * spread.mean():.3f} +- {error:.3f}")
    expected = (part.m + 1) / part.r
    print(
        f"  counts {part.n.sum():.0f}, expected {expected.sum():.0f}, of them {(1 / part.r).sum():.0f} prior"
    )


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
        found = measure(field, np.array(truth["ra"]), np.array(truth["dec"]), "default", psf)
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
    parser.add_argument("--recipes", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    options = parser.parse_args()
    folder, psf = options.data / "simulated", open_psf_library()
    if options.recipes:
        orion(folder, psf, options.recipes)
    collinder(folder, psf)
    if options.blanks:
        blanks(folder, psf, options.blanks)


if __name__ == "__main__":
    main()
