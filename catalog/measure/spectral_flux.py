"""Fluxes of a fitted model with intervals, by drawing parameters from their posterior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.band import Band
from catalog.measure.spectral_problem import Minimum, Problem

Array = NDArray[np.float64]

FLUX_CONFIDENCE = 0.90
_ROUNDS = (150, 150, 400)
"""Draws of each round; each learns from the one before, the last one counts."""
_FREEDOM = 5
"""Of Student's distribution: tails beyond those of the posterior."""
_GRID = 400
_FEWEST = 40.0


@dataclass(frozen=True)
class BandFlux:
    """Energy flux of a model in a band, erg cm-2 s-1; unabsorbed: without the gas.

    `lolim` and `hilim` hold 90 %; with nothing found, `lolim` is 0 and `hilim` a 90 % upper bound. They are
    None where too few draws carried weight.
    """

    band: str
    lo: float
    hi: float
    flux: float
    flux_lolim: float | None
    flux_hilim: float | None
    unabsorbed: float
    unabsorbed_lolim: float | None
    unabsorbed_hilim: float | None


def sampled_fluxes(
    problem: Problem, best: Minimum, free: NDArray[np.bool_], bands: Sequence[Band], seed: int
) -> list[BandFlux]:
    """Fluxes of the best fit in each band, with intervals.

    Parameters
    ----------
    problem, best, free
        What was fitted, and the result.
    bands
        Bands.
    seed
        Of the random numbers: the same seed gives the same intervals.

    Notes
    -----
    The posterior has flat priors within the limits of the parameters. Importance sampling: parameters are
    drawn from Student's distribution about the best fit, with the covariance of the information matrix and
    then of the weighted draws, and weighted by likelihood over density of the draw. A fit in which only a
    norm is free needs no draws: its posterior is computed on a grid.
    """
    chosen = np.flatnonzero(free)
    draws, weights = np.zeros((0, best.values.size)), np.zeros(0)
    if chosen.size == 1 and int(chosen[0]) in problem.model.norms:
        draws, weights = _norm_grid(problem, best, int(chosen[0]))
    elif chosen.size:
        draws, weights = _draw(problem, best, chosen, np.random.default_rng(seed))
    found = []
    for band in bands:
        at_best = problem.model.energy_flux(band.lo, band.hi, best.values[None] * problem.scale)
        ends: list[tuple[float | None, float | None]] = [(None, None), (None, None)]
        if draws.size:
            both = problem.model.energy_flux(band.lo, band.hi, draws * problem.scale)
            ends = [
                _interval(values, weights, float(value[0]))
                for values, value in zip(both, at_best, strict=True)
            ]
        found.append(
            BandFlux(
                band.name, band.lo, band.hi, float(at_best[0][0]), *ends[0], float(at_best[1][0]), *ends[1]
            )
        )
    return found


def _norm_grid(problem: Problem, best: Minimum, place: int) -> tuple[Array, Array]:
    """Posterior of a norm on a grid that reaches to where nothing is left of it."""
    start = float(best.values[place])
    width = max(start, 1e-3)
    values = np.repeat(best.values[None], 2, axis=0)
    for _ in range(60):
        values[1, place] = start + width
        if float(problem.statistics(values[1:])[0]) - best.statistic > 40.0:
            break
        width *= 1.5
    grid = np.linspace(max(start - width, 0.0), start + width, _GRID)
    draws = np.repeat(best.values[None], _GRID, axis=0)
    draws[:, place] = grid
    rise = problem.statistics(draws) - best.statistic
    weights = np.exp(-0.5 * rise)
    return draws, weights / weights.sum()


def _draw(
    problem: Problem, best: Minimum, chosen: NDArray[np.intp], random: np.random.Generator
) -> tuple[Array, Array]:
    _, information = problem.slope_and_information(best.values, chosen)
    centre = best.values[chosen]
    spread = np.asarray(np.linalg.pinv(information, hermitian=True), dtype=float)
    # A parameter about which the counts say nothing is drawn from a wide range.
    spread += np.diag(1e-6 + 1e-4 * np.abs(centre)) ** 2
    sets, weights = np.zeros((0, best.values.size)), np.zeros(0)
    for number in _ROUNDS:
        sets, weights = _round(problem, best, chosen, centre, spread, random, number)
        if sets.size == 0 or 1.0 / (weights**2).sum() < 3 * chosen.size:
            spread = 0.5 * spread if sets.size else 0.25 * spread
            continue
        values = sets[:, chosen]
        centre = weights @ values
        spread = 1.2 * ((values - centre).T * weights) @ (values - centre)
        spread += 1e-9 * np.diag(np.maximum(np.diag(spread), 1e-9))
    if sets.size and 1.0 / (weights**2).sum() < _FEWEST:
        return np.zeros((0, best.values.size)), np.zeros(0)
    return sets, weights


def _round(
    problem: Problem,
    best: Minimum,
    chosen: NDArray[np.intp],
    centre: Array,
    spread: Array,
    random: np.random.Generator,
    number: int,
) -> tuple[Array, Array]:
    """Draws inside the limits and their weights, which sum to 1."""
    root = np.linalg.cholesky(spread)
    gauss = random.standard_normal((number, chosen.size))
    stretch = np.sqrt(_FREEDOM / random.chisquare(_FREEDOM, number))
    steps = gauss * stretch[:, None]
    sets = np.repeat(best.values[None], number, axis=0)
    sets[:, chosen] = centre + steps @ root.T
    inside = ((sets >= problem.lo) & (sets <= problem.hi)).all(axis=1)
    sets, steps = sets[inside], steps[inside]
    if len(sets) == 0:
        return sets, np.zeros(0)
    log_density = -0.5 * (_FREEDOM + chosen.size) * np.log1p((steps**2).sum(axis=1) / _FREEDOM)
    log_weight = -0.5 * (problem.statistics(sets) - best.statistic) - log_density
    weights = np.exp(log_weight - log_weight.max())
    return sets, weights / weights.sum()


def _interval(values: Array, weights: Array, best: float) -> tuple[float, float]:
    """Ends of equal tails around the best value; a one-sided bound where the best is nothing."""
    order = np.argsort(values)
    passed = np.cumsum(weights[order]) - 0.5 * weights[order]
    if best <= 0.0:
        return 0.0, float(np.interp(FLUX_CONFIDENCE, passed, values[order]))
    tail = 0.5 * (1.0 - FLUX_CONFIDENCE)
    lo, hi = np.interp([tail, 1.0 - tail], passed, values[order])
    return min(float(lo), best), max(float(hi), best)
