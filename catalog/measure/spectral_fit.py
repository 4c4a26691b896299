"""Fitting a model to the spectra of a source: one spectrum, or several observations jointly."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.band import Band
from catalog.measure.spectral_components import FitParameter
from catalog.measure.spectral_data import FitSpectrum, FoldedSpectrum, fold, group_by_counts, together
from catalog.measure.spectral_errors import Interval, profile_intervals
from catalog.measure.spectral_flux import BandFlux, sampled_fluxes
from catalog.measure.spectral_model import FitModel
from catalog.measure.spectral_problem import Minimum, Problem
from catalog.measure.spectral_statistic import StatisticName, bind_statistic

Array = NDArray[np.float64]

_RESTARTS = 3
_GRID_NH = (0.05, 0.3, 1.0, 4.0)
_GRID_SHAPE = {
    "photon_index": (0.5, 1.2, 1.8, 2.6, 4.0),
    "kt": (0.3, 0.8, 2.0, 6.0),
    "kt2": (1.5, 4.0, 10.0),
}
_STARTS = 2
"""Points of the grid from which the minimum is sought."""
_AT_LIMIT = 1e-6
_W_COUNTS = 5.0
_CHI_COUNTS = 15.0
_NOTHING = Interval(None, None, None, None)


@dataclass(frozen=True)
class FitChoices:
    """How a fit is made.

    Attributes
    ----------
    statistic
        ``cstat``, ``wstat`` or ``chi2``.
    lo, hi
        keV; channels partly inside are used.
    bands
        Bands of the fluxes.
    counts_for_shape, counts_for_nh, counts_for_second
        Net counts below which the shape (photon index, temperature) stays at its start, the column at its
        start, and a second temperature is not tried.
    frozen
        Parameters held at a value, whatever the counts.
    free
        Parameters that are free, whatever the counts.
    timeout
        Seconds that a fit may take.
    seed
        Of the draws of fluxes.
    """

    statistic: StatisticName = "cstat"
    lo: float = 0.5
    hi: float = 7.0
    bands: tuple[Band, ...] = ()
    counts_for_shape: float = 15.0
    counts_for_nh: float = 50.0
    counts_for_second: float = 100.0
    frozen: tuple[tuple[str, float], ...] = ()
    free: tuple[str, ...] = ()
    timeout: float = 60.0
    seed: int = 1


@dataclass(frozen=True)
class FittedParameter:
    """A parameter of a fit.

    Attributes
    ----------
    name, unit
        As in the model.
    value
        Best value, or where it is frozen.
    lo68, hi68, lo90, hi90
        Ends of the 68 and 90 % confidence intervals; None where the parameter is frozen or the statistic
        does not rise so far before the limit.
    frozen
        Whether it was not fitted.
    at_limit
        Whether the best value lies at a limit of the parameter.
    """

    name: str
    unit: str
    value: float
    lo68: float | None = None
    hi68: float | None = None
    lo90: float | None = None
    hi90: float | None = None
    frozen: bool = False
    at_limit: bool = False


@dataclass(frozen=True)
class SpectralFitResult:
    """A fitted model.

    Attributes
    ----------
    model, absorber
        Names.
    statistic_name
        ``cstat``, ``wstat`` or ``chi2``.
    statistic, degrees_of_freedom
        At the best fit; points of both spectra less free parameters, those of a fitted background included.
    goodness
        Probability of a statistic as large or larger; None without freedom.
    status
        ``ok``; ``limit``: a fitted parameter ended at a limit; ``bound``: no source found, the norm is 0 and
        its upper end a bound; ``not_converged``: the search did not end by itself.
    net_counts
        In the channels of the fit, of all spectra.
    neighbour_counts
        Counts of neighbours that were taken off, beyond those in the background.
    n_free
        Free parameters.
    parameters, fluxes
        Results.
    """

    model: str
    absorber: str
    statistic_name: str
    statistic: float
    degrees_of_freedom: int
    goodness: float | None
    status: str
    net_counts: float
    n_free: int
    parameters: tuple[FittedParameter, ...]
    fluxes: tuple[BandFlux, ...] = ()
    neighbour_counts: float = 0.0

    def parameter(self, name: str) -> FittedParameter:
        """The parameter of this name."""
        return next(item for item in self.parameters if item.name == name)


def fit_spectra(spectra: Sequence[FitSpectrum], model: FitModel, choices: FitChoices) -> SpectralFitResult:
    """Fit a model to one spectrum, or to several at once with the same parameters.

    Parameters
    ----------
    spectra
        At least one.
    model
        Model with starts; a frozen parameter stays at its start.
    choices
        How.

    Raises
    ------
    CalibrationError
        No usable channels or areas.
    ProjectError
        Code NO_SHERPA: Sherpa is not installed.
    OutOfTimeError
        The fit took longer than it may.
    """
    folded = fold_for(spectra, choices)
    data = together(folded)
    model = model.with_start(**dict(choices.frozen))
    free = free_parameters(model, data.net_counts, choices)
    statistic = bind_statistic(choices.statistic, data)
    scale = np.array([_unit(item) for item in model.parameters])
    problem = Problem(model, data, statistic, scale, time.monotonic() + choices.timeout)
    per_norm = float(problem.predict(np.array([item.start for item in model.parameters])[None] / scale).sum())
    norm = max(data.net_counts, 1.0) / max(per_norm, 1e-30) * model.parameters[model.norms[0]].start
    scale[list(model.norms)] = norm
    problem = replace(problem, scale=scale)
    best = _best(problem, free)
    intervals: dict[int, Interval] = {}
    for _ in range(_RESTARTS):
        found = profile_intervals(problem, best, free)
        if found.better is None:
            intervals = found.intervals
            break
        best = problem.score(found.better.values, free)
    source = problem.predict(best.values[None])[0]
    parameters = _parameters(problem, best, free, intervals)
    fluxes = sampled_fluxes(problem, best, free, choices.bands, choices.seed)
    n_free = int(free.sum())
    return SpectralFitResult(
        model=model.name,
        absorber=model.absorber,
        statistic_name=choices.statistic,
        statistic=best.statistic,
        degrees_of_freedom=statistic.n_points - n_free - statistic.n_background_parameters,
        goodness=statistic.goodness(source, n_free),
        status=_status(model, best, parameters, intervals, n_free),
        net_counts=data.net_counts,
        n_free=n_free,
        parameters=parameters,
        fluxes=tuple(fluxes),
        neighbour_counts=float(sum(item.neighbours.sum() for item in folded)),
    )


def fold_for(spectra: Sequence[FitSpectrum], choices: FitChoices) -> list[FoldedSpectrum]:
    """The points of a fit: single channels for `cstat`; for the others groups, the file's or our own.

    W-statistic wants 5 counts of background in each group (with fewer it is biased towards no source), chi
    squared 15 counts.
    """
    folded = [fold(spectrum, choices.lo, choices.hi) for spectrum in spectra]
    grouped = [spectrum.grouping is not None for spectrum in spectra]
    if choices.statistic == "wstat":
        return [
            item if item.background is None else group_by_counts(item, item.background, _W_COUNTS)
            for item in folded
        ]
    if choices.statistic == "chi2":
        return [
            item if own else group_by_counts(item, item.counts, _CHI_COUNTS)
            for item, own in zip(folded, grouped, strict=True)
        ]
    return folded


def free_parameters(model: FitModel, net_counts: float, choices: FitChoices) -> NDArray[np.bool_]:
    """Which parameters are fitted, by the number of counts and by wish."""
    held = dict(choices.frozen)

    def is_free(name: str) -> bool:
        if name in held:
            return False
        if name in choices.free:
            return True
        if name in ("norm", "norm2"):
            return True
        if name in ("photon_index", "kt", "kt2"):
            return net_counts >= choices.counts_for_shape
        return name == "nh" and net_counts >= choices.counts_for_nh

    return np.array([is_free(item.name) for item in model.parameters])


def _unit(item: FitParameter) -> float:
    return item.start if item.name.startswith("norm") else 1.0


def _best(problem: Problem, free: NDArray[np.bool_]) -> Minimum:
    """The minimum by Sherpa, from the best points of a grid, refined."""
    # Late import: Sherpa takes most of a second, and only fits need it.
    from catalog.measure.spectral_sherpa import minimise

    starts = _grid(problem, free)
    order = np.argsort(problem.statistics(starts), kind="stable")
    refined = [problem.score(starts[place], free) for place in order[:_STARTS]]
    first = min(refined, key=lambda item: item.statistic)
    return minimise(problem, first.values, free)


def _grid(problem: Problem, free: NDArray[np.bool_]) -> Array:
    """Starting points, scaled: shapes and columns on a grid, norms that give the observed net counts."""
    model = problem.model
    axes: list[list[float]] = []
    for item, is_free in zip(model.parameters, free.tolist(), strict=True):
        points: Any = (item.start,)
        if is_free and item.name == "nh":
            points = (item.start, *_GRID_NH)
        elif is_free and item.name in _GRID_SHAPE:
            points = (item.start, *_GRID_SHAPE[item.name])
        if item.name.startswith("norm"):
            points = (1.0,) if is_free else (item.start,)
        axes.append([min(max(value, item.lo), item.hi) for value in points])
    sets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    norms = list(model.norms)
    fixed = [place for place in norms if not free[place]]
    sets[:, fixed] /= problem.scale[fixed]
    counts = problem.predict(sets).sum(axis=1)
    wanted = max(problem.data.net_counts, 0.5)
    loose = [place for place in norms if free[place]]
    sets[:, loose] *= (wanted / np.maximum(counts, 1e-30))[:, None]
    return np.asarray(np.clip(sets, problem.lo, problem.hi))


def _parameters(
    problem: Problem, best: Minimum, free: NDArray[np.bool_], intervals: dict[int, Interval]
) -> tuple[FittedParameter, ...]:
    found = []
    for place, item in enumerate(problem.parameters):
        unit = float(problem.scale[place])
        lo68, hi68, lo90, hi90 = (
            None if end is None else end * unit for end in intervals.get(place, _NOTHING)
        )
        value = float(best.values[place])
        span = problem.hi[place] - problem.lo[place]
        near = _AT_LIMIT * min(span, 1.0)
        at_limit = bool(value - problem.lo[place] < near or problem.hi[place] - value < near)
        is_free = bool(free[place])
        found.append(
            FittedParameter(
                item.name, item.unit, value * unit, lo68, hi68, lo90, hi90, not is_free, at_limit and is_free
            )
        )
    return tuple(found)


def _status(
    model: FitModel,
    best: Minimum,
    parameters: Sequence[FittedParameter],
    intervals: dict[int, Interval],
    n_free: int,
) -> str:
    if not best.converged or (n_free and not intervals):
        return "not_converged"
    norms = [item for item in parameters if item.name in ("norm", "norm2")]
    if all(item.at_limit for item in norms):
        return "bound"
    # No gas at all is a good answer, not a limit that the search ran into.
    limited = any(item.at_limit and not (item.name == "nh" and item.value == 0) for item in parameters)
    return "limit" if limited else "ok"
