"""Positions from ds9 region files: the centre of each shape, its text as the name.

Only centres and labels are read, line by line, so that an error can name its line. The `regions` package
would wrap a right ascension of 400 degrees to 40 and leave out shapes and frames that it does not know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import shapely

from catalog.errors import SourceTableError
from catalog.events.angle_text import check_range, is_sexagesimal, parse_dec, parse_ra

FRAMES = {"icrs": "icrs", "fk5": "fk5", "j2000": "fk5", "fk4": "fk4", "b1950": "fk4", "galactic": "galactic"}
PIXEL_FRAMES = {"image", "physical", "linear", "amplifier", "detector"}
_CENTRED = {"circle", "ellipse", "box", "rotbox", "point", "annulus", "panda", "epanda", "bpanda", "pie"}
DRAWINGS = {
    "line",
    "vector",
    "text",
    "ruler",
    "compass",
    "projection",
    "segment",
    "composite",
    "field",
    "tile",
}
_SHAPE = re.compile(
    r"(?P<sign>[+\-!]?)\s*(?P<shape>[a-z]+)\s*(?:\((?P<inside>[^)]*)\)|\s(?P<bare>[^#(]*))", re.I
)
_OLD_POINT = re.compile(r"([+\-!]?)\s*(?:circle|box|diamond|cross|x|arrow|boxcircle)\s+point\b", re.I)
LABEL = re.compile(r"\btext\s*=\s*(?:\{([^}]*)\}|\"([^\"]*)\"|'([^']*)')")
_IS_REGIONS = re.compile(
    r"^\s*(?:#\s*Region file format|global\s+\w+\s*="
    rf"|[+\-!]?\s*(?:{'|'.join(sorted(_CENTRED | {'polygon'}))})\s*\("
    rf"|(?:{'|'.join(sorted(FRAMES.keys() | PIXEL_FRAMES))})\s*(?:;|$))",
    re.I | re.M,
)


@dataclass
class RegionPositions:
    """Centres as written: degrees in the frame of each shape, 1-based line numbers, labels.

    `skipped` has one sentence per drawing or excluded shape that is no source.
    """

    longitude: list[float] = field(default_factory=list)
    latitude: list[float] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def is_region_text(text: str) -> bool:
    """Whether `text` is a ds9 region file, by its first lines."""
    return _IS_REGIONS.search(text[:4000]) is not None


def statements_of(line: str) -> tuple[list[str], str]:
    """Parts of a line before the comment, split at semicolons and bars, and the comment."""
    code, mark, comment = line.partition("#")
    return [part.strip() for part in re.split(r";|\|\|", code) if part.strip()], comment if mark else ""


def _polygon_centre(longitude: list[float], latitude: list[float]) -> tuple[float, float]:
    """Centroid of the area, in the plane tangent at the first vertex (gnomonic projection)."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    lon0, lat0 = lon[0], lat[0]
    cosine = np.sin(lat0) * np.sin(lat) + np.cos(lat0) * np.cos(lat) * np.cos(lon - lon0)
    x = np.cos(lat) * np.sin(lon - lon0) / cosine
    y = (np.cos(lat0) * np.sin(lat) - np.sin(lat0) * np.cos(lat) * np.cos(lon - lon0)) / cosine
    middle = shapely.Polygon(np.column_stack([x, y])).centroid
    height = np.arctan2(
        np.sin(lat0) + middle.y * np.cos(lat0),
        np.hypot(middle.x, np.cos(lat0) - middle.y * np.sin(lat0)),
    )
    angle = lon0 + np.arctan2(middle.x, np.cos(lat0) - middle.y * np.sin(lat0))
    return float(np.degrees(angle) % 360), float(np.degrees(height))


def _coordinates(words: list[str], frame: str, where: str) -> tuple[list[float], list[float]]:
    """Degrees of the coordinate pairs `words`; colons mean hours on the equatorial longitude only."""
    # Galactic longitude with colons is in degrees.
    first = parse_dec if frame == "galactic" else parse_ra
    try:
        longitude = [first(word) for word in words[0::2]]
        latitude = [parse_dec(word) for word in words[1::2]]
    except SourceTableError as error:
        raise SourceTableError(f"{error.what}, {error.where}", where, error.todo, code=error.code) from None
    for pair in zip(longitude, latitude, strict=True):
        check_range(*pair, where)
    return longitude, latitude


