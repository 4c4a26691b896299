"""Imported by the server of worker processes before it forks them: what each of them would load by itself."""

from __future__ import annotations

# The imports themselves are the purpose.
import astropy.io.fits  # noqa: F401
import scipy.integrate
import scipy.ndimage  # noqa: F401

import catalog.calibration.psf_blur_kernels
import catalog.calibration.psf_kernels
import catalog.events.dither_kernel  # noqa: F401
from catalog.stats.time_grouping_kernels import signal_to_noise

# The first compiled function that a process calls makes it read the compiler's tables: half a second.
signal_to_noise(1.0, 0.0, 1.0)
