"""Fits of single sources as somebody asks for them: other models or energies than the recipe's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from catalog.errors import UnknownNameError
from catalog.measure.spectral_fit import FitChoices, SpectralFitResult, fit_spectra
from catalog.measure.spectral_model import FitModel
from catalog.measure.spectral_problem import OutOfTimeError
from catalog.stages.base.project import Project
from catalog.stages.base.recipe_store import StoredRecipe
from catalog.stages.base.work import source_table
from catalog.stages.engine.hydrogen_columns import hydrogen_columns
from catalog.stages.steps.fit_spectra import (
    EACH,
    FitInput,
    fit_inputs,
    models_of,
    recipe_absorber,
    recipe_choices,
)
from catalog.stages.steps.stored_spectra import load_spectra


@dataclass(frozen=True)
class FitRequest:
    """What differs from the recipe; None where nothing does.

    Attributes
    ----------
    models, absorber, statistic, scope, lo, hi
        As in the recipe.
    obs_ids
        Only these observations.
    frozen, free
        Parameters held at a value, and parameters free whatever the counts.
    keep_all
        Whether observations whose area contradicts their counts stay.
    """

    models: tuple[str, ...] = ()
    absorber: str | None = None
    statistic: Any = None
    scope: str | None = None
    lo: float | None = None
    hi: float | None = None
    obs_ids: tuple[str, ...] | None = None
    frozen: tuple[tuple[str, float], ...] = ()
    free: tuple[str, ...] = ()
    keep_all: bool = False


@dataclass(frozen=True, eq=False)
class LiveFit:
    """A fit with everything that it was made of."""

    input: FitInput
    model: FitModel
    choices: FitChoices
    result: SpectralFitResult


def fit_source(
    connection: Connection, project: Project, stored: StoredRecipe, source_id: int, request: FitRequest
) -> list[LiveFit]:
    """Fit one source.

    Raises
    ------
    UnknownNameError
        NO_SPECTRUM: it has none with a response; UNKNOWN_PARAMETER for one that the model does not have.
    UserError
        Sherpa or the table model is missing, or the spectra cannot be fitted.
    """
    recipe = stored.recipe
    choices = _choices(recipe_choices(recipe), request)
    spectra = load_spectra(connection, stored.id, [source_id], request.obs_ids)
    scope = request.scope or (EACH if request.obs_ids else recipe.spectral_fit.scope)
    inputs = fit_inputs(spectra, scope, recipe.spectra.combine, keep_all=request.keep_all)
    usable = [item for item in inputs if item.spectra]
    if not usable:
        why = "; ".join(f"{obs_id}: {text}" for item in inputs for obs_id, text in item.left_out.items())
        raise UnknownNameError(
            f"no spectrum to fit ({why or 'none is stored'})",
            f"source {source_id}",
            "run `srccat run spectra`",
            code="NO_SPECTRUM",
        )
    nh = hydrogen_columns(project.settings, source_table(connection)).get(source_id, 0.0)
    names = request.models or recipe.spectral_fit.models
    absorber = request.absorber or recipe_absorber(recipe)
    models = models_of(names, absorber, project.settings.spectrum.table_model, nh)
    for model in models:
        _check_names(model, request)
    return [LiveFit(item, model, choices, _fit(item, model, choices)) for item in usable for model in models]


def _fit(item: FitInput, model: FitModel, choices: FitChoices) -> SpectralFitResult:
    try:
        return fit_spectra(item.spectra, model, choices)
    except OutOfTimeError:
        raise UnknownNameError(
            f"the fit took longer than {choices.timeout:g} s",
            model.name,
            "freeze a parameter, or set a longer timeout in the recipe",
            code="FIT_TIMEOUT",
        ) from None


def _choices(base: FitChoices, request: FitRequest) -> FitChoices:
    wanted = {name: getattr(request, name) for name in ("statistic", "lo", "hi")}
    changed = {name: value for name, value in wanted.items() if value is not None}
    return replace(base, **changed, frozen=request.frozen, free=request.free)


def _check_names(model: FitModel, request: FitRequest) -> None:
    names: Sequence[str] = (*(name for name, _ in request.frozen), *request.free)
    for name in names:
        if name not in model.names:
            raise UnknownNameError(
                f"the model {model.name} has no such parameter",
                name,
                f"it has {', '.join(model.names)}",
                code="UNKNOWN_PARAMETER",
            )
    for item, value in request.frozen:
        own = model.parameters[model.names.index(item)]
        if not own.lo <= value <= own.hi:
            raise UnknownNameError(
                f"{item} lies outside {own.lo:g} to {own.hi:g}", value, "choose another value", code="LIMIT"
            )
