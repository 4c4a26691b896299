"""Angles written as text: right ascension, declination, positions and radii.

Sexagesimal right ascension is in hours and declination in degrees, unless the letters h or d say otherwise;
a plain number is in degrees. Fields are summed in seconds before the one division, so that a value read here
is within an ulp or two of the decimal it stands for.
"""

from __future__ import annotations

import math
import re

from catalog.errors import SourceTableError

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_DEGREES = re.compile(rf"({_NUMBER.pattern})\s*(?:d|deg)")
_FIELD = r"(\d{1,2}(?:\.\d*)?)"
_SEXAGESIMAL = (
    re.compile(rf"([+-]?)(\d{{1,3}})()\s*:\s*{_FIELD}(?:\s*:\s*{_FIELD})?"),
    re.compile(rf"([+-]?)(\d{{1,3}})()\s+{_FIELD}(?:\s+{_FIELD})?"),
    re.compile(rf"([+-]?)(\d{{1,3}})\s*([hd])\s*(?:{_FIELD}\s*[m']\s*(?:{_FIELD}\s*(?:s|\"|'')?)?)?"),
)
_POSITION_LETTERS = re.compile(r"[\d\s.,:+\-hmsdeEg°'\"′″−]+")
_TYPOGRAPHY = str.maketrans({"−": "-", "–": "-", "°": "d", "′": "'", "″": '"', "’": "'", "”": '"'})

_RADIUS_UNITS = {
    **dict.fromkeys(("deg", "degree", "degrees", "d"), 1.0),
    **dict.fromkeys(("arcmin", "amin", "arcminute", "arcminutes", "'"), 1 / 60),
    **dict.fromkeys(("arcsec", "asec", "arcsecond", "arcseconds", '"', "''"), 1 / 3600),
    **dict.fromkeys(("mas",), 1 / 3.6e6),
    **dict.fromkeys(("rad", "radian", "radians"), math.degrees(1)),
}


def _not_an_angle(text: str, axis: str) -> SourceTableError:
    forms = "246.888, 16:27:33.1 or 16h27m33.1s" if axis == "RA" else "-24.688, -24:41:15.5 or -24d41m15.5s"
    return SourceTableError(f"not a {axis}", repr(text), f"write {forms}", code="COORDINATE_TEXT")


def parse_number(text: str) -> float | None:
    """Return the decimal number that `text` is, None when it is something else."""
    text = text.translate(_TYPOGRAPHY).strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _sexagesimal(text: str, axis: str) -> tuple[float, str] | None:
    """Signed seconds and the unit letter ("" when none is written), None for another notation."""
    match = next((m for pattern in _SEXAGESIMAL if (m := pattern.fullmatch(text))), None)
    if match is None:
        return None
    sign, whole, letter, minutes, seconds = match.groups()
    if seconds is not None and "." in minutes:
        raise _not_an_angle(text, axis)
    minute, second = float(minutes or 0), float(seconds or 0)
    # Tables that were rounded print 59.996 as 60.00: a full minute of seconds is a value, not an error.
    if minute >= 60 or second > 60:
        raise SourceTableError(
            f"minutes and seconds of {axis} end at 60",
            repr(text),
            "correct the value",
            code="COORDINATE_RANGE",
        )
    total = int(whole) * 3600 + minute * 60 + second
    return (-total if sign == "-" else total), letter


def parse_ra(text: str) -> float:
    """Return the right ascension (deg) that `text` says; the range is not checked.

    A number is in degrees (``246.888``, ``246.888d``); fields with colons or blanks are hours, minutes,
    seconds (``16:27:33.1``, ``16 27 33.1``); letters decide otherwise (``16h27m33.1s``, ``246d53m16s``).

    Raises
    ------
    SourceTableError
        COORDINATE_TEXT for anything else, COORDINATE_RANGE for minutes or seconds beyond 60.
    """
    clean = text.translate(_TYPOGRAPHY).strip()
    if (number := _degrees(clean)) is not None:
        return number
    parsed = _sexagesimal(clean, "RA")
    if parsed is None:
        raise _not_an_angle(text, "RA")
    seconds, letter = parsed
    return seconds / 3600 if letter == "d" else seconds / 240


def parse_dec(text: str) -> float:
    """Return the declination (deg) that `text` says; the range is not checked.

    Forms as in `parse_ra`, but all fields are degrees, minutes and seconds of arc; hours are refused.

    Raises
    ------
    SourceTableError
        COORDINATE_TEXT or COORDINATE_RANGE, as in `parse_ra`.
    """
    clean = text.translate(_TYPOGRAPHY).strip()
    if (number := _degrees(clean)) is not None:
        return number
    parsed = _sexagesimal(clean, "Dec")
    if parsed is None or parsed[1] == "h":
        raise _not_an_angle(text, "Dec")
    return parsed[0] / 3600


