"""A fit as curves for a picture: grouped data, the model folded through the response, residuals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.measure.spectral_data import FitSpectrum, FoldedSpectrum, together
from catalog.measure.spectral_fit import FitChoices, SpectralFitResult, fold_for
from catalog.measure.spectral_model import FitModel
from catalog.measure.spectral_statistic import bind_statistic

Array = NDArray[np.float64]

_GROUPS = 24
_FEWEST = 5.0
_MOST = 50.0
"""Counts in a group of the picture: a part of all, within these limits."""


@dataclass(frozen=True, eq=False)
class SpectrumCurves:
    """One spectrum of a fit.

    Attributes
    ----------
    name
        Such as the ObsID.
    lo, hi
        Energies of the groups, keV, shape (groups,).
    rate, error
        Net counts s-1 keV-1 of each group and its error (Gehrels), shape (groups,).
    background
        Fitted background of the aperture and light of neighbours, counts s-1 keV-1, shape (groups,).
    residual
        (counts - expected) / sqrt(expected), with the expected background, shape (groups,).
    fine_lo, fine_hi, model
        The same energies in single channels, and the model in counts s-1 keV-1, shape (channels,).
    """

    name: str
    lo: Array
    hi: Array
    rate: Array
    error: Array
    background: Array
    residual: Array
    fine_lo: Array
    fine_hi: Array
    model: Array


def fit_curves(
    spectra: Sequence[FitSpectrum], model: FitModel, choices: FitChoices, result: SpectralFitResult
) -> list[SpectrumCurves]:
    """Return the curves of each spectrum of a fit."""
    folded = fold_for(spectra, choices)
    data = together(folded)
    values = np.array([[result.parameter(name).value for name in model.names]])
    predicted = data.predict(model, values)
    levels = bind_statistic(choices.statistic, data).background(predicted)
    return [
        _curves(spectrum, predicted[0, start : start + spectrum.counts.size], level[0])
        for spectrum, level, start in zip(folded, levels, data.offsets[:-1].tolist(), strict=True)
    ]


def _curves(spectrum: FoldedSpectrum, source: Array, level: Array) -> SpectrumCurves:
    starts = _starts(spectrum.counts)

    def grouped(values: Array) -> Array:
        return np.asarray(np.add.reduceat(values, starts))

    counts, back = grouped(spectrum.counts), grouped(level / spectrum.ratio + spectrum.neighbours)
    lo, hi = spectrum.lo[starts], spectrum.hi[np.append(starts[1:], spectrum.counts.size) - 1]
    own = spectrum.hi - spectrum.lo
    per = 1.0 / (spectrum.exposure * (hi - lo))
    expected = np.maximum(grouped(source) + back, 1e-12)
    observed = counts - back
    return SpectrumCurves(
        spectrum.name,
        lo,
        hi,
        observed * per,
        (1.0 + np.sqrt(counts + 0.75)) * per,
        back * per,
        (counts - expected) / np.sqrt(expected),
        spectrum.lo,
        spectrum.hi,
        source / (spectrum.exposure * own),
    )


def _starts(counts: Array) -> NDArray[np.intp]:
    least = float(np.clip(counts.sum() / _GROUPS, _FEWEST, _MOST))
    starts, total = [0], 0.0
    for place, value in enumerate(counts.tolist()):
        if total >= least:
            starts.append(place)
            total = 0.0
        total += value
    if total < least and len(starts) > 1:
        starts.pop()
    return np.array(starts)
