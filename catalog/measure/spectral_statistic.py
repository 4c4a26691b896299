"""Statistics of spectral fits, and how good a fit is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import chi2 as chi2_distribution
from scipy.stats import norm as normal_distribution

from catalog.measure.spectral_background_kernels import (
    contributions,
    free_background,
    linear_background,
)
from catalog.measure.spectral_data import FitData, FoldedSpectrum
from catalog.measure.spectral_lines import Lines, lines_through

Array = NDArray[np.float64]
StatisticName = Literal["cstat", "wstat", "chi2"]
STATISTICS: tuple[StatisticName, ...] = ("cstat", "wstat", "chi2")

MOST_VERTICES = 10
_PER_VERTEX = 5.0
_MOST_TAKEN = 0.9
"""Part of the aperture's background that a negative light of neighbours may take off."""
_FLOOR = 1e-9
_ALL_TERMS = 20.0
"""Expected counts up to which the sums over counts are made; asymptotic series above."""


@dataclass(frozen=True, eq=False)
class SpectralStatistic:
    """A statistic bound to data.

    Attributes
    ----------
    name
        ``cstat``: C-statistic, the background a continuous line of at most 10 vertices, fitted to both
        spectra; ``wstat``: the background free in each channel; ``chi2``: of the net counts, with Gehrels'
        errors. Without a background, `cstat` and `wstat` are the plain C-statistic.
    data
        The spectra.
    lines
        Background of each spectrum.
    offset
        Light of neighbours in the apertures, added to every prediction, counts of all points.
    errors
        Of net counts, for `chi2`.
    """

    name: StatisticName
    data: FitData
    lines: tuple[Lines | None, ...]
    offset: Array
    errors: Array

    def parts(self, source: Array) -> Array:
        """Contributions of each point, none negative.

        Parameters
        ----------
        source
            Predicted counts of the source, shape (sets, points).

        Returns
        -------
        ndarray
            Shape (sets, points); their sum is the statistic.
        """
        if self.name == "chi2":
            return np.asarray(((self.net - source) / self.errors) ** 2)
        found = np.empty(source.shape)
        light = source + self.offset
        for number, spectrum in enumerate(self.data.spectra):
            own = slice(self.data.offsets[number], self.data.offsets[number + 1])
            found[:, own] = self._poisson(number, spectrum, np.ascontiguousarray(light[:, own]))
        return found

    def residuals(self, source: Array, reference: Array) -> Array:
        """Deviations in units of their error: (counts - expected) / sqrt(expected at the reference).

        Parameters
        ----------
        source, reference
            Predicted counts of the source, shape (points,); errors are those at `reference`.

        Returns
        -------
        ndarray
            Of the points of the source spectra, then of those of the background spectra.
        """
        if self.name == "chi2":
            return np.asarray((self.net - source) / self.errors)
        found, beside = [], []
        both = self.background(np.stack([source, reference]))
        source, reference = source + self.offset, reference + self.offset
        for number, spectrum in enumerate(self.data.spectra):
            own = slice(self.data.offsets[number], self.data.offsets[number + 1])
            level, level_then = both[number]
            expected = source[own] + level / spectrum.ratio
            then = reference[own] + level_then / spectrum.ratio
            found.append((spectrum.counts - expected) / np.sqrt(np.maximum(then, _FLOOR)))
            if spectrum.background is not None:
                beside.append((spectrum.background - level) / np.sqrt(np.maximum(level_then, _FLOOR)))
        return np.concatenate([*found, *beside])

    def slope_and_information(self, source: Array, change: Array) -> tuple[Array, Array]:
        """Half the statistic's gradient, and the expected (Fisher) information, background profiled out.

        Parameters
        ----------
        source
            Predicted counts of the source, shape (points,).
        change
            Their derivatives by the parameters, shape (parameters, points).
        """
        if self.name == "chi2":
            weight = self.errors**-2
            return change @ (weight * (source - self.net)), (change * weight) @ change.T
        slope = np.zeros(len(change))
        information = np.zeros((len(change), len(change)))
        for number, (spectrum, levels) in enumerate(
            zip(self.data.spectra, self.background(source[None]), strict=True)
        ):
            own = slice(self.data.offsets[number], self.data.offsets[number + 1])
            level, by = levels[0], change[:, own]
            expected = np.maximum(source[own] + self.offset[own] + level / spectrum.ratio, _FLOOR)
            slope += by @ (1.0 - spectrum.counts / expected)
            line = self.lines[number]
            if self.name == "wstat" and spectrum.background is not None:
                information += (by / (expected + level / spectrum.ratio**2)) @ by.T
                continue
            information += (by / expected) @ by.T
            if line is not None:
                hats = line.hats
                cross = (by / (expected * spectrum.ratio)) @ hats.T
                own_weight = 1.0 / (expected * spectrum.ratio**2) + 1.0 / np.maximum(level, _FLOOR)
                inner = (hats * own_weight) @ hats.T
                information -= cross @ np.linalg.pinv(inner) @ cross.T
        return slope, information

    def background(self, source: Array) -> list[Array]:
        """Most likely background of each spectrum in the background region, shape (sets, n) each."""
        found = []
        light = source + self.offset
        for number, spectrum in enumerate(self.data.spectra):
            own = np.ascontiguousarray(light[:, self.data.offsets[number] : self.data.offsets[number + 1]])
            found.append(self._level(number, spectrum, own))
        return found

    @property
    def net(self) -> Array:
        """Counts less the background's share and the light of neighbours, of all points."""
        return np.concatenate([item.net for item in self.data.spectra])

    @property
    def n_points(self) -> int:
        """Points that carry information: both spectra of a simultaneous fit count."""
        points = int(self.data.offsets[-1])
        if self.name != "cstat":
            return points
        lines = zip(self.data.spectra, self.lines, strict=True)
        return points + sum(spectrum.counts.size for spectrum, line in lines if line is not None)

    @property
    def n_background_parameters(self) -> int:
        """Vertices that are fitted along."""
        return sum(line.start.size for line in self.lines if line is not None)

    def _level(self, number: int, spectrum: FoldedSpectrum, source: Array) -> Array:
        line = self.lines[number]
        if spectrum.background is None or (self.name != "wstat" and line is None):
            return np.zeros(source.shape)
        if self.name == "wstat":
            ratio = np.full(spectrum.counts.size, spectrum.ratio)
            return free_background(source, spectrum.counts, spectrum.background, ratio)
        assert line is not None
        levels, _ = linear_background(
            source, spectrum.counts, spectrum.background, spectrum.ratio,
            line.left, line.share, line.width, line.start,
        )  # fmt: skip
        return levels

    def _poisson(self, number: int, spectrum: FoldedSpectrum, source: Array) -> Array:
        back = np.zeros(spectrum.counts.size) if spectrum.background is None else spectrum.background
        ratio = np.full(spectrum.counts.size, spectrum.ratio)
        return contributions(source, self._level(number, spectrum, source), spectrum.counts, back, ratio)

    def goodness(self, source: Array, n_free: int) -> float | None:
        """Probability of a statistic at least as large if the model is right; None without freedom.

        For Poisson statistics the mean and variance over data drawn from the model (Kaastra 2017, A&A 605,
        A51) and a normal distribution, which is close where the points are many; the parameters fitted lower
        the mean by one each.

        Parameters
        ----------
        source
            Predicted counts at the best fit, shape (points,).
        n_free
            Free parameters of the source.
        """
        value = float(self.parts(source[None]).sum())
        free = n_free + self.n_background_parameters
        if self.n_points <= free:
            return None
        if self.name == "chi2":
            return float(chi2_distribution.sf(value, self.n_points - free))
        mean, variance = -float(free), 0.0
        light = source + self.offset
        for level, spectrum, start in zip(
            self.background(source[None]), self.data.spectra, self.data.offsets[:-1], strict=True
        ):
            own = light[start : start + spectrum.counts.size] + level[0] / spectrum.ratio
            for expected in (own, level[0]) if spectrum.background is not None else (own,):
                first, second = expected_c_statistic(expected)
                mean, variance = mean + float(first.sum()), variance + float(second.sum())
        if self.name == "wstat":
            mean -= sum(item.counts.size for item in self.data.spectra if item.background is not None)
        return float(normal_distribution.sf((value - mean) / np.sqrt(variance))) if variance > 0 else None


