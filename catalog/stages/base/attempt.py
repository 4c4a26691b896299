"""The one boundary at which anything is caught: a bad source never stops a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from catalog.errors import UserError

Value = TypeVar("Value")


@dataclass(frozen=True)
class Failure:
    """Why there is no result.

    Attributes
    ----------
    reason
        Code of a `UserError`, else the class of the error.
    message
        What it says, on one line.
    of_input
        Whether an input cannot be used: trying again by parts is of no use.
    """

    reason: str
    message: str
    of_input: bool = False


def attempt(compute: Callable[[], Value], passing: tuple[type[Exception], ...] = ()) -> Value | Failure:
    """Return what a computation gives, or why it failed; errors in `passing` are not caught."""
    try:
        return compute()
    except passing:
        raise
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one source is its own matter
        reason = error.code if isinstance(error, UserError) else type(error).__name__
        return Failure(reason, " ".join(str(error).split()), isinstance(error, UserError))
