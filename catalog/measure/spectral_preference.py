"""Which of several fitted models a source is shown with, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from catalog.measure.spectral_fit import SpectralFitResult

BY_RULE = "by rule"
"""Begins the sentence of the chosen fit."""
FOR_SENSE = 4.61
"""Rise of the statistic accepted to avoid extreme values."""
FOR_FREEDOM = 1.0
"""Rise accepted to avoid a frozen shape."""
FOR_SECOND = 4.61
"""Fall asked of a second temperature."""

_MOST_NH = 10.0
_KT = (0.5, 15.0)
_MOST_CORRECTION = 10.0
_SHAPES = ("photon_index", "kt", "kt2")


@dataclass(frozen=True)
class Preference:
    """Number of the preferred fit (None: none is usable), and a sentence for each fit."""

    chosen: int | None
    reasons: tuple[str, ...]


def prefer(fits: Sequence[SpectralFitResult | None], names: Sequence[str]) -> Preference:
    """Choose among the fits of one source to the same spectra.

    The smallest statistic wins, but a fit with sensible values is taken over one with extreme values that is
    better by less than 4.61, one with a free shape over a frozen one better by less than 1.0, and a second
    temperature must lower the statistic by 4.61 (after ACIS Extract's suggestions; its limits are in 1e-16 to
    1e-13 erg cm-2 s-1 for fluxes, which depend on the field and are not used here).

    Parameters
    ----------
    fits
        Results; None for a model whose fit failed.
    names
        Their models.
    """
    scores: dict[int, float] = {}
    reasons = []
    for number, (fit, name) in enumerate(zip(fits, names, strict=True)):
        if fit is None or fit.status == "not_converged":
            reasons.append("no usable fit")
            continue
        notes = extremes(fit)
        score = fit.statistic + (FOR_SENSE if notes else 0.0)
        if any(item.frozen for item in fit.parameters if item.name in _SHAPES):
            score += FOR_FREEDOM
            notes.append("shape frozen")
        if name == "thermal2":
            score += FOR_SECOND
        scores[number] = score
        reasons.append("; ".join(notes))
    if not scores:
        return Preference(None, tuple(reasons))
    chosen = min(scores, key=lambda number: (scores[number], number))
    for number, score in scores.items():
        difference = score - scores[chosen]
        text = BY_RULE if number == chosen else f"worse by {difference:.2f}"
        reasons[number] = "; ".join(part for part in (text, reasons[number]) if part)
    return Preference(chosen, tuple(reasons))


def extremes(fit: SpectralFitResult) -> list[str]:
    """Values that one should doubt."""
    found = [f"{item.name} at its limit" for item in fit.parameters if item.at_limit and item.value > 0]
    for item in fit.parameters:
        if item.frozen or item.at_limit:
            continue
        if item.name == "nh" and item.value > _MOST_NH:
            found.append("nh above 1e23")
        if item.name in ("kt", "kt2") and fit.model != "blackbody" and not _KT[0] <= item.value <= _KT[1]:
            found.append(f"{item.name} outside {_KT[0]:g}-{_KT[1]:g} keV")
    if any(flux.flux > 0 and flux.unabsorbed > _MOST_CORRECTION * flux.flux for flux in fit.fluxes):
        found.append("absorption correction above 10")
    return found
