"""All tables: importing this module completes the metadata."""

from __future__ import annotations

from catalog.schema.base import Base, require_finite
from catalog.schema.extraction import Extraction, RegionRow
from catalog.schema.measurement import POSTERIORS, Measurement
from catalog.schema.merge import Merge, MergedMeasurement, MergeMember
from catalog.schema.observation import BandRow, Chip, EventSet, GoodTime, Observation
from catalog.schema.properties import MeasurementProperty, MergedProperty, ObservationHardness
from catalog.schema.provenance import InputFile, Recipe, Run, WorkUnit
from catalog.schema.review import PluginValue, ReviewDecision
from catalog.schema.source import Source, SourceEvent
from catalog.schema.spectrum import PositionEstimate, Response, SpectralFit, Spectrum
from catalog.schema.timing import LightCurve, MergedVariability, Variability

require_finite(Base.metadata)
METADATA = Base.metadata

__all__ = [
    "METADATA",
    "POSTERIORS",
    "BandRow",
    "Chip",
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
    "Spectrum",
    "Variability",
    "WorkUnit",
]
