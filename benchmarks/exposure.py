"""Exposure against simulated and real fields: expected counts, background steps at edges, aspect, speed.

Usage
-----
    python benchmarks/exposure.py [DATA]      DATA holds simulated/ and real/acis

Prints the tables that docs/exposure.md keeps.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from scipy.optimize import brentq

from catalog.apertures.circles import CircleRule, circle_aperture, neighbours
from catalog.apertures.region import Region
from catalog.apertures.shape import Circle
from catalog.band import CSC_BANDS
from catalog.calibration.absorption import cross_section
from catalog.calibration.factory import open_calibration
from catalog.calibration.hrc import WIDE, open_hrc_calibration
from catalog.calibration.provider import Calibration, with_area
from catalog.calibration.psf import PsfLibrary
from catalog.calibration.user_files import read_area_table
from catalog.events.aspect import sample_times
from catalog.events.aspect_events import aspect_from_events
from catalog.events.chip_geometry import focal_plane
from catalog.events.event_list import read_event_list
from catalog.events.pointing import DET_AXIS
from catalog.measure.exposure_fraction import good_map, psf_mean
from catalog.measure.extract import Aperture, extract
from catalog.measure.observed_field import ObservedField, load_observed_field
from catalog.measure.placement import place

Array = NDArray[np.float64]

BAND = (0.5, 7.0)
PSF_ENERGY = 1.5
INTERIOR_PIXELS = 60.0
"""Farther from the chip's edges the dither (23 pixels) and the core of the PSF stay on the chip."""


@dataclass(frozen=True)
class Simulation:
    """Where a simulated observation lies, and what its truth table counts."""

    folder: str
    area_table: str
    instrument: str = "acis"

    @property
    def band(self) -> tuple[float, float]:
        """Energies of counts and photon fluxes in the truth table, keV."""
        return BAND if self.instrument == "acis" else WIDE

    @property
    def flux(self) -> str:
        """Column of the photon flux, without ObsID."""
        return "photon_flux" if self.instrument == "acis" else "photon_flux_01_10"

    @property
    def edge_pixels(self) -> float:
        """Pixels from a chip's edge beyond which a source is inside."""
        return INTERIOR_PIXELS * (1.0 if self.instrument == "acis" else 0.492 / 0.13175)


OBSERVATIONS = {
    "90001": Simulation("collinder", "acisi_area.ecsv"),
    "90002": Simulation("collinder", "acisi_area.ecsv"),
    "90003": Simulation("collinder", "acisi_area.ecsv"),
    "90010": Simulation("orion", "acisi_area.ecsv"),
    "90040": Simulation("aciss", "aciss/aciss_area.ecsv"),
    "90041": Simulation("aciss", "aciss/aciss_area.ecsv"),
    "90030": Simulation("hrc", "hrc/hrci_area.ecsv", "hrc"),
}


def load(data: Path, obs_id: str, *, rebuilt: bool = False) -> ObservedField:
    """A simulated observation, with its aspect solution or the one rebuilt from its events."""
    chosen = OBSERVATIONS[obs_id]
    folder = data / "simulated" / chosen.folder
    aspect = () if rebuilt else (folder / f"pcadf{obs_id}_asol1.fits.gz",)
    return load_observed_field(folder / f"{chosen.instrument}f{obs_id}_evt2.fits.gz", aspect_files=aspect)


def calibration_of(data: Path, obs_id: str) -> Calibration:
    """Areas and redistribution of the simulation."""
    table = data / "simulated" / OBSERVATIONS[obs_id].area_table
    if OBSERVATIONS[obs_id].instrument == "hrc":
        return with_area(open_hrc_calibration("HRC-I"), read_area_table(table))
    return open_calibration(
        area_table=table,
        rmf=data / "simulated/acis_synthetic.rmf.gz",
    )


@dataclass(frozen=True, eq=False)
class Counts:
    """Expected counts of the sources of one observation, 0.5-7 keV, all shape (n,)."""

    predicted: Array
    truth: Array
    error: Array
    edge: Array
    good: Array
    theta: Array
    thermal: NDArray[np.bool_]

    def summary(self, chosen: NDArray[np.bool_]) -> tuple[int, float, float, float]:
        """Number, median, robust scatter, and largest deviation beyond two errors of the truth."""
        ratio, error = (self.predicted / self.truth)[chosen], (self.error / self.truth)[chosen]
        if not ratio.size:
            return 0, np.nan, np.nan, np.nan
        median = float(np.median(ratio))
        return (
            ratio.size,
            median,
            1.4826 * float(np.median(np.abs(ratio - median))),
            float((np.abs(ratio - 1.0) - 2.0 * error).max()),
        )


