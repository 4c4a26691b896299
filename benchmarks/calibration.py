"""Packaged areas against responses made by CIAO, and PSF radii against the ray trace.

Usage
-----
    python benchmarks/calibration.py [DATA]      DATA holds calibration/observed, sources and psf

Prints the tables that docs/calibration.md keeps: observed responses (never used to build the tables),
planning responses that the tables leave out, an older generation of planning responses against observed
responses of that generation, and the point spread functions.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from catalog.calibration.builtin import BuiltinArea, open_builtin_area
from catalog.calibration.psf import open_psf_library
from catalog.calibration.psf_blur import EDSER

Array = NDArray[np.float64]

ENERGIES = (0.92, 1.56, 2.3, 3.8)
LIMITS = (0.08, 0.05, 0.04, 0.04)
RANGE = (1.2, 7.0)

# Chip, date, off-axis angle, then versions of mirror area, QE, QE uniformity, contamination. The angle of
# qso.warf is that of the chip region in qso.wrmf (I0, CHIPX 769-1024, CHIPY 513-544: 4.4-5.3'); q1127,
# acis_none and chandra_acis_s record none: taken at the aimpoint.
OBSERVED = {
    "source.arf": (3, 2000.53, 0.32, "N0006 N0003 N0001 none"),
    "arf2278.fits": (0, 2001.55, 5.10, "N0006 N0003 none none"),
    "arf2286.fits": (3, 2001.55, 6.71, "N0006 N0003 none none"),
    "quiet_0934.arf": (7, 2002.69, 0.57, "N0006 N0005 N0002 N0003"),
    "bubble.arf": (7, 2002.37, 0.67, "N0007 N0005 N0002 N0004"),
    "q1127_src1.warf": (7, 2005.31, 0.20, "N0007 N0005 N0002 N0004"),
    "qso.warf": (0, 2003.55, 4.84, "N0008 N0006 N0006 N0004"),
    "acis_none.arf": (7, 2000.39, 0.20, "N0008 N0006 N0006 N0004"),
    "obs1.arf": (7, 2006.25, 0.08, "N0008 N0006 N0006 N0005"),
    "9774.arf": (7, 2007.93, 1.25, "N0008 N0006 N0006 N0006"),
    "chandra_acis_s.arf": (7, 2001.07, 0.20, "N0008 N0006 N0007 N0009"),
}

# Not used to build the tables: contamination of the cycle at its date.
HELD_OUT = {
    "acisi_aimpoint_arf.fits": (3, 1999.83, 0.4, "N0004 N0002 N0001 none"),
    "acisi_aimpt_ao-4.arf": (3, 2001.43, 0.4, "N0006 N0004 N0001 none"),
    "aciss_aimpt_ao-4.arf": (7, 2001.43, 0.2, "N0006 N0004 N0001 none"),
    "acisi_aimpt_cy05.arf": (3, 2004.0, 0.4, "N0006 N0003 N0001 predicted"),
    "aciss_aimpt_cy05.arf": (7, 2004.0, 0.2, "N0006 N0003 N0001 predicted"),
    "acisi_aimpt_cy06.arf": (3, 2005.0, 0.4, "N0006 ? N0001 N0000"),
    "aciss_aimpt_cy07.arf": (7, 2006.37, 0.2, "N0006 N0005 N0002 N0004"),
    "acisi_aimpt_cy19.arf": (3, 2018.37, 0.37, "N0008 N0006 N0007 N0010"),
}
FRACEXPO = {"acisi_aimpt_cy19.arf": 0.96201574945489}

# Observed responses against planning responses with the same mirror area (N0006), free of contamination.
SAME_GENERATION = {
    "source.arf": ("acisi_aimpt_ao-4.arf", 3, 0.32, 0.4),
    "arf2286.fits": ("acisi_aimpt_ao-4.arf", 3, 6.71, 0.4),
    "arf2278.fits": ("acisi_aimpt_ao-4.arf", 0, 5.10, 0.4),
}


def read_arf(path: Path) -> tuple[Array, Array]:
    """Bin centres in keV and area in cm2."""
    data = fits.getdata(path, 1)
    middle = 0.5 * (data["ENERG_LO"].astype(float) + data["ENERG_HI"].astype(float))
    return middle, data["SPECRESP"].astype(float)


def ratios(energy: Array, ours: Array, theirs: Array) -> tuple[Array, Array]:
    """Ratios of means over 0.1 keV at ENERGIES, and bin by bin (20 eV) over RANGE."""
    at = [np.abs(energy - value) < 0.05 for value in ENERGIES]
    named = np.array([ours[near].sum() / theirs[near].sum() for near in at])
    edges = np.arange(RANGE[0], RANGE[1] + 0.01, 0.02)
    bins = np.digitize(energy, edges)
    whole = np.array(
        [ours[bins == i].sum() / theirs[bins == i].sum() for i in range(1, edges.size) if (bins == i).any()]
    )
    return named, whole


def line(name: str, where: tuple[int, float, float, str], named: Array, whole: Array) -> str:
    """One row of a table."""
    chip, year, theta, versions = where
    worst = np.quantile(np.abs(whole - 1), 0.9)
    cells = [f"{value:.3f}" for value in (np.median(whole), worst, *named)]
    return f"| {name} | {chip}, {year:.2f}, {theta:.2f} | {versions} | " + " | ".join(cells) + " |"


def print_head(title: str) -> None:
    """Title and head of a table."""
    print(f"\n{title}\n")
    names = " | ".join(f"{energy}" for energy in ENERGIES)
    print(f"| response | chip, date, theta' | mirror QE QEU contam | median | worst decile | {names} |")
    print("|---" * (5 + len(ENERGIES)) + "|")


def print_areas(data: Path, model: BuiltinArea) -> None:
    """Observed and held-out responses."""
    collected, named_late = [], []
    print_head("Built-in over CIAO, observed responses")
    for name, where in OBSERVED.items():
        energy, area = read_arf(data / "observed" / name)
        named, whole = ratios(energy, model.area(where[0], where[1], where[2], 0.0, energy), area)
        collected.append(whole)
        if where[3].split()[3] not in ("none", "N0003"):
            named_late.append(named)
        print(line(name, where, named, whole))
    pooled = np.concatenate(collected)
    worst = np.quantile(np.abs(pooled - 1), 0.9)
    print(f"\nall files and energies 1.2-7 keV: median {np.median(pooled):.3f}, worst decile {worst:.3f}")
    medians = np.array([np.median(part) for part in collected])
    deciles = [float(np.quantile(np.abs(part - 1), 0.9)) for part in collected]
    inside = int((np.abs(medians - 1) <= 0.04).sum())
    spread = f"{min(deciles):.3f}-{max(deciles):.3f}"
    print(f"medians within 0.04: {inside} of {medians.size}; worst deciles {spread}")
    middle = np.median(np.array(named_late), axis=0)
    for energy, value, limit in zip(ENERGIES, middle, LIMITS, strict=True):
        inside = sum(abs(row[ENERGIES.index(energy)] - 1) <= limit for row in named_late)
        print(
            f"{energy} keV, N0004 and later: median {value:.3f} (goal {limit}), {inside} of {len(named_late)}"
        )
    print_head("Planning responses not used for the tables")
    for name, where in HELD_OUT.items():
        energy, area = read_arf(data / "sources" / name)
        ours = model.area(where[0], where[1], where[2], 0.0, energy) * FRACEXPO.get(name, 1.0)
        print(line(name, where, *ratios(energy, ours, area)))
    print_head("Planning response of 2001, moved with vignetting, over observed responses of that generation")
    for name, (source, chip, theta, aimpoint) in SAME_GENERATION.items():
        energy, area = read_arf(data / "observed" / name)
        old_energy, old = read_arf(data / "sources" / source)
        ours = np.interp(energy, old_energy, old)
        ours = ours * model.vignetting(theta, energy) / model.vignetting(aimpoint, energy)
        ours = ours * model.relative_efficiency(chip, 3, energy)
        print(line(name, (chip, OBSERVED[name][1], theta, OBSERVED[name][3]), *ratios(energy, ours, area)))


def print_psf() -> None:
    """Two numbers of CIAO's documentation (ahelp src_psffrac, srcflux), computed; they are not aimed at."""
    library = open_psf_library()
    print("\nPoint spread functions, no blur and that of repositioned events\n")
    azimuths = np.arange(0.0, 360.0, 45.0)
    for blur in (0.0, EDSER):
        psf = library.with_blur(blur)
        for theta, phi, energy, radius, theirs in (
            (0.0058, 303.3, 2.3, 4.92, 0.964797),
            (2.7378, 230.93, 1.0, 13.44 * 0.492, 0.968496),
        ):
            ours = float(psf.fraction_in_radius(theta, phi, energy, radius))
            where = f"in {radius:.2f} arcsec at {theta:.2f}', {energy} keV"
            print(f"blur {blur}: {ours:.4f} {where}; CIAO {theirs:.4f}")
        radii = psf.radius(7.6743, azimuths, 1.0, 0.9)
        spread = f"{radii.mean():.3f} ({radii.min():.3f} to {radii.max():.3f} by azimuth)"
        print(f"blur {blur}: 90 % at 7.67', 1 keV in {spread}; CIAO 7.064, {radii.mean() / 7.0637 - 1:+.1%}")
    print(
        "\nShare of the flux that an aperture's correction misses without the blur (90 % circle at 1 keV)\n"
    )
    print("| theta | 1.0 keV | 2.3 keV | 4.5 keV |\n|---|---|---|---|")
    blurred = library.with_blur(EDSER)
    for theta in (0.0, 1.0, 2.0, 3.0, 5.0, 8.0):
        radius = library.radius(theta, 0.0, 1.0, 0.9)
        energies = np.array([1.0, 2.3, 4.5])
        lost = library.fraction_in_radius(theta, 0.0, energies, radius)
        lost = lost / blurred.fraction_in_radius(theta, 0.0, energies, radius) - 1
        print(f"| {theta} | " + " | ".join(f"{value:.1%}" for value in lost) + " |")


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data") / "calibration"
    warnings.simplefilter("ignore")
    print_areas(folder, open_builtin_area())
    print_psf()
