"""All stages, in the order in which they run."""

from __future__ import annotations

from catalog.stages.base.stage import Stage

ALL = (
    Stage("apertures", core=True),
    Stage("extract", core=True),
    # Extraction overwrites the flags of the rows that photometry fills.
    Stage("photometry", core=True, keeps_equal=False),
    Stage("properties"),
    Stage("variability"),
    Stage("spectra"),
    Stage("merge", everywhere=True, core=True, keeps_equal=False),
    Stage("merged_properties", everywhere=True, keeps_equal=False),
    Stage("merged_variability", everywhere=True, keeps_equal=False),
    # The merge replaces the rows that fits hang on.
    Stage("spectral_fit", everywhere=True, keeps_equal=False, extra="spectral", slow=True),
)
"""Stages of an event set first, then those over all observations; each builds on those before it."""
STAGES = tuple(stage.name for stage in ALL)
CORE_STAGES = tuple(stage.name for stage in ALL if stage.core)
"""The path to a catalog; the others add to it and may be left for later."""
COMMON_STAGES = tuple(stage.name for stage in ALL if not stage.extra)
"""Those that need no optional library: what `all` means."""
