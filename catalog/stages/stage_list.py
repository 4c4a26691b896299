"""All stages, in the order in which they run."""

from __future__ import annotations

from catalog.stages import (
    apertures,
    extract,
    merge,
    merged_properties,
    merged_variability,
    photometry,
    properties,
    spectra,
    spectral_fit,
    variability,
)
from catalog.stages.stage import Stage

ALL = (
    Stage("apertures", apertures.plan, apertures.load, apertures.compute, apertures.store, core=True),
    Stage("extract", extract.plan, extract.load, extract.compute, extract.store, core=True),
    Stage(
        "photometry",
        photometry.plan,
        photometry.load,
        photometry.compute,
        photometry.store,
        core=True,
        # Extraction overwrites the flags of the rows that photometry fills.
        keeps_equal=False,
    ),
    Stage("properties", properties.plan, properties.load, properties.compute, properties.store),
    Stage("variability", variability.plan, variability.load, variability.compute, variability.store),
    Stage("spectra", spectra.plan, spectra.load, spectra.compute, spectra.store),
    Stage(
        "merge",
        merge.plan,
        merge.load,
        merge.compute,
        merge.store,
        everywhere=True,
        core=True,
        keeps_equal=False,
    ),
    Stage(
        "merged_properties",
        merged_properties.plan,
        merged_properties.load,
        merged_properties.compute,
        merged_properties.store,
        everywhere=True,
        keeps_equal=False,
    ),
    Stage(
        "merged_variability",
        merged_variability.plan,
        merged_variability.load,
        merged_variability.compute,
        merged_variability.store,
        everywhere=True,
        keeps_equal=False,
    ),
    Stage(
        "spectral_fit",
        spectral_fit.plan,
        spectral_fit.load,
        spectral_fit.compute,
        spectral_fit.store,
        everywhere=True,
        # The merge replaces the rows that fits hang on.
        keeps_equal=False,
        extra="spectral",
        slow=True,
    ),
)
"""Stages of an event set first, then those over all observations; each builds on those before it."""
STAGES = tuple(stage.name for stage in ALL)
CORE_STAGES = tuple(stage.name for stage in ALL if stage.core)
"""The path to a catalog; the others add to it and may be left for later."""
COMMON_STAGES = tuple(stage.name for stage in ALL if not stage.extra)
"""Those that need no optional library: what `all` means."""
