"""Fraction of a source's photons that a region holds, the detector's edges ignored."""

from __future__ import annotations

import numpy as np

from catalog.apertures.region import Region
from catalog.apertures.shape import Annulus, Circle
from catalog.calibration.psf_stamp import PsfStamp


def psf_fraction(region: Region, x: float, y: float, stamp: PsfStamp, pixel_scale: float) -> float:
    """Fraction of all photons of a source at (x, y) that fall into a region.

    Parameters
    ----------
    region
        Region in sky pixels.
    x, y
        True position of the source, sky pixels.
    stamp
        PSF of the source.
    pixel_scale
        Arcsec per sky pixel.
    """
    shape = region.shape
    holes = [hole for hole in region.exclude if isinstance(hole, Circle)]
    if region.field is None and isinstance(shape, Circle | Annulus) and len(holes) == len(region.exclude):
        rows = [((h.x - x) * pixel_scale, (h.y - y) * pixel_scale, h.radius * pixel_scale) for h in holes]
        outer = shape.radius if isinstance(shape, Circle) else shape.outer
        offset = ((shape.x - x) * pixel_scale, (shape.y - y) * pixel_scale)
        if isinstance(shape, Annulus):
            rows.append((*offset, shape.inner * pixel_scale))
        fraction = stamp.fraction_in_circle(*offset, outer * pixel_scale, np.array(rows).reshape(-1, 3))
    else:
        fraction = stamp.fraction_in_edges((region.edges - (x, y, x, y)) * pixel_scale)
    return min(max(fraction, 0.0), 1.0)
