"""Stage `spectral_fit`: models fitted to the spectra of each source, and which of them is preferred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

from sqlalchemy import Connection, select

from catalog.errors import ProjectError, UnknownNameError, UserError
from catalog.measure.combined_spectrum import BackgroundRule
from catalog.measure.spectral_fit import FitChoices, SpectralFitResult, fit_spectra
from catalog.measure.spectral_preference import prefer
from catalog.schema.tables import WorkUnit
from catalog.stages.base.attempt import Failure, attempt
from catalog.stages.base.checksum import file_sha256
from catalog.stages.base.fingerprint import Inputs, fingerprint
from catalog.stages.base.stage import Place, Plan, Result, values
from catalog.stages.base.upstream import merged_inputs
from catalog.stages.steps import merge
from catalog.stages.steps.fit_spectra import FitInput, fit_inputs, models_of, recipe_absorber, recipe_choices
from catalog.stages.steps.spectral_fit_rows import FitOutcome, replace_fits
from catalog.stages.steps.stored_spectra import StoredSpectrum, load_spectra
from catalog.store.door import Writer

STAGE = "spectral_fit"
VERSION = 2
UPSTREAM = ("merge", "spectra")
SPECTRA = "spectra"
_TIMEOUT = "OutOfTimeError"
_WORTH_SAYING = 0.05
"""Counts of neighbours from which on a fit mentions them."""


@dataclass(frozen=True, eq=False)
class SpectralFitJob:
    """A batch of sources with their spectra: all that a worker needs, picklable.

    Attributes
    ----------
    source_ids
        The sources.
    spectra
        Spectra of each source.
    merges
        Row numbers of merges by source.
    nh
        Column of each source at which fits begin, or at which it is frozen.
    models, absorber, table
        Models.
    choices, scope, rule
        How they are fitted, and to what.
    """

    source_ids: tuple[int, ...]
    spectra: Mapping[int, tuple[StoredSpectrum, ...]]
    merges: Mapping[int, int]
    nh: Mapping[int, float]
    models: tuple[str, ...]
    absorber: str
    table: Path | None
    choices: FitChoices
    scope: str
    rule: BackgroundRule


@dataclass(frozen=True, eq=False)
class SourceFits:
    """Fits of one source, and the merge they belong to (None: there is none)."""

    merge_id: int | None
    outcomes: tuple[FitOutcome, ...]


def plan(connection: Connection, place: Place) -> Plan:
    """Return the inputs of all sources."""
    recipe, table = place.recipe, place.survey.table_model
    common = Inputs.of(
        code=VERSION,
        recipe=[
            recipe.spectral_fit.model_dump(mode="json"),
            recipe_absorber(recipe),
            recipe.spectra.combine if recipe.spectral_fit.scope == "merged" else "",
        ],
        bands=[(band.name, band.lo, band.hi) for band in recipe.energy_bands],
        files=None if table is None or not _is_thermal(recipe.spectral_fit.models) else file_sha256(table),
    )
    wanted = merged_inputs(connection, place, UPSTREAM, common)
    nh = place.survey.nh
    return Plan(
        {source_id: item.plus(nh=nh.get(source_id, 0.0)) for source_id, item in wanted.items()},
        refusal=_refusal(connection, place),
    )


def _refusal(connection: Connection, place: Place) -> UserError | None:
    """Why nothing can be fitted at all."""
    if find_spec("sherpa") is None:
        try:
            import catalog.measure.spectral_sherpa  # noqa: F401
        except ProjectError as error:
            return error
    known = select(WorkUnit.id).where(WorkUnit.stage == SPECTRA, WorkUnit.recipe_id == place.recipe_id)
    if connection.execute(known.limit(1)).first() is not None:
        return None
    where, todo = f"recipe {place.recipe.name}", "run `srccat run spectra` first"
    return UnknownNameError("no spectra are stored", where, todo, code="NO_SPECTRA")


def _is_thermal(models: Sequence[str]) -> bool:
    return any(name.startswith("thermal") for name in models)


def load(connection: Connection, place: Place, _plan: Plan, source_ids: Sequence[int]) -> SpectralFitJob:
    """Read the spectra of a batch."""
    recipe = place.recipe
    spectra = load_spectra(connection, place.recipe_id, source_ids)
    return SpectralFitJob(
        tuple(source_ids),
        {source_id: tuple(own) for source_id, own in groupby(spectra, key=lambda item: item.source_id)},
        merge.merge_ids(connection, place.recipe_id, source_ids),
        {source_id: place.survey.nh.get(source_id, 0.0) for source_id in source_ids},
        recipe.spectral_fit.models,
        recipe_absorber(recipe),
        place.survey.table_model,
        recipe_choices(recipe),
        recipe.spectral_fit.scope,
        recipe.spectra.combine,
    )


def compute(job: SpectralFitJob) -> list[Result[SourceFits]]:
    """Fit a batch; a fit that fails is a row that says why.

    Raises
    ------
    UserError
        Sherpa or the table model is not there: that is no matter of one source.
    """
    # Fails here where Sherpa is not installed, once for all sources.
    import catalog.measure.spectral_sherpa  # noqa: F401

    results = []
    for source_id in job.source_ids:
        outcomes: list[FitOutcome] = []
        for found in fit_inputs(job.spectra.get(source_id, ()), job.scope, job.rule):
            outcomes += _fit_models(found, job, job.nh[source_id])
        fits = SourceFits(job.merges.get(source_id), tuple(outcomes))
        content = [item.plain() for item in fits.outcomes]
        results.append(Result(source_id, fingerprint(fits.merge_id is None, content), fits))
    return results


def _fit_models(found: FitInput, job: SpectralFitJob, nh: float) -> list[FitOutcome]:
    """Fit all models to the same spectra and choose among them."""
    note = "; ".join(f"{obs_id}: {why}" for obs_id, why in found.left_out.items()) or None
    if not found.spectra:
        if not found.left_out:
            return []
        return [FitOutcome(found.scope, name, job.absorber, None, "failed", note) for name in job.models]
    outcomes = []
    for model in models_of(job.models, job.absorber, job.table, nh):
        fit = attempt(partial(fit_spectra, found.spectra, model, job.choices))
        if isinstance(fit, Failure):
            status = "timeout" if fit.reason == _TIMEOUT else "failed"
            told = f"took longer than {job.choices.timeout:g} s" if status == "timeout" else fit.message
            text = "; ".join(part for part in (told, note) if part)
            outcomes.append(FitOutcome(found.scope, model.name, job.absorber, None, status, text))
        else:
            light = fit.neighbour_counts
            taken = f"{light:.1f} counts of neighbours taken off" if abs(light) >= _WORTH_SAYING else ""
            text = "; ".join(part for part in (taken, note) if part)
            outcomes.append(FitOutcome(found.scope, model.name, job.absorber, fit, fit.status, text or None))
    return with_preference(outcomes)


def with_preference(outcomes: Sequence[FitOutcome]) -> list[FitOutcome]:
    """Mark the preferred one of the models fitted to the same spectra."""
    fits: list[SpectralFitResult | None] = [item.fit for item in outcomes]
    choice = prefer(fits, [item.model for item in outcomes])
    return [
        item.judged(number == choice.chosen, why)
        for number, (item, why) in enumerate(zip(outcomes, choice.reasons, strict=True))
    ]


def store(writer: Writer, place: Place, run_id: int, results: Sequence[Result[SourceFits]]) -> None:
    """Replace the rows of a batch; a choice that a person made stays in force."""
    source_ids = [result.source_id for result in results]
    known = merge.merge_ids(writer.connection, place.recipe_id, source_ids)
    by_merge = {merge_id: source_id for source_id, merge_id in known.items()}
    found = {item.merge_id: item.outcomes for item in values(results) if item.merge_id in by_merge}
    band_ids = dict(zip((band.name for band in place.recipe.energy_bands), place.bands, strict=True))
    replace_fits(writer, run_id, by_merge, {key: found.get(key, ()) for key in by_merge}, band_ids)
