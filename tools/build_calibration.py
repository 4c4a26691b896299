"""Derive the packaged calibration tables from public Chandra files.

Usage
-----
    python tools/build_calibration.py --sources DIR --psf DIR --out catalog/calibration/data
    python tools/build_calibration.py --observed DIR       compare the packaged areas with CIAO's

The same input gives the same bytes. What the tables rest on, and the conventions, are in the README.md
beside them.
"""

from __future__ import annotations

import argparse
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xraydb
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator
from scipy.optimize import lsq_linear

Array = NDArray[np.float64]

ENERGY = np.round(np.arange(0.20, 11.9001, 0.01), 3)
ELEMENTS = ("C", "O", "F")
# Fraction of the dither on good pixels that the cycle 18 to 21 responses of ACIS-I hold in SPECRESP.
FRACEXPO_I = 0.96201574945489
THETA_I, THETA_S = 0.37, 0.20
HRC_THETA = 5.9
JOIN = (1.0, 1.4)
FIT = (0.40, 2.6)
BLEND = (1.2, 2.0)
DOOR_OPEN = 1999.70
EARLY_YEARS = 4.0
LAST_EPOCH = 2020.368
FRACTIONS = np.concatenate([np.arange(0.01, 0.9, 0.01), 1 - np.geomspace(0.1, 0.0005, 60)])


# ---------------------------------------------------------------------------------------------------- areas
def read_arf(path: Path) -> Array:
    """Area on ENERGY, zero outside the file's range."""
    data = fits.getdata(path, 1)
    middle = 0.5 * (data["ENERG_LO"].astype(float) + data["ENERG_HI"].astype(float))
    return np.interp(ENERGY, middle, data["SPECRESP"].astype(float), left=0.0, right=0.0)


def arf_year(path: Path) -> float:
    """Date at which the contamination of a planning response was taken, from its HISTORY."""
    history = "".join(str(card) for card in fits.getheader(path, 1)["HISTORY"])
    found = re.search(r"TIME=([\d.]+)", history)
    if found is None:
        raise SystemExit(f"no TIME in the HISTORY of {path}")
    return 1998.0 + float(found[1]) / 86400.0 / 365.25


def read_qe(path: Path) -> Array:
    """Quantum efficiency with filter of the ten chips on ENERGY, shape (10, n_energy)."""
    with fits.open(path) as hdus:
        return np.array(
            [
                np.interp(
                    ENERGY,
                    hdus[chip + 1].data["ENERGY"].astype(float),
                    hdus[chip + 1].data["QE"].astype(float),
                )
                for chip in range(10)
            ]
        )


def cross_sections() -> Array:
    """Photo-absorption cross sections of C, O, F in 1e-18 cm2, shape (3, n_energy)."""
    return np.array(
        [
            xraydb.mu_elam(name, ENERGY * 1e3, kind="photo") * xraydb.atomic_mass(name) / 6.02214076e23 * 1e18
            for name in ELEMENTS
        ]
    )


def contamination_depth(area: Array, clean: Array, sigma: Array) -> tuple[Array, float]:
    """Optical depth of the contamination on ENERGY, and the factor between the areas that is not due to it.

    A fit of C, O and F columns and a constant finds the factor; below BLEND the depth is then the logarithm
    of the
    ratio itself, which has the true structure near the edges, above it the fitted columns, since there the
    two
    areas differ by detector maps of different dates.
    """
    use = (FIT[0] < ENERGY) & (FIT[1] > ENERGY) & (area > 0.3) & (clean > 0.3)
    depth = -np.log(area[use] / clean[use])
    weight = np.sqrt(np.minimum(area[use], 60.0) / 60.0)
    design = np.column_stack([sigma[:, use].T, np.ones(use.sum())]) * weight[:, None]
    bounds = ([0.0, 0.0, 0.0, -1.0], [np.inf, np.inf, np.inf, 1.0])
    solution = lsq_linear(design, depth * weight, bounds=bounds).x
    fitted = solution[:3] @ sigma
    known = (area > 0.0) & (clean > 0.0)
    measured = fitted.copy()
    measured[known] = -np.log(area[known] / clean[known]) - solution[3]
    # Below the first energy of the response the fit is moved to meet the measured depth.
    first = int(np.argmax(known))
    measured[:first] = fitted[:first] * measured[first] / fitted[first]
    share = np.clip((ENERGY - BLEND[0]) / (BLEND[1] - BLEND[0]), 0.0, 1.0)
    print(f"C, O, F = {np.round(solution[:3], 2)} 1e18 cm-2, factor {np.exp(-solution[3]):.4f}")
    return (1 - share) * np.maximum(measured, 0.0) + share * fitted, float(np.exp(-solution[3]))


