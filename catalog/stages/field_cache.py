"""Observed fields by their inputs: each process reads an event list once, however many units it computes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from catalog.errors import InputFileError, MissingFileError
from catalog.measure.observed_field import ObservedField, load_observed_field
from catalog.stages.add_observations import file_sha256
from catalog.stages.work import FieldInput


@dataclass(frozen=True)
class FieldKey:
    """What `load_observed_field` needs, hashable and picklable."""

    path: Path
    sha256: str
    aspect: tuple[Path, ...]
    gti: Path | None
    exclude_times: tuple[tuple[float, float], ...]


def field_key(field: FieldInput) -> FieldKey:
    """Return the key of an event set's field."""
    return FieldKey(
        field.path, field.sha256, tuple(path for path, _ in field.aspect), field.gti, field.exclude_times
    )


@lru_cache(maxsize=1)
def observed_field(key: FieldKey) -> ObservedField:
    """Load a field, or return the one of the last call with the same key.

    Raises
    ------
    MissingFileError, InputFileError
        The event list is gone, or is not the file that was added.
    """
    if not key.path.exists():
        raise MissingFileError(
            "an event list is gone", key.path, "put it back, or add it anew with `add observations --replace`"
        )
    if file_sha256(key.path) != key.sha256:
        raise InputFileError(
            "an event list was changed after it was added",
            key.path,
            "add it anew with `srccat add observations --replace`",
            code="FILE_CHANGED",
        )
    return load_observed_field(
        key.path, aspect_files=key.aspect, gti_file=key.gti, exclude_times=key.exclude_times
    )
