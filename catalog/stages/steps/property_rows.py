"""What the properties of extractions rest on, read from the database and grouped by chip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from catalog.band import Band
from catalog.calibration.models import SpectralModel
from catalog.calibration.provider import Calibration
from catalog.measure.posterior_columns import Columns
from catalog.measure.properties import ChipGroup
from catalog.recipes.recipe import Recipe
from catalog.schema.tables import BandRow, EventSet, Extraction, Measurement, Observation
from catalog.stages.base.calibration_cache import CalibrationKey, field_calibration
from catalog.stages.base.fingerprint import Inputs
from catalog.stages.base.stage import Place
from catalog.stages.base.work import FieldInput
from catalog.stats.hardness import hardness_many
from catalog.store.arrays import unpack

Array = NDArray[np.float64]
HARDNESS = (("hm", "hard", "medium"), ("ms", "medium", "soft"), ("hs", "hard", "soft"))
"""Hardness ratios: ending of the column, and the two bands."""


@dataclass(frozen=True)
class PropertyContext:
    """What all units of a recipe share.

    Attributes
    ----------
    recipe, calibration_key
        Choices, calibration of the settings.
    fields
        Event sets by row number.
    nh
        Hydrogen column by source id, 1e22 cm-2.
    """

    recipe: Recipe
    calibration_key: CalibrationKey
    fields: Mapping[int, FieldInput]
    nh: Mapping[int, float]

    def calibration_of(self, field: FieldInput) -> Calibration:
        """The calibration of an event set."""
        return field_calibration(self.calibration_key, field.psf_blur, field.user_files[0])

    @property
    def bands(self) -> Sequence[Band]:
        """Bands of the recipe."""
        return self.recipe.energy_bands

    @property
    def model(self) -> SpectralModel:
        """Model of the recipe, without gas."""
        chosen = self.recipe.model
        return SpectralModel(chosen.kind, chosen.parameter, 0.0, chosen.absorber, chosen.abundances)

    def common(self, version: int) -> Inputs:
        """What any unit depends on."""
        return Inputs.of(
            code=version,
            calibration=sorted({self.calibration_of(field).identity for field in self.fields.values()}),
            recipe=[
                self.recipe.model.model_dump(),
                self.recipe.merging.model_dump(),
                self.recipe.confidence,
            ],
            bands=[(band.name, band.lo, band.hi, band.eff) for band in self.bands],
        )

    def of(self, source_ids: Sequence[int]) -> PropertyContext:
        """The same for some sources, to be sent to where they are computed."""
        return replace(self, nh={i: self.nh[i] for i in source_ids if i in self.nh})


def property_context(place: Place) -> PropertyContext:
    """What the units of a recipe share."""
    survey = place.survey
    fields = survey.fields if place.field is None else (place.field,)
    return PropertyContext(
        place.recipe, survey.calibration_key, {item.event_set_id: item for item in fields}, survey.nh
    )


@dataclass(frozen=True, eq=False)
class Measured:
    """An extraction with its measurements in the order of the recipe's bands."""

    extraction: Any
    bands: tuple[Any, ...]

    @property
    def is_usable(self) -> bool:
        """Whether there is a source aperture and every band has a background."""
        return self.extraction.area_aper is not None and all(row.bkg_ratio is not None for row in self.bands)

    @property
    def has_area(self) -> bool:
        """Whether an effective area applies, in every band."""
        return all(row.area_band is not None and row.area_band > 0 for row in self.bands)

    def value(self, name: str) -> list[float]:
        """Values of a measurement's column by band, NaN for NULL."""
        return [_number(getattr(row, name)) for row in self.bands]


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def load_measured(
    connection: Connection,
    context: PropertyContext,
    recipe_id: int,
    source_ids: Sequence[int],
    event_set_id: int | None = None,
) -> list[Measured]:
    """Extractions of sources in one event set, or in all for photometry, with all their measurements."""
    chosen = [Extraction.recipe_id == recipe_id, Extraction.source_id.in_(source_ids)]
    chosen.append(
        EventSet.role == "photometry" if event_set_id is None else Extraction.event_set_id == event_set_id
    )
    extractions = connection.execute(
        select(Extraction.__table__)
        .join(EventSet, EventSet.id == Extraction.event_set_id)
        .join(Observation, Observation.id == EventSet.observation_id)
        .where(*chosen)
        # Not in the order in which they were added: sums depend on it in their last bit.
        .order_by(
            Extraction.source_id,
            Observation.obs_id,
            Observation.obi_num,
            Observation.cycle,
            Observation.datamode,
        )
    ).all()
    found: dict[tuple[int, str], Any] = {}
    for row in connection.execute(
        select(Measurement.__table__, BandRow.band)
        .join(Extraction, Extraction.id == Measurement.extraction_id)
        .join(EventSet, EventSet.id == Extraction.event_set_id)
        .join(BandRow, BandRow.id == Measurement.band_id)
        .where(*chosen)
    ):
        found[row.extraction_id, row.band] = row
    names = [band.name for band in context.bands]
    return [
        Measured(row, tuple(found[row.id, name] for name in names))
        for row in extractions
        if all((row.id, name) in found for name in names)
    ]


