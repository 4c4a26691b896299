"""Whether the spectra of a source agree with their effective areas before they are fitted together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import poisson

from catalog.measure.spectral_data import FitSpectrum

SUSPECT_AREA = 3.0
"""Factor between an area and the median of the others that needs an explanation."""
IMPROBABLE = 0.01
_BAND = (0.5, 7.0)


def inconsistent_areas(spectra: Sequence[FitSpectrum]) -> dict[str, str]:
    """Find observations whose area cannot be that of their counts.

    An area that differs from the median of all by more than a factor of 3 is normal where an edge or another
    angle explains it: the counts are then fewer or more alike. Where the counts are as the other
    observations predict for their own areas at the same live time, the area is wrong. A variable source is
    left alone: its areas agree.

    Returns
    -------
    dict
        A sentence for each inconsistent observation, by name. Empty with fewer than three.
    """
    if len(spectra) < 3:
        return {}
    areas = np.array([_mean_area(spectrum) for spectrum in spectra])
    counts, back = (np.array([_counts(spectrum)[i] for spectrum in spectra]) for i in (0, 1))
    times = np.array([spectrum.exposure for spectrum in spectra])
    middle = float(np.median(areas))
    found = {}
    for number, spectrum in enumerate(spectra):
        ratio = areas[number] / middle if middle > 0 else 1.0
        if 1.0 / SUSPECT_AREA <= ratio <= SUSPECT_AREA:
            continue
        others = np.arange(len(spectra)) != number
        exposure = float((areas * times)[others].sum())
        flux = max(float((counts - back)[others].sum()), 0.0) / exposure if exposure > 0 else 0.0
        by_area = flux * areas[number] * times[number] + back[number]
        by_median = flux * middle * times[number] + back[number]
        # As the median area predicts, but not as its own.
        if _probability(counts[number], by_area) < IMPROBABLE < _probability(counts[number], by_median):
            found[spectrum.name] = (
                f"its effective area is {ratio:.3g} of the others', its counts are as with theirs "
                f"({counts[number]:.0f}, with its own area {by_area:.1f} are expected)"
            )
    return found


def _mean_area(spectrum: FitSpectrum) -> float:
    energy = spectrum.matrix.energy
    inside = (energy >= _BAND[0]) & (energy < _BAND[1])
    return float(spectrum.area[inside].mean()) if inside.any() else 0.0


def _counts(spectrum: FitSpectrum) -> tuple[float, float]:
    """Counts in the band, and those of the background expected among them."""
    inside = spectrum.matrix.in_band(*_BAND)
    back = 0.0 if spectrum.background is None else float(spectrum.background[inside].sum()) / spectrum.ratio
    return float(spectrum.counts[inside].sum()), back


def _probability(counts: float, expected: float) -> float:
    """Two-sided Poisson probability."""
    mean = max(expected, 1e-9)
    return float(min(1.0, 2.0 * min(poisson.cdf(counts, mean), poisson.sf(counts - 1.0, mean))))
