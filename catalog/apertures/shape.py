"""Shapes in sky pixels: exact membership, exact area where a formula gives it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import hypot, pi
from typing import Any, ClassVar

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from catalog.apertures.turned import Box, Ellipse, Sector
from catalog.errors import SettingsError

Array = NDArray[np.float64]
ARC_SEGMENTS = 128
"""Segments of a quarter circle where a curve becomes a polygon for area arithmetic: 1e-5 in area before the
radius is adjusted to the exact area of the full circle, far less after."""


@dataclass(frozen=True)
class Circle:
    """A circle: centre and radius in sky pixels."""

    kind: ClassVar[str] = "circle"
    x: float
    y: float
    radius: float

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return pi * self.radius**2

    @property
    def reach(self) -> tuple[float, float, float]:
        """Centre and radius of a circle around the shape."""
        return self.x, self.y, self.radius

    def contains(self, x: Array, y: Array) -> NDArray[np.bool_]:
        """Tell for each point whether it lies inside, the edge included."""
        return np.asarray((x - self.x) ** 2 + (y - self.y) ** 2 <= self.radius**2)

    def geometry(self) -> BaseGeometry:
        """Polygon of equal area."""
        return shapely.Point(self.x, self.y).buffer(
            self.radius * _equal_area_factor(), quad_segs=ARC_SEGMENTS
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain content for the database."""
        return {"shape": self.kind, "x": self.x, "y": self.y, "radius": self.radius}


@dataclass(frozen=True)
class Annulus:
    """A ring: centre, inner and outer radius in sky pixels."""

    kind: ClassVar[str] = "annulus"
    x: float
    y: float
    inner: float
    outer: float

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return pi * (self.outer**2 - self.inner**2)

    @property
    def reach(self) -> tuple[float, float, float]:
        """Centre and radius of a circle around the shape."""
        return self.x, self.y, self.outer

    def contains(self, x: Array, y: Array) -> NDArray[np.bool_]:
        """Tell for each point whether it lies inside: the outer edge does, the inner does not."""
        square = (x - self.x) ** 2 + (y - self.y) ** 2
        return np.asarray((square <= self.outer**2) & (square > self.inner**2))

    def geometry(self) -> BaseGeometry:
        """Polygon with a hole, of equal area."""
        centre, factor = shapely.Point(self.x, self.y), _equal_area_factor()
        outer = centre.buffer(self.outer * factor, quad_segs=ARC_SEGMENTS)
        return outer.difference(centre.buffer(self.inner * factor, quad_segs=ARC_SEGMENTS))

    def to_dict(self) -> dict[str, Any]:
        """Plain content for the database."""
        return {"shape": self.kind, "x": self.x, "y": self.y, "inner": self.inner, "outer": self.outer}


@dataclass(frozen=True)
class Polygon:
    """A simple polygon: vertices in sky pixels, not closed."""

    kind: ClassVar[str] = "polygon"
    vertices: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if len(self.vertices) < 3:
            raise SettingsError("a polygon needs three vertices", f"{len(self.vertices)} given")

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return float(self.geometry().area)

    @property
    def reach(self) -> tuple[float, float, float]:
        """Centre and radius of a circle around the shape."""
        points = np.array(self.vertices)
        x, y = (points.min(axis=0) + points.max(axis=0)) / 2
        return float(x), float(y), max(hypot(px - x, py - y) for px, py in self.vertices)

    def contains(self, x: Array, y: Array) -> NDArray[np.bool_]:
        """Tell for each point whether it lies inside."""
        geometry = self.geometry()
        shapely.prepare(geometry)
        return np.asarray(shapely.contains_xy(geometry, x, y))

    def geometry(self) -> BaseGeometry:
        """The polygon itself."""
        return shapely.Polygon(self.vertices)

    def to_dict(self) -> dict[str, Any]:
        """Plain content for the database."""
        return {"shape": self.kind, "vertices": [list(vertex) for vertex in self.vertices]}


@dataclass(frozen=True)
class Union:
    """Several shapes as one: a point lies inside when it lies in any of them.

    Attributes
    ----------
    parts
        The shapes, at least one, none of them a union.
    """

    kind: ClassVar[str] = "union"
    parts: tuple[Circle | Annulus | Polygon | Ellipse | Box | Sector, ...]

    def __post_init__(self) -> None:
        if not self.parts or any(isinstance(part, Union) for part in self.parts):
            raise SettingsError("a union has one or more simple shapes", f"{len(self.parts)} given")

    @property
    def area(self) -> float:
        """Area in square pixels: exact where no two shapes overlap, else of polygons good to 1e-5."""
        outlines = [part.geometry() for part in self.parts]
        union = shapely.union_all(outlines).area
        apart = sum(outline.area for outline in outlines) - union <= 1e-9 * union
        return float(sum(part.area for part in self.parts) if apart else union)

    @property
    def reach(self) -> tuple[float, float, float]:
        """Centre and radius of a circle around the shapes."""
        reaches = np.array([part.reach for part in self.parts])
        low = (reaches[:, :2] - reaches[:, 2:]).min(axis=0)
        high = (reaches[:, :2] + reaches[:, 2:]).max(axis=0)
        x, y = (low + high) / 2
        away = np.hypot(reaches[:, 0] - x, reaches[:, 1] - y)
        return float(x), float(y), float((away + reaches[:, 2]).max())

    def contains(self, x: Array, y: Array) -> NDArray[np.bool_]:
        """Tell for each point whether it lies inside one of the shapes."""
        return np.asarray(np.logical_or.reduce([part.contains(x, y) for part in self.parts]))

    def geometry(self) -> BaseGeometry:
        """Union of the shapes' polygons."""
        return shapely.union_all([part.geometry() for part in self.parts])

    def to_dict(self) -> dict[str, Any]:
        """Plain content for the database."""
        return {"shape": self.kind, "parts": [part.to_dict() for part in self.parts]}


Shape = Circle | Annulus | Polygon | Ellipse | Box | Sector | Union
_TURNED: tuple[type[Ellipse] | type[Box] | type[Sector], ...] = (Ellipse, Box, Sector)


def _equal_area_factor() -> float:
    # A regular polygon inscribed in a circle is smaller than it; this makes their areas equal.
    sides = 4 * ARC_SEGMENTS
    return float(np.sqrt(pi / (sides / 2 * np.sin(2 * pi / sides))))


def shape_from_dict(content: dict[str, Any]) -> Shape:
    """Return the shape that `to_dict` wrote.

    Raises
    ------
    SettingsError
        When the content names no known shape.
    """
    kind = content.get("shape")
    if kind == "circle":
        return Circle(content["x"], content["y"], content["radius"])
    if kind == "annulus":
        return Annulus(content["x"], content["y"], content["inner"], content["outer"])
    if kind == "polygon":
        return Polygon(tuple((float(x), float(y)) for x, y in content["vertices"]))
    if kind == "union":
        parts = [shape_from_dict(part) for part in content["parts"]]
        return Union(tuple(part for part in parts if not isinstance(part, Union)))
    for turned in _TURNED:
        if kind == turned.kind and set(content) == {"shape", *(item.name for item in fields(turned))}:
            return turned(**{name: float(value) for name, value in content.items() if name != "shape"})
    raise SettingsError("not a known shape", kind)