def by_chip(members: Iterable[Measured]) -> dict[tuple[int, int], list[int]]:
    """Numbers of the members by event set and chip."""
    found: dict[tuple[int, int], list[int]] = {}
    for i, member in enumerate(members):
        found.setdefault((member.extraction.event_set_id, member.extraction.chip_id), []).append(i)
    return found


def chip_group(members: Sequence[Measured], field: FieldInput) -> ChipGroup:
    """Arrays of extractions on one chip of one event set."""
    none = np.empty(0, dtype=np.float32)

    def events(name: str) -> list[NDArray[np.float32]]:
        packed = [getattr(member.extraction, name) for member in members]
        return [none if data is None else unpack(data) for data in packed]

    def table(name: str) -> Array:
        return np.array([member.value(name) for member in members])

    return ChipGroup(
        chip_id=members[0].extraction.chip_id,
        decimal_year=field.decimal_year,
        theta=np.array([member.extraction.theta for member in members], dtype=float),
        phi=np.array([member.extraction.phi for member in members], dtype=float),
        livetime=np.array([_number(member.extraction.livetime) for member in members]),
        energy_aper=events("events_aper"),
        energy_aperbkg=events("events_aperbkg"),
        psf_frac_aper=table("psf_frac_aper"),
        psf_good_frac_aper=table("psf_good_frac_aper"),
        bkg_ratio=table("bkg_ratio"),
    )


@dataclass(frozen=True, eq=False)
class PosteriorInput:
    """n, m, f, g, r of measurements, shape (bands, members); f and g in counts per count.

    Neighbours measured jointly count as background, by their effective region.
    """

    n: Array
    m: Array
    f: Array
    g: Array
    r: Array
    flux_unit: Array

    def hardness(
        self, kind: str, names: Sequence[str], offsets: NDArray[np.int64], unit: Array, confidence: float
    ) -> Columns:
        """Columns `kind`_hm and the like with their ends, shape (groups,); none where bands are missing.

        Group k has the members offsets[k] to offsets[k + 1]; `unit` is that of the fluxes compared, shape
        (bands, members).
        """
        place = {name: i for i, name in enumerate(names)}
        pairs = [(end, place[a], place[b]) for end, a, b in HARDNESS if a in place and b in place]
        if not pairs:
            return {}
        found = hardness_many(
            offsets,
            self.n,
            self.m,
            self.f * unit,
            self.g * unit,
            self.r,
            [(a, b) for _, a, b in pairs],
            confidence,
        )
        columns: Columns = {}
        for i, (end, _, _) in enumerate(pairs):
            columns[f"{kind}_{end}"] = found.mode[:, i]
            columns[f"{kind}_{end}_lolim"] = found.lolim[:, i]
            columns[f"{kind}_{end}_hilim"] = found.hilim[:, i]
        return columns


def posterior_input(members: Sequence[Measured]) -> PosteriorInput:
    """Counts and factors of members; `flux_unit` is area x live time x good fraction, cm2 s."""

    def table(name: str) -> Array:
        return np.array([member.value(name) for member in members]).T

    good = table("psf_good_frac_aper")
    joint = table("joint_cnts_aperbkg")
    is_joint = np.isfinite(joint)
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = np.nan_to_num(table("psf_good_frac_aperbkg") / good)
        m = np.where(is_joint, np.rint(joint), table("cnts_aperbkg"))
        ratio = np.where(is_joint, table("joint_bkg_ratio") * (m + 1) / (joint + 1), table("bkg_ratio"))
    live = np.array([_number(member.extraction.livetime) for member in members])
    return PosteriorInput(
        n=table("cnts_aper"),
        m=m,
        f=table("psf_frac_aper"),
        g=np.where(
            is_joint, table("joint_psf_frac_aperbkg"), np.nan_to_num(table("psf_frac_aperbkg")) * seen
        ),
        r=ratio,
        flux_unit=table("area_band") * live * good,
    )
