"""Names of sources from their positions, as the IAU asks: ``CXOU Jhhmmss.ss+ddmmss.s``, truncated.

The IAU specifications (http://cdsweb.u-strasbg.fr/Dic/iau-spec.html, section 3) truncate coordinates, they do
not round, so that a name keeps its digits when more are added. Truncating a binary float needs care:
15 x 0.1 h may be stored just below the decimal it means and would lose one unit. So the arithmetic is on
exact fractions, after adding `TOLERANCE_ARCSEC`: a position less than this below a boundary counts as on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from catalog.errors import SourceTableError

TOLERANCE_ARCSEC = 1e-9
"""Float noise forgiven at a boundary (arcsec): a few ulp of an angle near 360 degrees."""

MAX_DIGITS = 9
"""Most decimals of a field; positions with equal names at this length count as identical."""

_TOLERANCE_DEG = Fraction(1, 10**9) / 3600


@dataclass(frozen=True)
class NameCollision:
    """Sources of one catalog whose names of normal length are equal.

    Attributes
    ----------
    name
        The name that they would share.
    rows
        0-based rows of the sources, ascending.
    names
        Their names after lengthening, in the order of `rows`.
    identical
        True when at least two of the positions are the same, so that no number of digits parts them.
    """

    name: str
    rows: tuple[int, ...]
    names: tuple[str, ...]
    identical: bool


def _fields(units: int, digits: int) -> str:
    """``hhmmss.ss`` of a whole number of units of 10**-digits seconds."""
    seconds, fraction = divmod(units, 10**digits)
    minutes, second = divmod(seconds, 60)
    first, minute = divmod(minutes, 60)
    text = f"{first:02d}{minute:02d}{second:02d}"
    return f"{text}.{fraction:0{digits}d}" if digits else text


def iau_name(ra: float, dec: float, prefix: str = "CXOU", ra_digits: int = 2, dec_digits: int = 1) -> str:
    """Return the name of a position, such as ``CXOU J195740.55+333827.9``.

    Parameters
    ----------
    ra, dec
        Degrees ICRS; RA 360 is 0.
    prefix
        Acronym before the J; without one the name begins with J.
    ra_digits, dec_digits
        Decimals of the seconds of time and of arc, 0 to `MAX_DIGITS`.

    Returns
    -------
    str
        Coordinates truncated towards zero. The sign of a declination between -1 and 0 degrees is kept.

    Raises
    ------
    SourceTableError
        COORDINATE_RANGE for a position that is not on the sky, NaN included.
    ValueError
        For an impossible number of digits.
    """
    if not (0 <= ra_digits <= MAX_DIGITS and 0 <= dec_digits <= MAX_DIGITS):
        raise ValueError(f"a name has 0 to {MAX_DIGITS} decimals, got {ra_digits} and {dec_digits}")
    if not (0 <= ra <= 360 and -90 <= dec <= 90):
        raise SourceTableError(
            "no name for a position that is not on the sky", f"RA {ra}, Dec {dec}", code="COORDINATE_RANGE"
        )
    longitude = (Fraction(float(ra)) + _TOLERANCE_DEG) % 360
    height = abs(Fraction(float(dec))) + _TOLERANCE_DEG
    negative = dec < 0 and height >= 2 * _TOLERANCE_DEG
    ra_text = _fields(math.floor(longitude * 240 * 10**ra_digits), ra_digits)
    dec_text = _fields(math.floor(height * 3600 * 10**dec_digits), dec_digits)
    return f"{prefix} J{ra_text}{'-' if negative else '+'}{dec_text}".strip()


def _lengthened(
    ra: Sequence[float], dec: Sequence[float], prefix: str, ra_digits: int, dec_digits: int
) -> tuple[tuple[str, ...], bool]:
    """Names with as few more digits as part all positions of a group that can be parted."""
    longest = [iau_name(a, d, prefix, MAX_DIGITS, MAX_DIGITS) for a, d in zip(ra, dec, strict=True)]
    wanted = len(set(longest))
    for extra in range(1, MAX_DIGITS + 1):
        more = min(ra_digits + extra, MAX_DIGITS), min(dec_digits + extra, MAX_DIGITS)
        names = tuple(iau_name(a, d, prefix, *more) for a, d in zip(ra, dec, strict=True))
        if len(set(names)) == wanted:
            return names, wanted < len(names)
    return tuple(longest), wanted < len(longest)


def unique_names(
    ra: ArrayLike, dec: ArrayLike, prefix: str = "CXOU", ra_digits: int = 2, dec_digits: int = 1
) -> tuple[list[str], list[NameCollision]]:
    """Return one name per position; equal names are lengthened, within their group only, until they differ.

    Parameters
    ----------
    ra, dec
        Degrees ICRS, shape (n,).
    prefix, ra_digits, dec_digits
        As in `iau_name`.

    Returns
    -------
    names
        In the order of the positions. A lengthened name keeps the digits of the short one and does not
        depend on the order of the positions. A group of identical positions keeps its name as it is.
    collisions
        One per group of equal names, in the order of their first rows.

    Raises
    ------
    SourceTableError, ValueError
        As `iau_name`.
    """
    longitudes = np.atleast_1d(np.asarray(ra, dtype=float)).tolist()
    heights = np.atleast_1d(np.asarray(dec, dtype=float)).tolist()
    names = [iau_name(a, d, prefix, ra_digits, dec_digits) for a, d in zip(longitudes, heights, strict=True)]
    groups: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        groups.setdefault(name, []).append(row)
    collisions = []
    for name, rows in groups.items():
        if len(rows) == 1:
            continue
        ra_group, dec_group = [longitudes[row] for row in rows], [heights[row] for row in rows]
        longer, identical = _lengthened(ra_group, dec_group, prefix, ra_digits, dec_digits)
        if len(set(longer)) == 1:
            longer = (name,) * len(rows)
        for row, new in zip(rows, longer, strict=True):
            names[row] = new
        collisions.append(NameCollision(name, tuple(rows), longer, identical))
    return names, collisions
