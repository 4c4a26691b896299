"""Fingerprints: one hash for exactly the inputs that can change a result, and of each its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_SHORT = 12


def fingerprint(*parts: Any) -> str:
    """Return a hash of plain values, arrays and bytes; equal values give equal hashes on every machine."""
    # A double is written with as many digits as tell it from all others.
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: Any) -> Any:
    """What the encoder does not know: numbers and arrays of numpy, and bytes."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return [str(value.dtype), list(value.shape), digest]
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    raise TypeError(f"no fingerprint of {type(value).__name__}")


@dataclass(frozen=True)
class Inputs:
    """Inputs of a unit by name, hashed; the names are those of `stale_reasons`.

    Attributes
    ----------
    parts
        Hash of each input.
    """

    parts: Mapping[str, str]

    @classmethod
    def of(cls, **values: Any) -> Inputs:
        """Hash values by name."""
        return cls({name: fingerprint(value) for name, value in values.items()})

    def plus(self, **values: Any) -> Inputs:
        """These and further ones."""
        return Inputs({**self.parts, **Inputs.of(**values).parts})

    @property
    def fingerprint(self) -> str:
        """Hash of all of them."""
        text = "\n".join(f"{name} {value}" for name, value in sorted(self.parts.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def short(self) -> dict[str, str]:
        """Enough of each hash to tell which input changed."""
        return {name: value[:_SHORT] for name, value in self.parts.items()}
