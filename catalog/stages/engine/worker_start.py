"""Imported by the server of worker processes before it forks them: what each of them would load by itself."""

from __future__ import annotations

import ctypes
import signal
import sys

_SET_PARENT_DEATH_SIGNAL = 1
if sys.platform == "linux":
    # While it imports, the server would not notice that a run was interrupted, and then start workers for it.
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)

# The imports themselves are the purpose.
import scipy.ndimage  # noqa: E402, F401

import catalog.calibration.psf_blur_kernels  # noqa: E402
import catalog.calibration.psf_kernels  # noqa: E402
import catalog.events.dither_kernel  # noqa: E402, F401
from catalog.stats.time_grouping_kernels import signal_to_noise  # noqa: E402

# The first compiled function that a process calls makes it read the compiler's tables: half a second.
signal_to_noise(1.0, 0.0, 1.0)