def join(low: Array, high: Array) -> Array:
    """`low` below the join, `high` above, a smooth step between; `low` scaled to meet `high` there."""
    within = (JOIN[0] <= ENERGY) & (JOIN[1] >= ENERGY)
    scaled = low * np.median(high[within] / low[within])
    share = np.clip((ENERGY - JOIN[0]) / (JOIN[1] - JOIN[0]), 0.0, 1.0)
    return (1 - share) * scaled + share * high


def growth(years: Array) -> tuple[Array, Array]:
    """Weights of the depths of the anchor dates on a grid of years, shapes (n_year,), (n_year, n_anchor).

    Up to the first anchor an exponential approach, then a cubic through the anchors, then a straight line.
    """
    depth = np.eye(years.size)
    grid = np.round(np.arange(1999.5, 2035.01, 0.25), 2)
    first, span = depth[0], years[0] - DOOR_OPEN
    norm = 1 - np.exp(-span / EARLY_YEARS)
    early = np.outer((1 - np.exp(-np.clip(grid - DOOR_OPEN, 0, None) / EARLY_YEARS)) / norm, first)
    start = first * np.exp(-span / EARLY_YEARS) / norm / EARLY_YEARS
    last = (depth[-1] - depth[-2]) / (years[-1] - years[-2])
    middle = (depth[1] - depth[0]) / (years[1] - years[0])
    slopes = np.array([start, 0.5 * (middle + last), last])
    later = CubicHermiteSpline(years, depth, slopes)(np.clip(grid, years[0], years[-1]))
    later += np.outer(np.clip(grid - years[-1], 0, None), last)
    return grid, np.where((grid < years[0])[:, None], early, later)


def build_area(sources: Path) -> dict[str, Any]:
    """Clean areas of the two kinds of chips, chip ratios, contamination and vignetting."""
    sigma = cross_sections()
    qe = read_qe(sources / "acisD1997-04-17qeN0006.fits.gz")
    launch = read_arf(sources / "acisi_aimpt_cy0.arf")
    launch_s = launch * qe[7] / np.maximum(qe[3], 1e-6)
    names = ("acisi_aimpt_cy07", "acisi_aimpt_cy18", "acisi_aimpt_cy21")
    depth = np.array(
        [contamination_depth(read_arf(sources / f"{name}.arf"), launch, sigma)[0] for name in names]
    )
    cycle_s = read_arf(sources / "aciss_aimpt_cy18.arf")
    depth_s, _ = contamination_depth(cycle_s, launch_s, sigma)
    front = join(launch, read_arf(sources / "acisi_aimpt_cy21.arf") * np.exp(depth[2]) / FRACEXPO_I)
    back = join(launch_s, cycle_s * np.exp(depth_s))
    for energy in (0.5, 0.7, 1.0, 1.5, 2.0, 3.0):
        at = int(np.argmin(np.abs(ENERGY - energy)))
        print(f"depth at {energy} keV: {np.round(depth[:, at], 3)}, S3 2017 {depth_s[at]:.3f}")
    # The filters of I3 and S3 agree to a few hundredths in depth: one history serves both.
    depth[1] = 0.5 * (depth[1] + depth_s)
    # Below 0.45 keV, where next to nothing is left, model versions disagree: a layer does not thin.
    depth = np.maximum.accumulate(depth, axis=0)
    year, weights = growth(np.array([arf_year(sources / f"{name}.arf") for name in names]))
    theta, vignet_energy, vignet = build_vignetting(sources / "chandra_vignet.fits.gz")
    reference = np.array([7 if chip in (5, 7) else 3 for chip in range(10)])
    return {
        "energy": ENERGY, "clean_area": np.array([front, back]), "aimpoint_theta": np.array([THETA_I,
        THETA_S]),
        "chip_ratio": qe / np.maximum(qe[reference], 1e-6), "depth": depth, "year": year, "weights": weights,
        "dates": np.array([DOOR_OPEN, LAST_EPOCH + 0.5]),
        "vignet_theta": theta, "vignet_energy": vignet_energy, "vignet": vignet,
    }  # fmt: skip


