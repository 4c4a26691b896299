"""Calibrations by their settings: each process opens one once, however many batches it computes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from catalog.calibration.factory import open_calibration
from catalog.calibration.provider import Calibration
from catalog.calibration.psf import PsfLibrary
from catalog.calibration.psf_blur import Blur
from catalog.stages.base.user_files import UserFiles


@dataclass(frozen=True)
class CalibrationKey:
    """What `open_calibration` takes, hashable and picklable."""

    provider: str = "builtin"
    area_table: Path | None = None
    rmf: Path | None = None
    caldb: Path | None = None


@lru_cache(maxsize=2)
def calibration_of(key: CalibrationKey) -> Calibration:
    """Open a calibration, or return the one opened before."""
    return open_calibration(key.provider, key.area_table, key.rmf, key.caldb)


@lru_cache(maxsize=2)
def psf_of(key: CalibrationKey, blur: Blur) -> PsfLibrary:
    """Point spread functions with the blur (arcsec) of an event set's positions."""
    return calibration_of(key).psf.with_blur(blur)


@lru_cache(maxsize=4)
def field_calibration(key: CalibrationKey, blur: Blur, files: UserFiles) -> Calibration:
    """The calibration for an event set: with the blur of its positions and the user's files for it."""
    return files.calibration(calibration_of(key).with_psf(psf_of(key, blur)))
