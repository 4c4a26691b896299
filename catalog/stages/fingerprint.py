"""Fingerprints: one hash for exactly the inputs that can change a result."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from catalog.schema.base import canonical_json


def fingerprint(*parts: Any) -> str:
    """Return a hash of plain values, arrays and bytes; equal values give equal hashes on every machine."""
    return hashlib.sha256(canonical_json([_plain(part) for part in parts]).encode()).hexdigest()[:32]


def _plain(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, dict):
        plain = {str(key): _plain(item) for key, item in plain.items()}
    elif isinstance(plain, list | tuple):
        plain = [_plain(item) for item in plain]
    elif isinstance(plain, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(plain).tobytes()).hexdigest()
        plain = [str(plain.dtype), list(plain.shape), digest]
    elif isinstance(plain, bytes):
        plain = hashlib.sha256(plain).hexdigest()
    elif isinstance(plain, float):
        plain = plain.hex()
    return plain
