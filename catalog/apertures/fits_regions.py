"""CIAO FITS region files: tables of shapes in sky pixels, read and written.

Rows of one COMPONENT intersect, components unite; a shape with an exclamation mark is cut out. A region of
several shapes has one component for each, one that the field of view clips has its polygons as a second
included shape. Columns ID, OBS_ID, ROLE and RECIPE, where present, say whose region a row belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from catalog.apertures.outline import check_outline, no_area, open_ring
from catalog.apertures.region import Region
from catalog.apertures.shape import Annulus, Circle, Polygon, Shape, Union, simple_parts
from catalog.apertures.turned import Box, Ellipse, Sector
from catalog.errors import InputFileError, MissingFileError

FloatArray = NDArray[np.float64]

_COLUMNS = ("X", "Y", "SHAPE")


@dataclass(frozen=True)
class FitsRegion:
    """A region of a file: whose it is, as far as the file says, and the rows that it stands in."""

    region: Region
    where: str = ""
    source: str = ""
    obs_id: str = ""
    role: str = ""
    recipe: str = ""


def read_fits_region(path: Path) -> Region:
    """Read the one region of a file.

    Raises
    ------
    InputFileError
        As `read_fits_regions`, or the file holds regions of several sources.
    """
    found = read_fits_regions(path)
    if len(found) != 1:
        raise InputFileError(
            f"has regions of {len(found)} sources", path, "one was expected", code="REGION_SHAPE"
        )
    return found[0].region


def read_fits_regions(path: Path) -> list[FitsRegion]:
    """Read the regions of all region tables of a file, in its order.

    Raises
    ------
    MissingFileError
        No such file.
    InputFileError
        REGION_FILE for no FITS file or one without a region table; REGION_SHAPE for an unknown shape, or for
        shapes that are no region together; REGION_EMPTY, REGION_SELF_CROSSING.
    """
    if not path.exists():
        raise MissingFileError("no such region file", path, "check the path")
    found: list[FitsRegion] = []
    try:
        with fits.open(path) as hdus:
            for hdu in hdus:
                if isinstance(hdu, fits.BinTableHDU) and set(_COLUMNS) <= {
                    name.upper() for name in hdu.columns.names
                }:
                    found += _regions(hdu, path)
    except OSError as error:
        raise InputFileError(
            f"not a FITS region file ({error})", path, "give a CIAO region table", code="REGION_FILE"
        ) from None
    if not found:
        raise InputFileError("has no region table", path, "X, Y, SHAPE are needed", code="REGION_FILE")
    return found


@dataclass
class _Component:
    included: list[Shape]
    excluded: list[Shape]


def _regions(hdu: fits.BinTableHDU, path: Path) -> list[FitsRegion]:
    names = {name.upper() for name in hdu.columns.names}
    groups: dict[tuple[str, ...], dict[int, _Component]] = {}
    rows: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(hdu.data, start=1):
        where = f"{path}, row {number}"
        word = str(row["SHAPE"]).strip().lower()
        shape = _shape(word.lstrip("!+"), row, names, where)
        labels = tuple(
            str(row[name]).strip() if name in names else str(hdu.header.get(name, "")).strip()
            for name in ("ID", "OBS_ID", "ROLE", "RECIPE")
        )
        component = groups.setdefault(labels, {}).setdefault(
            int(row["COMPONENT"]) if "COMPONENT" in names else 1, _Component([], [])
        )
        (component.excluded if word.startswith("!") else component.included).append(shape)
        rows.setdefault(labels, number)
    return [
        FitsRegion(_assembled(list(components.values()), path), f"{path}, row {rows[labels]}", *labels)
        for labels, components in groups.items()
    ]


def _assembled(components: list[_Component], path: Path) -> Region:
    """One region of its components; see the head of the module."""
    firsts = list(dict.fromkeys(part.included[0] for part in components if part.included))
    clips = list(dict.fromkeys(shape for part in components for shape in part.included[1:]))
    fields = tuple(shape for shape in clips if isinstance(shape, Polygon))
    simple = tuple(shape for shape in firsts if not isinstance(shape, Union))
    same = all(part.excluded == components[0].excluded for part in components)
    lengths = {len(part.included) for part in components}
    whole = len({tuple(part.included) for part in components}) == len(firsts) * max(1, len(clips))
    whole &= len(fields) == len(clips)
    if not (same and whole and lengths in ({1}, {2}) and simple):
        number = sum(len(part.included) for part in components)
        raise InputFileError(
            f"has {number} included shapes in {len(components)} components",
            path,
            "a region has one shape in each component, the same exclusions in all",
            code="REGION_SHAPE",
        )
    shape = simple[0] if len(simple) == 1 else Union(simple)
    return Region(shape, tuple(components[0].excluded), fields if clips else None)


def _shape(word: str, row: Any, names: set[str], where: str) -> Shape:
    radii = np.atleast_1d(row["R"]).astype(float) if "R" in names else np.empty(0)
    angles = np.atleast_1d(row["ROTANG"]).astype(float) if "ROTANG" in names else np.zeros(2)
    x, y = (np.atleast_1d(row[name]).astype(float) for name in ("X", "Y"))
    if word == "polygon":
        return _polygon(x, y, where)
    centre = (float(x[0]), float(y[0]))
    first, second = (*(float(value) for value in radii), 0.0, 0.0)[:2]
    start, stop = (*(float(value) for value in np.nan_to_num(angles)), 0.0, 0.0)[:2]
    shapes: dict[str, Shape] = {
        "circle": Circle(*centre, first),
        "annulus": Annulus(*centre, first, second),
        "ellipse": Ellipse(*centre, first, second, start),
        "box": Box(*centre, first, second),
        "rotbox": Box(*centre, first, second, start),
        "pie": Sector(*centre, first, second, start, stop),
    }
    if word not in shapes and word != "point":
        raise InputFileError(f"the shape {word!r}", where, "that is not known", code="REGION_SHAPE")
    # The placeholder of an empty region is a point.
    if word == "point" or not shapes[word].area > 0:
        raise no_area(word, where)
    return shapes[word]


def _polygon(x: FloatArray, y: FloatArray, where: str) -> Polygon:
    seen = np.isfinite(x) & np.isfinite(y)
    # Polygons with fewer vertices than the longest of the file repeat their last one.
    ring = open_ring([(float(a), float(b)) for a, b in zip(x[seen], y[seen], strict=True)])
    check_outline(ring, where)
    return Polygon(ring)


def _row(shape: Shape) -> tuple[str, list[float], list[float], list[float], list[float]]:
    """Word, X, Y, R and ROTANG of a shape."""
    assert not isinstance(shape, Union)
    if isinstance(shape, Polygon):
        x, y = zip(*shape.vertices, strict=True)
        return "Polygon", list(x), list(y), [], []
    centre = ([shape.x], [shape.y])
    if isinstance(shape, Circle):
        return "Circle", *centre, [shape.radius], []
    if isinstance(shape, Annulus):
        return "Annulus", *centre, [shape.inner, shape.outer], []
    if isinstance(shape, Ellipse):
        return "Ellipse", *centre, [shape.first, shape.second], [shape.angle]
    if isinstance(shape, Box):
        return "Rotbox", *centre, [shape.width, shape.height], [shape.angle]
    return "Pie", *centre, [shape.inner, shape.outer], [shape.start, shape.stop]


def region_table(regions: Sequence[FitsRegion], name: str = "REGION") -> fits.BinTableHDU:
    """Return a CIAO region table; `read_fits_regions` gives the same shapes back, bit for bit.

    Parameters
    ----------
    regions
        Regions with their labels; a region that the field of view leaves nothing of has no rows.
    name
        Name of the extension.
    """
    rows, labels, components = [], [], []
    component = 0
    for item in regions:
        region = item.region
        parts = simple_parts(region.shape)
        clips: tuple[Shape | None, ...] = (None,) if region.field is None else region.field
        for part in parts:
            for clip in clips:
                component += 1
                shapes = [("", part), *((("", clip),) if clip is not None else ())]
                shapes += [("!", shape) for shape in region.exclude]
                for sign, shape in shapes:
                    word, *numbers = _row(shape)
                    rows.append((sign + word, numbers))
                    labels.append(item)
                    components.append(component)
    points = max((len(numbers[0]) for _, numbers in rows), default=1)
    columns = [
        fits.Column(
            label,
            f"{width}D",
            unit="pixel" if label != "ROTANG" else "deg",
            array=np.array([_padded(numbers[k], width, label) for _, numbers in rows]).reshape(-1, width),
        )
        for k, (label, width) in enumerate({"X": points, "Y": points, "R": 2, "ROTANG": 2}.items())
    ]
    columns.insert(2, fits.Column("SHAPE", "16A", array=[word for word, _ in rows]))
    columns.append(fits.Column("COMPONENT", "1J", array=np.array(components, dtype=np.int32)))
    for label, field in (("ID", "source"), ("OBS_ID", "obs_id"), ("ROLE", "role"), ("RECIPE", "recipe")):
        words = [str(getattr(item, field)) for item in labels]
        if any(words):
            columns.append(fits.Column(label, f"{max(len(word) for word in words)}A", array=words))
    table = fits.BinTableHDU.from_columns(columns, name=name)
    table.header["HDUCLASS"] = ("ASC", "Region extension")
    table.header["HDUCLAS1"] = ("REGION", "Region extension")
    table.header["MTYPE1"], table.header["MFORM1"] = "pos", "X,Y"
    return table


def write_fits_region(path: Path, region: Region, name: str = "REGION") -> None:
    """Write one region without labels; `read_fits_region` gives it back, bit for bit."""
    table = region_table([FitsRegion(region)], name)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)


def _padded(values: Sequence[float], width: int, label: str) -> list[float]:
    fill = values[-1] if label in ("X", "Y") else float("nan")
    return [*values, *([fill] * (width - len(values)))]
