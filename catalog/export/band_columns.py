"""Names of the wide view: which columns belong to a band, and which columns go with a value."""

from __future__ import annotations

from catalog.band import CSC_SUFFIX
from catalog.schema.measurement import POSTERIORS
from catalog.schema.registry import REGISTRY

_ENDS = ("", "_lolim", "_hilim", "_mean")


def split_band(name: str) -> tuple[str, str]:
    """Return the registered name and the band suffix of a column, the suffix empty where there is none."""
    base, _, suffix = name.rpartition("_")
    if name not in REGISTRY and base in REGISTRY and suffix in CSC_SUFFIX.values():
        return base, suffix
    return name, ""


def join_band(base: str, suffix: str) -> str:
    """Return the name in the wide view of a registered column in a band; the inverse of `split_band`."""
    return f"{base}_{suffix}" if suffix else base


def limit_names(name: str) -> tuple[str, str] | None:
    """Return the names of the lower and upper ends of a value's interval, None where it has no interval."""
    base, suffix = split_band(name)
    if f"{base}_lolim" not in REGISTRY or f"{base}_hilim" not in REGISTRY:
        return None
    return join_band(f"{base}_lolim", suffix), join_band(f"{base}_hilim", suffix)


def family(name: str) -> tuple[str, ...]:
    """Return the names of a value, its interval and its mean: what one should print alike."""
    base, suffix = split_band(name)
    stem = base
    for end in _ENDS[1:]:
        stem = stem.removesuffix(end)
    return tuple(join_band(f"{stem}{end}", suffix) for end in _ENDS if f"{stem}{end}" in REGISTRY)


def flags_name(name: str) -> str | None:
    """Return the flag column that tells whether a value is a bound only, None where it never is one."""
    base, suffix = split_band(name)
    return join_band("flags", suffix) if base in POSTERIORS else None
