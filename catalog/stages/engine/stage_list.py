"""All stages, in the order in which they run."""

from __future__ import annotations

from catalog.stages.base.stage import Stage

ALL = (
    Stage("apertures", core=True, seconds=0.003),
    Stage("extract", core=True, seconds=0.006),
    # Extraction overwrites the flags of the rows that photometry fills.
    Stage("photometry", core=True, keeps_equal=False, seconds=0.005),
    Stage("properties", seconds=0.005),
    Stage("variability", seconds=0.015),
    Stage("spectra", seconds=0.004),
    Stage("merge", everywhere=True, core=True, keeps_equal=False, seconds=0.001),
    Stage("merged_properties", everywhere=True, keeps_equal=False, seconds=0.005),
    Stage("merged_variability", everywhere=True, keeps_equal=False, seconds=0.001),
    # The merge replaces the rows that fits hang on.
    Stage("spectral_fit", everywhere=True, keeps_equal=False, extra="spectral", seconds=0.3),
)
"""Stages of an event set first, then those over all observations; each builds on those before it."""
STAGES = tuple(stage.name for stage in ALL)
CORE_STAGES = tuple(stage.name for stage in ALL if stage.core)
"""The path to a catalog; the others add to it and may be left for later."""
COMMON_STAGES = tuple(stage.name for stage in ALL if not stage.extra)
"""Those that need no optional library: what `all` means."""
