"""Shapes as a person wrote them: words and numbers with units, in some frame, from a named line."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from catalog.apertures.outline import with_article
from catalog.errors import InputFileError, SourceTableError
from catalog.events.angle_text import check_range, parse_dec, parse_ra

_LENGTH = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(\"|''|'|d|r|p|i)?")
_DEGREES = {'"': 1 / 3600, "''": 1 / 3600, "'": 1 / 60, "d": 1.0, "r": math.degrees(1.0), "": 1.0}
_NUMBERS = {
    "circle": (3,),
    "ellipse": (4, 5, 7),
    "box": (4, 5, 7),
    "rotbox": (5,),
    "rectangle": (4,),
    "annulus": (4,),
    "pie": (6,),
    "panda": (8,),
    "point": (2,),
}
"""Numbers that each shape takes; a polygon takes any even number from six."""
_LENGTHS = {
    "circle": (2,),
    "ellipse": (2, 3, 4, 5),
    "box": (2, 3, 4, 5),
    "rotbox": (2, 3),
    "annulus": (2, 3),
    "pie": (2, 3),
    "panda": (5, 6),
}
"""Which of the numbers are lengths; of those after the position, the others are angles in degrees."""
_HINTS = {
    "annulus": "write one ring of two radii for each",
    "sector": "write pie(x,y,inner,outer,start,stop): a sector without radii has no area",
    "epanda": "draw an ellipse and cut with a polygon",
    "bpanda": "draw a box and cut with a polygon",
}


@dataclass(frozen=True)
class WrittenShape:
    """One shape of a region file, not yet in sky pixels.

    Attributes
    ----------
    word
        circle, ellipse, box, rotbox, rectangle, annulus, pie, panda, polygon or point.
    excluded
        Whether it is cut out.
    frame
        icrs, fk5, fk4, galactic or physical.
    points
        Positions in degrees of the frame or sky pixels.
    lengths
        In degrees (celestial frames) or sky pixels.
    angles
        In degrees from the first axis of the frame's image (west) towards the north.
    where
        File and line.
    text, tags
        Label and tags of ds9, empty without any.
    role
        ``background`` where ds9 says so, else None.
    """

    word: str
    excluded: bool
    frame: str
    points: tuple[tuple[float, float], ...]
    lengths: tuple[float, ...]
    angles: tuple[float, ...]
    where: str
    text: str = ""
    tags: tuple[str, ...] = ()
    role: str | None = None


def written_shape(
    word: str,
    words: list[str],
    frame: str,
    where: str,
    *,
    excluded: bool = False,
    text: str = "",
    tags: tuple[str, ...] = (),
    role: str | None = None,
) -> WrittenShape:
    """Read the numbers of a shape.

    Parameters
    ----------
    word
        Its name, lower case.
    words
        What stands between the brackets.
    frame, where, excluded, text, tags, role
        As in `WrittenShape`.

    Raises
    ------
    InputFileError
        REGION_SHAPE for a shape that is not known, REGION_SYNTAX for too few, too many or no numbers.
    SourceTableError
        COORDINATE_TEXT, COORDINATE_RANGE for a position that is none.
    """
    number = len(words)
    if word == "polygon":
        fits, wanted = number >= 6 and number % 2 == 0, "pairs of at least three vertices"
    elif word in _NUMBERS:
        fits = number in _NUMBERS[word]
        wanted = " or ".join(str(known) for known in _NUMBERS[word]) + " numbers"
    else:
        raise InputFileError(
            f"the shape {word!r} is not read",
            where,
            _HINTS.get(word, "circle, ellipse, box, annulus, polygon, pie and panda are"),
            code="REGION_SHAPE",
        )
    if not fits:
        raise InputFileError(
            f"{with_article(word)} with {number} numbers, not {wanted}",
            where,
            _HINTS.get(word, "correct the line"),
            code="REGION_SYNTAX",
        )
    corners = number if word == "polygon" else 4 if word == "rectangle" else 2
    points = _points(words[:corners], frame, where)
    lengths, angles = [], []
    for place, written in enumerate(words[corners:], start=corners):
        if place in _LENGTHS.get(word, ()) and not (number < 7 and place > 3 and word != "panda"):
            lengths.append(_length(written, frame, where))
        else:
            angles.append(_angle(written, where))
    shape = WrittenShape(
        word, excluded, frame, points, tuple(lengths), tuple(angles), where, text, tags, role
    )
    if word == "panda" and shape.angles[2:] != (1.0, 1.0):
        raise InputFileError(
            "a panda of several sectors", where, "write one pie for each", code="REGION_SHAPE"
        )
    return shape


def _points(words: list[str], frame: str, where: str) -> tuple[tuple[float, float], ...]:
    pairs = list(zip(words[0::2], words[1::2], strict=True))
    if frame == "physical":
        return tuple((_pixels(x, where), _pixels(y, where)) for x, y in pairs)
    # Galactic longitude with colons is in degrees.
    first = parse_dec if frame == "galactic" else parse_ra
    try:
        points = tuple((first(lon), parse_dec(lat)) for lon, lat in pairs)
    except SourceTableError as error:
        raise InputFileError(f"{error.what}, {error.where}", where, error.todo, code=error.code) from None
    for point in points:
        check_range(*point, where)
    return points


def _pixels(word: str, where: str) -> float:
    number, unit = _number(word, where)
    if unit not in ("", "p"):
        raise InputFileError(
            f"a position in sky pixels with the unit {unit!r}",
            where,
            "write plain numbers",
            code="REGION_SYNTAX",
        )
    return number


def _length(word: str, frame: str, where: str) -> float:
    """Degrees in a celestial frame, sky pixels in the physical one."""
    number, unit = _number(word, where)
    celestial = frame != "physical"
    if (unit in ("p", "i") and celestial) or (unit not in ("", "p") and not celestial):
        kind = "celestial coordinates" if celestial else "sky pixels"
        raise InputFileError(
            f"the length {word!r} in a shape in {kind}",
            where,
            "give position and lengths in the same system",
            code="REGION_UNIT",
        )
    return number * _DEGREES[unit] if celestial else number


def _angle(word: str, where: str) -> float:
    number, unit = _number(word, where)
    return number * _DEGREES.get(unit, 1.0)


def _number(word: str, where: str) -> tuple[float, str]:
    match = _LENGTH.fullmatch(word)
    if match is None:
        raise InputFileError(f"not a number, {word!r}", where, "correct the line", code="REGION_SYNTAX")
    return float(match.group(1)), match.group(2) or ""
