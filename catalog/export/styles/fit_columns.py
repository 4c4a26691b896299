"""Fitted models as further columns of srcflux's tables, behind its own as those of a plugin are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from catalog.export.styles.rows import StyleColumn, StyleRows
from catalog.schema.tables import BandRow, Merge, Recipe, SpectralFit, SpectralFlux
from catalog.stages.steps.fit_spectra import JOINT, MERGED

_ENDS = (("", ""), ("_LO", "_lolim"), ("_HI", "_hilim"))
_PARAMETERS = (
    ("FIT_NH", "fit_nh", "10**22 cm**-2", 1e-22),
    ("FIT_PHOINDEX", "fit_photon_index", "", 1.0),
    ("FIT_KT", "fit_kt", "keV", 1.0),
    ("FIT_KT2", "fit_kt2", "keV", 1.0),
    ("FIT_NORM", "fit_norm", "", 1.0),
    ("FIT_NORM2", "fit_norm2", "", 1.0),
)
_FLUXES = (("FIT_MFLUX", "flux_fit"), ("FIT_UMFLUX", "uflux_fit"))


def fit_columns(
    connection: Connection, recipe: str, rows: StyleRows, scopes: Sequence[str] = (JOINT, MERGED)
) -> list[StyleColumn]:
    """Columns of the preferred fits; none where no fit of these scopes is stored.

    Parameters
    ----------
    connection, recipe
        Database and name of the recipe.
    rows
        Rows of one band.
    scopes
        What was fitted: ``joint``, ``merged`` or ObsIDs; of several fits of a source that of the first.
    """
    found = _fits(connection, recipe, str(rows.columns["band"][0]), scopes)
    if not found:
        return []
    fits: list[Mapping[str, Any]] = [found.get(source_id, {}) for source_id in rows.columns["source_id"]]
    columns = [_text("FIT_MODEL", fits, "model"), _text("FIT_STATUS", fits, "fit_status")]
    columns += [
        _number("FIT_STATISTIC", "", fits, "statistic"),
        _number("FIT_DOF", "", fits, "degrees_of_freedom"),
    ]
    for name, column, unit, factor in _PARAMETERS:
        columns += [_number(f"{name}{a}", unit, fits, f"{column}{b}", factor) for a, b in _ENDS]
    for name, column in _FLUXES:
        columns += [_number(f"{name}{a}", "erg/cm**2/s", fits, f"{column}{b}") for a, b in _ENDS]
    return columns


def _fits(
    connection: Connection, recipe: str, band: str, scopes: Sequence[str]
) -> dict[int, Mapping[str, Any]]:
    found: dict[int, Mapping[str, Any]] = {}
    rows = connection.execute(
        select(SpectralFit.__table__, *_flux_columns(), Merge.source_id)
        .join(Merge, Merge.id == SpectralFit.merge_id)
        .join(Recipe, Recipe.id == Merge.recipe_id)
        .outerjoin(BandRow, BandRow.band == band)
        .outerjoin(
            SpectralFlux,
            (SpectralFlux.spectral_fit_id == SpectralFit.id) & (SpectralFlux.band_id == BandRow.id),
        )
        .where(
            Recipe.recipe == recipe,
            Merge.purpose == "photometry",
            SpectralFit.preferred.is_(True),
            SpectralFit.fit_scope.in_(scopes),
        )
    )
    for row in sorted(rows, key=lambda row: scopes.index(row.fit_scope)):
        found.setdefault(row.source_id, dict(row._mapping))
    return found


def _flux_columns() -> list[Any]:
    return [getattr(SpectralFlux, f"{column}{end}") for _, column in _FLUXES for _, end in _ENDS]


def _number(
    name: str, unit: str, fits: Sequence[Mapping[str, Any]], column: str, factor: float = 1.0
) -> StyleColumn:
    values = [fit.get(column) for fit in fits]
    return StyleColumn(
        name, unit, np.array([np.nan if value is None else value * factor for value in values], dtype=float)
    )


def _text(name: str, fits: Sequence[Mapping[str, Any]], column: str) -> StyleColumn:
    values = [str(fit.get(column) or "").encode("ascii") for fit in fits]
    return StyleColumn(name, "", np.array(values), f"{max(map(len, values))}A")
