"""False alarms and speed of the variability tests.

Usage
-----
    python benchmarks/variability.py [SOURCES]       20000 by default

Constant sources of 10 to 400 counts in two good time intervals, carried over a chip edge by a dither of
1000 s. Prints how often they are called variable, whether p is uniform, the same without the corrections,
false alarms between observations of 2001 and 2020 for photon indices 1 to 3, and times.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from scipy import stats

from catalog.band import CSC_BANDS
from catalog.calibration.factory import open_calibration
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.measure.band_response import band_response
from catalog.measure.merged_timing import Epoch, merged_timing
from catalog.stats.exposure_clock import ExposureClock, exposure_clock
from catalog.stats.gregory_loredo import gregory_loredo
from catalog.stats.kolmogorov_smirnov import ks_log10
from catalog.stats.kuiper import kuiper_log10


def dithered_clock() -> ExposureClock:
    """30 ks in two good time intervals, at a chip edge."""
    edges = 1e8 + np.arange(0.0, 30001.0, 25.0)
    fraction = np.clip(0.5 + 0.9 * np.sin(2 * np.pi * (edges[:-1] - 1e8) / 1000.0), 0.0, 1.0)
    return exposure_clock([1e8, 1e8 + 16500], [1e8 + 12000, 1e8 + 30000], edges, fraction, minimum=0.1)


def draw(clock: ExposureClock, n: int, rng: np.random.Generator) -> np.ndarray:
    """Arrivals of a constant source."""
    weight = (clock.stop - clock.start) * clock.fraction
    which = rng.choice(weight.size, n, p=weight / weight.sum())
    return np.sort(clock.start[which] + (clock.stop - clock.start)[which] * rng.random(n))


def within(number: int) -> None:
    """Tests within an observation."""
    rng = np.random.default_rng(1)
    clock = dithered_clock()
    blind = exposure_clock([clock.start[0]], [clock.stop[-1]])
    for title, used, count in (("corrected", clock, number), ("not corrected", blind, number // 10)):
        index, ks, kuiper = np.zeros(count, dtype=int), np.empty(count), np.empty(count)
        for i in range(count):
            times = draw(clock, int(10 ** rng.uniform(1, 2.602)), rng)
            found = gregory_loredo(times, used)
            assert found is not None
            index[i] = found.index
            phase = used.exposure_at(times) / used.total_exposure
            ks[i], kuiper[i] = 10 ** (ks_log10(phase) or 0.0), 10 ** (kuiper_log10(phase) or 0.0)
        uniform = [stats.kstest(p, "uniform").pvalue for p in (ks, kuiper)]
        print(
            f"{title:14s} {count:6d} sources: index >= 3 {100 * (index >= 3).mean():6.2f} %, "
            f">= 6 {100 * (index >= 6).mean():6.2f} %, "
            f"uniformity of p: KS {uniform[0]:.3g}, Kuiper {uniform[1]:.3g}"
        )


def between(number: int) -> None:
    """A constant source in 2001.5 and 2020.5, photon index 1 to 3, 50 to 5000 counts, with background."""
    rng = np.random.default_rng(2)
    calibration, reference = open_calibration(), ReferenceSpectrum()
    for name in ("broad", "soft", "hard"):
        band = CSC_BANDS[name]
        rows = [
            band_response(
                calibration, 3, year, np.array([2.0]), np.array([0.0]), (band,), reference, "spectrum"
            )
            for year in (2001.5, 2020.5)
        ]
        area = np.array([float(row.area[0, 0]) for row in rows])
        shape = {1.0: np.array([float(row.index1[0, 0]) for row in rows]), 1.7: np.ones(2)}
        shape[3.0] = np.array([float(row.index3[0, 0]) for row in rows])
        for index, factor in shape.items():
            called, naive = 0, 0
            for _ in range(number):
                true = factor * area * np.array([30e3, 40e3])
                flux = 10 ** rng.uniform(1.7, 3.7) / true[0]
                background = rng.uniform(0.5, 10, 2)
                n, m = rng.poisson(true * flux + background), rng.poisson(20 * background)
                epochs = [
                    Epoch(
                        float(i), int(n[i]), int(m[i]), area[i] * (30e3, 40e3)[i], 0.0, 20.0, 1.0,
                        float(shape[1.0][i]), float(shape[3.0][i]), None, {},
                    )
                    for i in range(2)
                ]  # fmt: skip
                called += merged_timing(epochs, 1.7)["var_inter_index"] >= 6
                plain = [Epoch(**{**vars(e), "index1": np.nan, "index3": np.nan}) for e in epochs]
                naive += merged_timing(plain, 1.7)["var_inter_index"] >= 6
            print(
                f"between, {name:6s} index {index:.1f}: called variable {100 * called / number:5.2f} %, "
                f"without the range of spectra {100 * naive / number:5.1f} %"
            )


def _test_all(jobs: list[tuple[np.ndarray, ExposureClock]]) -> None:
    for i, (times, clock) in enumerate(jobs):
        # As the stage does: the light curve of the widest band, of the others where the index needs it.
        gregory_loredo(times, clock, with_curve=i % 4 == 0)


def speed() -> None:
    """Gregory-Loredo of 170 ks (3000 bins): 1440 sources in 4 bands, a fifth of them at edges."""
    rng = np.random.default_rng(3)
    plain = exposure_clock([1e8], [1e8 + 170000])
    edges = 1e8 + np.arange(0.0, 170001.0, 30.0)
    edge = exposure_clock([1e8], [1e8 + 170000], edges, 0.6 + 0.4 * np.sin(edges[:-1] / 160))
    jobs = []
    for i in range(1440):
        clock = edge if i % 5 == 0 else plain
        for share in (1.0, 0.25, 0.35, 0.4):
            jobs.append((draw(clock, max(1, int(share * 10 ** rng.normal(1.7, 0.6))), rng), clock))
    gregory_loredo(jobs[0][0], plain), gregory_loredo(jobs[0][0], edge)
    begin = time.process_time()
    _test_all(jobs)
    print(f"Gregory-Loredo, 1440 sources x 4 bands, 170 ks: {time.process_time() - begin:.1f} s of one core")
    halves = [jobs[i * 720 * 4 : (i + 1) * 720 * 4] for i in range(2)]
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_test_all, [half[:8] for half in halves]))
        begin = time.perf_counter()
        list(pool.map(_test_all, halves))
        print(f"the same in two processes: {time.perf_counter() - begin:.1f} s")
    for name, clock in (("interior", plain), ("edge", edge)):
        times = draw(clock, 100_000, rng)
        begin = time.process_time()
        gregory_loredo(times, clock)
        print(f"one source of 100000 events, {name}: {time.process_time() - begin:.2f} s")


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    within(wanted)
    between(max(200, wanted // 20))
    speed()
