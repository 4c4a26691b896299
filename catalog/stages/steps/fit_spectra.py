"""Stored spectra as fits want them: each observation, jointly or combined; and the models of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from catalog.calibration.table_model import TableModel, read_table_model
from catalog.measure.combined_spectrum import BackgroundRule, combine_spectra
from catalog.measure.spectra import ExtractedSpectrum
from catalog.measure.spectral_consistency import inconsistent_areas
from catalog.measure.spectral_data import FitSpectrum
from catalog.measure.spectral_fit import FitChoices
from catalog.measure.spectral_model import FitModel, fit_model
from catalog.recipes.recipe import Recipe
from catalog.stages.steps.stored_spectra import StoredSpectrum

JOINT, MERGED, EACH = "joint", "merged", "each"


@dataclass(frozen=True, eq=False)
class FitInput:
    """Spectra to be fitted together.

    Attributes
    ----------
    scope
        ``joint``, ``merged``, or the ObsID of one observation.
    spectra
        The spectra; empty where none has a response.
    left_out
        What was left out and why, by observation.
    """

    scope: str
    spectra: tuple[FitSpectrum, ...]
    left_out: dict[str, str]


def fit_inputs(
    members: Sequence[StoredSpectrum], scope: str, rule: BackgroundRule, *, keep_all: bool = False
) -> list[FitInput]:
    """Return what is fitted for one source.

    Parameters
    ----------
    members
        Its spectra, those that the merge for photometry leaves out among them.
    scope
        ``joint``, ``merged`` or ``each``.
    rule
        How backgrounds are added.
    keep_all
        Whether observations whose area contradicts their counts stay.
    """
    left_out: dict[str, str] = {}
    usable: list[tuple[StoredSpectrum, FitSpectrum]] = []
    for item in members:
        if item.merged is False and scope != EACH:
            left_out[item.obs_id] = "left out of the merge"
            continue
        found = fit_spectrum(item.spectrum, _name(item))
        if found is None:
            left_out[item.obs_id] = "no effective area applies"
        else:
            usable.append((item, found))
    if scope == EACH:
        single = [FitInput(_name(item), (found,), {}) for item, found in usable]
        return single + [FitInput(obs_id, (), {obs_id: why}) for obs_id, why in left_out.items()]
    if not keep_all:
        wrong = inconsistent_areas([found for _, found in usable])
        left_out |= wrong
        usable = [pair for pair in usable if pair[1].name not in wrong]
    if scope == MERGED and usable:
        combined = combine_spectra([item.spectrum for item, _ in usable], rule)
        merged = fit_spectrum(combined, MERGED)
        return [FitInput(MERGED, () if merged is None else (merged,), left_out)]
    return [FitInput(scope, tuple(found for _, found in usable), left_out)]


def fit_spectrum(spectrum: ExtractedSpectrum, name: str) -> FitSpectrum | None:
    """Return a spectrum with the area of the whole source; None without a response."""
    if spectrum.response is None or not spectrum.livetime > 0:
        return None
    return FitSpectrum(
        name=name,
        counts=spectrum.counts,
        background=spectrum.background,
        ratio=spectrum.bkg_ratio or 1.0,
        exposure=spectrum.livetime,
        area=spectrum.response.psf_area,
        matrix=spectrum.response.redistribution,
        neighbours=spectrum.neighbours,
    )


def _name(item: StoredSpectrum) -> str:
    return item.obs_id if item.obi_num == 0 else f"{item.obs_id}_{item.obi_num}"


def recipe_choices(recipe: Recipe) -> FitChoices:
    """Return how the fits of a recipe are made."""
    chosen = recipe.spectral_fit
    return FitChoices(
        statistic=chosen.statistic,
        lo=chosen.lo,
        hi=chosen.hi,
        bands=recipe.energy_bands,
        counts_for_shape=chosen.counts_for_shape,
        counts_for_nh=chosen.counts_for_nh,
        counts_for_second=chosen.counts_for_second,
        timeout=chosen.timeout,
        seed=chosen.seed,
    )


def recipe_absorber(recipe: Recipe) -> str:
    """Return the cross section of the recipe's absorber."""
    model = recipe.model
    return "wabs" if model.absorber == "wabs" else f"phabs-{model.abundances}"


def models_of(names: Sequence[str], absorber: str, table: Path | None, nh: float) -> list[FitModel]:
    """Return models by name; `nh` is where the column begins, or stays when it is frozen.

    Raises
    ------
    UserError
        An unknown model, or a thermal one without a table that can be read.
    """
    tables = (
        () if table is None or not any(name.startswith("thermal") for name in names) else (_table(table),)
    )
    return [fit_model(name, absorber, tables, nh) for name in names]


@lru_cache(maxsize=2)
def _table(path: Path) -> TableModel:
    return read_table_model(path)
