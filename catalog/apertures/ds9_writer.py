"""Regions as ds9 text: in sky pixels, bit for bit, or in ICRS for any image of the field.

What the field of view clips is written whole: ds9 knows no intersection, and the field clips it again.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from catalog.apertures.region import Region
from catalog.apertures.shape import Annulus, Circle, Polygon, Shape, Union, simple_parts
from catalog.apertures.turned import Box, Ellipse
from catalog.events.sky_frame import SkyFrame

_STEP = 1e-3


def ds9_lines(region: Region, frame: SkyFrame | None, properties: str = "") -> list[str]:
    """Lines of a region: its shapes, then those cut out of them.

    Parameters
    ----------
    region
        Region in sky pixels.
    frame
        Projection of the event list, for ICRS; None for sky pixels (ds9's `physical`).
    properties
        What follows the hash mark on each line.
    """
    parts = simple_parts(region.shape)
    signed = [("", part) for part in parts] + [("-", shape) for shape in region.exclude]
    tail = f" # {properties}" if properties else ""
    return [f"{sign}{_shape_text(shape, frame)}{tail}" for sign, shape in signed]


def ds9_point(x: float, y: float, frame: SkyFrame | None, properties: str = "") -> str:
    """Line of a cross at a position in sky pixels."""
    return f"point({','.join(_places([(x, y)], frame))}) # point=cross {properties}".rstrip()


def ds9_label(text: str) -> str:
    """Text in braces, in ASCII: a closing brace would end it early, and ds9 knows no escape for it."""
    plain = text.encode("ascii", "replace").decode().replace("{", "(").replace("}", ")")
    return "{" + " ".join(plain.split()) + "}"


def _shape_text(shape: Shape, frame: SkyFrame | None) -> str:
    assert not isinstance(shape, Union)
    if isinstance(shape, Polygon):
        return f"polygon({','.join(_places(shape.vertices, frame))})"
    words = _places([(shape.x, shape.y)], frame)
    turn = _turn(shape.x, shape.y, frame)
    angles: list[float] = []
    if isinstance(shape, Circle):
        name, lengths = "circle", [shape.radius]
    elif isinstance(shape, Annulus):
        name, lengths = "annulus", [shape.inner, shape.outer]
    elif isinstance(shape, Ellipse):
        name, lengths, angles = "ellipse", [shape.first, shape.second], [shape.angle]
    elif isinstance(shape, Box):
        name, lengths, angles = "box", [shape.width, shape.height], [shape.angle]
    else:
        start, stop = (repr(float(angle - turn)) for angle in (shape.start, shape.stop))
        inner, outer = _lengths([shape.inner, shape.outer], frame)
        # ds9 has no pie of its own; a panda of one piece is the same.
        return f"panda({','.join([*words, start, stop, '1', inner, outer, '1'])})"
    words += _lengths(lengths, frame) + [repr(float(angle - turn)) for angle in angles]
    return f"{name}({','.join(words)})"


def _places(points: Iterable[tuple[float, float]], frame: SkyFrame | None) -> list[str]:
    x, y = np.array(list(points), dtype=float).T
    first, second = (x, y) if frame is None else frame.to_world(x, y)
    return [repr(value) for pair in zip(first.tolist(), second.tolist(), strict=True) for value in pair]


def _lengths(values: list[float], frame: SkyFrame | None) -> list[str]:
    if frame is None:
        return [repr(float(value)) for value in values]
    return [f'{float(value * frame.pixel_scale_arcsec)!r}"' for value in values]


def _turn(x: float, y: float, frame: SkyFrame | None) -> float:
    """Degrees from sky X to the direction that has the meridian's north 90 degrees ahead."""
    if frame is None:
        return 0.0
    ra, dec = (float(value) for value in frame.to_world(x, y))
    sign = -1.0 if dec >= 0 else 1.0
    u, v = frame.to_sky(ra, dec + sign * _STEP)
    return float(np.degrees(np.arctan2(sign * (v - y), sign * (u - x)))) - 90.0
