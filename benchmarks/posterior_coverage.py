"""Calibration of the statistics: coverage of intervals, false positives, speed; tables for the docs.

Usage
-----
    python benchmarks/posterior_coverage.py            all tables, about three minutes
    python benchmarks/posterior_coverage.py --quick    fewer draws

Seeds are fixed. Exits with 1 when a limit is broken.
"""

from __future__ import annotations

import argparse
import sys
import time

# In the folder of this script it would be taken for the package `coverage`, which numba looks for.
sys.path.pop(0)

import numpy as np
from scipy.stats import poisson

from catalog.stats.aperture_posterior import summarise
from catalog.stats.joint_posterior import summarise_joint_many
from catalog.stats.no_source import log10_prob_no_source

SOURCES = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 300.0)
BACKGROUNDS = (0.1, 0.5, 2.0, 10.0, 50.0)
F, G, R = 0.9, 0.03, 5.0
LEAST = {0.68: 0.57, 0.90: 0.84}


def support(mean: float) -> np.ndarray:
    """Counts that are not too improbable."""
    return np.arange(int(poisson.ppf(1e-6, mean)), int(poisson.ppf(1 - 1e-6, mean)) + 1)


def covers(n, m, source: float, confidence: float) -> np.ndarray:
    found = summarise(n, m, F, G, R, confidence)
    return (found.lolim <= source) & (source <= found.hilim)


def exact_coverage(source: float, background: float, confidence: float) -> float:
    """Sum over all pairs of counts of their probability where the interval holds the truth."""
    n, m = support(F * source + background), support(G * source + R * background)
    weight = np.outer(poisson.pmf(n, F * source + background), poisson.pmf(m, G * source + R * background))
    inside = covers(n[:, None], m[None, :], source, confidence)
    return float(weight[inside].sum() / weight.sum())


def coverage_table(confidence: float, draws: int, rng: np.random.Generator) -> tuple[list[str], bool]:
    lines = [f"| S \\ b | {' | '.join(f'{b:g}' for b in BACKGROUNDS)} |", "|---|" + "---|" * len(BACKGROUNDS)]
    good = True
    for source in SOURCES:
        cells = []
        for background in BACKGROUNDS:
            exact = exact_coverage(source, background, confidence)
            n = rng.poisson(F * source + background, draws)
            m = rng.poisson(G * source + R * background, draws)
            drawn = float(covers(n, m, source, confidence).mean())
            good &= exact > LEAST[confidence] and abs(drawn - exact) < 0.02
            cells.append(f"{exact:.3f} ({drawn:.3f})")
        lines.append(f"| {source:g} | {' | '.join(cells)} |")
    return lines, good


def prior_average(draws: int, rng: np.random.Generator) -> float:
    """Coverage of 68.27 % intervals over sources drawn from the prior, here flat from 0 to a high limit."""
    source, background = rng.uniform(0, 60, draws), rng.uniform(0, 30, draws)
    n, m = rng.poisson(F * source + background), rng.poisson(G * source + R * background)
    # Away from the limits of the simulated prior, where the counts do not know that it ends.
    kept = (n < 45) & (m < 100)
    found = summarise(n[kept], m[kept], F, G, R, 0.6827)
    return float(np.mean((found.lolim <= source[kept]) & (source[kept] <= found.hilim)))


def false_positives(draws: int, rng: np.random.Generator) -> tuple[list[str], bool]:
    """Blank positions with P below p, each P spread over the step of its discrete law."""
    lines = ["| b | r | p = 0.1 | 0.01 | 0.001 |", "|---|---|---|---|---|"]
    good = True
    for background, ratio in ((0.2, 20.0), (1.0, 20.0), (3.0, 10.0), (20.0, 5.0)):
        n, m = rng.poisson(background, draws), rng.poisson(ratio * background, draws)
        at_least = 10.0 ** log10_prob_no_source(n, m, ratio)
        # Given n + m the law is binomial, so P(X > n) is the value at n + 1 and m - 1.
        more = np.where(m > 0, 10.0 ** log10_prob_no_source(n + 1, np.maximum(m - 1, 0), ratio), 0.0)
        spread = more + rng.random(draws) * (at_least - more)
        shares = [float(np.mean(spread < p)) for p in (0.1, 0.01, 0.001)]
        good &= all(abs(share / p - 1) < 0.15 for share, p in zip(shares, (0.1, 0.01, 0.001), strict=True))
        lines.append(
            f"| {background:g} | {ratio:g} | " + " | ".join(f"{share:.4g}" for share in shares) + " |"
        )
    return lines, good


def speed(rng: np.random.Generator) -> list[str]:
    size = 100_000
    n, m = rng.integers(0, 101, size), rng.integers(0, 201, size)
    summarise(n[:10], m[:10], F, G, R)
    start = time.process_time()
    summarise(n, m, F, G, R)
    single = time.process_time() - start
    count, members = 2000, 10
    n, m = rng.integers(0, 30, count * members), rng.integers(0, 100, count * members)
    offsets = np.arange(count + 1) * members
    arrays = (n, m, *(np.full(n.shape, value) for value in (F, G, R)))
    summarise_joint_many(offsets[:3], *(values[: 2 * members] for values in arrays))
    start = time.process_time()
    summarise_joint_many(offsets, *arrays)
    joint = count / (time.process_time() - start)
    return [
        f"100,000 posteriors with 68 % intervals: {single:.1f} s of one core",
        f"joint posteriors of 10 observations: {joint:.0f} per s and core",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    draws = 3000 if parser.parse_args().quick else 20000
    rng = np.random.default_rng(20260101)
    good = True
    for confidence in LEAST:
        lines, fine = coverage_table(confidence, draws, rng)
        print(f"\nCoverage of {confidence:.0%} intervals, exact (simulated); f {F}, g {G}, r {R}\n")
        print("\n".join(lines))
        good &= fine
    average = prior_average(draws * 20, rng)
    print(f"\nAveraged over the prior, 68.27 %: {average:.4f}\n")
    good &= abs(average - 0.6827) < 0.005
    lines, fine = false_positives(draws * 100, rng)
    print("Blank positions with PROB_NO_SOURCE below p\n")
    print("\n".join([*lines, "", *speed(rng)]))
    return 0 if good and fine else 1


if __name__ == "__main__":
    sys.exit(main())
