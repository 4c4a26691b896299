"""Spectra of the user's own, from OGIP files and those that their headers name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from catalog.calibration.arf_file import check_grid, read_arf
from catalog.calibration.pha_file import PhaFile, check_channels_match, read_pha
from catalog.calibration.rmf_file import read_rmf
from catalog.errors import MissingFileError
from catalog.measure.spectral_data import FitSpectrum


def read_fit_spectrum(path: str | Path, *, background: bool = True) -> FitSpectrum:
    """Read a spectrum with its background, ARF and RMF.

    Parameters
    ----------
    path
        PHA file; BACKFILE, ANCRFILE and RESPFILE lead from its folder.
    background
        Whether to read the background; a header that names none gives a spectrum without one.

    Raises
    ------
    MissingFileError
        NO_RESPONSE: the header names no ARF or no RMF; a file that it names is not there.
    InputFileError, CalibrationError
        A file is not what it should be, or channels or energies do not match.
    """
    spectrum = read_pha(path)
    matrix = read_rmf(_named(spectrum, "rmf", "RESPFILE"))
    check_channels_match(spectrum, matrix)
    arf = read_arf(_named(spectrum, "arf", "ANCRFILE"))
    check_grid(arf, matrix.energy_lo, matrix.energy_hi, matrix.name)
    beside = spectrum.named("background") if background else None
    back = None if beside is None else read_pha(beside)
    # A ratio by channel is that of the region where a background varies with energy: its middle serves.
    ratio = 1.0 if back is None else float(np.median(spectrum.ratio_to(back)))
    return FitSpectrum(
        name=spectrum.path.name,
        counts=spectrum.counts,
        background=None if back is None else back.counts,
        ratio=ratio,
        exposure=spectrum.exposure,
        area=arf.area,
        matrix=matrix,
        grouping=None if spectrum.grouping is None else spectrum.grouping.astype(np.int64),
        quality=None if spectrum.quality is None else spectrum.quality.astype(np.int64),
    )


def _named(spectrum: PhaFile, kind: str, keyword: str) -> Path:
    found = spectrum.named(kind)
    if found is None:
        raise MissingFileError(
            f"the spectrum names no {kind.upper()}",
            spectrum.path,
            f"set {keyword} in its header",
            code="NO_RESPONSE",
        )
    return found
