"""Shapes with a direction: ellipse, box and sector in sky pixels; angles from X towards Y."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, pi
from typing import Any, ClassVar

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from catalog.apertures.arc import arc_points

Array = NDArray[np.float64]


def _along(x: Array, y: Array, centre: tuple[float, float], angle: float) -> tuple[Array, Array]:
    """Offsets from a centre along a direction (degrees) and across it."""
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    u, v = x - centre[0], y - centre[1]
    return u * cosine + v * sine, v * cosine - u * sine


@dataclass(frozen=True)
class Ellipse:
    """An ellipse: centre, half axes in sky pixels, angle of the first in degrees."""

    kind: ClassVar[str] = "ellipse"
    x: float
    y: float
    first: float
    second: float
    angle: float

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return pi * self.first * self.second

    @property
    def reach(self) -> tuple[float, float, float]:
        """Centre and radius of a circle around the shape."""
        return self.x, self.y, max(self.first, self.second)

    def contains(self, x: Array, y: Array) -> NDArray[np.bool_]:
        """Tell for each point whether it lies inside, the edge included."""
        u, v = _along(x, y, (self.x, self.y), self.angle)
        if self.first <= 0 or self.second <= 0:
            return np.zeros(np.shape(u), dtype=np.bool_)
        return np.asarray((u / self.first) ** 2 + (v / self.second) ** 2 <= 1.0)

    def geometry(self) -> BaseGeometry:
        """Polygon of equal area."""
        circle = shapely.Polygon(arc_points(1.0, 0.0, 360.0)[:-1])
        cosine, sine = np.cos(np.radians(self.angle)), np.sin(np.radians(self.angle))
        matrix = [self.first * cosine, -self.second * sine, self.first * sine, self.second * cosine]
        return affine_transform(circle, [*matrix, self.x, self.y])

    def to_dict(self) -> dict[str, Any]:
        """Plain content for the database."""
        return {
            "shape": self.kind,
            "x": self.x,
            "y": self.y,
            "first": self.first,
            "second": self.second,
            "angle": self.angle,
        }


@dataclass(frozen=True)
class Box:
    """A rectangle: centre, width and height in sky pixels, angle of the width in degrees."""

    kind: ClassVar[str] = "box"
    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.width * self.height

    @property
    def reach(self) -> tuple[float, float, float]:
        """Centre and radius of a circle around the shape."""
        return self.x, self.y, 0.5 * hypot(self.width, self.height)

    def contains(self, x: Array, y: Array) -> NDArray[np.bool_]:
        """Tell for each point whether it lies inside, the edge included."""
        if self.angle == 0.0:
            u, v = x - self.x, y - self.y
        else:
            u, v = _along(x, y, (self.x, self.y), self.angle)
        return np.asarray((np.abs(u) <= 0.5 * self.width) & (np.abs(v) <= 0.5 * self.height))

    def geometry(self) -> BaseGeometry:
        """The rectangle itself."""
        cosine, sine = np.cos(np.radians(self.angle)), np.sin(np.radians(self.angle))
        square = shapely.box(-0.5 * self.width, -0.5 * self.height, 0.5 * self.width, 0.5 * self.height)
        return affine_transform(square, [cosine, -sine, sine, cosine, self.x, self.y])

    def to_dict(self) -> dict[str, Any]:
        """Plain content for the database."""
        return {
            "shape": self.kind,
            "x": self.x,
            "y": self.y,
            "width": self.width,
            "height": self.height,
            "angle": self.angle,
        }


@dataclass(frozen=True)
class Sector:
    """Part of a ring between two angles (degrees), from `start` turning towards Y to `stop`."""

    kind: ClassVar[str] = "sector"
    x: float
    y: float
    inner: float
    outer: float
    start: float
    stop: float

    @property
    def opening(self) -> float:
        """Angle between start and stop, degrees in (0, 360]."""
        turn = (self.stop - self.start) % 360.0
        return 360.0 if turn == 0.0 else turn

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return pi * (self.outer**2 - self.inner**2) * self.opening / 360.0

    @property
    def reach(self) -> tuple[float, float, float]:
        """Centre and radius of a circle around the shape."""
        return self.x, self.y, self.outer

    def contains(self, x: Array, y: Array) -> NDArray[np.bool_]:
        """Tell for each point whether it lies inside: outer edge and start do, inner edge and stop do not."""
        u, v = x - self.x, y - self.y
        square = u**2 + v**2
        turn = np.mod(np.degrees(np.arctan2(v, u)) - self.start, 360.0)
        ring = (square <= self.outer**2) & ((square > self.inner**2) | (self.inner == 0))
        return np.asarray(ring & ((turn < self.opening) | (self.opening == 360.0)))

    def geometry(self) -> BaseGeometry:
        """Polygon of equal area."""
        outer = arc_points(self.outer, self.start, self.start + self.opening)
        if self.opening == 360.0:
            whole = shapely.Polygon(outer[:-1])
            if self.inner > 0:
                whole = whole.difference(shapely.Polygon(arc_points(self.inner, 0.0, 360.0)[:-1]))
            return affine_transform(whole, [1, 0, 0, 1, self.x, self.y])
        if self.inner > 0:
            inner = arc_points(self.inner, self.start, self.start + self.opening)
        else:
            inner = np.zeros((1, 2))
        ring = np.concatenate([outer, inner[::-1]])
        return shapely.Polygon(ring + np.array([self.x, self.y]))

    def to_dict(self) -> dict[str, Any]:
        """Plain content for the database."""
        return {
            "shape": self.kind,
            "x": self.x,
            "y": self.y,
            "inner": self.inner,
            "outer": self.outer,
            "start": self.start,
            "stop": self.stop,
        }
