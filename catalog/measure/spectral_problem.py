"""What is fitted: predictions, statistic, limits; and Fisher scoring, the fast way to a nearby minimum."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from catalog.measure.spectral_components import FitParameter
from catalog.measure.spectral_data import FitData
from catalog.measure.spectral_model import FitModel
from catalog.measure.spectral_statistic import SpectralStatistic

Array = NDArray[np.float64]

_STEP = 1e-4
"""Step of numerical derivatives in units of a parameter's size."""
_PRECISION = 1e-6
"""Fall of the statistic that is still worth a step."""
_ROUNDS = 40
_HALVINGS = 12


class OutOfTimeError(Exception):
    """A fit took longer than it may."""


@dataclass(frozen=True, eq=False)
class Minimum:
    """The best parameters (scaled), their statistic, and whether the search ended by itself."""

    values: Array
    statistic: float
    converged: bool


@dataclass(frozen=True, eq=False)
class Problem:
    """A model on data, in scaled parameters: norms are divided by `scale` so that all are about 1.

    Attributes
    ----------
    model
        The model.
    data
        The spectra.
    statistic
        What is made small, bound to the same data.
    scale
        Units of the parameters, shape (parameters,).
    deadline
        On the clock of `time.monotonic`; `OutOfTimeError` is raised after it.
    """

    model: FitModel
    data: FitData
    statistic: SpectralStatistic
    scale: Array
    deadline: float
    lo: Array = field(init=False)
    hi: Array = field(init=False)

    def __post_init__(self) -> None:
        limits = np.array([(item.lo, item.hi) for item in self.model.parameters]).T / self.scale
        object.__setattr__(self, "lo", limits[0])
        object.__setattr__(self, "hi", limits[1])

    @property
    def parameters(self) -> tuple[FitParameter, ...]:
        """Of the model."""
        return self.model.parameters

    def predict(self, values: Array) -> Array:
        """Counts of the source by point; scaled parameters, shape (sets, parameters)."""
        if time.monotonic() > self.deadline:
            raise OutOfTimeError
        return self.data.predict(self.model, values * self.scale)

    def statistics(self, values: Array) -> Array:
        """The statistic of each parameter set, shape (sets,)."""
        return np.asarray(self.statistic.parts(self.predict(values)).sum(axis=1))

    def slope_and_information(self, values: Array, free: NDArray[np.intp]) -> tuple[Array, Array]:
        """Half the gradient and the information of the free parameters at one set."""
        size = _STEP * np.maximum(np.abs(values[free]), _STEP)
        # Towards the inside where the limit is near.
        size = np.where(values[free] + size > self.hi[free], -size, size)
        sets = np.repeat(values[None], free.size + 1, axis=0)
        sets[np.arange(free.size) + 1, free] += size
        counts = self.predict(sets)
        return self.statistic.slope_and_information(counts[0], (counts[1:] - counts[0]) / size[:, None])

    def score(self, start: Array, free: NDArray[np.bool_]) -> Minimum:
        """Find the least statistic near `start` by Fisher scoring with limits.

        Each step solves information x step = - slope among the parameters that do not press against a limit,
        and is halved until the statistic falls.
        """
        values = np.clip(start, self.lo, self.hi)
        best = float(self.statistics(values[None])[0])
        chosen = np.flatnonzero(free)
        if chosen.size == 0:
            return Minimum(values, best, True)
        for _ in range(_ROUNDS):
            slope, information = self.slope_and_information(values, chosen)
            at_lo, at_hi = values[chosen] <= self.lo[chosen], values[chosen] >= self.hi[chosen]
            moving = ~((at_lo & (slope > 0)) | (at_hi & (slope < 0)))
            if not moving.any():
                return Minimum(values, best, True)
            own = information[np.ix_(moving, moving)]
            step = np.asarray(-np.linalg.lstsq(own, slope[moving], rcond=1e-12)[0], dtype=float)
            if float(-slope[moving] @ step) < 0.1 * _PRECISION:
                return Minimum(values, best, True)
            found = self._shortened(values, best, chosen[moving], step)
            if found is None:
                return Minimum(values, best, False)
            gain = best - found[1]
            values, best = found
            if gain < _PRECISION:
                return Minimum(values, best, True)
        return Minimum(values, best, False)

    def _shortened(
        self, values: Array, best: float, chosen: NDArray[np.intp], step: Array
    ) -> tuple[Array, float] | None:
        factor = 1.0
        for _ in range(_HALVINGS):
            trial = values.copy()
            trial[chosen] = np.clip(values[chosen] + factor * step, self.lo[chosen], self.hi[chosen])
            value = float(self.statistics(trial[None])[0])
            if value <= best:
                return trial, value
            factor *= 0.4
        return None
