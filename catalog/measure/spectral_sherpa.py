"""The bridge to Sherpa: its parameters and optimisers on our predictions and statistics.

Only this module imports Sherpa, and it is itself imported when a fit is made.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import ProjectError
from catalog.measure.spectral_problem import Minimum, Problem

Array = NDArray[np.float64]

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("sherpa").setLevel(logging.ERROR)
        from sherpa.data import Data1D
        from sherpa.fit import Fit
        from sherpa.models.model import ArithmeticModel
        from sherpa.models.parameter import Parameter
        from sherpa.optmethods import LevMar, NelderMead
        from sherpa.stats import Stat
except ImportError as error:
    raise ProjectError(
        "spectral fits need Sherpa",
        "the extra `spectral` is not installed",
        "pip install 'srccat[spectral]'",
        code="NO_SHERPA",
    ) from error

_PRECISION = 1e-9
_EVALUATIONS = 2000
_RUNS = 10
_SETTLED = 1e-5
"""Change of the statistic that counts as none."""


class _Folded(ArithmeticModel):  # type: ignore[misc]
    """Predicted counts as a Sherpa model."""

    def __init__(self, problem: Problem, start: Array, free: NDArray[np.bool_]) -> None:
        self._problem = problem
        made = []
        for number, item in enumerate(problem.parameters):
            lo, hi = float(problem.lo[number]), float(problem.hi[number])
            own = Parameter(
                "folded", item.name, float(start[number]), lo, hi, lo, hi, frozen=not free[number]
            )
            setattr(self, item.name, own)
            made.append(own)
        super().__init__("folded", tuple(made))

    def values(self) -> Array:
        """What the parameters are now."""
        return np.array([item.val for item in self.pars])

    def calc(self, p: Any, *_args: Any, **_options: Any) -> Array:
        return np.asarray(self._problem.predict(np.asarray(p, dtype=float)[None])[0])


class _Bound(Stat):  # type: ignore[misc]
    """A sum of squares, whatever they are made of."""

    def __init__(self, roots: Callable[[Array], Array]) -> None:
        self._roots = roots
        super().__init__("bound")

    @staticmethod
    def calc_staterror(data: Any) -> Array:
        return np.ones_like(data)

    def calc_stat(self, data: Any, model: Any) -> tuple[float, Array]:
        roots = self._roots(data.eval_model_to_fit(model))
        return float(roots @ roots), roots


def minimise(problem: Problem, start: Array, free: NDArray[np.bool_]) -> Minimum:
    """Find the least statistic from `start` with Sherpa's optimisers.

    Levenberg and Marquardt's method runs on (counts - expected) / sqrt(expected of the run before), whose
    fixed point is the maximum of the Poisson likelihood (Kearns, Primini & Alexander 1995, ASP 77, 331);
    where this does not settle, the simplex method searches the statistic itself.

    Parameters
    ----------
    problem
        What is fitted.
    start
        Scaled parameters, shape (parameters,).
    free
        Which may change.

    Raises
    ------
    OutOfTimeError
        The deadline of the problem passed.
    """
    statistic = problem.statistic
    model = _Folded(problem, start, free)
    points = int(problem.data.offsets[-1])
    data = Data1D("counts", np.arange(points, dtype=float), np.zeros(points))
    values, best = start, float(problem.statistics(start[None])[0])
    if not free.any():
        return Minimum(values, best, True)
    for _ in range(_RUNS):
        roots = partial(statistic.residuals, reference=problem.predict(values[None])[0])
        method = LevMar()
        method.config.update(ftol=_PRECISION, xtol=_PRECISION, gtol=_PRECISION, maxfev=_EVALUATIONS)
        Fit(data, model, _Bound(roots), method).fit()
        found = model.values()
        value = float(problem.statistics(found[None])[0])
        if not value <= best + _SETTLED:
            break
        done = best - value < _SETTLED
        if value < best:
            values, best = found, value
        if done or statistic.name == "chi2":
            return Minimum(values, best, True)
    return _search(problem, data, model, values)


def _search(problem: Problem, data: Any, model: _Folded, start: Array) -> Minimum:
    for item, value in zip(model.pars, start.tolist(), strict=True):
        item.val = value
    simplex = NelderMead()
    simplex.config.update(ftol=_PRECISION, maxfev=_EVALUATIONS)

    def roots(source: Array) -> Array:
        return np.asarray(np.sqrt(np.maximum(problem.statistic.parts(source[None])[0], 0.0)))

    found = Fit(data, model, _Bound(roots), simplex).fit()
    return Minimum(model.values(), float(found.statval), bool(found.succeeded))
