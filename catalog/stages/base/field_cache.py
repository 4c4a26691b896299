"""Observed fields by their inputs: each process reads an event list once, however many units it computes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from catalog.measure.observed_field import ObservedField, load_observed_field
from catalog.stages.base.checksum import check_unchanged
from catalog.stages.base.remote_files import local_copy
from catalog.stages.base.work import FieldInput


@dataclass(frozen=True)
class FieldKey:
    """What `load_observed_field` needs, hashable and picklable; files with their SHA-256."""

    path: Path
    sha256: str
    aspect: tuple[tuple[Path, str], ...]
    bad_pixels: tuple[Path, str] | None
    mask: tuple[Path, str] | None
    field_of_view: tuple[Path, str] | None
    gti: tuple[Path, str] | None
    exclude_times: tuple[tuple[float, float], ...]
    dead_time: tuple[Path, str] | None = None


def field_key(field: FieldInput) -> FieldKey:
    """Return the key of an event set's field."""
    return FieldKey(
        path=field.path,
        sha256=field.sha256,
        aspect=field.aspect,
        bad_pixels=field.bad_pixels,
        mask=field.mask,
        field_of_view=field.field_of_view,
        gti=field.gti,
        exclude_times=field.exclude_times,
        dead_time=field.dead_time,
    )


@lru_cache(maxsize=1)
def observed_field(key: FieldKey) -> ObservedField:
    """Load a field, or return the one of the last call with the same key.

    Raises
    ------
    MissingFileError, InputFileError
        The event list or a companion is gone, or is not the file that was added.
    """
    path = local_copy(key.path, key.sha256)
    check_unchanged(path, key.sha256, "an event list")
    aspect = [_checked(file, "an aspect solution") for file in key.aspect]
    return load_observed_field(
        path,
        aspect_files=tuple(file for file in aspect if file is not None),
        bad_pixel_file=_checked(key.bad_pixels, "a bad-pixel file"),
        mask_file=_checked(key.mask, "a mask file"),
        fov_file=_path(key.field_of_view),
        gti_file=_path(key.gti),
        exclude_times=key.exclude_times,
        dead_time_file=_checked(key.dead_time, "a dead time file"),
    )


def _checked(file: tuple[Path, str] | None, kind: str) -> Path | None:
    """The file where it can be read, with the bytes that it had when it was added."""
    if file is None:
        return None
    path = local_copy(*file)
    check_unchanged(path, file[1], kind)
    return path


def _path(file: tuple[Path, str] | None) -> Path | None:
    return None if file is None else file[0]