def _degrees(clean: str) -> float | None:
    if _NUMBER.fullmatch(clean):
        return float(clean)
    match = _DEGREES.fullmatch(clean)
    return float(match.group(1)) if match else None


def is_sexagesimal(text: str) -> bool:
    """Whether `text` has sexagesimal fields and no letter that tells hours from degrees."""
    clean = text.translate(_TYPOGRAPHY).strip()
    return any(pattern.fullmatch(clean) for pattern in _SEXAGESIMAL[:2])


def looks_like_position(text: str) -> bool:
    """Whether `text` is made of the characters of a position alone and begins as one."""
    text = text.strip()
    return bool(re.match(r"[+\-−]?\s*\.?\d", text)) and _POSITION_LETTERS.fullmatch(text) is not None


def _halves(text: str) -> tuple[str, str] | None:
    """Split a position into its two coordinates, None when that cannot be done in one way only."""
    if "," in text:
        parts = text.split(",")
        return (parts[0], parts[1]) if len(parts) == 2 else None
    signed = list(re.finditer(r"(?<=[\d.hmsd'\"\s])(?<![eE])[+-]", text))
    if len(signed) == 1 and text[: signed[0].start()].strip():
        at = signed[0].start()
        return text[:at], text[at:]
    words = text.split()
    if len(words) in (2, 4, 6):
        middle = len(words) // 2
        return " ".join(words[:middle]), " ".join(words[middle:])
    return None


def parse_position(text: str) -> tuple[float, float]:
    """Return (ra, dec) in degrees ICRS of a position typed by a person.

    Accepts ``246.888 -24.6876``, ``246.888,-24.6876``, ``16:27:33.115 -24:41:15.51``,
    ``16 27 33.1 -24 41 15.5``, ``16h27m33.1s -24d41m15s``; a comma, a blank or the sign of the
    declination parts the two.

    Raises
    ------
    SourceTableError
        COORDINATE_TEXT when it is no position, COORDINATE_RANGE for a value outside 0 to 360 or -90 to 90.
    """
    clean = re.sub(r"([+-])\s+(?=\d)", r"\1", text.translate(_TYPOGRAPHY).strip())
    halves = _halves(clean)
    if halves is None:
        raise SourceTableError(
            "not a position",
            repr(text),
            'write "RA DEC", such as "246.888 -24.688" or "16:27:33.1 -24:41:15.5"',
            code="COORDINATE_TEXT",
        )
    ra, dec = parse_ra(halves[0]), parse_dec(halves[1])
    check_range(ra, dec, repr(text))
    return (0.0 if ra == 360 else ra), dec


def check_range(ra: float, dec: float, where: str) -> None:
    """Refuse coordinates (deg) that are not on the sky.

    Raises
    ------
    SourceTableError
        COORDINATE_RANGE for RA outside 0 to 360 or Dec outside -90 to 90, naming the value.
    """
    if not 0 <= ra <= 360:
        todo = "add 360 to negative values" if -360 <= ra < 0 else "check column and unit"
        raise SourceTableError(f"RA {ra:g} is not in 0 to 360 degrees", where, todo, code="COORDINATE_RANGE")
    if not -90 <= dec <= 90:
        raise SourceTableError(
            f"Dec {dec:g} is not in -90 to 90 degrees",
            where,
            "check column and unit",
            code="COORDINATE_RANGE",
        )


def parse_radius(text: str) -> float:
    r"""Return the radius in degrees of ``5arcsec``, ``10"``, ``2'``, ``0.1deg``, ``500 mas`` or ``1e-5rad``.

    A bare number is refused: arcsec and degrees are both common and differ by 3600.

    Raises
    ------
    SourceTableError
        RADIUS_UNIT without a known unit, RADIUS_TEXT when it is no number, RADIUS_RANGE outside
        0 < r <= 180 deg.
    """
    clean = text.replace("°", "deg").translate(_TYPOGRAPHY).strip()
    match = re.fullmatch(rf"({_NUMBER.pattern})\s*(.*)", clean)
    if match is None:
        raise SourceTableError(
            "not a radius", repr(text), "write 5arcsec, 2arcmin or 0.1deg", code="RADIUS_TEXT"
        )
    factor = _RADIUS_UNITS.get(match.group(2).lower())
    if factor is None:
        raise SourceTableError(
            "a radius needs a unit", repr(text), "write 5arcsec, 2arcmin or 0.1deg", code="RADIUS_UNIT"
        )
    radius = float(match.group(1)) * factor
    if not 0 < radius <= 180:
        raise SourceTableError(
            "a radius lies between 0 and 180 degrees", repr(text), "give another radius", code="RADIUS_RANGE"
        )
    return radius
