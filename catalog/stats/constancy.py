"""Tests of one constant flux over several observations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[np.float64]

INDEX_LIMITS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999)
"""Probabilities from which the index between observations is 1, 2, ... 8."""
_HIGH_LIMITS = (-6.0, -10.0)
"""log10 p below which it is 9 and 10."""


@dataclass(frozen=True)
class Constancy:
    """How well one flux explains all observations.

    Attributes
    ----------
    flux
        Best constant flux.
    log10_pvalue
        log10 p of the likelihood ratio of separate fluxes to one.
    chi2_log10_pvalue
        log10 p of chi-square, with errors expected at the constant flux.
    """

    flux: float
    log10_pvalue: float
    chi2_log10_pvalue: float

    @property
    def probability(self) -> float:
        """1 - p of the likelihood ratio."""
        return float(-np.expm1(self.log10_pvalue * math.log(10)))

    @property
    def index(self) -> int:
        """Index 0 to 10; from 6 the flux varies (p < 0.01)."""
        return inter_index(self.log10_pvalue)


def inter_index(log10_pvalue: float) -> int:
    """Index of variability between observations, 0 to 10, from log10 p."""
    probability = -math.expm1(log10_pvalue * math.log(10))
    index = sum(probability >= limit for limit in INDEX_LIMITS)
    return index + sum(log10_pvalue < limit for limit in _HIGH_LIMITS)


def constancy(
    n: ArrayLike,
    m: ArrayLike,
    f: ArrayLike,
    g: ArrayLike,
    r: ArrayLike,
    shapes: ArrayLike | None = None,
    area_error: float = 0.0,
) -> Constancy:
    """Test whether one flux explains the counts of all observations.

    n ~ Poisson(f S + b), m ~ Poisson(g S + r b) with one background b each, at its most likely value. The
    likelihood ratio follows chi-square with one degree of freedom less than observations.

    Parameters
    ----------
    n, m
        Counts in source aperture and background region, shape (k,), k >= 2.
    f, g
        Exposure x PSF fraction of either, f > 0.
    r
        Background ratio.
    shapes
        Factors on f and g for each spectrum that the source may have, shape (j, k): the spectrum that suits
        a constant source best is taken, so that a change of the response is not taken for one of the source.
    area_error
        Relative systematic error of f, of each observation for itself.

    Raises
    ------
    ValueError
        Fewer than two observations.
    """
    # Compiled code: imported late, so that commands without timing start fast.
    from catalog.stats.constancy_kernels import chi_square, likelihood_ratio

    arrays = [np.ascontiguousarray(value, dtype=float) for value in (n, m, f, g, r)]
    if arrays[0].size < 2:
        raise ValueError("constancy needs at least two observations")
    factors = np.ones((1, arrays[0].size)) if shapes is None else np.atleast_2d(np.asarray(shapes, float))
    best_ratio, best_flux, best_chi2 = math.inf, 0.0, math.inf
    for factor in factors:
        exposed = arrays[2] * factor, arrays[3] * factor
        flux, ratio = likelihood_ratio(arrays[0], arrays[1], *exposed, arrays[4], area_error)
        if ratio < best_ratio:
            best_ratio, best_flux = float(ratio), float(flux)
        best_chi2 = min(best_chi2, chi_square(arrays[0], arrays[1], *exposed, arrays[4], area_error))
    freedom = arrays[0].size - 1
    # Where the background region sees more of the source than the aperture, chi-square has no term.
    terms = np.count_nonzero(arrays[2] > arrays[3] / arrays[4])
    return Constancy(
        best_flux, log10_chi2_sf(best_ratio, freedom), log10_chi2_sf(best_chi2, max(int(terms) - 1, 1))
    )


def log10_chi2_sf(value: float, freedom: int) -> float:
    """log10 of the probability of a larger chi-square, also far beyond the range of doubles."""
    p = float(special.chdtrc(freedom, value))
    if p > 1e-290:
        return math.log10(p)
    # First terms of the continued fraction of the incomplete gamma function.
    a, x = 0.5 * freedom, 0.5 * value
    log_p = (a - 1) * math.log(x) - x - float(special.gammaln(a)) - math.log1p((1 - a) / (x + 1 - a))
    return log_p / math.log(10)