def build_vignetting(path: Path) -> tuple[Array, Array, Array]:
    """HRMA vignetting averaged over azimuth, on 0 to 30 arcmin by 0.5: shape (n_theta, n_energy)."""
    row = fits.getdata(path, 1)[0]
    mean = np.asarray(row["VIGNET"], dtype=float).reshape(12, 10, 100).mean(axis=0)
    theta = np.arange(0.0, 30.01, 0.5)
    # An even function of theta: mirrored, so that the slope on axis is zero.
    nodes = np.asarray(row["THETA"], dtype=float)
    both = np.concatenate([-nodes[:0:-1], nodes])
    curve = PchipInterpolator(both, np.concatenate([mean[:0:-1], mean]), axis=0)(theta)
    return theta, np.asarray(row["ENERG_LO"], dtype=float), curve


# -------------------------------------------------------------------------------------------------------- HRC
def build_hrc(sources: Path) -> dict[str, Any]:
    """Areas of HRC-I in 1999 and 2021 and of HRC-S on axis, on one energy grid, cm2."""
    energy = np.round(np.arange(0.08, 9.971, 0.01), 3)
    theta, at, vignet = build_vignetting(sources / "chandra_vignet.fits.gz")
    response = fits.getdata(sources / "hrcf24564_000N030_r0001_arf3.fits.gz", 1)
    middle = 0.5 * (response["ENERG_LO"].astype(float) + response["ENERG_HI"])
    # Means over 20 eV: the response has 0.6 eV bins.
    total = np.append(0.0, np.cumsum(response["SPECRESP"].astype(float)))
    low, high = (np.searchsorted(middle, energy + half) for half in (-0.01, 0.01))
    off_axis = (total[high] - total[low]) / np.maximum(high - low, 1)
    relative = np.interp(energy, at, [np.interp(HRC_THETA, theta, column) for column in vignet.T])
    late = off_axis / relative
    qe = fits.getdata(sources / "hrciD1999-07-22qeN0008.fits", 1)
    quantum = np.interp(energy, qe["ENERGY"].astype(float), qe["QE"].astype(float))
    # Mirror area that HRC-I would need with its QE of 1999, against that of ACIS: the decline since.
    mirror = late / np.maximum(quantum, 1e-6)
    acis = read_arf(sources / "acisi_aimpt_cy0.arf") / np.maximum(
        read_qe(sources / "acisD1997-04-17qeN0006.fits.gz")[3], 1e-6
    )
    pick = (energy > 1.0) & (energy < 3.0)
    decline = float(np.median(mirror[pick] / np.interp(energy[pick], ENERGY, acis)))
    print(f"HRC-I 2021 over 1999: {decline:.3f}")
    with fits.open(sources / "hrcsD1999-07-22qeN0010.fits.gz") as hdus:
        rows = hdus[2].data
        plate = np.mean([np.interp(energy, row["ENERGY"], row["QE"]) for row in rows], axis=0)
    return {
        "energy": energy, "dates": np.array([1999.55, 2021.69]),
        "hrc_i": np.array([late / decline, late]), "hrc_s": mirror / decline * plate,
    }  # fmt: skip


# --------------------------------------------------------------------------------------------------- matrices
def build_matrices(sources: Path) -> dict[str, Any]:
    """Redistributions by kind of chips and epoch, each row in 16 bits of its own maximum."""
    from catalog.calibration.rmf_file import read_rmf

    front = read_rmf(sources / "acisi_aimpt_cy21.rmf.gz")
    back = read_rmf(sources / "aciss_aimpt_cy18.rmf.gz")
    if not np.allclose(front.energy_lo, back.energy_lo) or not np.allclose(front.channel_lo, back.channel_lo):
        raise SystemExit("the two redistributions differ in their bins")
    table: dict[str, Any] = {
        "energy_lo": front.energy_lo, "energy_hi": front.energy_hi,
        "channel_lo": front.channel_lo, "channel_hi": front.channel_hi,
    }  # fmt: skip
    warm = read_rmf(sources / "acisi_aimpt_cy0.rmf.gz")
    if not np.allclose(warm.channel_hi[-1], front.channel_hi[-1], atol=0.02):
        raise SystemExit("the redistribution of 1999 has other channels")
    matrices = {"front": front.matrix, "back": back.matrix, "front_warm": on_energies(warm, front.energy)}
    for name, matrix in matrices.items():
        peak = matrix.max(axis=1).astype(float)
        table[name] = np.round(matrix / peak[:, None] * 65535).astype(np.uint16)
        table[f"{name}_sum"] = matrix.sum(axis=1, dtype=np.float64)
    return table


