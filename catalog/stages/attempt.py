"""The one boundary at which anything is caught: a bad source never stops a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class Failure:
    """Why a unit has no result: the class of the error and its message on one line."""

    reason: str
    message: str


def attempt(compute: Callable[[], Value]) -> Value | Failure:
    """Return what a unit's computation gives, or why it failed."""
    try:
        return compute()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one source is its own matter
        return Failure(type(error).__name__, " ".join(str(error).split()))
