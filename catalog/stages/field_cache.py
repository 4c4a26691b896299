"""Observed fields by their inputs: each process reads an event list once, however many units it computes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from catalog.measure.observed_field import ObservedField, load_observed_field
from catalog.stages.checksum import check_unchanged
from catalog.stages.work import FieldInput


@dataclass(frozen=True)
class FieldKey:
    """What `load_observed_field` needs, hashable and picklable; files with their SHA-256."""

    path: Path
    sha256: str
    aspect: tuple[tuple[Path, str], ...]
    gti: tuple[Path, str] | None
    exclude_times: tuple[tuple[float, float], ...]


def field_key(field: FieldInput) -> FieldKey:
    """Return the key of an event set's field."""
    return FieldKey(field.path, field.sha256, field.aspect, field.gti, field.exclude_times)


@lru_cache(maxsize=1)
def observed_field(key: FieldKey) -> ObservedField:
    """Load a field, or return the one of the last call with the same key.

    Raises
    ------
    MissingFileError, InputFileError
        The event list or an aspect solution is gone, or is not the file that was added.
    """
    check_unchanged(key.path, key.sha256, "an event list")
    for path, sha256 in key.aspect:
        check_unchanged(path, sha256, "an aspect solution")
    return load_observed_field(
        key.path,
        aspect_files=tuple(path for path, _ in key.aspect),
        gti_file=None if key.gti is None else key.gti[0],
        exclude_times=key.exclude_times,
    )