def on_energies(response: Any, energy: Array) -> Array:
    """Rows of a redistribution at other energies, between the nearest two; beyond the last moved up."""
    place = np.interp(energy, response.energy, np.arange(response.energy.size))
    low = np.minimum(place.astype(int), response.energy.size - 2)
    share = (place - low)[:, None]
    rows = (1 - share) * response.matrix[low] + share * response.matrix[low + 1]
    width = float(np.median(response.channel_hi - response.channel_lo))
    channel = np.arange(rows.shape[1])
    for number in np.flatnonzero(energy > response.energy[-1]):
        moved = (energy[number] - response.energy[-1]) / width
        rows[number] = np.interp(channel - moved, channel, response.matrix[-1], left=0.0)
    return rows.astype(np.float32)


# -------------------------------------------------------------------------------------------------------- PSF
def radial_weights(size: int, step: float = 0.1, cut: int = 9) -> tuple[Array, Any]:
    """Radii in pixels and a sparse matrix that turns an image into its encircled sums."""
    from scipy.sparse import csr_array

    shift = (np.arange(cut) + 0.5) / cut - 0.5
    axis = (np.arange(size) - 0.5 * (size - 1))[:, None] + shift
    distance = np.hypot(axis.reshape(1, -1), axis.reshape(-1, 1))
    pixel = np.arange(size).repeat(cut)
    number = pixel[:, None] * size + pixel[None, :]
    bins = np.minimum((distance / step).astype(int), int(size / 2 / step))
    keep = bins < int(size / 2 / step)
    shape = (int(size / 2 / step), size * size)
    matrix = csr_array((np.full(keep.sum(), 1.0 / cut**2), (bins[keep], number[keep])), shape=shape)
    return step * np.arange(1, shape[0] + 1), matrix


def encircled_radii(counts: Array, radius: Array, known: Any, rays: int, pixel: float, weights: Any) -> Array:
    """Radii of FRACTIONS of all photons: the image's shape, moved to the radii measured from the rays."""
    inside = np.cumsum(weights @ counts.ravel()) / rays
    arcsec = radius * pixel
    order = np.argsort(known["fraction"])
    fraction, truth = known["fraction"][order], known["radius_truepos_arcsec"][order]
    own = np.interp(fraction, inside, arcsec)
    within = fraction < inside[-1]
    stretched = arcsec * np.interp(np.log(arcsec), np.log(own[within]), truth[within] / own[within])
    stretched = np.maximum.accumulate(stretched)
    beyond = max(float(known["frac_beyond_120arcsec"][0]), 0.5 / rays)
    total = inside * (1 - beyond)
    edge, outside = stretched[-1], 1 - total[-1]
    slope = np.log(outside / beyond) / np.log(120.0 / edge)
    result = np.interp(FRACTIONS, total, stretched, left=np.nan)
    low = total[0] > FRACTIONS
    result[low] = stretched[0] * np.sqrt(FRACTIONS[low] / total[0])
    wing = total[-1] < FRACTIONS
    result[wing] = edge * (outside / (1 - FRACTIONS[wing])) ** (1 / slope)
    far = beyond > 1 - FRACTIONS
    result[far] = 120.0 * beyond / (1 - FRACTIONS[far])
    return result


