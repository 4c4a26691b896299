"""Numbers as text: digits that mean something, no others."""

from __future__ import annotations

from math import floor, isfinite, log10

import numpy as np
from numpy.typing import NDArray

_LIMIT_DIGITS = 3


def decimals_of(value: float, digits: int) -> int:
    """Decimals that show `digits` significant digits of a value; negative where even tens are rounded."""
    if value == 0 or not isfinite(value):
        return 0
    # Rounding may carry into the next decade: 9.96 to two digits is 10.
    exponent = int(f"{abs(value):.{digits - 1}e}".split("e")[1])
    return digits - 1 - exponent


def fixed(value: float, decimals: int) -> str:
    """Return a value with so many decimals; fewer than none rounds to tens, hundreds and so on."""
    rounded = round(value, decimals) + 0.0
    return f"{rounded:.{max(decimals, 0)}f}"


def significant(value: float, digits: int) -> str:
    """Return a value to so many significant digits (negative: decimals), never in powers of ten."""
    return fixed(value, -digits if digits < 0 else decimals_of(value, digits))


def with_errors(value: float, lower: float, upper: float) -> tuple[str, str, str]:
    """Return a value, its upward and its downward error, all to two digits of the smaller error.

    Parameters
    ----------
    value, lower, upper
        The value and the ends of its interval, lower <= value <= upper.
    """
    errors = [error for error in (upper - value, value - lower) if error > 0]
    decimals = decimals_of(min(errors), 2) if errors else decimals_of(value, _LIMIT_DIGITS)
    return fixed(value, decimals), fixed(upper - value, decimals), fixed(value - lower, decimals)


def bound(value: float) -> str:
    """Return an upper bound to three digits."""
    return significant(value, _LIMIT_DIGITS)


def power_of_ten(values: NDArray[np.float64]) -> int:
    """Return the exponent to take out of a column: that of its median size, 0 where plain numbers will do."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not len(sizes):
        return 0
    exponent = floor(log10(float(np.median(sizes))))
    return exponent if exponent <= -3 or exponent >= 5 else 0


def column_format(values: NDArray[np.float64], digits: int) -> tuple[str, str]:
    """Return the Fortran kind and the Python format for a column of floats.

    A column with a fixed number of decimals, or whose values span few decades, is written in plain numbers
    with at least `digits` significant digits each; any other in powers of ten.

    Returns
    -------
    tuple of str
        `F<decimals>` or `E<decimals>`, and the format specification without width.
    """
    if digits < 0:
        return f"F{-digits}", f".{-digits}f"
    sizes = np.abs(values[values != 0])
    if len(sizes):
        decimals = max(decimals_of(float(sizes.min()), digits), 0)
        whole = max(floor(log10(float(sizes.max()))) + 1, 1)
        if decimals + whole > digits + 4:
            return f"E{digits - 1}", f".{digits - 1}E"
    else:
        decimals = 1
    # A Fortran F format has a point, and a reader that looks for one takes the column for whole numbers else.
    decimals = max(decimals, 1)
    return f"F{decimals}", f".{decimals}f"
