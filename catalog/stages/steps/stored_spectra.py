"""Spectra out of the database, with their responses: what exports and fits begin with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from catalog.calibration.redistribution import Redistribution
from catalog.measure.spectra import ExtractedSpectrum, SpectralResponse
from catalog.schema.tables import (
    EventSet,
    Extraction,
    Merge,
    MergeMember,
    Observation,
    Source,
    Spectrum,
)
from catalog.stages.steps.response_store import load_responses
from catalog.store.arrays import unpack


@dataclass(frozen=True, eq=False)
class StoredSpectrum:
    """Spectra of one source in one observation, and where they come from.

    Attributes
    ----------
    source_id, extraction_id, run_id
        Row numbers.
    name, ra, dec
        Of the source; degrees ICRS.
    obs_id, obi_num, detector, grating, date_obs, tstart, tstop, ra_pnt, dec_pnt, roll_pnt
        Of the observation: s of mission time, degrees.
    chip_id, theta, phi, flags
        Of the extraction.
    merged
        Whether the observation is used in the merge for photometry; None without a merge.
    spectrum
        Counts and responses.
    """

    source_id: int
    extraction_id: int
    run_id: int
    name: str
    ra: float
    dec: float
    obs_id: str
    obi_num: int
    detector: str
    grating: str
    date_obs: str
    tstart: float
    tstop: float
    ra_pnt: float
    dec_pnt: float
    roll_pnt: float
    chip_id: int
    theta: float
    phi: float
    flags: int
    merged: bool | None
    spectrum: ExtractedSpectrum


PRODUCTS = ("source", "background", "neighbours")
"""What the rows of `spectrum` of one extraction hold: counts, and expected counts of neighbours."""
_OBSERVATION = ("obs_id", "obi_num", "detector", "grating", "date_obs", "tstart", "tstop")
_POINTING = ("ra_pnt", "dec_pnt", "roll_pnt")


def load_spectra(
    connection: Connection,
    recipe_id: int,
    source_ids: Sequence[int] | None = None,
    obs_ids: Collection[str] | None = None,
) -> list[StoredSpectrum]:
    """Return spectra in the order of source ids, for each source in the order of time.

    Parameters
    ----------
    connection
        Database.
    recipe_id
        Row number of the recipe.
    source_ids
        Row numbers; all sources unless given. Take thousands in parts: all is held in memory.
    obs_ids
        Observations; all unless given.
    """
    chosen = [Extraction.recipe_id == recipe_id, EventSet.role == "photometry"]
    if source_ids is not None:
        chosen.append(Extraction.source_id.in_(source_ids))
    if obs_ids is not None:
        chosen.append(Observation.obs_id.in_(sorted(obs_ids)))
    rows: dict[int, dict[str, Any]] = {}
    for row in connection.execute(
        select(
            Spectrum.__table__,
            Extraction.source_id,
            Extraction.chip_id,
            Extraction.theta,
            Extraction.phi,
            Extraction.flags,
            Source.name,
            Source.ra,
            Source.dec,
            *(getattr(Observation, name) for name in (*_OBSERVATION, *_POINTING)),
        )
        .join(Extraction, Extraction.id == Spectrum.extraction_id)
        .join(Source, Source.id == Extraction.source_id)
        .join(EventSet, EventSet.id == Extraction.event_set_id)
        .join(Observation, Observation.id == EventSet.observation_id)
        .where(*chosen)
        .order_by(Extraction.source_id, Observation.tstart, Observation.obs_id, Observation.obi_num)
    ):
        rows.setdefault(row.extraction_id, {})[row.product] = row
    used = _used(connection, recipe_id, source_ids)
    ids = [row.response_id for pair in rows.values() for row in pair.values() if row.response_id is not None]
    responses = load_responses(connection, ids)
    return [
        _stored(pair, used.get(extraction_id), responses)
        for extraction_id, pair in rows.items()
        if "source" in pair
    ]


def _used(connection: Connection, recipe_id: int, source_ids: Sequence[int] | None) -> dict[int, bool]:
    """Whether extractions are used in the merge for photometry."""
    chosen = [Merge.recipe_id == recipe_id, Merge.purpose == "photometry"]
    if source_ids is not None:
        chosen.append(Merge.source_id.in_(source_ids))
    rows = connection.execute(
        select(MergeMember.extraction_id, MergeMember.used)
        .join(Merge, Merge.id == MergeMember.merge_id)
        .where(*chosen)
    )
    return {row.extraction_id: row.used for row in rows}


def _stored(
    pair: Mapping[str, Any], used: bool | None, responses: Mapping[int, Redistribution]
) -> StoredSpectrum:
    source, background, beside = (pair.get(product) for product in PRODUCTS)
    assert source is not None
    plain = {
        name: getattr(source, name)
        for name in (
            *("source_id", "extraction_id", "run_id", "name", "ra", "dec"),
            *_OBSERVATION,
            *_POINTING,
            *("chip_id", "theta", "phi", "flags"),
        )
    }
    spectrum = ExtractedSpectrum(
        counts=unpack(source.data).astype(float),
        background=None if background is None else unpack(background.data).astype(float),
        livetime=source.header["livetime"],
        bkg_ratio=None if background is None else background.header["bkg_ratio"],
        response=_response(source, responses),
        background_response=None if background is None else _response(background, responses),
        neighbours=None if beside is None else unpack(beside.data).astype(float),
    )
    return StoredSpectrum(**plain, merged=used, spectrum=spectrum)


def _response(row: Any, responses: Mapping[int, Redistribution]) -> SpectralResponse | None:
    if row.response_id is None or row.arf is None:
        return None
    area, psf_frac = np.asarray(unpack(row.arf), dtype=float)
    return SpectralResponse(responses[row.response_id], area, psf_frac, row.header["good_frac"])
