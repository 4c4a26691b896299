"""Intensities of overlapping sources from the counts of all their apertures and backgrounds together.

C_i ~ Poisson(o_i + sum_j F_ij theta_j): cells i (source apertures, background regions), components j
(sources, backgrounds), F_ij the expected counts of component j in cell i per unit of its intensity (Primini &
Kashyap 2014, ApJ 796, 24). Flat priors on theta >= 0. The joint posterior is sampled by data augmentation;
what is reported of a component is not a histogram of draws but the exact mixture of gamma distributions that
its attributed counts define, so that values and bounds are smooth and repeatable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from catalog.stats.posterior_summary import PosteriorSummary, check_confidence

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

SWEEPS = 4000
SKIPPED = 300
_POINTS = 384
_TOLERANCE = 1e-9
_ROUNDS = 3000


@dataclass(frozen=True, eq=False)
class OverlapModel:
    """A linear Poisson model, F by rows.

    Attributes
    ----------
    counts
        Counts of the cells, shape (n_cell,).
    starts, columns, values
        Row i of F has the entries starts[i] to starts[i+1]: components and expected counts per unit.
    informs
        Whether the cell of an entry informs its component, else it is only taken off the cell.
    offset
        Expected counts of all that is not modelled, shape (n_cell,).
    size
        Number of components.
    """

    counts: IntArray
    starts: IntArray
    columns: IntArray
    values: FloatArray
    informs: BoolArray
    offset: FloatArray
    size: int

    @property
    def rates(self) -> FloatArray:
        """Sum of the informing entries of each component, shape (size,)."""
        from catalog.stats.overlap_sampler import total_rates

        return np.asarray(total_rates(self.starts, self.columns, self.values, self.informs, self.size))


def overlap_model(
    counts: ArrayLike, response: ArrayLike | csr_array, *, offset: ArrayLike = 0.0, informs: ArrayLike = True
) -> OverlapModel:
    """Build a model from counts and a dense or sparse F of shape (n_cell, n_component).

    Parameters
    ----------
    counts
        Whole numbers >= 0.
    response
        F, finite and >= 0; every component is seen by an informing cell.
    offset
        Expected counts of what is not modelled, >= 0, of the shape of `counts` or one number.
    informs
        Of the shape of F or of its stored entries, or one value; see `OverlapModel`.

    Raises
    ------
    ValueError
        Counts that are negative or not whole, F negative or not finite, a component that no cell informs.
    """
    number = np.asarray(counts, dtype=np.float64)
    if not np.isfinite(number).all() or np.any((number < 0) | (number != np.floor(number))):
        raise ValueError("counts are whole numbers, zero or more")
    matrix = response.tocsr() if isinstance(response, csr_array) else csr_array(np.asarray(response, float))
    matrix.sort_indices()
    values = np.ascontiguousarray(matrix.data, dtype=np.float64)
    if not np.isfinite(values).all() or np.any(values < 0):
        raise ValueError("the response is finite and not negative")
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    flags = np.asarray(informs, dtype=bool)
    if flags.shape != values.shape:
        flags = np.broadcast_to(flags, matrix.shape)[rows, matrix.indices]
    model = OverlapModel(
        number.astype(np.int64),
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int64),
        values,
        np.ascontiguousarray(flags),
        np.ascontiguousarray(np.broadcast_to(np.asarray(offset, dtype=np.float64), number.shape)).copy(),
        int(matrix.shape[1]),
    )
    if np.any(model.rates <= 0):
        raise ValueError("a component that no cell informs")
    return model


def linear_solution(counts: ArrayLike, response: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Unconstrained maximum likelihood of as many components as cells, and its covariance.

    theta = F^-1 C, covariance F^-1 diag(C) F^-T (Primini & Kashyap 2014); theta may be negative.

    Parameters
    ----------
    counts
        Shape (n,).
    response
        F, shape (n, n), of full rank.
    """
    inverse = np.linalg.inv(np.asarray(response, dtype=np.float64))
    c = np.asarray(counts, dtype=np.float64)
    return inverse @ c, (inverse * c) @ inverse.T


def most_likely(model: OverlapModel) -> FloatArray:
    """Non-negative intensities of largest likelihood, shape (n_component,)."""
    from catalog.stats.overlap_sampler import expectation_maximisation

    return np.asarray(
        expectation_maximisation(
            model.counts,
            model.starts,
            model.columns,
            model.values,
            model.informs,
            model.offset,
            _first_guess(model),
            _TOLERANCE,
            _ROUNDS,
        )
    )


def _first_guess(model: OverlapModel) -> FloatArray:
    rows = np.repeat(np.arange(len(model.counts)), np.diff(model.starts))
    share = np.zeros(model.size)
    total = np.bincount(rows, model.values, len(model.counts))
    part = model.values / total[rows] * model.counts[rows] * model.informs
    np.add.at(share, model.columns, part)
    return np.asarray((share + 1.0) / model.rates)


@dataclass(frozen=True, eq=False)
class OverlapPosterior:
    """The joint posterior of a model, sampled.

    Attributes
    ----------
    rates
        Total rate of each component, shape (size,).
    samples
        Intensities, shape (n_draw, size).
    attributed
        Counts attributed to each, shape (n_draw, size).
    """

    rates: FloatArray
    samples: FloatArray
    attributed: IntArray

    def summary(self, components: ArrayLike, confidence: float = 0.68) -> PosteriorSummary:
        """Mode, mean and highest-density interval of components, arrays of their shape.

        Raises
        ------
        SettingsError
            Confidence outside (0, 1).
        """
        from catalog.stats.overlap_sampler import interval_of_mixture, mixture_of_counts

        confidence = check_confidence(confidence)
        chosen = np.atleast_1d(np.asarray(components, dtype=np.int64))
        rows = np.empty((len(chosen), 4))
        for k, j in enumerate(chosen):
            mixture = mixture_of_counts(np.ascontiguousarray(self.attributed[:, j]))
            rows[k] = interval_of_mixture(mixture, confidence, _POINTS)
            rows[k] /= self.rates[j]
        return PosteriorSummary(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3], rows[:, 2] == 0.0)

    def variance(self) -> FloatArray:
        """Posterior variances, shape (size,)."""
        shape = self.attributed + 1.0
        return np.asarray((shape.mean(axis=0) + self.attributed.var(axis=0)) / self.rates**2)

    def correlation(self, components: ArrayLike) -> FloatArray:
        """Matrix of correlations between components."""
        chosen = np.asarray(components, dtype=np.int64)
        return np.atleast_2d(np.corrcoef(self.samples[:, chosen], rowvar=False))


def overlap_posterior(
    model: OverlapModel, seed: int | tuple[int, ...], sweeps: int = SWEEPS
) -> OverlapPosterior:
    """Sample the joint posterior.

    Parameters
    ----------
    model
        The model.
    seed
        Seed of the random numbers: equal models and seeds give equal answers, bit for bit.
    sweeps
        Number of draws.
    """
    from catalog.stats.overlap_sampler import gibbs_samples

    samples, attributed = gibbs_samples(
        model.counts,
        model.starts,
        model.columns,
        model.values,
        model.informs,
        model.offset,
        np.maximum(most_likely(model), 0.1 / model.rates),
        SKIPPED,
        sweeps,
        np.random.default_rng(seed),
    )
    return OverlapPosterior(model.rates, samples, attributed)
