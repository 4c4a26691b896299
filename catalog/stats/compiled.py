"""The one way in which this room compiles its hot loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def compiled(function: AnyFunction) -> AnyFunction:
    """Compile a function with numba, keep the machine code on disk and release the interpreter lock.

    Division by zero follows IEEE 754 instead of raising. The code on disk is renewed when the *file* of the
    function changes, not when a function that it calls in another file does: whoever edits `gamma_mixture`
    removes ``catalog/stats/__pycache__/*.nb*``.
    """
    return cast(AnyFunction, njit(cache=True, nogil=True, error_model="numpy")(function))
