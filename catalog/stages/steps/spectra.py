"""Stage `spectra`: source and background spectra of each source in each observation, with responses.

The light that neighbours send into the aperture is a third spectrum, of expected counts.

`stored_spectra` reads them back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from catalog.apertures.region import region_from_dict
from catalog.band import widest_band
from catalog.calibration.provider import Calibration
from catalog.calibration.psf_blur import Blur
from catalog.measure.extract import Aperture
from catalog.measure.spectra import ExtractedSpectrum, SpectralResponse, SpectrumChoices, extract_spectrum
from catalog.schema.tables import BandRow, Extraction, Measurement, RegionRow, Spectrum
from catalog.stages.base.attempt import Failure, attempt
from catalog.stages.base.calibration_cache import CalibrationKey, field_calibration
from catalog.stages.base.field_cache import FieldKey, field_key, observed_field
from catalog.stages.base.fingerprint import Inputs, fingerprint
from catalog.stages.base.stage import Place, Plan, Result
from catalog.stages.base.upstream import upstream_states
from catalog.stages.base.user_files import UserFiles, files_by_source, source_psf
from catalog.stages.steps.apertures import extraction_ids
from catalog.stages.steps.extract import STAGE as EXTRACT
from catalog.stages.steps.response_store import drop_unused_responses, ensure_responses
from catalog.stages.steps.spectrum_neighbours import Neighbour, NeighbourShapes, load_neighbours
from catalog.store.arrays import pack
from catalog.store.door import Writer

STAGE = "spectra"
VERSION = 2


@dataclass(frozen=True)
class SpectrumUnit:
    """A source in an event set; without an aperture there is no spectrum.

    Attributes
    ----------
    source_id
        Row number.
    aperture
        Regions; None for a source without any.
    livetime, bkg_ratio, drawn
        See `SpectrumChoices`.
    files
        The user's files for this source; None for none.
    neighbours
        Sources that send light into the aperture.
    """

    source_id: int
    aperture: Aperture | None
    livetime: float
    bkg_ratio: float | None
    drawn: bool
    files: UserFiles | None
    neighbours: tuple[Neighbour, ...] = ()


@dataclass(frozen=True)
class SpectraJob:
    """A batch of units of one event set: all that a worker needs, picklable.

    `regions` are apertures and background ratios of neighbours by source id.
    """

    field: FieldKey
    units: tuple[SpectrumUnit, ...]
    calibration: CalibrationKey
    psf_blur: Blur
    files: UserFiles
    decimal_year: float
    grating: str
    bkg_response: bool
    regions: Mapping[int, tuple[Aperture, float]]

    def calibration_of(self, files: UserFiles | None) -> Calibration:
        """Calibration of a source: with its own files where there are any."""
        base = field_calibration(self.calibration, self.psf_blur, self.files)
        return base if files is None else files.calibration(base)

    def has_area(self, files: UserFiles | None) -> bool:
        """Whether areas apply: with a grating only the user's own."""
        own = files is not None and files.arf is not None
        return self.grating == "NONE" or own or self.files.arf is not None


@dataclass(frozen=True, eq=False)
class SpectrumRows:
    """Rows of `spectrum` of one extraction, without run and row numbers.

    Attributes
    ----------
    rows
        One by product; none without an aperture.
    chips
        Chips whose redistribution the rows use, in their order; None for none.
    matrices
        Identities of these redistributions.
    files
        The user's files for the source.
    """

    rows: tuple[dict[str, Any], ...] = ()
    chips: tuple[int | None, ...] = ()
    matrices: tuple[str | None, ...] = ()
    files: UserFiles | None = None


