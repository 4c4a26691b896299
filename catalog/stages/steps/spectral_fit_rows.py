"""Rows of spectral fits: written by the stage, marked by a person's choice, read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from catalog.errors import UnknownNameError
from catalog.measure.spectral_fit import SpectralFitResult
from catalog.measure.spectral_preference import BY_RULE
from catalog.schema.spectrum import FIT_PARAMETERS
from catalog.schema.tables import Merge, ReviewDecision, SpectralFit, SpectralFlux
from catalog.store.door import Writer

_DECISION = "spectral model "
_BEHIND = " | "
NH_UNIT = 1e22
"""Columns are in cm-2, parameters of models in 1e22 cm-2."""
AUTOMATIC = "automatic"
"""Word that gives the choice of a model back to the rule."""


@dataclass(frozen=True)
class FitOutcome:
    """A model fitted to the spectra of a source, or why it could not be.

    Attributes
    ----------
    scope
        What was fitted.
    model, absorber
        Names.
    fit
        Result; None where there is none.
    status, message
        How it ended.
    preferred, preference
        Whether it is the preferred model by rule, and why.
    """

    scope: str
    model: str
    absorber: str
    fit: SpectralFitResult | None
    status: str
    message: str | None = None
    preferred: bool = False
    preference: str | None = None

    def judged(self, preferred: bool, why: str) -> FitOutcome:
        """The same with a judgement."""
        return replace(self, preferred=preferred, preference=why or None)

    def plain(self) -> dict[str, Any]:
        """Plain values, for hashes."""
        return asdict(self)


def replace_fits(
    writer: Writer,
    run_id: int,
    sources: Mapping[int, int],
    outcomes: Mapping[int, Sequence[FitOutcome]],
    band_ids: Mapping[str, int],
) -> None:
    """Replace the fits of merges.

    Parameters
    ----------
    writer, run_id
        The open door, and who writes.
    sources
        Source by merge.
    outcomes
        Fits by merge.
    band_ids
        Row numbers of bands by name.
    """
    writer.delete(SpectralFit, SpectralFit.merge_id.in_(outcomes))
    items = [item for own in outcomes.values() for item in own]
    owners = [merge_id for merge_id, own in outcomes.items() for _ in own]
    row_ids = writer.insert(
        SpectralFit,
        [
            {"run_id": run_id, "merge_id": merge_id, **fit_row(item)}
            for merge_id, item in zip(owners, items, strict=True)
        ],
    )
    writer.insert(
        SpectralFlux,
        [
            {"run_id": run_id, "spectral_fit_id": row_id, **flux}
            for row_id, item in zip(row_ids, items, strict=True)
            for flux in flux_rows(item, band_ids)
        ],
    )
    chosen = hand_choices(writer.connection, list(sources.values()))
    for merge_id, source_id in sources.items():
        if source_id in chosen:
            mark(writer, merge_id, *chosen[source_id])


def fit_row(item: FitOutcome) -> dict[str, Any]:
    """Columns of `spectral_fit`."""
    fit = item.fit
    row: dict[str, Any] = {
        "model": item.model,
        "absorber": item.absorber,
        "fit_scope": item.scope,
        "fit_status": item.status,
        "fit_message": item.message,
        "preferred": item.preferred,
        "preference": item.preference,
        "parameters": {} if fit is None else {part.name: asdict(part) for part in fit.parameters},
    }
    columns = {
        "statistic": None if fit is None else fit.statistic,
        "degrees_of_freedom": None if fit is None else fit.degrees_of_freedom,
        "fit_statistic": None if fit is None else fit.statistic_name,
        "fit_cnts": None if fit is None else fit.net_counts,
        "n_free": None if fit is None else fit.n_free,
        "fit_goodness": None if fit is None else fit.goodness,
        "fit_frozen": None if fit is None else ",".join(part.name for part in fit.parameters if part.frozen),
    }
    known = {} if fit is None else {part.name: part for part in fit.parameters}
    for name in FIT_PARAMETERS:
        part = known.get(name)
        unit = NH_UNIT if name == "nh" else 1.0
        ends = (None, None, None) if part is None else (part.value, part.lo90, part.hi90)
        for end, value in zip(("", "_lolim", "_hilim"), ends, strict=True):
            columns[f"fit_{name}{end}"] = None if value is None else value * unit
    return {**row, **columns}


def flux_rows(item: FitOutcome, band_ids: Mapping[str, int]) -> list[dict[str, Any]]:
    """Columns of `spectral_flux`, one row for each band."""
    if item.fit is None:
        return []
    return [
        {
            "band_id": band_ids[flux.band],
            "flux_fit": flux.flux,
            "flux_fit_lolim": flux.flux_lolim,
            "flux_fit_hilim": flux.flux_hilim,
            "uflux_fit": flux.unabsorbed,
            "uflux_fit_lolim": flux.unabsorbed_lolim,
            "uflux_fit_hilim": flux.unabsorbed_hilim,
        }
        for flux in item.fit.fluxes
    ]


def hand_choices(connection: Connection, source_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """The last choice of a person by source: model, and who and why; none that was taken back."""
    rows = connection.execute(
        select(ReviewDecision.source_id, ReviewDecision.decision, ReviewDecision.reviewer, ReviewDecision.why)
        .where(ReviewDecision.source_id.in_(source_ids), ReviewDecision.decision.startswith(_DECISION))
        .order_by(ReviewDecision.decided_at, ReviewDecision.id)
    )
    found: dict[int, tuple[str, str]] = {}
    for row in rows:
        model = row.decision.removeprefix(_DECISION)
        reason = f"chosen by {row.reviewer}" + (f": {row.why}" if row.why else "")
        found[row.source_id] = (model, reason)
    return {source_id: choice for source_id, choice in found.items() if choice[0] != AUTOMATIC}


def mark(writer: Writer, merge_id: int, model: str, reason: str) -> None:
    """Mark a model as the preferred one of a merge, or with `AUTOMATIC` the one that the rule takes.

    The rule's sentence stays behind the reason; a model that was not fitted changes nothing.
    """
    rows = writer.connection.execute(
        select(SpectralFit.id, SpectralFit.model, SpectralFit.preference).where(
            SpectralFit.merge_id == merge_id
        )
    ).all()
    if model != AUTOMATIC and not any(row.model == model for row in rows):
        return
    changes = []
    for row in rows:
        by_rule = (row.preference or "").split(_BEHIND)[-1]
        chosen = by_rule.startswith(BY_RULE) if model == AUTOMATIC else row.model == model
        text = by_rule if model == AUTOMATIC or not chosen else f"{reason}{_BEHIND}{by_rule}"
        changes.append({"id": row.id, "preferred": chosen, "preference": text or None})
    writer.update_many(SpectralFit, changes)


def choose_model(
    writer: Writer, run_id: int, source_id: int, model: str, reviewer: str, why: str | None
) -> None:
    """Record a person's choice of a source's model, and mark the fits of all recipes that have it.

    Raises
    ------
    UnknownNameError
        UNKNOWN_MODEL: no fit of this model is stored for the source.
    """
    merges = list(writer.connection.scalars(select(Merge.id).where(Merge.source_id == source_id)))
    fitted = set(writer.connection.scalars(select(SpectralFit.model).where(SpectralFit.merge_id.in_(merges))))
    if model not in (*fitted, AUTOMATIC):
        raise UnknownNameError(
            "the source has no fit of this model",
            model,
            f"it has {', '.join(sorted(fitted)) or 'none: run `srccat run spectra spectral_fit`'}",
            code="UNKNOWN_MODEL",
        )
    writer.insert(
        ReviewDecision,
        [
            {
                "run_id": run_id,
                "source_id": source_id,
                "reviewer": reviewer,
                "decision": _DECISION + model,
                "decided_at": datetime.now(UTC),
                "why": why,
            }
        ],
    )
    for merge_id in merges:
        mark(writer, merge_id, model, f"chosen by {reviewer}" + (f": {why}" if why else ""))
