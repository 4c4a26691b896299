"""ds9 and CIAO region text: every shape with its line, frame, label and tags.

Read line by line, so that an error can name its line. The `regions` package would leave out without a word
what it does not know, wrap right ascensions, and knows no physical frame.
"""

from __future__ import annotations

import re

from catalog.apertures.written_shape import WrittenShape, written_shape
from catalog.errors import InputFileError
from catalog.events.angle_text import is_sexagesimal
from catalog.events.region_list import DRAWINGS, FRAMES, LABEL, statements_of

_FRAMES = {**FRAMES, "physical": "physical"}
_OTHER_FRAMES = re.compile(r"wcs[a-z0-9]?|ecliptic|image|linear|amplifier|detector|wcs0")
_SHAPE = re.compile(r"\s*(?P<sign>[&*]\s*!|[+\-!&*])?\s*(?P<word>[a-z]+)\s*\((?P<inside>[^()]*)\)", re.I)
_BARE = re.compile(r"\s*(?P<sign>[+\-!])?\s*(?P<word>[a-z]+)\s+(?P<inside>[^()]+)", re.I)
_TAG = re.compile(r"\btag\s*=\s*(?:\{([^}]*)\}|\"([^\"]*)\"|'([^']*)')")
_BRACED = re.compile(r"\{[^}]*\}|\"[^\"]*\"|'[^']*'")


def read_ds9(text: str, origin: str) -> list[WrittenShape]:
    """Return the shapes of region text, drawings and comments left out.

    Parameters
    ----------
    text
        Content of a file in the frames icrs, fk5, fk4, galactic or physical (sky pixels). Without a frame,
        positions with colons are ICRS and others physical, as ds9 and CIAO have it.
    origin
        File name for messages.

    Raises
    ------
    InputFileError
        REGION_SYNTAX, REGION_SHAPE, REGION_UNIT and UNSUPPORTED_FRAME with the line.
    """
    shapes: list[WrittenShape] = []
    frame = ""
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{origin}, line {number}"
        statements, comment = statements_of(line)
        for statement in statements:
            word = statement.lower()
            if word.split()[0] == "global":
                continue
            if word in _FRAMES:
                frame = _FRAMES[word]
            elif _OTHER_FRAMES.fullmatch(word):
                raise InputFileError(
                    f"regions in the frame {statement!r} are not read",
                    where,
                    "save them in fk5, icrs, galactic or physical",
                    code="UNSUPPORTED_FRAME",
                )
            else:
                shapes += _shapes(statement, comment, frame, where)
    return shapes


def _shapes(statement: str, comment: str, frame: str, where: str) -> list[WrittenShape]:
    """Shapes of a statement: one in ds9, a sum and difference of several in CIAO."""
    matches, end = [], 0
    while end < len(statement):
        match = _SHAPE.match(statement, end)
        if match is None:
            break
        matches.append(match)
        end = match.end()
    if not matches and (bare := _BARE.fullmatch(statement)):
        matches, end = [bare], len(statement)
    if not matches or statement[end:].strip():
        raise InputFileError(
            f"not a region, {statement[end:].strip()!r}",
            where,
            "save it from ds9 again",
            code="REGION_SYNTAX",
        )
    properties = _BRACED.sub("", comment)
    role = "background" if re.search(r"\bbackground\b", properties) else None
    found = []
    for match in matches:
        word, sign = match.group("word").lower(), (match.group("sign") or "").replace(" ", "")
        if word in DRAWINGS:
            continue
        if sign in ("&", "*"):
            raise InputFileError(
                "an intersection of shapes is not read",
                where,
                "draw the common part as a polygon",
                code="REGION_SHAPE",
            )
        words = [part for part in re.split(r"[,\s]+", match.group("inside").strip()) if part]
        sexagesimal = len(words) > 1 and is_sexagesimal(words[0]) and is_sexagesimal(words[1])
        found.append(
            written_shape(
                word,
                words,
                frame or ("icrs" if sexagesimal else "physical"),
                where,
                excluded=bool(sign) and sign != "+",
                text=_label(comment),
                tags=tuple(next(part for part in tag if part) for tag in _TAG.findall(comment) if any(tag)),
                role=role,
            )
        )
    return found


def _label(comment: str) -> str:
    label = LABEL.search(comment)
    return next((group for group in label.groups() if group), "").strip() if label else ""