def plan(connection: Connection, place: Place) -> Plan:
    """Return the inputs of all extractions.

    A failed extraction is a unit too: what was computed from an earlier one must not stay. The HRC measures
    no energies, so it has no spectra.
    """
    field = place.observed
    if not field.has_energies:
        return Plan({})
    calibration = field_calibration(place.survey.calibration_key, field.psf_blur, field.user_files[0])
    common = Inputs.of(
        code=VERSION,
        file=field.file_key(),
        settings=field.settings_key(),
        calibration=[calibration.identity, field.decimal_year, field.grating],
        recipe=place.recipe.spectra.bkg_response,
    )
    own = files_by_source(connection, field.user_files)
    upstream = upstream_states(connection, place, EXTRACT)
    ratios = _ratios(connection, place)
    beside = load_neighbours(connection, place, ratios)

    def result(source_id: int) -> list[Any]:
        state = upstream.get(source_id)
        return [None if state is None else state.result_hash, ratios.get(source_id)]

    wanted = {
        source_id: common.plus(
            upstream=[
                *result(source_id),
                [[*result(item.source_id), item.light] for item in beside.get(source_id, ())],
            ],
            files=_own_key(own.get(source_id)),
        )
        for source_id in upstream
    }
    done = {source_id for source_id, state in upstream.items() if state.done}
    return Plan(wanted, shared=(own, ratios, done, beside))


def _own_key(files: UserFiles | None) -> list[str | None]:
    if files is None:
        return []
    return [*files.response_key(), None if files.psf is None else files.psf[1]]


def _ratios(connection: Connection, place: Place) -> dict[int, float]:
    """Background ratio of the photometry by source, in the widest band."""
    bands = place.recipe.energy_bands
    rows = connection.execute(
        select(Extraction.source_id, Measurement.bkg_ratio)
        .join(Measurement, Measurement.extraction_id == Extraction.id)
        .join(BandRow, BandRow.id == Measurement.band_id)
        .where(
            Extraction.event_set_id == place.observed.event_set_id,
            Extraction.recipe_id == place.recipe_id,
            BandRow.band == bands[widest_band(bands)].name,
            Measurement.bkg_ratio.is_not(None),
        )
    )
    return {row.source_id: row.bkg_ratio for row in rows}


def load(connection: Connection, place: Place, plan: Plan, source_ids: Sequence[int]) -> SpectraJob:
    """Put a batch together."""
    own, ratios, done, beside = plan.shared
    wanted = set(source_ids)
    others = {item.source_id for source_id in source_ids for item in beside.get(source_id, ())}
    chosen = (
        Extraction.event_set_id == place.observed.event_set_id,
        Extraction.recipe_id == place.recipe_id,
        Extraction.source_id.in_(wanted | others),
    )
    regions: dict[int, dict[str, Any]] = {}
    for row in connection.execute(
        select(RegionRow.extraction_id, RegionRow.role, RegionRow.shape, RegionRow.edited)
        .join(Extraction, Extraction.id == RegionRow.extraction_id)
        .where(*chosen)
    ):
        regions.setdefault(row.extraction_id, {})[row.role] = row
    names = ("id", "source_id", "x", "y", "theta", "phi", "chip_id", "livetime")
    rows = connection.execute(
        select(*(getattr(Extraction, name) for name in names)).where(*chosen).order_by(Extraction.source_id)
    ).all()
    apertures = {
        row.source_id: found
        for row in rows
        if row.source_id in done and (found := _aperture(row, regions.get(row.id, {}))) is not None
    }
    units = tuple(
        SpectrumUnit(
            row.source_id,
            apertures.get(row.source_id),
            row.livetime or 0.0,
            ratios.get(row.source_id),
            "source" in regions.get(row.id, {}) and bool(regions[row.id]["source"].edited),
            own.get(row.source_id),
            beside.get(row.source_id, ()),
        )
        for row in rows
        if row.source_id in wanted
    )
    return _job(
        place,
        units,
        {
            other: (apertures[other], ratios[other])
            for other in others
            if other in apertures and other in ratios
        },
    )


def _job(
    place: Place,
    units: tuple[SpectrumUnit, ...],
    regions: Mapping[int, tuple[Aperture, float]] = MappingProxyType({}),
) -> SpectraJob:
    field = place.observed
    return SpectraJob(
        field_key(field),
        units,
        place.survey.calibration_key,
        field.psf_blur,
        field.user_files[0],
        field.decimal_year,
        field.grating,
        place.recipe.spectra.bkg_response,
        dict(regions),
    )


def _aperture(row: Any, regions: Mapping[str, Any]) -> Aperture | None:
    if "source" not in regions or "background" not in regions:
        return None
    source, background = (region_from_dict(regions[role].shape) for role in ("source", "background"))
    return Aperture(row.x, row.y, row.theta, row.phi, row.chip_id, source, background)


