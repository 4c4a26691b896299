"""Which spectra a command means: sources, observations, recipe; and why a source has none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Connection, select

from catalog.errors import UnknownNameError
from catalog.export.ogip import NamedSpectrum, merged_spectrum, observed_spectrum, used_in_merge
from catalog.flags import Flag
from catalog.measure.combined_spectrum import BackgroundRule
from catalog.schema.tables import EventSet, Extraction, Observation, Recipe, Source, Spectrum
from catalog.stages.base.recipe_store import StoredRecipe, stored_recipes
from catalog.stages.base.work import batches
from catalog.stages.contents.manage_sources import find_source
from catalog.stages.steps.stored_spectra import StoredSpectrum, load_spectra

_TOGETHER = 100
_REASONS = {
    Flag.OUTSIDE_FOV: "outside the field of view",
    Flag.NO_APERTURE: "no aperture is left",
    Flag.FAILED: "extraction failed",
}


@dataclass(frozen=True)
class SpectraSelection:
    """Sources and observations of a recipe; `obs_ids` None for all observations."""

    recipe: StoredRecipe
    source_ids: tuple[int, ...]
    obs_ids: tuple[str, ...] | None = None


def select_spectra(
    connection: Connection,
    sources: Sequence[str] | None = None,
    recipe: str | None = None,
    obs_ids: Sequence[str] | None = None,
) -> SpectraSelection:
    """Return what is meant.

    Parameters
    ----------
    connection
        Database.
    sources
        Numbers, names or labels; all with a spectrum unless given.
    recipe
        Name; `default` where it has spectra, else the first with some.
    obs_ids
        ObsIDs; all unless given.

    Raises
    ------
    UnknownNameError
        No such source, recipe or ObsID, or NO_SPECTRA: none is stored.
    """
    known = list(
        connection.scalars(
            select(Recipe.recipe)
            .where(
                select(Spectrum.id)
                .join(Extraction, Extraction.id == Spectrum.extraction_id)
                .where(Extraction.recipe_id == Recipe.id)
                .exists()
            )
            .order_by(Recipe.recipe != "default", Recipe.recipe)
        )
    )
    name = recipe if recipe is not None else next(iter(known), None)
    if name is None or (name not in known and stored_recipes(connection, [name])):
        raise UnknownNameError(
            "no spectra are stored", recipe or "catalog", "run `srccat run spectra`", code="NO_SPECTRA"
        )
    chosen = stored_recipes(connection, [name])[0]
    plain = None if obs_ids is None else tuple(text.lstrip("0") or "0" for text in obs_ids)
    if plain is not None:
        there = set(connection.scalars(select(Observation.obs_id)))
        missing = [text for text in plain if text not in there]
        if missing:
            raise UnknownNameError(
                "no such observation",
                missing[0],
                f"the catalog has {', '.join(sorted(there))}",
                code="UNKNOWN_OBSERVATION",
            )
    if sources is not None:
        ids = tuple(dict.fromkeys(find_source(connection, text).id for text in sources))
    else:
        ids = tuple(
            connection.scalars(
                select(Extraction.source_id)
                .join(Spectrum, Spectrum.extraction_id == Extraction.id)
                .where(Extraction.recipe_id == chosen.id)
                .distinct()
                .order_by(Extraction.source_id)
            )
        )
    return SpectraSelection(chosen, ids, plain)


def spectra_by_source(
    connection: Connection, selection: SpectraSelection
) -> Iterator[tuple[int, list[StoredSpectrum]]]:
    """Yield the sources with their spectra in the order of time; sources without any are left out."""
    for part in batches(selection.source_ids, _TOGETHER):
        found = load_spectra(connection, selection.recipe.id, part, selection.obs_ids)
        for source_id, own in groupby(found, key=lambda item: item.source_id):
            yield source_id, list(own)


def named_spectra(
    connection: Connection, selection: SpectraSelection, combine: BackgroundRule | None = None
) -> Iterator[NamedSpectrum]:
    """Yield what is to be written: each observation alone, or combined by a rule for backgrounds."""
    for _, members in spectra_by_source(connection, selection):
        if combine is None:
            yield from (observed_spectrum(item) for item in members)
        elif used := used_in_merge(members):
            yield merged_spectrum(used, combine)


def why_without_spectrum(connection: Connection, selection: SpectraSelection) -> dict[str, str]:
    """Return the reason of each source, by name, that has no spectrum in the observations chosen."""
    conditions = [Extraction.recipe_id == selection.recipe.id, EventSet.role == "photometry"]
    if selection.obs_ids is not None:
        conditions.append(Observation.obs_id.in_(selection.obs_ids))
    found: dict[str, str] = {}
    for part in batches(selection.source_ids, _TOGETHER):
        named = connection.execute(select(Source.id, Source.name).where(Source.id.in_(part)))
        names = {row.id: row.name for row in named}
        reasons: dict[int, list[str]] = {source_id: [] for source_id in part}
        rows = connection.execute(
            select(Extraction.source_id, Extraction.flags, Observation.obs_id, Spectrum.id.label("spectrum"))
            .join(EventSet, EventSet.id == Extraction.event_set_id)
            .join(Observation, Observation.id == EventSet.observation_id)
            .outerjoin(Spectrum, (Spectrum.extraction_id == Extraction.id) & (Spectrum.product == "source"))
            .where(Extraction.source_id.in_(part), *conditions)
            .order_by(Extraction.source_id, Observation.obs_id)
        )
        for row in rows:
            if row.spectrum is not None:
                reasons.pop(row.source_id, None)
            elif row.source_id in reasons:
                why = next(
                    (text for flag, text in _REASONS.items() if row.flags & int(flag)), "stage not run"
                )
                reasons[row.source_id].append(f"{row.obs_id}: {why}")
        found |= {
            names[source_id]: "; ".join(texts) or "in no observation" for source_id, texts in reasons.items()
        }
    return found
