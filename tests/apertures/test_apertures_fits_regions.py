"""CIAO FITS regions, and the real crowded case from its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.apertures.fits_regions import read_fits_region, write_fits_region
from catalog.apertures.region import Region, region_from_dict
from catalog.apertures.shape import Annulus, Circle, Polygon
from catalog.apertures.turned import Box, Ellipse, Sector
from catalog.errors import InputFileError

NAMES = ("r0115", "r0116", "r0123", "r0150")
# Printed by the authors of Primini & Kashyap 2014 (fprimini/XAP, Example).
PRINTED = np.array(
    [
        [9.47097792e06, 0, 1.88825435e03, 5.61431210e03, 2.81542818e10],
        [0, 8.43717107e06, 7.49609455e03, 1.30013338e04, 3.40651940e10],
        [0, 3.77625891e03, 9.27489281e06, 9.38946854e03, 3.02678311e10],
        [1.79756938e03, 9.35427532e05, 5.58759992e03, 9.27772159e06, 3.77550753e10],
        [6.86684574e04, 1.26875147e05, 2.78983391e05, 1.24331647e05, 1.25572609e12],
    ]
)


def image(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of an image and the sky pixels of its pixel centres."""
    with fits.open(path) as hdus:
        data, header = hdus[0].data.astype(float), hdus[0].header
    axes = []
    for axis, size in ((1, data.shape[1]), (2, data.shape[0])):
        pixel = np.arange(size) + 1.0
        start, step = header[f"CRVAL{axis}P"], header[f"CDELT{axis}P"]
        axes.append(start + (pixel - header[f"CRPIX{axis}P"]) * step)
    x, y = np.meshgrid(*axes)
    return data, x, y


def crowded_response(folder: Path) -> np.ndarray:
    stem = "acisf01575_001N001_"
    regions = [read_fits_region(folder / f"{stem}{name}_srcreg3.fits") for name in NAMES]
    regions.append(read_fits_region(next(folder.glob("new_*_bkgreg3.fits"))))
    maps = [image(folder / f"{stem}{name}b_regexp3.fits.gz") for name in (*NAMES, NAMES[1])]
    result = np.zeros((5, 5))
    for i, region in enumerate(regions):
        exposure, x, y = maps[i]
        inside = region.contains(x.ravel(), y.ravel()).reshape(x.shape)
        mean = exposure[inside].mean()
        for j, name in enumerate(NAMES):
            psf, u, v = image(folder / f"{stem}{name}b_psf3.fits.gz")
            result[i, j] = psf[region.contains(u.ravel(), v.ravel()).reshape(u.shape)].sum() * mean
        result[i, 4] = region.area * mean
    return result


def test_response_of_the_crowded_case(data_dir: Path) -> None:
    found = crowded_response(data_dir / "crowded")
    seen = PRINTED > 0
    ratio = found[seen] / PRINTED[seen] - 1
    assert np.abs(ratio).max() < 5e-4, np.array2string(
        np.where(seen, found / np.where(seen, PRINTED, 1) - 1, 0)
    )
    assert np.all(found[~seen] < 1.0)


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


place = st.tuples(numbers(3000, 5000), numbers(3000, 5000))
shapes = st.one_of(
    st.builds(lambda p, r: Circle(*p, r), place, numbers(1, 50)),
    st.builds(lambda p, r, w: Annulus(*p, r, r + w), place, numbers(1, 50), numbers(1, 50)),
    st.builds(
        lambda p, a, b, t: Ellipse(*p, a, b, t), place, numbers(1, 50), numbers(1, 50), numbers(-360, 360)
    ),
    st.builds(lambda p, a, b, t: Box(*p, a, b, t), place, numbers(1, 50), numbers(1, 50), numbers(-360, 360)),
    st.builds(
        lambda p, r, w, a, b: Sector(*p, r, r + w, a, b),
        place,
        numbers(1, 50),
        numbers(1, 50),
        numbers(0, 359),
        numbers(0, 359),
    ),
    st.builds(
        lambda p, radii: Polygon(
            tuple(
                (p[0] + r * np.cos(2 * np.pi * k / len(radii)), p[1] + r * np.sin(2 * np.pi * k / len(radii)))
                for k, r in enumerate(radii)
            )
        ),
        place,
        st.lists(numbers(5, 50), min_size=3, max_size=12),
    ),
)


@given(shape=shapes, exclude=st.lists(shapes, max_size=3))
@settings(max_examples=40, deadline=None)
def test_written_regions_read_in_unchanged(tmp_path_factory, shape, exclude) -> None:
    region = Region(shape, tuple(exclude))
    path = tmp_path_factory.mktemp("region") / "region.fits"
    write_fits_region(path, region)
    assert read_fits_region(path) == region
    assert region_from_dict(region.to_dict()) == region


@given(shape=shapes)
@settings(max_examples=60, deadline=None)
def test_area_and_membership_agree_with_the_polygon(shape) -> None:
    assert shape.geometry().area == pytest.approx(shape.area, rel=1e-6)
    x, y, reach = shape.reach
    rng = np.random.default_rng(1)
    u, v = (centre + 1.1 * reach * rng.uniform(-1, 1, 40000) for centre in (x, y))
    inside = shape.contains(u, v)
    expected = shape.area / (2.2 * reach) ** 2
    assert inside.mean() == pytest.approx(expected, abs=5 * np.sqrt(0.25 / 40000))
    assert np.all(np.hypot(u[inside] - x, v[inside] - y) <= reach * (1 + 1e-12))


def test_counts_agree_with_the_regions_package() -> None:
    from regions import EllipsePixelRegion, PixCoord, RectanglePixelRegion

    rng = np.random.default_rng(2)
    x, y = rng.uniform(-60, 60, (2, 200000))
    from astropy import units as u

    theirs = EllipsePixelRegion(PixCoord(3, -2), 2 * 41.5, 2 * 12.25, 33 * u.deg)
    assert np.array_equal(Ellipse(3, -2, 41.5, 12.25, 33).contains(x, y), theirs.contains(PixCoord(x, y)))
    assert Ellipse(3, -2, 41.5, 12.25, 33).area == pytest.approx(theirs.area, rel=1e-12)
    box = RectanglePixelRegion(PixCoord(3, -2), 41.5, 12.25, -70 * u.deg)
    assert np.array_equal(Box(3, -2, 41.5, 12.25, -70).contains(x, y), box.contains(PixCoord(x, y)))


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ([("Hexagon", 1)], "hexagon"),
        ([("Circle", 1), ("Circle", 1)], "2 included"),
        ([("Circle", 1), ("!Circle", 2)], "2 components"),
        ([("!Circle", 1)], "0 included"),
    ],
)
def test_refused_tables(tmp_path: Path, rows: list[tuple[str, int]], word: str) -> None:
    table = Table(
        {
            "X": [1.0] * len(rows),
            "Y": [1.0] * len(rows),
            "SHAPE": [name for name, _ in rows],
            "R": [[2.0, 3.0]] * len(rows),
            "COMPONENT": [number for _, number in rows],
        }
    )
    table.write(tmp_path / "bad.fits")
    with pytest.raises(InputFileError, match=word):
        read_fits_region(tmp_path / "bad.fits")


def test_no_region_file(tmp_path: Path) -> None:
    (tmp_path / "text.reg").write_text("circle(1,2,3)\n")
    with pytest.raises(InputFileError) as caught:
        read_fits_region(tmp_path / "text.reg")
    assert caught.value.code == "REGION_FILE"