def expected_c_statistic(expected: Array) -> tuple[Array, Array]:
    """Mean and variance of one point's C-statistic over Poisson counts of a mean, shape of the input."""
    means = np.maximum(np.asarray(expected, dtype=float), 1e-30)[..., None]
    counts = np.arange(100.0)
    weight = np.exp(counts * np.log(means) - means - gammaln(counts + 1.0))
    term = 2.0 * (means - counts + counts * np.log(np.maximum(counts, 1.0) / means))
    mean = (weight * term).sum(axis=-1)
    variance = (weight * term**2).sum(axis=-1) - mean**2
    large = means[..., 0] > _ALL_TERMS
    inverse = 1.0 / means[..., 0]
    # The expansion of the mean of -2 ln L in 1 / mu.
    series = 1.0 + inverse / 6.0 + inverse**2 / 6.0
    return np.where(large, series, mean), np.where(large, 2.0 + 2.0 * inverse / 3.0, variance)


def bind_statistic(name: StatisticName, data: FitData) -> SpectralStatistic:
    """Prepare a statistic for data."""
    lines: Sequence[Lines | None] = [None] * len(data.spectra)
    if name == "cstat":
        lines = [_lines(spectrum) for spectrum in data.spectra]
    pairs = zip(data.spectra, lines, strict=True)
    return SpectralStatistic(
        name,
        data,
        tuple(lines),
        np.concatenate([_offset(spectrum, line) for spectrum, line in pairs]),
        np.concatenate([_gehrels(spectrum) for spectrum in data.spectra]),
    )


def _gehrels(spectrum: FoldedSpectrum) -> Array:
    """Error of net counts: 1 + sqrt(n + 0.75) of either spectrum, the background's scaled, in quadrature."""
    error = 1.0 + np.sqrt(spectrum.counts + 0.75)
    if spectrum.background is None:
        return np.asarray(error)
    return np.hypot(error, (1.0 + np.sqrt(spectrum.background + 0.75)) / spectrum.ratio)


def _lines(spectrum: FoldedSpectrum) -> Lines | None:
    """Vertices at quantiles of the background events; none without events, the two ends for few."""
    if spectrum.background is None:
        return None
    return lines_through(
        spectrum.background,
        0.5 * (spectrum.lo + spectrum.hi),
        (float(spectrum.lo[0]), float(spectrum.hi[-1])),
        spectrum.n_channels.astype(float),
        _PER_VERTEX,
        MOST_VERTICES,
    )


def _offset(spectrum: FoldedSpectrum, line: Lines | None) -> Array:
    """Light of neighbours that every prediction holds; a negative one is kept above the background's."""
    if not spectrum.neighbours.any():
        return spectrum.neighbours
    level = np.zeros(spectrum.counts.size)
    if spectrum.background is not None:
        level = spectrum.background if line is None else line.level
    return np.maximum(spectrum.neighbours, -_MOST_TAKEN * level / spectrum.ratio)