def expected_counts(data: Path, obs_id: str, field: ObservedField) -> Counts:
    """Counts that area, exposure and each source's own spectrum predict, and those of the truth table."""
    calibration = calibration_of(data, obs_id)
    chosen = OBSERVATIONS[obs_id]
    truth = Table.read(data / "simulated" / chosen.folder / "truth.ecsv")
    truth = truth[np.isin(truth["model"], ["powerlaw", "thermal"])]
    if "DIFFUSE1" in truth["name"]:
        truth = truth[truth["name"] != "DIFFUSE1"]
    x, y = field.events.sky_frame.to_sky(truth["ra"], truth["dec"])
    seen = np.asarray(truth[f"expected_counts_{obs_id}"], dtype=float) > 0
    truth, x, y = truth[seen], x[seen], y[seen]
    theta, phi = field.field_of_view.pointing.off_axis(x, y)
    chips = field.field_of_view.chip_at(x, y).ccd_id
    year = field.events.header.decimal_year
    # Photons that arrive during the transfer make a streak over the column: only the rows of a subarray
    # are kept.
    header = field.events.header
    on_time = max(field.on_time(int(chip)) for chip in field.events.chips)
    live = header.dtcor or 1.0
    on_time *= live + (1.0 - live) * (header.rows / 1024 if chosen.instrument == "acis" else 0.0)
    good = np.array([psf_good(field, calibration, *place) for place in zip(x, y, theta, phi, strict=True)])
    predicted = np.empty(len(truth))
    for i, row in enumerate(truth):
        matrix = calibration.redistribution(int(chips[i]))
        shape = spectrum(row, matrix.energy)
        photons = shape * (matrix.energy_hi - matrix.energy_lo)
        inside = (matrix.energy >= chosen.band[0]) & (matrix.energy < chosen.band[1])
        curve = calibration.area_curve(int(chips[i]), year, theta[i], phi[i])
        folded = (photons * curve * matrix.band_probability(*chosen.band)).sum() / photons[inside].sum()
        predicted[i] = folded * float(row[f"{chosen.flux}_{obs_id}"]) * on_time * good[i]
    return Counts(
        predicted,
        np.asarray(truth[f"expected_counts_{obs_id}"], dtype=float),
        np.asarray(truth[f"expected_counts_err_{obs_id}"], dtype=float),
        np.asarray(truth[f"edge_pix_{obs_id}"], dtype=float),
        good,
        theta,
        np.asarray(truth["model"] == "thermal"),
    )


def psf_good(
    field: ObservedField, calibration: Calibration, x: float, y: float, theta: float, phi: float
) -> float:
    """Good fraction weighted with the whole PSF."""
    stamp = calibration.psf.stamp(theta, phi, PSF_ENERGY, field.field_of_view.pointing.roll)
    scale = field.events.sky_frame.pixel_scale_arcsec
    reach = 1.45 * stamp.half_side / scale
    return psf_mean(Region(Circle(x, y, reach)), good_map(x, y, reach, field.good_fraction), stamp, scale)


def spectrum(row: Table.Row, energy: Array) -> Array:
    """Photon spectrum of a simulated source, any scale.

    The lines of the thermal ones are not in the truth table; a continuum of another temperature with the same
    mean energy stands for them.
    """
    absorbed = np.exp(-float(row["nh"]) * 1e22 * cross_section("wabs", energy))
    if row["model"] == "powerlaw":
        return np.asarray(absorbed * energy ** -float(row["par"]))
    inside = (energy >= BAND[0]) & (energy < BAND[1])

    def continuum(temperature: float) -> Array:
        return np.asarray(absorbed * energy**-1.4 * np.exp(-energy / temperature))

    def excess(logarithm: float) -> float:
        weight = continuum(np.exp(logarithm))[inside]
        return float(np.average(energy[inside], weights=weight)) - float(row["mean_energy_05_7"])

    low, high = np.log(0.05), np.log(50.0)
    if excess(low) > 0 or excess(high) < 0:
        return continuum(float(row["par"]))
    return continuum(float(np.exp(brentq(excess, low, high))))


