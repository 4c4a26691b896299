"""Shapes in sky pixels: exact membership, exact area where a formula gives it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from math import pi
from typing import Any, ClassVar

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from catalog.apertures.arc import ARC_SEGMENTS, equal_area_factor
from catalog.apertures.turned import Box, Ellipse, Sector
from catalog.errors import SettingsError

Array = NDArray[np.float64]


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
        return shapely.Point(self.x, self.y).buffer(self.radius * equal_area_factor(), quad_segs=ARC_SEGMENTS)

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
        centre, factor = shapely.Point(self.x, self.y), equal_area_factor()
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

    @cached_property
    def reach(self) -> tuple[float, float, float]:
        """Centre and radius of a circle around the shape."""
        points = np.array(self.vertices)
        x, y = (points.min(axis=0) + points.max(axis=0)) / 2
        return float(x), float(y), float(np.hypot(*(points - (x, y)).T).max())

    def contains(self, x: Array, y: Array) -> NDArray[np.bool_]:
        """Tell for each point whether it lies inside."""
        shapely.prepare(self._outline)
        return np.asarray(shapely.contains_xy(self._outline, x, y))

    @cached_property
    def _outline(self) -> BaseGeometry:
        return shapely.polygons(np.array(self.vertices))

    def geometry(self) -> BaseGeometry:
        """The polygon itself."""
        return self._outline

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

    @cached_property
    def area(self) -> float:
        """Area in square pixels: exact where no two shapes overlap, else of outlines, see `arc`."""
        if self.rectangles is not None:
            return float(sum(part.area for part in self.parts))
        outlines = [part.geometry() for part in self.parts]
        union = shapely.union_all(outlines).area
        apart = sum(outline.area for outline in outlines) - union <= 1e-9 * union
        return float(sum(part.area for part in self.parts) if apart else union)

    @cached_property
    def rectangles(self) -> Array | None:
        """Smallest x and y, largest x and y of the parts, shape (n, 4), where all are upright boxes apart."""
        boxes = [part for part in self.parts if isinstance(part, Box) and part.angle == 0.0]
        if len(boxes) < len(self.parts):
            return None
        places = np.array([[part.x, part.y, 0.5 * part.width, 0.5 * part.height] for part in boxes])
        low, high = places[:, :2] - places[:, 2:], places[:, :2] + places[:, 2:]
        common = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
        np.fill_diagonal(common[..., 0], 0.0)
        # Boxes side by side share an edge, to rounding.
        return None if (common.min(axis=2) > 1e-9).any() else np.hstack([low, high])

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
        if self.rectangles is not None:
            from catalog.apertures.rectangle_kernel import inside_any

            points = (np.asarray(part, dtype=np.float64) for part in (x, y))
            return np.asarray(inside_any(self.rectangles, *points))
        return np.asarray(np.logical_or.reduce([part.contains(x, y) for part in self.parts]))

    def geometry(self) -> BaseGeometry:
        """Union of the shapes' polygons."""
        if self.rectangles is not None:
            return shapely.union_all(shapely.box(*self.rectangles.T))
        return shapely.union_all([part.geometry() for part in self.parts])

    def to_dict(self) -> dict[str, Any]:
        """Plain content for the database."""
        return {"shape": self.kind, "parts": [part.to_dict() for part in self.parts]}


Shape = Circle | Annulus | Polygon | Ellipse | Box | Sector | Union


def simple_parts(shape: Shape) -> tuple[Circle | Annulus | Polygon | Ellipse | Box | Sector, ...]:
    """Shapes that a union joins; the shape itself when it is none."""
    return shape.parts if isinstance(shape, Union) else (shape,)


_TURNED: tuple[type[Ellipse] | type[Box] | type[Sector], ...] = (Ellipse, Box, Sector)


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
