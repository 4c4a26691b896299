"""CIAO FITS region files: tables of shapes in sky pixels, read and written.

Rows of one COMPONENT intersect, components unite; a shape with an exclamation mark is cut out. Written files
have one component, one included shape and its exclusions, as the files of the Chandra Source Catalog have.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from catalog.apertures.region import Region
from catalog.apertures.shape import Annulus, Circle, Polygon, Shape
from catalog.apertures.turned import Box, Ellipse, Sector
from catalog.errors import InputFileError

FloatArray = NDArray[np.float64]

_COLUMNS = ("X", "Y", "SHAPE")


def read_fits_region(path: Path) -> Region:
    """Read a region of one component.

    Raises
    ------
    InputFileError
        No FITS file, no region table, an unknown shape, several included shapes or components.
    """
    try:
        with fits.open(path) as hdus:
            for hdu in hdus:
                if isinstance(hdu, fits.BinTableHDU) and set(_COLUMNS) <= {
                    name.upper() for name in hdu.columns.names
                }:
                    return _region(hdu, path)
    except OSError as error:
        raise InputFileError(
            f"not a FITS region file ({error})", path, "give a CIAO region table", code="REGION_FILE"
        ) from None
    raise InputFileError("has no region table", path, "X, Y, SHAPE are needed", code="REGION_FILE")


def _region(hdu: fits.BinTableHDU, path: Path) -> Region:
    names = {name.upper() for name in hdu.columns.names}
    included: list[Shape] = []
    excluded: list[Shape] = []
    components = set()
    for number, row in enumerate(hdu.data, start=1):
        word = str(row["SHAPE"]).strip().lower()
        radii = np.atleast_1d(row["R"]).astype(float) if "R" in names else np.empty(0)
        angles = np.atleast_1d(row["ROTANG"]).astype(float) if "ROTANG" in names else np.zeros(2)
        x, y = (np.atleast_1d(row[name]).astype(float) for name in ("X", "Y"))
        shape = _shape(word.lstrip("!+"), x, y, radii, np.nan_to_num(angles))
        if shape is None:
            raise InputFileError(
                f"row {number} has the shape {word!r}", path, "that is not known", code="REGION_SHAPE"
            )
        (excluded if word.startswith("!") else included).append(shape)
        components.add(int(row["COMPONENT"]) if "COMPONENT" in names else 1)
    if len(included) != 1 or len(components) > 1:
        raise InputFileError(
            f"has {len(included)} included shapes in {len(components)} components",
            path,
            "one shape with exclusions is one region",
            code="REGION_SHAPE",
        )
    return Region(included[0], tuple(excluded))


def _shape(word: str, x: FloatArray, y: FloatArray, r: FloatArray, angle: FloatArray) -> Shape | None:
    if word == "polygon":
        return _polygon(x, y)
    centre = (float(x[0]), float(y[0]))
    first, second = (*(float(value) for value in r), 0.0, 0.0)[:2]
    start, stop = (*(float(value) for value in angle), 0.0, 0.0)[:2]
    shapes: dict[str, Shape] = {
        "circle": Circle(*centre, first),
        "annulus": Annulus(*centre, first, second),
        "ellipse": Ellipse(*centre, first, second, start),
        "box": Box(*centre, first, second),
        "rotbox": Box(*centre, first, second, start),
        "pie": Sector(*centre, first, second, start, stop),
    }
    return shapes.get(word)


def _polygon(x: FloatArray, y: FloatArray) -> Polygon:
    seen = np.isfinite(x) & np.isfinite(y)
    points = [(float(a), float(b)) for a, b in zip(x[seen], y[seen], strict=True)]
    # Polygons with fewer vertices than the longest of the file repeat their last one.
    kept = [point for k, point in enumerate(points) if k == 0 or point != points[k - 1]]
    if len(kept) > 1 and kept[0] == kept[-1]:
        kept.pop()
    return Polygon(tuple(kept))


def _row(shape: Shape) -> tuple[str, list[float], list[float], list[float], list[float]]:
    """Word, X, Y, R and ROTANG of a shape."""
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


def write_fits_region(path: Path, region: Region, name: str = "REGION") -> None:
    """Write a region; `read_fits_region` gives the same shapes back, bit for bit.

    Raises
    ------
    InputFileError
        A region clipped by the field of view by more than one polygon: the table cannot hold it.
    """
    shapes: list[tuple[str, Shape]] = [("", region.shape), *(("!", shape) for shape in region.exclude)]
    if region.field is not None:
        raise InputFileError(
            "the region is clipped by the field of view", path, "write it as ds9 region", code="REGION_SHAPE"
        )
    rows = [_row(shape) for _, shape in shapes]
    points = max(len(row[1]) for row in rows)
    widths = {"X": points, "Y": points, "R": 2, "ROTANG": 2}
    columns = [
        fits.Column(
            label,
            f"{width}D",
            unit="pixel" if label != "ROTANG" else "deg",
            array=np.array([_padded(numbers[k], width, label) for _, *numbers in rows]),
        )
        for k, (label, width) in enumerate(widths.items())
    ]
    columns.insert(
        2,
        fits.Column(
            "SHAPE", "16A", array=[sign + row[0] for (sign, _), row in zip(shapes, rows, strict=True)]
        ),
    )
    columns.append(fits.Column("COMPONENT", "1I", array=np.ones(len(rows), dtype=np.int16)))
    table = fits.BinTableHDU.from_columns(columns, name=name)
    table.header["HDUCLASS"] = ("ASC", "Region extension")
    table.header["HDUCLAS1"] = ("REGION", "Region extension")
    table.header["MTYPE1"], table.header["MFORM1"] = "pos", "X,Y"
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)


def _padded(values: Sequence[float], width: int, label: str) -> list[float]:
    fill = values[-1] if label in ("X", "Y") else float("nan")
    return [*values, *([fill] * (width - len(values)))]
