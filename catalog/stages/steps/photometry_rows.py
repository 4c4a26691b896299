"""What photometry rests on, read from the database: extractions of an event set and their counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from catalog.band import Band
from catalog.calibration.provider import Calibration
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.measure.photometry import Counted
from catalog.recipes.recipe import Recipe
from catalog.schema.tables import BandRow, Crowding, Extraction, Measurement
from catalog.stages.base.calibration_cache import CalibrationKey, field_calibration
from catalog.stages.base.fingerprint import Inputs
from catalog.stages.base.stage import Place
from catalog.stages.base.user_files import UserFiles, files_by_source
from catalog.stages.base.work import FieldInput
from catalog.store.arrays import unpack


@dataclass(frozen=True)
class PhotometryContext:
    """What all units of a recipe and event set share."""

    recipe: Recipe
    field: FieldInput
    calibration_key: CalibrationKey
    spectrum: ReferenceSpectrum
    own_files: Mapping[int, UserFiles] = dataclasses.field(default_factory=dict)

    @property
    def calibration(self) -> Calibration:
        """The calibration of the event set."""
        return field_calibration(self.calibration_key, self.field.psf_blur, self.field.user_files[0])

    def calibration_of(self, source_id: int) -> Calibration:
        """The calibration of a source, with files of its own where the settings name any."""
        own = self.own_files.get(source_id)
        return self.calibration if own is None else own.calibration(self.calibration)

    def common(self, version: int) -> Inputs:
        """What any of them depends on."""
        recipe = self.recipe
        return Inputs.of(
            code=version,
            calibration=[
                self.calibration.identity,
                *([band, sha256] for band, (_, sha256) in self.field.user_files[0].expmaps),
            ],
            spectrum=[self.spectrum.photon_index, self.spectrum.nh, self.spectrum.absorption],
            recipe=[
                recipe.confidence,
                recipe.background.follows,
                recipe.exposure.weighting,
                [recipe.limit.alpha, recipe.limit.power],
                recipe.crowding.model_dump(),
            ],
            bands=[(band.name, band.lo, band.hi, band.eff) for band in recipe.energy_bands],
            file=[self.field.decimal_year, self.field.grating],
        )


def photometry_context(connection: Connection, place: Place) -> PhotometryContext:
    """What a place's units share."""
    survey, field = place.survey, place.observed
    return PhotometryContext(
        place.recipe,
        field,
        survey.calibration_key,
        survey.spectrum,
        files_by_source(connection, field.user_files),
    )


def load_counted(
    connection: Connection, context: PhotometryContext, recipe_id: int, source_ids: Sequence[int]
) -> tuple[Sequence[Any], dict[int, list[Any]]]:
    """Extractions of sources in the order of their ids, and the measurements of each, band by band."""
    chosen = (
        Extraction.event_set_id == context.field.event_set_id,
        Extraction.recipe_id == recipe_id,
        Extraction.source_id.in_(source_ids),
    )
    extractions = connection.execute(
        select(
            Extraction.id,
            Extraction.run_id,
            Extraction.source_id,
            Extraction.theta,
            Extraction.phi,
            Extraction.chip_id,
            Extraction.livetime,
            Extraction.area_aper,
            Extraction.area_aperbkg,
            Extraction.good_frac_area_aper,
            Extraction.good_frac_area_aperbkg,
            Extraction.theta_aperbkg,
            Extraction.events_aper,
            Extraction.events_aperbkg,
            Crowding.bkg_correction,
        )
        .outerjoin(Crowding, Crowding.extraction_id == Extraction.id)
        .where(*chosen)
        .order_by(Extraction.source_id)
    ).all()
    found: dict[tuple[int, str], Any] = {}
    for row in connection.execute(
        select(
            Measurement.id,
            Measurement.run_id,
            Measurement.extraction_id,
            Measurement.flags,
            Measurement.cnts_aper,
            Measurement.cnts_aperbkg,
            Measurement.psf_frac_aper,
            Measurement.psf_frac_aperbkg,
            Measurement.psf_good_frac_aper,
            Measurement.psf_good_frac_aperbkg,
            BandRow.band,
        )
        .join(Extraction, Extraction.id == Measurement.extraction_id)
        .join(BandRow, BandRow.id == Measurement.band_id)
        .where(*chosen)
    ):
        found[row.extraction_id, row.band] = row
    names = [band.name for band in context.recipe.energy_bands]
    # A band new in the recipe has no counts where only this stage was asked for: such a unit stays stale.
    counted = [row for row in extractions if all((row.id, name) in found for name in names)]
    return counted, {row.id: [found[row.id, name] for name in names] for row in counted}


def count_arrays(
    context: PhotometryContext,
    calibration: Calibration,
    group: list[Any],
    table: list[list[Any]],
    position: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Counted:
    """What photometry takes, of extractions on one chip."""

    def per_band(name: str, empty: float = 0.0) -> NDArray[Any]:
        return np.array([[_or(getattr(item, name), empty) for item in row] for row in table])

    def per_source(name: str, empty: float = 0.0) -> NDArray[np.float64]:
        return np.array([_or(getattr(row, name), empty) for row in group], dtype=float)

    none = np.empty(0, dtype=np.float32)
    return Counted(
        n=per_band("cnts_aper").astype(np.int64),
        m=per_band("cnts_aperbkg").astype(np.int64),
        psf_frac_aper=per_band("psf_frac_aper").astype(float),
        psf_frac_aperbkg=per_band("psf_frac_aperbkg").astype(float),
        psf_good_frac_aper=per_band("psf_good_frac_aper").astype(float),
        psf_good_frac_aperbkg=per_band("psf_good_frac_aperbkg").astype(float),
        area_aper=per_source("area_aper"),
        area_aperbkg=per_source("area_aperbkg"),
        good_frac_area_aper=per_source("good_frac_area_aper"),
        good_frac_area_aperbkg=per_source("good_frac_area_aperbkg"),
        livetime=per_source("livetime"),
        background_vignetting=_background_vignetting(context, calibration, group, position),
        energy_aper=[none if row.events_aper is None else unpack(row.events_aper) for row in group],
        energy_aperbkg=[none if row.events_aperbkg is None else unpack(row.events_aperbkg) for row in group],
        background_correction=per_source("bkg_correction", 1.0),
    )


def _or(value: float | None, empty: float) -> float:
    return empty if value is None else value


def _background_vignetting(
    context: PhotometryContext,
    calibration: Calibration,
    group: list[Any],
    position: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.float64]:
    theta, phi = position
    chip = group[0].chip_id
    bands: Sequence[Band] = context.recipe.energy_bands
    energies = np.array([band.eff for band in bands])
    beside = np.array([_or(row.theta_aperbkg, row.theta) for row in group])
    year = context.field.decimal_year
    own = calibration.area(chip, year, theta, phi, energies)
    other = calibration.area(chip, year, beside, phi, energies)
    return np.where(own > 0, other / np.where(own > 0, own, 1.0), 1.0)
