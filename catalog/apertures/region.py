"""A region: one shape, less other shapes, inside a field. Membership is exact, so is its stored form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from catalog.apertures.circle_area import area_outside
from catalog.apertures.shape import Annulus, Circle, Polygon, Shape, Union, shape_from_dict

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Region:
    """A shape less the excluded ones, clipped to the union of `field` polygons when there are any.

    Attributes
    ----------
    shape
        The shape before cutting.
    exclude
        Shapes cut out of it.
    field
        Polygons whose union clips it; None where the shape lies wholly inside the field. An empty tuple
        means that nothing of it does.
    """

    shape: Shape
    exclude: tuple[Shape, ...] = ()
    field: tuple[Polygon, ...] | None = field(default=None)

    def contains(self, x: Array, y: Array) -> NDArray[np.bool_]:
        """Tell for each point (sky pixels) whether it lies in the region."""
        inside = self.shape.contains(x, y)
        for shape in self.exclude:
            inside &= ~shape.contains(x, y)
        if self.field is not None:
            clip = self._clip
            shapely.prepare(clip)
            inside &= shapely.contains_xy(clip, x, y)
        return inside

    @property
    def area(self) -> float:
        """Area in square pixels: exact for circles and rings less circles, else see `arc`."""
        if self.is_pure:
            return self.shape.area
        holes = [(hole.x, hole.y, hole.radius) for hole in self.exclude if isinstance(hole, Circle)]
        if (
            self.field is None
            and len(holes) == len(self.exclude)
            and isinstance(self.shape, Circle | Annulus)
        ):
            shape = self.shape
            if isinstance(shape, Circle):
                return area_outside((shape.x, shape.y, shape.radius), np.array(holes))
            holes.append((shape.x, shape.y, shape.inner))
            return area_outside((shape.x, shape.y, shape.outer), np.array(holes))
        return float(self.geometry().area)

    @property
    def is_pure(self) -> bool:
        """Whether nothing is cut from the shape."""
        return not self.exclude and self.field is None

    def geometry(self) -> BaseGeometry:
        """The region as shapely geometry."""
        result = self.shape.geometry()
        if self.exclude:
            result = result.difference(shapely.union_all([shape.geometry() for shape in self.exclude]))
        if self.field is not None:
            result = result.intersection(self._clip)
        return result

    @cached_property
    def edges(self) -> Array:
        """Edges of all rings of the outline, rows x0, y0, x1, y1, even-odd rule, shape (n, 4)."""
        if self.is_pure and isinstance(self.shape, Polygon):
            return ring_edges([np.array(self.shape.vertices)])
        if self.is_pure and isinstance(self.shape, Union) and self.shape.rectangles is not None:
            corners = self.shape.rectangles[:, [0, 1, 2, 1, 2, 3, 0, 3]]
            return ring_edges([corners.reshape(-1, 4, 2)])
        parts = [part for part in shapely.get_parts(self.geometry()) if part.geom_type == "Polygon"]
        rings = [ring for part in parts if not part.is_empty for ring in (part.exterior, *part.interiors)]
        return ring_edges([np.asarray(ring.coords)[:-1, :2] for ring in rings])

    @cached_property
    def _clip(self) -> BaseGeometry:
        # The union, since a point on the seam of two polygons is inside neither of them.
        return shapely.union_all([polygon.geometry() for polygon in self.field or ()])

    def to_dict(self) -> dict[str, Any]:
        """Plain content for the database."""
        content: dict[str, Any] = {"include": self.shape.to_dict()}
        if self.exclude:
            content["exclude"] = [shape.to_dict() for shape in self.exclude]
        if self.field is not None:
            content["field"] = [polygon.to_dict() for polygon in self.field]
        return content


def ring_edges(rings: Sequence[Array]) -> Array:
    """Edges of closed rings of vertices (..., k, 2), none repeated: rows x0, y0, x1, y1, shape (n, 4)."""
    edges = [np.concatenate([ring, np.roll(ring, -1, axis=-2)], axis=-1).reshape(-1, 4) for ring in rings]
    return np.concatenate(edges) if edges else np.empty((0, 4))


def region_from_dict(content: dict[str, Any]) -> Region:
    """Return the region that `Region.to_dict` wrote; a shape of its own is a region, too."""
    if "include" not in content:
        return Region(shape_from_dict(content))
    clip: tuple[Polygon, ...] | None = None
    if "field" in content:
        clip = tuple(
            Polygon(tuple((float(x), float(y)) for x, y in item["vertices"])) for item in content["field"]
        )
    return Region(
        shape_from_dict(content["include"]),
        tuple(shape_from_dict(item) for item in content.get("exclude", ())),
        clip,
    )


def clip_to_field(region: Region, area: BaseGeometry) -> Region:
    """Return the region clipped to a field, as it is when it lies wholly inside.

    Only the part of the field near the region is kept, so that a stored region stays small.
    """
    x, y, reach = region.shape.reach
    # One pixel more than the shape: a vertex of the clip never lies on the shape itself.
    near = shapely.box(x - reach - 1, y - reach - 1, x + reach + 1, y + reach + 1)
    if area.contains(near):
        return region
    return Region(region.shape, region.exclude, tuple(polygon_parts(area.intersection(near))))


def polygon_parts(geometry: BaseGeometry) -> list[Polygon]:
    """Polygons without holes that together make up a geometry; what has no area is left out."""
    found = []
    for part in shapely.get_parts(geometry):
        if part.geom_type != "Polygon" or part.is_empty:
            continue
        if part.interiors:
            # A hole cannot be stored as a ring of vertices: cut the part in two through the hole.
            left, right = _split(part)
            found += polygon_parts(left) + polygon_parts(right)
        else:
            found.append(Polygon(tuple((float(x), float(y)) for x, y in part.exterior.coords[:-1])))
    return found


def _split(part: BaseGeometry) -> tuple[BaseGeometry, BaseGeometry]:
    x0, y0, x1, y1 = part.bounds
    middle = part.interiors[0].centroid.x
    return part.intersection(shapely.box(x0, y0, middle, y1)), part.intersection(
        shapely.box(middle, y0, x1, y1)
    )
