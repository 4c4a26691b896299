"""All tables: importing this module completes the metadata."""

from __future__ import annotations

from catalog.schema.base import Base, drop_covered_indexes, require_finite
from catalog.schema.crowding import Crowding, NeighbourLight
from catalog.schema.extraction import Extraction, RegionRow
from catalog.schema.measurement import POSTERIORS, Measurement
from catalog.schema.merge import Merge, MergedMeasurement, MergeMember
from catalog.schema.observation import BandRow, Chip, EventSet, GoodTime, Observation
from catalog.schema.properties import MeasurementProperty, MergedProperty, ObservationHardness
from catalog.schema.provenance import InputFile, Recipe, Run, WorkUnit
from catalog.schema.review import PluginValue, ReviewDecision
from catalog.schema.source import Source, SourceEvent
from catalog.schema.spectrum import PositionEstimate, Response, SpectralFit, SpectralFlux, Spectrum
from catalog.schema.timing import LightCurve, MergedVariability, Variability
from catalog.schema.user_region import UserRegion

require_finite(Base.metadata)
drop_covered_indexes(Base.metadata)
METADATA = Base.metadata

__all__ = [
    "METADATA",
    "POSTERIORS",
    "BandRow",
    "Chip",
    "Crowding",
    "EventSet",
    "Extraction",
    "GoodTime",
    "InputFile",
    "LightCurve",
    "Measurement",
    "MeasurementProperty",
    "Merge",
    "MergeMember",
    "MergedMeasurement",
    "MergedProperty",
    "MergedVariability",
    "NeighbourLight",
    "Observation",
    "ObservationHardness",
    "PluginValue",
    "PositionEstimate",
    "Recipe",
    "RegionRow",
    "Response",
    "ReviewDecision",
    "Run",
    "Source",
    "SourceEvent",
    "SpectralFit",
    "SpectralFlux",
    "Spectrum",
    "UserRegion",
    "Variability",
    "WorkUnit",
]
