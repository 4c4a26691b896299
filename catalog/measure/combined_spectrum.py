"""One spectrum out of those of several observations: summed counts, weighted responses.

Areas are weighted with live time. Redistributions are weighted with live time x area (PSF fraction in it), so
that folding a constant source through the combined response gives the sum of what the single ones give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from catalog.calibration.redistribution import Redistribution
from catalog.errors import CalibrationError, SettingsError
from catalog.measure.spectra import ExtractedSpectrum, SpectralResponse

Array = NDArray[np.float64]
BackgroundRule = Literal["asca", "time", "counts"]
BACKGROUND_RULES: tuple[BackgroundRule, ...] = ("asca", "time", "counts")


def parse_background_rule(text: str) -> BackgroundRule:
    """Return the rule of that name.

    Raises
    ------
    SettingsError
        BACKGROUND_RULE: there is none.
    """
    for rule in BACKGROUND_RULES:
        if text == rule:
            return rule
    raise SettingsError(
        "unknown rule for backgrounds", text, f"choose {', '.join(BACKGROUND_RULES)}", code="BACKGROUND_RULE"
    )


def combine_spectra(
    spectra: Sequence[ExtractedSpectrum], rule: BackgroundRule = "counts"
) -> ExtractedSpectrum:
    """Combine spectra of one source.

    Parameters
    ----------
    spectra
        One for each observation, at least one. One alone is returned as it is. Where one has no background,
        or no response, the result has none either.
    rule
        How backgrounds b_i with ratios r_i and live times T_i are added. ``asca`` and ``time`` are those of
        CIAO's combine_spectra, ``counts`` keeps mean and variance of the background in the aperture:

        asca
            sum of b_i f / r_i with the ratio f = sum T_i / sum (T_i / r_i).
        time
            sum of b_i, with the ratio weighted by live time: right where the background rate is the same.
        counts
            sum of s b_i / r_i with s = m1 / m2, m1 = sum b_i / r_i and m2 = sum b_i / r_i^2 over all
            channels: the number of background counts is then that of a Poisson variable.

    Returns
    -------
    ExtractedSpectrum
        Background counts need not be whole numbers.

    Raises
    ------
    CalibrationError
        CALIBRATION_GRID: the responses are on different energies or channels.
    ValueError
        Without spectra.
    """
    if not spectra:
        raise ValueError("nothing to combine")
    if len(spectra) == 1:
        return spectra[0]
    background, ratio = combined_background(spectra, rule)
    return ExtractedSpectrum(
        counts=np.sum([item.counts for item in spectra], axis=0),
        background=background,
        livetime=float(sum(item.livetime for item in spectra)),
        bkg_ratio=ratio,
        response=_combined_response(spectra, [item.response for item in spectra]),
        background_response=_combined_response(spectra, [item.background_response for item in spectra]),
        neighbours=_sum([item.neighbours for item in spectra if item.neighbours is not None]),
    )


def _sum(parts: Sequence[Array]) -> Array | None:
    return np.sum(parts, axis=0) if parts else None


def combined_background(
    spectra: Sequence[ExtractedSpectrum], rule: BackgroundRule
) -> tuple[Array | None, float | None]:
    """Background counts by channel and their ratio, see `combine_spectra`; None where one is missing."""
    counts = [item.background for item in spectra if item.background is not None]
    ratios = np.array([item.bkg_ratio for item in spectra if item.bkg_ratio is not None])
    if len(counts) < len(spectra):
        return None, None
    time = np.array([item.livetime for item in spectra])
    table = np.array(counts)
    if rule == "time":
        return table.sum(axis=0), float((ratios * time).sum() / time.sum())
    total = table.sum(axis=1)
    mean, variance = float((total / ratios).sum()), float((total / ratios**2).sum())
    # Without counts the rule of mean and variance says nothing: as ASCA's.
    scale = (
        mean / variance if rule == "counts" and variance > 0 else float(time.sum() / (time / ratios).sum())
    )
    return np.asarray((scale / ratios) @ table), scale


def _combined_response(
    spectra: Sequence[ExtractedSpectrum], responses: Sequence[SpectralResponse | None]
) -> SpectralResponse | None:
    found = [item for item in responses if item is not None]
    if len(found) < len(spectra):
        return None
    for item in found[1:]:
        _check_alike(found[0].redistribution, item.redistribution)
    time = np.array([item.livetime for item in spectra])
    weight = time / time.sum()
    area = weight @ np.array([item.area for item in found])
    whole = weight @ np.array([item.psf_area for item in found])
    # Where there is no area at all, the fractions are the plain means.
    plain = weight @ np.array([item.psf_frac for item in found])
    psf_frac = np.divide(whole, area, out=plain, where=area > 0)
    good = float(weight @ np.array([item.good_frac for item in found]))
    return SpectralResponse(_combined_matrix(found, weight), area, psf_frac, good)


def _combined_matrix(responses: Sequence[SpectralResponse], weight: Array) -> Redistribution:
    first = responses[0].redistribution
    matrices = [item.redistribution for item in responses]
    if all(matrix is first or matrix.identity == first.identity for matrix in matrices):
        return first
    shares = weight[:, None] * np.array([item.psf_area for item in responses])
    total = shares.sum(axis=0)
    shares = np.where(total > 0, shares / np.where(total > 0, total, 1.0), weight[:, None])
    mean = np.zeros(first.matrix.shape)
    for share, matrix in zip(shares, matrices, strict=True):
        mean += share[:, None] * matrix.matrix
    return Redistribution(
        first.energy_lo,
        first.energy_hi,
        first.channel_lo,
        first.channel_hi,
        mean.astype(np.float32),
        first.first_channel,
        "rmf combined",
    )


def _check_alike(first: Redistribution, other: Redistribution) -> None:
    same = first.matrix.shape == other.matrix.shape and first.first_channel == other.first_channel
    if same:
        same = np.allclose(first.energy_lo, other.energy_lo, rtol=1e-4, atol=1e-5) and np.allclose(
            first.energy_hi, other.energy_hi, rtol=1e-4, atol=1e-5
        )
    if not same:
        raise CalibrationError(
            f"redistributions of {first.matrix.shape} and {other.matrix.shape} energies and channels, or on "
            "different energies",
            f"{first.name} and {other.name}",
            "combine spectra with responses on one grid, or fit them jointly",
            code="CALIBRATION_GRID",
        )