def compute(job: SpectraJob) -> list[Result[SpectrumRows]]:
    """Extract the spectra of a batch; a unit that fails gives its reason and leaves the others alone.

    Raises
    ------
    UserError
        The event list cannot be used: that is no matter of one source.
    """
    if any(unit.aperture is not None for unit in job.units):
        observed_field(job.field)
    results: list[Result[SpectrumRows]] = []
    shapes = NeighbourShapes(job.regions)
    for unit in job.units:
        found: SpectrumRows | Failure = SpectrumRows()
        if unit.aperture is not None:
            found = attempt(partial(_extract, unit, unit.aperture, job, shapes))
        if isinstance(found, Failure):
            results.append(Result.failed(unit.source_id, found.reason, found.message))
        else:
            results.append(Result(unit.source_id, fingerprint(found.rows, found.matrices), found))
    return results


def _extract(
    unit: SpectrumUnit, aperture: Aperture, job: SpectraJob, shapes: NeighbourShapes
) -> SpectrumRows:
    observed = observed_field(job.field)
    calibration = job.calibration_of(unit.files)
    image = None if unit.files is None else unit.files.psf
    found = extract_spectrum(
        observed,
        aperture,
        calibration,
        calibration.psf if image is None else source_psf(image, observed, aperture),
        SpectrumChoices(
            job.decimal_year,
            unit.livetime,
            unit.bkg_ratio,
            job.has_area(unit.files),
            job.bkg_response,
            unit.drawn,
        ),
    )
    parts: list[tuple[str, NDArray[np.float64], float | None, SpectralResponse | None]] = [
        ("source", found.counts, None, found.response)
    ]
    if found.background is not None:
        parts.append(("background", found.background, found.bkg_ratio, found.background_response))
    light = shapes.counts(observed, unit.neighbours)
    if light is not None:
        parts.append(("neighbours", light, None, None))
    used = [None if part[-1] is None else part[-1].redistribution for part in parts]
    chips = {calibration.redistribution(chip).identity: chip for chip in calibration.chip_ids}
    matrices = tuple(None if matrix is None else matrix.identity for matrix in used)
    return SpectrumRows(
        tuple(_row(found, *part) for part in parts),
        tuple(None if identity is None else chips[identity] for identity in matrices),
        matrices,
        unit.files,
    )


def _row(
    found: ExtractedSpectrum,
    product: str,
    counts: NDArray[np.float64],
    ratio: float | None,
    response: SpectralResponse | None,
) -> dict[str, Any]:
    arf = None if response is None else np.stack([response.area, response.psf_frac]).astype(np.float32)
    good = None if response is None else response.good_frac
    return {
        "product": product,
        "columns": ["counts"],
        "data": pack(counts.astype(np.float32 if product == "neighbours" else np.int32)),
        "header": {"livetime": found.livetime, "bkg_ratio": ratio, "good_frac": good},
        "arf": None if arf is None else pack(arf),
    }


def store(writer: Writer, place: Place, run_id: int, results: Sequence[Result[SpectrumRows]]) -> None:
    """Replace the rows of a batch; a redistribution new to the database comes with them."""
    job = _job(place, ())
    row_ids = extraction_ids(writer.connection, place.observed.event_set_id, place.recipe_id)
    found = {
        row_ids[result.source_id]: result.value or SpectrumRows()
        for result in results
        if result.source_id in row_ids
    }
    matrices = {
        identity: (item.files, chip)
        for item in found.values()
        for identity, chip in zip(item.matrices, item.chips, strict=True)
        if identity is not None and chip is not None
    }
    ids = ensure_responses(
        writer, run_id, [job.calibration_of(files).redistribution(chip) for files, chip in matrices.values()]
    )
    writer.delete(Spectrum, Spectrum.extraction_id.in_(found))
    writer.insert(
        Spectrum,
        [
            {
                "run_id": run_id,
                "extraction_id": row_id,
                "response_id": None if identity is None else ids[identity],
                **row,
            }
            for row_id, item in found.items()
            for row, identity in zip(item.rows, item.matrices, strict=True)
        ],
    )
    drop_unused_responses(writer)
