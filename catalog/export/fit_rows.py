"""Preferred spectral fits of a recipe with their fluxes in total, soft and hard band."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from catalog.errors import SettingsError, UnknownNameError
from catalog.recipes.recipe import Recipe
from catalog.schema.tables import (
    BandRow,
    Merge,
    MergedMeasurement,
    Source,
    SpectralFit,
    SpectralFlux,
)
from catalog.schema.tables import Recipe as RecipeRow

BANDS: dict[str, tuple[tuple[float, float], str]] = {
    "t": ((0.5, 8.0), "broad"),
    "s": ((0.5, 2.0), "soft"),
    "h": ((2.0, 8.0), "hard"),
}
"""ACIS Extract's bands by suffix: limits in keV, and the band taken where the recipe does not have it."""


@dataclass(frozen=True)
class FitRow:
    """One fit.

    Attributes
    ----------
    name
        Of the source.
    fit
        Columns of `spectral_fit`.
    fluxes
        Columns of `spectral_flux` by suffix of the band.
    net_cnts, significance
        Of the total band.
    """

    name: str
    fit: Mapping[str, Any]
    fluxes: Mapping[str, Mapping[str, Any]]
    net_cnts: float | None
    significance: float | None


def fit_bands(recipe: Recipe) -> dict[str, str]:
    """Names of the recipe's bands by suffix.

    Raises
    ------
    SettingsError
        NO_BAND: one is not measured.
    """
    found = {}
    for suffix, (limits, nearest) in BANDS.items():
        same = [band.name for band in recipe.energy_bands if (band.lo, band.hi) == limits]
        there = [band.name for band in recipe.energy_bands if band.name == nearest]
        if not same and not there:
            raise SettingsError(
                f"the recipe measures neither {limits[0]:g}-{limits[1]:g} keV nor {nearest}",
                recipe.name,
                "add one of the two to its bands",
                code="NO_BAND",
            )
        found[suffix] = (same or there)[0]
    return found


def has_fits(connection: Connection, recipe: Recipe) -> bool:
    """Whether any fit of a recipe is stored."""
    statement = (
        select(SpectralFit.id)
        .join(Merge, Merge.id == SpectralFit.merge_id)
        .join(RecipeRow, RecipeRow.id == Merge.recipe_id)
        .where(RecipeRow.recipe == recipe.name)
    )
    return connection.execute(statement.limit(1)).first() is not None


def fit_rows(connection: Connection, recipe: Recipe, *, preferred: bool = True) -> list[FitRow]:
    """Return the fits of a recipe in the order of right ascension.

    Parameters
    ----------
    connection
        Database.
    recipe
        The recipe.
    preferred
        Whether only preferred models are wanted.

    Raises
    ------
    UnknownNameError
        NO_FITS: none is stored.
    SettingsError
        As `fit_bands`.
    """
    bands = fit_bands(recipe)
    chosen = [RecipeRow.recipe == recipe.name, Merge.purpose == "photometry"]
    if preferred:
        chosen.append(SpectralFit.preferred.is_(True))
    fits = connection.execute(
        select(SpectralFit.__table__, Source.name)
        .join(Merge, Merge.id == SpectralFit.merge_id)
        .join(Source, Source.id == Merge.source_id)
        .join(RecipeRow, RecipeRow.id == Merge.recipe_id)
        .where(*chosen)
        .order_by(Source.ra, Source.id, SpectralFit.fit_scope, SpectralFit.model)
    ).all()
    if not fits:
        raise UnknownNameError(
            "no spectral fits are stored",
            recipe.name,
            "run `srccat run spectra spectral_fit`",
            code="NO_FITS",
        )
    suffixes = {band: suffix for suffix, band in bands.items()}
    fluxes: dict[int, dict[str, Mapping[str, Any]]] = {}
    for row in connection.execute(
        select(SpectralFlux.__table__, BandRow.band)
        .join(BandRow, BandRow.id == SpectralFlux.band_id)
        .where(BandRow.band.in_(suffixes))
    ):
        fluxes.setdefault(row.spectral_fit_id, {})[suffixes[row.band]] = dict(row._mapping)
    measured = {
        row.merge_id: row
        for row in connection.execute(
            select(
                MergedMeasurement.merge_id,
                MergedMeasurement.src_cnts_aper,
                MergedMeasurement.src_significance,
            )
            .join(BandRow, BandRow.id == MergedMeasurement.band_id)
            .where(BandRow.band == bands["t"])
        )
    }
    return [
        FitRow(
            row.name,
            dict(row._mapping),
            fluxes.get(row.id, {}),
            getattr(measured.get(row.merge_id), "src_cnts_aper", None),
            getattr(measured.get(row.merge_id), "src_significance", None),
        )
        for row in fits
    ]