def background_steps(field: ObservedField, sources: tuple[Array, Array] | None, srcid: Array | None) -> Array:
    """Events per (pixel area x good fraction), relative to the mean, in classes of good fraction.

    Rows: mean good fraction of the class, relative rate, its Poisson error. Positions with a good fraction
    below 1 are edges and gaps.
    """
    x, y = field.events.x, field.events.y
    keep = np.ones(x.size, dtype=bool) if srcid is None else srcid < 0
    low_x, low_y, high_x, high_y = field.field_of_view.region.bounds
    step = float(np.rint(0.984 / field.events.sky_frame.pixel_scale_arcsec))
    edges_x, edges_y = (
        np.arange(np.floor(low_x), high_x + step, step),
        np.arange(np.floor(low_y), high_y + step, step),
    )
    counts = np.histogram2d(x[keep], y[keep], [edges_x, edges_y])[0]
    u, v = np.meshgrid(0.5 * (edges_x[1:] + edges_x[:-1]), 0.5 * (edges_y[1:] + edges_y[:-1]), indexing="ij")
    good = field.good_fraction(u.ravel(), v.ravel()).reshape(u.shape)
    if sources is not None:
        for a, b in zip(*sources, strict=True):
            good[np.hypot(u - a, v - b) < 40.0] = 0.0
            counts[np.hypot(u - a, v - b) < 40.0] = 0.0
    limits = np.array([0.02, 0.2, 0.4, 0.6, 0.8, 0.999999])
    number = np.digitize(good, limits)
    whole = counts[number == 6].sum() / good[number == 6].sum()
    rows = []
    for k in range(1, 6):
        chosen = number == k
        expected = whole * good[chosen].sum()
        rows.append((good[chosen].mean(), counts[chosen].sum() / expected, 1.0 / np.sqrt(max(expected, 1.0))))
    return np.array(rows)


def true_sources(data: Path, obs_id: str) -> NDArray[np.int64]:
    """Row in the truth table of each event of the file, negative for background."""
    chosen = OBSERVATIONS[obs_id]
    path = data / "simulated" / chosen.folder / f"{chosen.instrument}f{obs_id}_srcid.fits.gz"
    return np.asarray(Table.read(path, 1)["src_index"])


ROW_TREND = 0.40
"""Rise of the background of real ACIS-I lists (5-8 keV) from the read-out edge of a chip to its other end,
over the mean: `row_trend`."""


def row_trend(paths: Sequence[Path], band: tuple[float, float]) -> tuple[Array, Array, float]:
    """Events of the four chips of ACIS-I by eighths of CHIPY and of CHIPX over the mean, and their error.

    In chip coordinates: the dither, the field and, above 5 keV, nearly all of the sky drop out.
    """
    total = np.zeros((8, 8))
    for path in paths:
        events = read_event_list(path)
        inside = (events.energy >= band[0]) & (events.energy < band[1]) & (events.ccd_id < 4)
        edges = np.linspace(2.5, 1022.5, 9)
        total += np.histogram2d(events.chipy[inside], events.chipx[inside], [edges, edges])[0]
    rows, columns = total.sum(axis=1), total.sum(axis=0)
    return rows / rows.mean(), columns / columns.mean(), 1.0 / np.sqrt(rows.mean())