def _add_shape(
    result: RegionPositions, statement: str, comment: str, frame: str, origin: str, number: int
) -> None:
    """Read one shape into `result`."""
    where = f"{origin}, line {number}"
    old = _OLD_POINT.match(statement)
    match = _SHAPE.fullmatch(f"{old.group(1)}point{statement[old.end() :]}" if old else statement)
    shape = match.group("shape").lower() if match else ""
    if match is None or shape not in _CENTRED | DRAWINGS | {"polygon"}:
        raise SourceTableError(
            f"not a region of ds9, {statement!r}",
            where,
            "save it from ds9 in fk5 or icrs",
            code="UNREADABLE_TABLE",
        )
    if shape in DRAWINGS or match.group("sign") in {"-", "!"}:
        kind = "drawing" if shape in DRAWINGS else "excluded shape"
        result.skipped.append(f"line {number}: {kind} {shape!r} is no source")
        return
    inside = match.group("inside") if match.group("inside") is not None else match.group("bare")
    words = [word for word in re.split(r"[,\s]+", inside.strip()) if word]
    count = len(words) // 2 * 2 if shape == "polygon" else 2
    if len(words) < (6 if shape == "polygon" else 2):
        raise SourceTableError(
            f"a {shape} without coordinates", where, "correct it", code="COORDINATE_MISSING"
        )
    # CIAO writes sexagesimal shapes without a frame; they cannot be pixels.
    if frame == "" and is_sexagesimal(words[0]) and is_sexagesimal(words[1]):
        frame = "icrs"
    if frame in PIXEL_FRAMES or frame == "":
        raise SourceTableError(
            f"regions in {frame or 'physical'} pixels have no sky position",
            where,
            "save them from ds9 in fk5 or icrs",
            code="PIXEL_REGIONS",
        )
    longitude, latitude = _coordinates(words[:count], frame, where)
    centre = _polygon_centre(longitude, latitude) if shape == "polygon" else (longitude[0], latitude[0])
    label = LABEL.search(comment)
    text = next((group for group in label.groups() if group is not None), "").strip() if label else ""
    result.longitude.append(centre[0])
    result.latitude.append(centre[1])
    result.frames.append(frame)
    result.names.append(text or None)
    result.lines.append(number)


def read_regions(text: str, origin: str) -> RegionPositions:
    """Return the centres of the shapes of a ds9 region file.

    Parameters
    ----------
    text
        Content of the file, in the frames fk5, icrs, fk4 or galactic.
    origin
        File name for messages.

    Returns
    -------
    RegionPositions
        Circles, ellipses, boxes, points, annuli and pandas by their centre, polygons by their centroid.

    Raises
    ------
    SourceTableError
        PIXEL_REGIONS for image and physical frames, COORDINATE_TEXT, COORDINATE_RANGE, COORDINATE_MISSING and
        UNREADABLE_TABLE with the line.
    """
    result, frame = RegionPositions(), ""
    for number, line in enumerate(text.splitlines(), 1):
        statements, comment = statements_of(line)
        if not statements and (drawn := re.match(r"\s*(\w+)\s*\(", comment)):
            result.skipped.append(f"line {number}: drawing {drawn.group(1)!r} is no source")
        for statement in statements:
            word = statement.split()[0].lower()
            if word == "global":
                continue
            if statement.lower() in FRAMES.keys() | PIXEL_FRAMES:
                frame = FRAMES.get(statement.lower(), statement.lower())
            elif re.fullmatch(r"wcs[a-z]?|ecliptic", statement.lower()):
                raise SourceTableError(
                    f"regions in the frame {statement!r} are not read",
                    f"{origin}, line {number}",
                    "save them from ds9 in fk5 or icrs",
                    code="UNSUPPORTED_FRAME",
                )
            else:
                _add_shape(result, statement, comment, frame, origin, number)
    return result