def build_psf(folder: Path) -> dict[str, Any]:
    """Ray counts of every node and radii of encircled fractions of all photons."""
    eef = Table.read(folder / "psf_eef.ecsv")
    eef = {name: np.asarray(eef[name]) for name in eef.colnames}
    images, per_ray, radii, plane, pixels, thetas = [], [], [], [], [], []
    with fits.open(folder / "psf_library.fits.gz") as hdus:
        radius, weights = radial_weights(hdus[1].data.shape[-1])
        names = sorted(hdu.name for hdu in hdus[1:] if hdu.name.startswith("THETA"))
        energies = np.array([hdus[names[0]].header[f"ENERG{i}"] for i in range(6)], dtype=float)
        for name in names:
            image, info = hdus[name].data, hdus[f"INFO{name[5:]}"].data
            theta, pixel = float(hdus[name].header["THETA"]), float(hdus[name].header["PIXSCALE"])
            thetas.append(theta)
            pixels.append(pixel)
            own_plane, own_radii = np.zeros((8, 6), dtype=np.int64), np.zeros((8, 6, FRACTIONS.size))
            for p in range(8):
                source = p if image.shape[0] == 8 else 0
                for e in range(6):
                    line = info[source * 6 + e]
                    pick = (eef["theta_arcmin"] == theta) & (eef["phi_deg"] == line["phi"])
                    pick &= np.abs(eef["energy_keV"] - energies[e]) < 1e-6
                    known = {key: eef[key][pick] for key in eef}
                    rays = int(line["n_rays"])
                    counts = np.round(image[source, e].astype(float) * rays)
                    own_plane[p, e] = len(images) if source == p else own_plane[0, e]
                    own_radii[p, e] = encircled_radii(counts, radius, known, rays, pixel, weights)
                    if source == p:
                        images.append(counts.astype(np.uint16))
                        per_ray.append((1 - float(known["frac_beyond_120arcsec"][0])) / rays)
            plane.append(own_plane)
            radii.append(own_radii)
    return {
        "theta": np.array(thetas), "phi": np.arange(8) * 45.0, "energy": energies, "fraction": FRACTIONS,
        "radius": np.array(radii, dtype=np.float32), "images": np.array(images), "plane": np.array(plane,
        dtype=np.int16),
        "per_ray": np.array(per_ray), "pixel": np.array(pixels),
    }  # fmt: skip


# -------------------------------------------------------------------------------------------- validation
OBSERVED = {
    "source.arf": (3, 2000.53, 0.32), "arf2278.fits": (0, 2001.55, 5.10), "arf2286.fits": (3, 2001.55, 6.71),
    "qso.warf": (0, 2003.55, 4.8), "acis_none.arf": (7, 2000.39, 0.6), "chandra_acis_s.arf": (7, 2001.07,
    1.0),
    "bubble.arf": (7, 2002.37, 0.67), "quiet_0934.arf": (7, 2002.69, 0.57), "q1127_src1.warf": (7, 2005.31,
    0.6),
    "obs1.arf": (7, 2006.25, 0.08), "9774.arf": (7, 2007.93, 1.25),
}  # fmt: skip
"""Chip, date, off-axis angle; the angle of mkwarf products, which record no position, is a guess."""


def print_observed(folder: Path) -> None:
    """Ratios of the packaged area to CIAO's."""
    from catalog.calibration.builtin import open_builtin_area

    energies = (0.5, 1.0, 1.5, 2.0, 4.0, 6.0)
    model = open_builtin_area()
    print("file                 chip year     theta  " + "  ".join(f"{energy:5.1f}" for energy in energies))
    for name, (chip, year, theta) in OBSERVED.items():
        data = fits.getdata(folder / name, 1)
        middle = 0.5 * (data["ENERG_LO"].astype(float) + data["ENERG_HI"].astype(float))
        ours = model.area(chip, year, theta, 0.0, middle)
        ratio = [
            np.sum(ours[near]) / np.sum(data["SPECRESP"][near])
            for near in (np.abs(middle - energy) < 0.05 for energy in energies)
        ]
        print(
            f"{name:20s} {chip:4d} {year:8.2f} {theta:5.2f}  " + "  ".join(f"{value:5.3f}" for value in ratio)
        )


def main() -> None:
    """Parse the command line and build, or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sources", type=Path, help="folder of aimpoint responses, vignetting and QE")
    parser.add_argument("--psf", type=Path, help="folder of psf_library.fits.gz and psf_eef.ecsv")
    parser.add_argument("--out", type=Path, default=Path("catalog/calibration/data"))
    parser.add_argument("--observed", type=Path, help="folder of real responses: print ratios")
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        warnings.simplefilter("ignore", UserWarning)
        if options.sources:
            np.savez_compressed(options.out / "area.npz", **build_area(options.sources))
            np.savez_compressed(options.out / "hrc.npz", **build_hrc(options.sources))
            np.savez_compressed(options.out / "redistribution.npz", **build_matrices(options.sources))
        if options.psf:
            np.savez_compressed(options.out / "psf.npz", **build_psf(options.psf))
        if options.observed:
            print_observed(options.observed)


if __name__ == "__main__":
    main()