def real_background(path: Path, trend: float = 0.0) -> tuple[Array, Array, Array, Array]:
    """Relative rates and Poisson errors in tiles of 160 pixels and in rings of 1 arcmin, sources masked.

    `trend` is taken out of the rates: their rise along CHIPY.
    """
    field = load_observed_field(path)
    x, y = field.events.x, field.events.y
    low_x, low_y, high_x, high_y = field.field_of_view.region.bounds
    edges_x, edges_y = (
        np.arange(np.floor(low_x), high_x + 4, 4.0),
        np.arange(np.floor(low_y), high_y + 4, 4.0),
    )
    counts = np.histogram2d(x, y, [edges_x, edges_y])[0]
    u, v = np.meshgrid(0.5 * (edges_x[1:] + edges_x[:-1]), 0.5 * (edges_y[1:] + edges_y[:-1]), indexing="ij")
    good = field.good_fraction(u.ravel(), v.ravel()).reshape(u.shape)
    theta = field.field_of_view.pointing.off_axis(u, v)[0]
    rows = field.field_of_view.chip_at(u.ravel(), v.ravel()).chipy.reshape(u.shape)
    good = good * (1.0 + trend * np.clip((rows - 512.5) / 1024.0, -0.5, 0.5))
    for _ in range(3):
        # A source is a spot of some pixels far above the mean of the field.
        mean = counts.sum() / good.sum()
        from scipy.ndimage import binary_dilation, uniform_filter

        local = uniform_filter(counts, 5) * 25
        bright = local > 25 * mean + 5.5 * np.sqrt(25 * mean) + 2
        mask = binary_dilation(bright, iterations=5)
        counts[mask], good[mask] = 0.0, 0.0
    tiles = ((u - low_x) // 160).astype(int) * 1000 + ((v - low_y) // 160).astype(int)
    tile = _relative(counts, good, tiles, least=25.0)
    ring = _relative(counts, good, np.floor(theta).astype(int), least=50.0)
    return (*tile, *ring)


def _relative(counts: Array, good: Array, label: NDArray[np.int_], least: float) -> tuple[Array, Array]:
    """Rates of the labelled parts over the mean, and their Poisson errors; parts with few counts left out."""
    mean = counts.sum() / good.sum()
    _, index = np.unique(label, return_inverse=True)
    found = np.bincount(index.ravel(), counts.ravel())
    expected = mean * np.bincount(index.ravel(), good.ravel())
    used = expected >= least
    return found[used] / expected[used], 1.0 / np.sqrt(expected[used])


def aspect_residual(field: ObservedField, number: int | None = None, seed: int = 1) -> tuple[float, float]:
    """RMS and largest distance of the aspect rebuilt from events to the true one, arcsec."""
    events = field.events
    if number is not None:
        chosen = np.random.default_rng(seed).choice(len(events), number, replace=False)
        events = events.select(np.sort(chosen))
    times = sample_times(field.good_time)
    away = np.hypot(*np.subtract(aspect_from_events(events).at(times), field.aspect.at(times)))
    scale = events.sky_frame.pixel_scale_arcsec
    return float(np.sqrt(np.mean(away**2))) * scale, float(away.max()) * scale


def sky_residual(path: Path) -> tuple[float, float]:
    """Scatter of sky positions computed from chip pixels and rebuilt aspect, in x and y, arcsec."""
    field = load_observed_field(path)
    events = field.events
    dx, dy = field.aspect.at(events.time)
    roll = np.radians(events.pointing.roll + field.aspect.roll_offset)
    detx, dety = focal_plane(events.header).chip_to_det(events.ccd_id, events.chipx, events.chipy)
    u, v = detx - DET_AXIS, dety - DET_AXIS
    x = events.pointing.x + dx + np.cos(roll) * u + np.sin(roll) * v
    y = events.pointing.y + dy - np.sin(roll) * u + np.cos(roll) * v
    scale = events.sky_frame.pixel_scale_arcsec
    return float((events.x - x).std()) * scale, float((events.y - y).std()) * scale


def extraction_seconds(data: Path, field: ObservedField) -> tuple[int, int, float, float]:
    """Sources, bands, processor seconds for apertures and for extraction; compiled code warm."""
    psf = open_calibration().psf
    bands = [CSC_BANDS[name] for name in ("broad", "soft", "medium", "hard")]
    for aperture in circles(data, field, psf)[:20]:
        extract(field, aperture, bands, psf)
    start = time.process_time()
    apertures = circles(data, field, psf)
    middle = time.process_time()
    for aperture in apertures:
        extract(field, aperture, bands, psf)
    return len(apertures), len(bands), middle - start, time.process_time() - middle


def circles(data: Path, field: ObservedField, psf: PsfLibrary) -> list[Aperture]:
    """Apertures of all orion sources in the field."""
    truth = Table.read(data / "simulated/orion/truth.ecsv")
    x, y = field.events.sky_frame.to_sky(truth["ra"], truth["dec"])
    scale = field.events.sky_frame.pixel_scale_arcsec
    placed = place(field.events.pointing, x, y, psf, 0.9, 1.0)
    radius = placed.radius / scale
    rule = CircleRule()
    near = neighbours(x, y, radius, rule)
    view = field.field_of_view
    chips = view.chip_at(x, y)
    found = []
    for i in np.flatnonzero(view.in_fov(x, y)).tolist():
        others = np.column_stack([x[near[i]], y[near[i]], radius[near[i]]])
        regions = circle_aperture((x[i], y[i], radius[i]), others, rule, view.region)
        if regions.source.area > 0:
            place_ = (float(x[i]), float(y[i]), float(placed.theta[i]), float(placed.phi[i]))
            found.append(Aperture(*place_, int(chips.ccd_id[i]), regions.source, regions.background))
    return found


def main() -> None:
    """Print all tables."""
    data = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
    print("Aspect from events against the solution, arcsec: rms and largest; from all, 300 and 60 events")
    fields = {obs_id: load(data, obs_id) for obs_id in OBSERVATIONS}
    for obs_id, field in fields.items():
        found = [aspect_residual(field, number) for number in (None, 300, 60)]
        print(f"  {obs_id}  " + "   ".join(f"{rms:.3f} {most:.3f}" for rms, most in found))
    for obs_id in ("11831", "04600", "15360"):
        rms = sky_residual(data / f"real/acis/acisf{obs_id}_repro_evt2.fits.gz")
        print(f"  {obs_id}  sky from chip pixels and rebuilt aspect: rms {rms[0]:.3f} {rms[1]:.3f} (x, y)")
    print("\nExpected counts over those of the truth: number, median, robust scatter,")
    print("  largest deviation beyond two errors of the truth")
    for obs_id, field in fields.items():
        start = time.perf_counter()
        counts = expected_counts(data, obs_id, field)
        seconds = time.perf_counter() - start
        inner, many = counts.edge > OBSERVATIONS[obs_id].edge_pixels, counts.truth / counts.error > 25
        kinds = {
            "interior power laws": inner & ~counts.thermal & (counts.theta < 10.0),
            "interior thermal": inner & counts.thermal & (counts.theta < 10.0),
            "edge, below 10'": ~inner & (counts.good > 0.05) & (counts.theta < 10.0),
            "beyond 10'": (counts.theta >= 10.0) & (counts.good > 0.05),
        }
        for kind, chosen in kinds.items():
            n, median, scatter, most = counts.summary(chosen & many)
            print(f"  {obs_id}  {kind:20s} {n:5d}  {median:.4f}  {scatter:.4f}  {most:.3f}")
        print(f"         {seconds:.1f} s")
    print("\nExtraction of orion, processor seconds for apertures, and for counts, PSF fractions, exposures")
    print("  {} sources in {} bands: {:.2f} s, {:.2f} s".format(*extraction_seconds(data, fields["90010"])))
    print("\nBackground per (area x live time x good fraction) by good fraction, relative to the interior")
    for obs_id, field in fields.items():
        steps = background_steps(field, None, true_sources(data, obs_id)[field.events.row])
        print(f"  {obs_id}  " + "  ".join(f"{g:.2f}: {r:.3f}+-{e:.3f}" for g, r, e in steps))
    print("\nReal background, sources masked: tiles of 160 pixels (excess rms), rings of 1 arcmin")
    for obs_id in ("04600", "05341", "15363"):
        for trend in (0.0, ROW_TREND):
            tile, tile_error, ring, ring_error = real_background(
                data / f"real/acis/acisf{obs_id}_repro_evt2.fits.gz", trend
            )
            excess = np.sqrt(max(0.0, float(np.var(tile) - np.mean(tile_error**2))))
            text = " ".join(f"{r:.2f}+-{e:.2f}" for r, e in zip(ring, ring_error, strict=True))
            said = "trend along CHIPY taken out" if trend else "as it is"
            print(f"  {obs_id}  {said}: {tile.size} tiles, excess rms {excess:.3f}; rings {text}")
    paths = sorted((data / "real/acis").glob("acisf*_repro_evt2.fits.gz"))
    for band in ((0.5, 8.0), (5.0, 8.0), (7.0, 8.0)):
        rows, columns, error = row_trend(paths, band)
        print(f"  {len(paths)} ObsIDs, {band[0]}-{band[1]} keV, by eighths of CHIPY and CHIPX, +-{error:.3f}")
        for name, values in (("CHIPY", rows), ("CHIPX", columns)):
            print(f"    {name} " + " ".join(f"{value:.2f}" for value in values))


if __name__ == "__main__":
    main()
