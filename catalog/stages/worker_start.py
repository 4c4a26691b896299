"""Imported by the server of worker processes before it forks them: what each of them would load by itself."""

from __future__ import annotations

import catalog.calibration.psf_kernels
import catalog.events.dither_kernel  # noqa: F401 - the workers' own import of it is then for nothing
from catalog.stats.time_grouping_kernels import signal_to_noise

# The first compiled function that a process calls makes it read the compiler's tables: half a second.
signal_to_noise(1.0, 0.0, 1.0)
