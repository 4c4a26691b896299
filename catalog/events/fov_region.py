"""A field of view of the user's: polygons of a fov1 file, or of a ds9 region file."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon

from catalog.errors import InputFileError
from catalog.events.field_of_view import FieldOfView
from catalog.events.fits_file import is_table, open_fits
from catalog.events.sky_frame import SkyFrame

if TYPE_CHECKING:
    from astropy.io import fits

_REMEDY = "give a fov1.fits file, or a ds9 region file with polygons in celestial coordinates"


def read_fov_region(path: str | Path, frame: SkyFrame) -> Polygon | MultiPolygon:
    """Union of the polygons of a file, in sky pixels.

    Parameters
    ----------
    path
        FITS table with columns SHAPE, X, Y (sky pixels, one polygon per row), or ds9 polygons (``.reg``) in
        celestial coordinates.
    frame
        Projection of the event list.

    Raises
    ------
    MissingFileError, InputFileError
        NO_FOV_REGION: no polygon in the file; else as `open_fits`.
    """
    where = Path(path)
    if where.suffix.lower() == ".reg":
        polygons = _from_ds9(where, frame)
    else:
        with open_fits(where) as hdus:
            polygons = [polygon for hdu in hdus for polygon in _from_table(hdu)]
    if not polygons:
        raise InputFileError("no polygon in this field-of-view file", where, _REMEDY, code="NO_FOV_REGION")
    return shapely.union_all([shapely.make_valid(polygon) for polygon in polygons])


def cut_field_of_view(view: FieldOfView, region: Polygon | MultiPolygon, path: str | Path) -> FieldOfView:
    """Field of view inside a region.

    Raises
    ------
    InputFileError
        OTHER_FIELD: the region holds nothing that the chips saw.
    """
    inside = view.region.intersection(region)
    if inside.area <= 0:
        raise InputFileError(
            "this field of view does not overlap the chips of the observation",
            path,
            "give that of the same observation",
            code="OTHER_FIELD",
        )
    return replace(view, region=inside, is_cut=True)


def _from_table(hdu: fits.hdu.base.ExtensionHDU) -> list[Polygon]:
    if not is_table(hdu):
        return []
    names = {name.lower(): name for name in hdu.columns.names}
    if not {"shape", "x", "y"} <= set(names):
        return []
    polygons = []
    for row in hdu.data:
        if str(row[names["shape"]]).strip().lower() != "polygon":
            continue
        corners = np.column_stack([np.ravel(row[names["x"]]), np.ravel(row[names["y"]])]).astype(float)
        # Rows of unequal length are filled up with NaN, zeros or copies of the last corner.
        corners = corners[np.isfinite(corners).all(axis=1) & (corners != 0).any(axis=1)]
        if len(np.unique(corners, axis=0)) >= 3:
            polygons.append(Polygon(corners))
    return polygons


def _from_ds9(path: Path, frame: SkyFrame) -> list[Polygon]:
    # The package is heavy: imported where a region file is read.
    from astropy.utils.exceptions import AstropyWarning
    from regions import PolygonSkyRegion, Regions

    if not path.exists():
        raise InputFileError("no such file", path, _REMEDY, code="NO_FOV_REGION")
    try:
        with warnings.catch_warnings():
            # Shapes and frames that it does not know are left out; an empty result is refused below.
            warnings.simplefilter("ignore", AstropyWarning)
            found = Regions.read(path, format="ds9")
    except ValueError as error:
        raise InputFileError(f"no ds9 region file ({error})", path, _REMEDY, code="NO_FOV_REGION") from error
    polygons = []
    for item in found:
        if isinstance(item, PolygonSkyRegion):
            world = item.vertices.icrs
            polygons.append(Polygon(np.column_stack(frame.to_sky(world.ra.deg, world.dec.deg))))
    return polygons
